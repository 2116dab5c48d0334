"""App Home through the real app: what each person sees there, and what a click there may do."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from approvals.request import Request, State
from approvals.store import later
from tests.bot.world import ALICE, BOB, CEM, GEN, OUT, World, a_world, with_timing

GUEST, STRANGER = "U10GUEST", "U11FAR"
MODES = pytest.mark.parametrize("mode", ["socket", "http"])


def _value(request: Request) -> str:
    return f"{request.id}:{request.digest}"


def _direct(world: World, user: str) -> str:
    return "\n".join(message.text for message in world.slack.direct_messages(user))


# --- who sees what


async def test_each_person_sees_their_own_page(world: World) -> None:
    """The approver what to decide, the requester what they asked, a reader neither; each with counts."""
    request = await world.ask("refund ORD123 5.000 damaged *in* transit")
    await world.until(lambda: (card := world.running.work.card(request.id)) and card.permalink)
    card = world.running.work.card(request.id)
    assert card is not None
    for user, waiting, mine in ((ALICE, 0, 1), (BOB, 1, 0), (CEM, 1, 0)):
        shown = await world.open_home(user)
        assert f"⏳ *{waiting}* for you to decide · 🙋 *{mine}* of yours open · ❓ *0* in doubt" in shown
        assert (f"decision:{request.id}" in shown) == bool(waiting)
        assert (f"mine:{request.id}" in shown) == bool(mine)
        assert f"⏳ *Refund 5.000 KWD · ORD123*\\n<{card.permalink}|{request.id}>" in shown
    bob = world.home_text(BOB)
    assert f"asked by <@{ALICE}> <!date^" in bob
    assert "1 approval needed, until <!date^" in bob
    assert "*Reason:* damaged *\u200bin*\u200b transit" in bob
    assert "*Left to refund*\\n20.000 KWD" in bob
    assert "You have asked for nothing lately." in bob
    assert "Nothing waits for you. ✨" in world.home_text(ALICE)
    assert f"`/ottu` opens a form; or type `/ottu refund ORD123 5.000` in <#{GEN}>" in bob


@MODES
async def test_whoever_has_no_role_reads_what_this_is_and_who_can_ask(tmp_path: Path, mode: str) -> None:
    async with a_world(tmp_path, mode) as world:
        request = await world.ask()
        shown = await world.open_home(OUT)
        assert "Refunds, captures and voids on Ottu, each approved by a second person" in shown
        assert f"These can ask: agents, leads: <@{ALICE}>, <@{BOB}>, <@{CEM}>." in shown
        assert request.id not in shown
        assert "for you to decide" not in shown
        assert "ORD123" not in shown


@pytest.mark.parametrize(
    "flags",
    [{"is_restricted": True}, {"is_ultra_restricted": True}, {"team_id": "T09EVIL"}, {"is_stranger": True}],
    ids=lambda flags: next(iter(flags)),
)
async def test_a_guest_or_outsider_sees_nothing_of_the_record_nor_of_its_people(
    tmp_path: Path, flags: dict[str, Any]
) -> None:
    """Not even where the policy names them in a group."""
    policy = World.policy.replace('leads = ["U02BOB"', f'leads = ["{GUEST}", "U02BOB"')
    async with a_world(tmp_path, policy=policy) as world:
        world.slack.add_person(GUEST, "Guest", **flags)
        request = await world.ask()
        shown = await world.open_home(GUEST)
        assert "for full members of this workspace alone" in shown
        for secret in (request.id, "ORD123", "5.000", ALICE, BOB, "leads", "agents", "*1*"):
            assert secret not in shown


async def test_the_power_to_read_decides_who_sees_what_others_asked(tmp_path: Path) -> None:
    """Without it, an approver still sees what waits for them, and their own; with it, what ended and is in doubt."""
    policy = World.policy.replace("[[rules]]", '[powers]\nread = ["auditors"]\n\n[[rules]]', 1)
    policy = policy.replace("[groups]", f'[groups]\nauditors = ["{OUT}"]')
    async with a_world(tmp_path, policy=policy) as world:
        done = await world.approved()
        await world.reaches(State.SUCCEEDED)
        world.ottu.fault("drop_before", endpoint="operation", count=100)
        doubtful = await world.approved("refund USD55 9.99")
        await world.reaches(State.UNKNOWN, doubtful.id)
        waiting = await world.ask("capture AUTH7 1.000")
        auditor, bob, alice = await world.open_home(OUT), await world.open_home(BOB), await world.open_home(ALICE)
    assert f"|{done.id}> · Done" in auditor
    assert f"|{doubtful.id}> · Outcome unknown" in auditor
    assert f"decision:{waiting.id}" not in auditor
    assert "*0* for you to decide · 🙋 *0* of yours open · ❓ *1* in doubt" in auditor
    assert f"decision:{waiting.id}" in bob
    assert (done.id in bob, doubtful.id in bob) == (False, False)
    assert "details" not in bob
    assert "*0* for you to decide · 🙋 *2* of yours open · ❓ *1* in doubt" in alice
    assert (done.id in alice, doubtful.id in alice, waiting.id in alice) == (True, True, True)


async def test_whoever_lost_their_role_still_sees_and_withdraws_their_own(world: World) -> None:
    """What others asked is gone from their page, and Details would not answer."""
    own, others = await world.ask(), await world.ask("capture AUTH7 1.000", BOB)
    await world.stop()
    world.policy = world.policy.replace('agents = ["U01ALICE", "U02BOB"]', f'agents = ["{OUT}", "U02BOB", "U03CEM"]')
    await world.start()
    shown = await world.open_home(ALICE)
    assert "You are in none of the groups" in shown
    assert (f"mine:{own.id}" in shown, others.id in shown, "details" in shown) == (True, False, False)
    await world.press_home(ALICE, "withdraw", own.id)
    await world.reaches(State.WITHDRAWN, own.id)
    await world.sees_home(ALICE, f"{own.id}> · Withdrawn")


async def test_whoever_has_approved_is_not_asked_again(world: World) -> None:
    """Two approvals are needed: the others see who has given theirs."""
    request = await world.ask("refund ORD123 16.000")
    await world.open_home(BOB)
    await world.press_home(BOB, "approve", request.id)
    await world.sees_home(BOB, "Nothing waits for you", without=(f"decision:{request.id}",))
    assert "1 approval needed, until" in await world.open_home(CEM)
    assert f"approved by <@{BOB}>" in world.home_text(CEM)


async def test_the_money_waits_for_a_pause_and_the_page_says_so(world: World) -> None:
    await world.open_home(BOB)
    await world.type(CEM, "pause audit under way")
    await world.sees_home(BOB, f"Nothing is sent to Ottu now: paused by <@{CEM}>")
    await world.resume(CEM)
    await world.sees_home(BOB, "for you to decide", without=("Nothing is sent",))


# --- deciding there


@MODES
async def test_an_approver_approves_there_and_the_money_moves_once(tmp_path: Path, mode: str) -> None:
    """With the same dialog as on the card, which repeats the amount; the page follows to the end."""
    async with a_world(tmp_path, mode) as world:
        request = await world.ask()
        await world.open_home(BOB)
        block = next(b for b in world.slack.state.homes[BOB].blocks if b["block_id"] == f"decision:{request.id}")
        approve, card_button = block["elements"][0], world.card().elements[0][1]
        for name in ("action_id", "value", "confirm", "style"):
            assert approve[name] == card_button[name]
        assert "5.000 KWD" in approve["confirm"]["title"]["text"]
        await world.press_home(BOB, "approve", request.id)
        await world.reaches(State.SUCCEEDED)
        assert world.moved() == [("refund", "ORD123", "5.000", "KWD")]
        assert [approval.person for approval in world.store.approvals(request.id)] == [BOB]
        await world.sees_home(BOB, "Nothing waits for you", f"{request.id}> · Done", f"asked by <@{ALICE}>")
        assert world.told(BOB) == ""
        await world.slack.resend(next(sent for sent in world.slack.deliveries if sent.kind == "interactive"))
        await world.quiet()
        assert world.refused_attempts() == []
        world.check_record()


async def test_an_approver_rejects_there_with_a_reason(world: World) -> None:
    """The form says which request it is about, though no card stands behind it."""
    request = await world.ask()
    await world.open_home(BOB)
    await world.press_home(BOB, "reject", request.id)
    await world.slack.wait_for(lambda: world.slack.seen_by(BOB).views)
    form = world.slack.seen_by(BOB).views[-1]
    assert form.blocks[0]["text"]["text"] == "⏳ Refund 5.000 KWD · ORD123"
    await world.slack.submit_view(BOB, None, {"reason": "a duplicate"})
    await world.reaches(State.REJECTED)
    await world.sees_home(BOB, f"{request.id}> · Rejected", "a duplicate", without=(f"decision:{request.id}",))
    assert world.refused_attempts() == []


async def test_details_and_withdraw_work_there_and_answer_by_direct_message(world: World) -> None:
    request = await world.ask()
    await world.open_home(ALICE)
    await world.press_home(ALICE, "details", request.id)
    await world.until(lambda: "Rule “money”" in _direct(world, ALICE))
    await world.press_home(ALICE, "withdraw", request.id)
    await world.reaches(State.WITHDRAWN)
    await world.sees_home(ALICE, "*0* of yours open", f"{request.id}> · Withdrawn")


async def test_a_click_that_waited_too_long_there_is_to_be_pressed_again(world: World) -> None:
    request = await world.ask()
    await world.open_home(BOB)
    world.running.worker.lanes[0] = type(world.running.worker.lanes[0])("inbox", {}, 0)  # nothing is decided now
    await world.press_home(BOB, "approve", request.id)
    world.store.database.execute(
        "UPDATE work_jobs SET created_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-61 seconds') WHERE kind = 'click'"
    )
    await world.stop()
    await world.start()
    await world.until(lambda: "Press again" in _direct(world, BOB))
    assert world.nothing_done()


# --- what does not count there


async def test_nobody_approves_their_own_there(world: World) -> None:
    """It is not offered; a forged click is refused and written down."""
    request = await world.ask("refund ORD123 5.000", BOB)
    assert f"decision:{request.id}" not in await world.open_home(BOB)
    await world.slack.click_home(BOB, "approve", crafted=True, value=_value(request))
    await world.until(lambda: "You asked for" in world.told(BOB))
    assert world.refused_attempts() == ["self_approval"]
    assert world.nothing_done()


@pytest.mark.parametrize("action", ["approve", "withdraw", "details", "unapprove"])
async def test_a_click_counts_in_ones_own_home_alone(world: World, action: str) -> None:
    """Neither in somebody else's, nor in a view of which is not known whose it is, nor in a form."""
    request = await world.ask()
    user = ALICE if action == "withdraw" else BOB
    await world.open_home(user)
    forged: list[dict[str, Any]] = [
        {"private_metadata": CEM},
        {"private_metadata": ""},
        {"private_metadata": None},
        {"type": "modal"},
    ]
    for view in forged:
        await world.slack.click_home(user, action, crafted=True, value=_value(request), view=view)
    await world.until(lambda: len(world.refused_attempts()) == len(forged))
    assert world.refused_attempts() == ["wrong_place"] * len(forged)
    assert world.nothing_done()


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        ({"api_app_id": "A09ANOTHER"}, "foreign_app"),
        ({"api_app_id": None}, "foreign_app"),
        ({"user": {"team_id": "T09EVIL"}}, "outsider"),
        ({"user": {"team_id": None}}, "outsider"),
        ({"value": "digest"}, "stale"),
        ({"value": "name"}, "no_request"),
    ],
)
async def test_a_forged_click_there_does_nothing(world: World, overrides: dict[str, Any], why: str) -> None:
    request = await world.ask()
    await world.open_home(BOB)
    values = {"digest": f"{request.id}:{'0' * 32}", "name": f"R-ZZZZ:{request.digest}", None: _value(request)}
    await world.slack.click_home(BOB, "approve", crafted=True, **{**overrides, "value": values[overrides.get("value")]})
    await world.until(lambda: world.refused_attempts() == [why])
    assert world.nothing_done()


