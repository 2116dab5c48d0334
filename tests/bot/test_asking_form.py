"""Asking by the form, through the real app: how it opens, what each person sees, and that it is the typed command."""

from __future__ import annotations

import html
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from approvals.request import Request, State
from approvals.sentences import private, typed
from approvals.sentences import request_form as words
from sandbox.slack_records import View
from tests.bot.test_trouble import locked
from tests.bot.world import ALICE, AUDIT, BOB, CEM, GEN, OTHER, OUT, POLICY, World, a_world, read_rows

FILLED = {"operation": "refund", "reference": "ORD123", "amount": "5.000", "reason": "damaged"}
SEVERAL = POLICY.replace('requests = ["C01GEN"]', 'requests = ["C01GEN", "C09OTHER"]')
ACKNOWLEDGED_MS = 3000
EVERYBODY = {ALICE, BOB, CEM, OUT}


async def form_of(world: World, user: str) -> View:
    """The form that this person has open, once it is there; nobody else has one."""
    await world.until(lambda: world.slack.seen_by(user).views)
    assert not any(world.slack.seen_by(other).views for other in EVERYBODY - {user})
    return world.slack.seen_by(user).views[-1]


def standing(view: View) -> dict[str, str | None]:
    """What stands in the fields of a form as it opens."""
    found: dict[str, str | None] = {}
    for block in view.blocks:
        if block["type"] == "input":
            one = block["element"]
            chosen = one.get("initial_option", {}).get("value") or one.get("initial_conversation")
            found[block["block_id"]] = one.get("initial_value") or chosen
    return found


def asked_for(request: Request) -> dict[str, Any]:
    """A request without what no two have in common: its name, its origin, its times, and the digest over them."""
    own = {"id", "origin", "created_at", "state_at", "expires_at", "figures_at", "digest"}
    return {name: value for name, value in asdict(request).items() if name not in own}


# --- the way through


async def test_alice_fills_in_the_form_bob_approves_and_each_sees_what_is_for_them(either: World) -> None:
    world = either
    ack = await world.type(ALICE, "")
    assert (ack.text, ack.message and ack.message.ephemeral_to) == (words.OPENS, ALICE)
    view = await form_of(world, ALICE)
    empty = {"operation": None, "reference": None, "amount": None, "destination": "pg", "reason": None}
    assert standing(view) == empty
    sent = await world.slack.submit_view(ALICE, None, FILLED)
    assert (sent.ok, sent.body) == (True, {})
    assert world.slack.seen_by(ALICE).views == []

    told = await world.told_something(ALICE, "🔎 Got it: refund 5.000 of ORD123.")
    assert f"the card comes in <#{GEN}>." in told
    await world.reaches(State.PENDING)
    await world.press(BOB, "approve")
    await world.reaches(State.SUCCEEDED)
    await world.until(world.results)
    await world.quiet()
    assert world.moved() == [("refund", "ORD123", "5.000", "KWD")]
    assert len(world.slack.direct_messages(ALICE)) == 1
    assert [world.told(other) for other in (BOB, CEM, OUT)] == ["", "", ""]
    assert all(m.metadata for m in world.slack.messages(GEN))  # the card and its result: no word of the form
    world.check_record()


async def test_a_form_and_a_typed_command_become_the_same_request(world: World) -> None:
    """Every column but its name, its origin, its times, and the digest over them."""
    for line, filled in {
        "refund ORD123 5.000 KWD --wallet it's late": {
            **FILLED,
            "amount": "5.000 KWD",
            "destination": "wallet",
            "reason": " it's\nlate ",
        },
        "capture AUTH7 full": {"operation": "capture", "reference": "AUTH7", "amount": "FULL"},
        "void order:AUTH7": {"operation": "void", "reference": "AUTH7"},
    }.items():
        by_command = await world.ask(line)
        await world.reaches(State.PENDING, by_command.id)
        await world.type(ALICE, f"withdraw {by_command.id}")
        await world.reaches(State.WITHDRAWN, by_command.id)
        await world.slack.shortcut(ALICE, "new_request")
        await form_of(world, ALICE)
        before = len(world.requests())
        assert (await world.slack.submit_view(ALICE, None, filled)).body == {}
        await world.until(lambda before=before: len(world.requests()) > before)  # type: ignore[misc]  # bound at once
        by_form = await world.reaches(State.PENDING, world.requests()[-1].id)
        assert asked_for(by_form) == asked_for(by_command)
        assert by_form.origin != by_command.origin
        await world.type(ALICE, f"withdraw {by_form.id}")
        await world.reaches(State.WITHDRAWN, by_form.id)