async def test_whoever_may_not_decide_is_refused_there_too(world: World) -> None:
    """A role that was taken away since the page was shown; and somebody who never had one."""
    request = await world.ask()
    await world.open_home(OUT)
    await world.slack.click_home(OUT, "approve", crafted=True, value=_value(request))
    await world.until(lambda: world.refused_attempts() == ["not_allowed"])
    await world.until(lambda: "You may not approve" in _direct(world, OUT))
    assert world.nothing_done()


async def test_a_rejection_from_a_home_counts_for_its_owner_alone(world: World) -> None:
    """The form remembers whose Home it came from; a forged one is refused like a forged button."""
    request = await world.ask()
    await world.open_home(BOB)
    forged = {
        "wrong_place": f"{request.id}|{request.digest}|home|{CEM}",
        "stale": f"{request.id}|{'0' * 32}|home|{BOB}",
    }
    for metadata in forged.values():
        await world.press_home(BOB, "reject", request.id)
        await world.slack.wait_for(lambda: world.slack.seen_by(BOB).views)
        await world.slack.submit_view(BOB, None, {"reason": "no"}, view={"private_metadata": metadata})
    await world.until(lambda: len(world.refused_attempts()) == 2)
    assert world.refused_attempts() == list(forged)
    assert world.nothing_done()