async def test_what_is_wrong_stands_at_its_field_and_is_written_nowhere(world: World) -> None:
    """The form stays open, and what was right in it stays; put right, it is a request."""
    await world.type(ALICE, "")
    view = await form_of(world, ALICE)
    card = "4111 1111 1111 1111"
    wrong = {"operation": "refund", "reference": "session:12", "amount": "5,000", "reason": f"paid by {card}"}
    sent = await world.slack.submit_view(ALICE, None, wrong)
    assert sent.errors == {
        "reference": typed.SHORT_SESSION,
        "amount": "5.000 (five) or 5000 (five thousand)? Type the one you mean.",
        "reason": typed.CARD_NUMBER_IN_FIELD,
    }
    assert (await form_of(world, ALICE)).errors == sent.errors
    inbox = "SELECT count(*) FROM work_jobs WHERE kind IN ('command', 'click', 'answer')"
    assert read_rows(world.folder / "bot.db", inbox) == [(0,)]
    assert world.told(ALICE) == words.OPENS
    await world.slack.submit_view(ALICE, view.id, FILLED)
    await world.reaches(State.PENDING)
    assert card.encode() not in b"".join(path.read_bytes() for path in world.folder.iterdir() if path.is_file())


async def test_two_quick_taps_make_one_request(world: World) -> None:
    """Sent again by Slack, or tapped twice before the form closes: the trigger differs then, the form does not."""
    await world.type(ALICE, "")
    await form_of(world, ALICE)
    await world.slack.submit_view(ALICE, None, FILLED)
    await world.slack.resend()
    delivery = world.slack.deliveries[-1]
    again = {**delivery.payload, "trigger_id": "1.2.another"}
    await world.slack.resend(replace(delivery, payload=again))
    await world.reaches(State.PENDING)
    await world.quiet()
    assert len(world.requests()) == 1
    assert world.told(ALICE).count("Got it") == 1
    other = {**again["view"]["state"]["values"], "amount": {"amount": {"type": "plain_text_input", "value": "4.000"}}}
    changed = {**again, "view": {**again["view"], "state": {"values": other}}}
    await world.slack.resend(replace(delivery, payload=changed))  # it is not swallowed: its person hears of the first
    await world.told_something(ALICE, f"{world.request().id} is open for this transaction")


async def test_a_form_that_was_acknowledged_outlives_a_restart(world: World) -> None:
    """Slack cannot say who it is until then, so that nothing is decided before."""
    world.slack.fault("users.info", "ratelimited", times=100, seconds=0.2)
    await world.slack.shortcut(ALICE, "new_request")
    await form_of(world, ALICE)
    assert (await world.slack.submit_view(ALICE, None, FILLED)).ok
    await world.stop()
    assert world.requests() == []
    world.slack.state.faults.clear()
    await world.start()
    await world.until(world.requests, hurry=("command",))
    request = await world.reaches(State.PENDING)
    assert (request.asked_amount, request.reason) == ("5.000", "damaged")
    await world.told_something(ALICE, "Got it: refund 5.000 of ORD123.")


# --- how it opens, and with what


@pytest.mark.parametrize(
    ("line", "says", "stands"),
    [
        ("refund", "Type `/ottu refund <reference>", {"operation": "refund"}),
        ("refund ORD123", "Type `/ottu refund <reference>", {"operation": "refund", "reference": "ORD123"}),
        (
            "refund ORD123 5,000 damaged &amp; late",
            "`5.000` (five) or `5000`",
            {"operation": "refund", "reference": "ORD123", "amount": "5,000", "reason": "damaged & late"},
        ),
        (
            "refund ORD123 —wallet",
            "Type `/ottu refund <reference>",
            {"operation": "refund", "reference": "ORD123", "destination": "wallet"},
        ),
        (
            "refund ORD123 5 --walet late",
            "did you mean `--wallet`?",
            {"operation": "refund", "reference": "ORD123", "amount": "5", "reason": "--walet late"},
        ),
        (
            "VOID AUTH7 5.000",
            "void always takes the whole",
            {"operation": "void", "reference": "AUTH7", "amount": "5.000"},
        ),
        ("refund ORD123 4111111111111111", "card number", {"operation": "refund"}),
    ],
)
async def test_an_incomplete_command_says_what_to_type_and_opens_the_form_with_what_was_typed(
    world: World, line: str, says: str, stands: dict[str, str]
) -> None:
    ack = await world.type(ALICE, line)
    assert says in html.unescape(ack.text)
    view = await form_of(world, ALICE)
    nothing = dict.fromkeys(["operation", "reference", "amount", "reason"]) | {"destination": "pg"}
    assert standing(view) == nothing | stands
    notes = [block["text"]["text"] for block in view.blocks if block["type"] == "section"]
    problem = [] if says.startswith("Type") else [ack.text]
    assert notes == ([words.CARD_NUMBER_LEFT_OUT] if "4111" in line else problem)


async def test_a_command_that_names_no_operation_or_is_complete_opens_nothing(world: World) -> None:
    for line in ("refnd ORD123", "status", "reject R-7K2M", "help", "help refund", "pending", "refund ORD123 5.000"):
        await world.type(ALICE, line)
    await world.quiet()
    assert [call.method for call in world.slack.state.calls if call.method == "views.open"] == []


async def test_the_shortcut_on_a_message_takes_over_what_the_message_names(world: World) -> None:
    said = world.slack.say(BOB, OTHER, "please refund &lt;b&gt; ORD123, KWD 5.000: Sara paid twice")
    await world.slack.message_shortcut(ALICE, OTHER, said.ts, "request_from_message")
    stands = standing(await form_of(world, ALICE))
    known = {"operation": "refund", "reference": "ORD123", "amount": "5.000 KWD", "destination": "pg", "reason": None}
    assert stands == known
    await world.slack.submit_view(ALICE, None, {"reason": "paid twice"})
    request = await world.reaches(State.PENDING)
    assert (request.requester, request.channel, request.asked_amount) == (ALICE, GEN, "5.000")
    assert world.slack.messages(OTHER) == [said]


async def test_a_card_number_in_a_message_goes_nowhere(world: World) -> None:
    said = world.slack.say(BOB, OTHER, "refund ORD123 5.000 KWD to 4111-1111-1111-1111")
    await world.slack.message_shortcut(ALICE, OTHER, said.ts, "request_from_message")
    view = await form_of(world, ALICE)
    assert "4111" not in str(view.content)
    assert view.blocks[0]["text"]["text"] == words.CARD_NUMBER_LEFT_OUT


async def test_where_there_are_several_channels_one_is_chosen(tmp_path: Path) -> None:
    """The one in which one is, else the first; another than the policy's is said at its field."""
    async with a_world(tmp_path, policy=SEVERAL) as world:
        await world.type(ALICE, "", OTHER)
        view = await form_of(world, ALICE)
        assert standing(view)["channel"] == OTHER
        assert view.blocks[-1]["elements"][0]["text"] == f"Requests are taken in <#{GEN}>, <#{OTHER}>."
        wrong = await world.slack.submit_view(ALICE, None, {**FILLED, "channel": AUDIT})
        assert wrong.errors == {"channel": words.ANOTHER_CHANNEL}
        await world.slack.submit_view(ALICE, None, {**FILLED, "channel": OTHER})
        await world.told_something(ALICE, f"the card comes in <#{OTHER}>")
        await world.until(lambda: world.slack.messages(OTHER))
        assert (world.request().channel, world.slack.messages(GEN)) == (OTHER, [])
        await world.slack.shortcut(BOB, "new_request")
        assert standing(await form_of(world, BOB))["channel"] == GEN


# --- who may not