async def test_the_form_tells_nobody_of_a_request_that_their_page_did_not_show(world: World) -> None:
    request = await world.ask()
    await world.open_home(OUT)
    await world.slack.click_home(OUT, "reject", crafted=True, value=f"{request.id}:{'0' * 32}")
    await world.slack.wait_for(lambda: world.slack.seen_by(OUT).views)
    assert "ORD123" not in str(world.slack.seen_by(OUT).views[-1].content)


# --- events


async def test_an_event_that_slack_sends_again_is_one(world: World) -> None:
    await world.open_home(BOB)
    event = world.slack.deliveries[-1]
    await world.slack.resend(event)
    await world.quiet()
    jobs = world.store.rows("SELECT key FROM work_jobs WHERE kind = 'home_opened'")
    assert len(jobs) == 1


async def test_the_messages_tab_fills_nothing(world: World) -> None:
    await world.slack.open_home(BOB)
    await world.sees_home(BOB, "for you to decide")
    before = len(world.homes_published(BOB))
    payload = world.slack.deliveries[-1].payload
    other = payload | {"event_id": "Ev0OTHER", "event": payload["event"] | {"tab": "messages"}}
    delivery = world.slack.outbox.signed(type(world.slack.deliveries[-1])("events_api", other, BOB))
    assert (await world.slack.outbox.send(delivery)).ok
    await world.quiet()
    assert len(world.homes_published(BOB)) == before