@pytest.mark.parametrize(
    ("user", "flags", "why"),
    [
        (OUT, {}, "You may not ask to refund here"),
        (BOB, {"is_restricted": True}, "Guests cannot do this"),
        (BOB, {"team_id": "T0FOREIGN", "is_stranger": True}, "Only people of this workspace"),
    ],
    ids=["nobody's group", "guest", "outsider"],
)
async def test_the_form_opens_for_anybody_and_the_answer_comes_as_to_a_typed_command(
    world: World, user: str, flags: dict[str, Any], why: str
) -> None:
    """In a direct message to that person alone; no request, and the attempt is on record."""
    if flags:
        world.slack.add_person(user, "Somebody", **flags)
    await world.slack.shortcut(user, "new_request")
    await form_of(world, user)
    assert (await world.slack.submit_view(user, None, FILLED)).body == {}
    await world.told_something(user, why)
    await world.quiet()
    assert world.requests() == []
    assert len(world.refused_attempts()) == 1
    assert [world.told(other) for other in EVERYBODY - {user}] == ["", "", ""]


async def test_a_form_that_cannot_be_written_down_stays_open_and_says_so(world: World) -> None:
    await world.slack.shortcut(ALICE, "new_request")
    view = await form_of(world, ALICE)
    with locked(world):
        sent = await world.slack.submit_view(ALICE, None, FILLED)
    assert sent.errors == {"reference": private.NOT_ACCEPTED}
    await world.slack.submit_view(ALICE, view.id, FILLED)
    await world.reaches(State.PENDING)


# --- where the form cannot open, and while others are slow

SLOW = {"hangs": ("hang", 20.0), "429": ("ratelimited", 30.0), "500": ("500", 1.0), "drops": ("drop_before", 1.0)}
SLOW["the trigger is old"] = ("expired_trigger_id", 1.0)


@pytest.mark.parametrize("how", SLOW)
async def test_where_the_form_does_not_open_its_person_knows_what_to_type(world: World, how: str) -> None:
    """To a command the acknowledgement has said it; after a shortcut a private message does, and once."""
    kind, seconds = SLOW[how]
    for _ in range(4):
        world.slack.fault("views.open", kind, seconds=seconds)
    said = world.slack.say(BOB, GEN, "void AUTH7")
    acks = [
        await world.type(ALICE, ""),
        await world.type(BOB, "refund ORD123"),
        await world.slack.shortcut(CEM, "new_request"),
        await world.slack.message_shortcut(OUT, GEN, said.ts, "request_from_message"),
    ]
    assert all(ack.ok and ack.milliseconds < ACKNOWLEDGED_MS for ack in acks)
    assert acks[0].text == words.OPENS
    assert "Type `/ottu refund" in acks[1].text
    await world.told_something(CEM, "did not open. Try again, or type `/ottu refund ORD123 5.000`.")
    await world.told_something(OUT, "did not open. Try again, or type `/ottu void AUTH7`.")
    await world.quiet()
    assert world.told(ALICE) == acks[0].text
    assert world.told(BOB) == acks[1].text
    assert not any(world.slack.seen_by(user).views for user in EVERYBODY)


async def test_every_acknowledgement_is_in_time_while_ottu_and_slack_are_slow(either: World) -> None:
    """Ottu takes a minute, Slack refuses half of what is asked of it: what people do is taken all the same."""
    world = either
    for endpoint in ("retrieve", "inquiry"):
        world.ottu.fault("slow", endpoint=endpoint, count=100, seconds_before=60)
    world.slack.fault("views.open", "hang", times=3, seconds=20)
    acks = []
    for _ in range(3):
        acks += [await world.type(ALICE, ""), await world.type(BOB, "refund ORD123 5,000")]
        acks += [await world.slack.shortcut(CEM, "new_request")]
    await world.until(lambda: world.slack.seen_by(ALICE).views)
    world.slack.fault("*", "ratelimited", times=50, seconds=1)
    for reference in ("ORD123", "USD55", "AUTH7"):
        acks.append(await world.slack.submit_view(ALICE, None, {**FILLED, "reference": reference}))
        if reference != "AUTH7":
            world.slack.state.faults.clear()
            await world.slack.shortcut(ALICE, "new_request")
            await world.until(lambda: world.slack.seen_by(ALICE).views)
            world.slack.fault("*", "ratelimited", times=50, seconds=1)
    assert [ack.error for ack in acks] == [None] * len(acks)
    assert max(ack.milliseconds for ack in acks) < ACKNOWLEDGED_MS
    world.slack.state.faults.clear()
    await world.until(lambda: len(world.requests()) == 3)
    assert {request.state for request in world.requests()} == {State.CHECKING}