async def test_an_event_that_cannot_be_written_is_not_acknowledged_over_http(tmp_path: Path) -> None:
    """So Slack sends it again, and it is not lost."""
    async with a_world(tmp_path, "http") as world:
        world.running.work.store.database.execute("ALTER TABLE work_jobs RENAME TO hidden")
        ack = await world.slack.open_home(BOB)
        assert not ack.ok
        world.running.work.store.database.execute("ALTER TABLE hidden RENAME TO work_jobs")
        assert (await world.slack.resend()).ok
        await world.sees_home(BOB, "for you to decide")


async def test_a_tab_that_is_switched_off_stops_nothing(world: World) -> None:
    world.slack.state.home_tab_enabled = False
    await world.approved()
    await world.reaches(State.SUCCEEDED)
    await world.quiet()
    assert world.home_text(ALICE) == ""
    assert "gave_up" not in [event.kind for event in world.store.events()]


# --- pages


async def test_hundreds_of_pending_requests_are_paged_and_each_can_be_decided(tmp_path: Path) -> None:
    """From the first page to the last and back; the page that is looked at stays when something changes."""
    policy = World.policy + "\n[timing]\ncommands_per_minute = 1000\n"
    async with a_world(tmp_path, policy=policy) as world:
        for number in range(25):
            world.ottu.create(f"MANY{number}", "9.000", "KWD")
            await world.ask(f"refund MANY{number} {number % 9 + 1}.000")
        requests = sorted(world.requests(), key=lambda request: (request.expires_at, request.id))
        shown = await world.open_home(BOB)
        assert "For you to decide (25), page 1 of 3" in shown

        def listed() -> list[str]:
            ids = [block["block_id"] for block in world.slack.state.homes[BOB].blocks]
            return [name.partition(":")[2] for name in ids if name.startswith("decision:")]

        seen = listed()
        for page in (2, 3):
            await world.slack.click_home(BOB, "home_page_on", block_id="turn:waiting")
            await world.sees_home(BOB, f"page {page} of 3")
            seen += listed()
        assert seen == [request.id for request in requests]
        await world.press_home(BOB, "approve", seen[-1])
        await world.sees_home(BOB, "For you to decide (24), page 3 of 3", without=(f"decision:{seen[-1]}",))
        await world.slack.click_home(BOB, "home_page_back", block_id="turn:waiting")
        await world.sees_home(BOB, "page 2 of 3")
        assert "page 1 of 3" in await world.open_home(BOB)  # opened anew, it begins at its beginning
        assert world.refused_attempts() == []


@pytest.mark.parametrize("value", ["9999.0.0.0", "-1.0.0.0", "x" * 2000, "0", "0.0.0.0;", "٣.0.0.0"])
async def test_a_page_that_is_not_there_is_the_last_or_the_first(world: World, value: str) -> None:
    await world.ask()
    await world.open_home(BOB)
    await world.slack.click_home(BOB, "home_page_on", crafted=True, value=value)
    await world.quiet()
    assert "For you to decide (1)" in world.home_text(BOB)


# --- following


async def test_ones_own_actions_are_followed_without_its_being_open(world: World) -> None:
    """A submission, a decision, a withdrawal: typed, on the card, or there."""
    request = await world.ask()
    await world.sees_home(ALICE, "*1* of yours open")
    await world.press(BOB, "approve")
    await world.sees_home(BOB, "Nothing waits for you")
    await world.reaches(State.SUCCEEDED, request.id)
    other = await world.ask("refund ORD123 1.000")
    await world.type(ALICE, f"withdraw {other.id}")
    await world.sees_home(ALICE, "*0* of yours open", f"{other.id}> · Withdrawn")
    assert world.home_text(CEM) == world.home_text(OUT) == ""


async def test_whoever_opened_it_within_the_hour_sees_what_others_do_and_nobody_later(world: World) -> None:
    await world.open_home(BOB)
    await world.open_home(CEM)
    first = await world.ask()
    await world.sees_home(BOB, f"decision:{first.id}")
    await world.sees_home(CEM, f"decision:{first.id}", f"|{first.id}>")
    _opened(world, CEM, seconds_ago=3601)
    await world.quiet()
    second = await world.ask("capture AUTH7 1.000")
    await world.sees_home(BOB, f"decision:{second.id}")
    await asyncio.sleep(1.5)
    assert f"decision:{second.id}" not in world.home_text(CEM)
    assert world.homes_published(OUT) == []


def _opened(world: World, user: str, *, seconds_ago: float) -> None:
    """Let it be so long ago that the person opened it, and that it was shown."""
    visit, at = world.running.homes.visit(user), later(world.store.now(), seconds=-seconds_ago)
    world.running.work.set_fact(f"home:{user}", {**visit.__dict__, "asked_at": at, "shown_at": at})


async def test_whoever_looked_long_ago_is_forgotten(world: World) -> None:
    await world.open_home(BOB)
    _opened(world, BOB, seconds_ago=3601)
    await world.until(lambda: world.running.work.facts("home:") == {})


async def test_many_changes_are_one_publication_in_a_few_seconds(tmp_path: Path) -> None:
    """Slack limits them; what is shown in the end is the end."""
    async with a_world(tmp_path) as world:
        await world.open_home(CEM)
        await world.quiet()
        for number in range(6):
            world.ottu.create(f"MANY{number}", "9.000", "KWD")
            await world.ask(f"refund MANY{number} 1.000")
        await world.sees_home(CEM, "*6* for you to decide")
        times = world.homes_published(CEM)
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert all(gap >= 2.9 for gap in gaps[1:]), gaps


async def test_what_changes_nothing_on_it_is_not_published(world: World) -> None:
    """Somebody's refused attempt is in the record, and on nobody's page."""
    await world.open_home(BOB)
    await world.quiet()
    before = world.homes_published(BOB)
    await world.type(OUT, "pending")
    await world.until(lambda: world.refused_attempts() == ["no_power"])
    await world.until(lambda: world.running.homes.visit(BOB).seq == world.store.head()[0])
    assert world.homes_published(BOB) == before


async def test_slacks_limit_is_obeyed_and_money_does_not_wait_for_it(world: World) -> None:
    """429 with Retry-After: nothing is published before, for nobody; then what is so then."""
    await world.open_home(BOB)
    world.slack.fault("views.publish", "ratelimited", times=1, seconds=4)
    request = await world.approved()
    await world.reaches(State.SUCCEEDED)
    await world.sees_home(BOB, f"{request.id}> · Done")
    calls = [call for call in world.slack.state.calls if call.method == "views.publish"]
    (limited,) = [number for number, call in enumerate(calls) if call.error == "ratelimited"]
    assert calls[limited + 1].at - calls[limited].at >= 4.0


async def test_a_hanging_publication_holds_up_neither_clicks_nor_money(world: World) -> None:
    await world.open_home(BOB)
    world.slack.fault("views.publish", "hang", times=100, seconds=30)
    await world.approved()
    await world.reaches(State.SUCCEEDED, seconds=5)
    assert world.moved() == [("refund", "ORD123", "5.000", "KWD")]


async def test_it_is_followed_after_a_restart(world: World) -> None:
    """Also what happened while nothing ran, or right before the end."""
    await world.open_home(BOB)
    request = await world.ask()
    await world.stop()
    await world.start()
    await world.sees_home(BOB, f"decision:{request.id}")
    await world.press_home(BOB, "approve", request.id)
    await world.reaches(State.SUCCEEDED)
    await world.sees_home(BOB, f"{request.id}> · Done")


async def test_a_home_click_before_the_restart_is_decided_after_it(world: World) -> None:
    request = await world.ask()
    await world.open_home(BOB)
    await world.press_home(BOB, "approve", request.id)
    await world.stop()
    await world.start()
    await world.reaches(State.SUCCEEDED)
    assert world.moved() == [("refund", "ORD123", "5.000", "KWD")]


async def test_an_unknown_outcome_stands_under_doubt_with_the_link_to_its_card(tmp_path: Path) -> None:
    async with a_world(tmp_path, policy=with_timing(deadline_seconds=0.5)) as world:
        await world.open_home(CEM)
        world.ottu.fault("drop_before", endpoint="operation", count=100)
        request = await world.approved()
        await world.reaches(State.UNKNOWN)
        link = f"https://local.slack.com/archives/{GEN}/"
        await world.sees_home(CEM, "In doubt (1)", "❓ *1* in doubt", f"<{link}")
        assert f"|{request.id}> · Outcome unknown" in world.home_text(CEM)
