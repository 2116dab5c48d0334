"""Who may decide: never the person who asked, and only full members of our own team who are in the rule's groups."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from approvals.policy import load
from approvals.request import Refusal, State
from bot.acquaintance import CannotStart
from bot.app import Bot
from bot.people import FRESH_SECONDS, People, SlackDown
from sandbox.slack import serve_slack
from tests.bot.world import ALICE, BOB, CEM, GEN, OUT, POLICY, World, a_world

THEIRS = "T09THEIRS"


class Stranger(NamedTuple):
    """Somebody in the group of approvers whom Slack describes as no full member; `user` is what the click says."""

    name: str
    flags: dict[str, Any]
    user: dict[str, Any]
    why: str
    told: str


STRANGERS = [
    Stranger("a guest", {"is_restricted": True}, {}, "is_restricted", "Guests cannot"),
    Stranger("a single-channel guest", {"is_ultra_restricted": True}, {}, "is_ultra_restricted", "Guests cannot"),
    Stranger("a deactivated account", {"deleted": True}, {}, "deleted", "deactivated"),
    Stranger("a bot", {"is_bot": True}, {}, "is_bot", "Bots cannot"),
    Stranger("a stranger", {"is_stranger": True}, {}, "is_stranger", "another organisation"),
    Stranger("of another team", {"team_id": THEIRS}, {}, "outsider", "Only people of this workspace"),
    Stranger("of another team by the click", {}, {"team_id": THEIRS}, "outsider", "Only people of this workspace"),
    Stranger(
        "of another team by Slack's word alone",
        {"team_id": THEIRS},
        {"team_id": "T01LOCAL"},
        "outsider",
        "Only people of this workspace",
    ),
    Stranger("without a team in the click", {}, {"team_id": None}, "outsider", "Only people of this workspace"),
    Stranger(
        "without a team in Slack's word",
        {"team_id": ""},
        {"team_id": "T01LOCAL"},
        "outsider",
        "Only people of this workspace",
    ),
    Stranger("unknown", {}, {"id": "U0NOBODY"}, "unknown_person", "does not know you"),
]


@pytest.mark.parametrize("stranger", STRANGERS, ids=[stranger.name for stranger in STRANGERS])
async def test_nobody_but_a_full_member_decides(world: World, stranger: Stranger) -> None:
    """One private answer, one event, nothing done, nothing sent: though the person is in the group of approvers."""
    await world.ask()
    world.slack.add_person(BOB, "Bob", **stranger.flags)
    await world.press(BOB, "approve", crafted=True, user=stranger.user)
    await world.told_something(BOB, stranger.told)
    await world.quiet()
    assert len(world.private(BOB)) == 1
    assert world.refused_attempts() == [stranger.why]
    assert world.nothing_done()
    assert all(stranger.told not in message.text for message in world.slack.messages(GEN))


@pytest.mark.parametrize("stranger", STRANGERS[:6], ids=[stranger.name for stranger in STRANGERS[:6]])
async def test_nobody_but_a_full_member_asks(world: World, stranger: Stranger) -> None:
    """A command of theirs makes no request, and nothing is read from Ottu for it."""
    world.slack.add_person(ALICE, "Alice", **stranger.flags)
    await world.slack.command(ALICE, GEN, "/ottu", "refund ORD123 5.000", crafted=True)
    await world.told_something(ALICE, stranger.told)
    await world.quiet()
    assert world.refused_attempts() == [stranger.why]
    assert (world.requests(), world.cards(), list(world.ottu.requests)) == ([], [], [])


async def test_a_command_from_another_team_is_refused(world: World) -> None:
    await world.type(ALICE, "refund ORD123 5.000", team_id=THEIRS)
    await world.told_something(ALICE, "Only people of this workspace")
    assert (world.refused_attempts(), world.requests()) == (["outsider"], [])


@pytest.mark.parametrize(("text", "user"), [("refund ORD123 5.000", BOB), ("refund ORD123 16.000", ALICE)])
async def test_nobody_approves_what_they_asked_for(world: World, text: str, user: str) -> None:
    """Also not somebody in the group of approvers, and also not as the first of two."""
    await world.ask(text, user)
    await world.press(user, "approve")
    await world.told_something(user, "yourself, so somebody else must approve it")
    await world.quiet()
    assert world.refused_attempts() == ["self_approval"]
    assert world.nothing_done()


async def test_nobody_rejects_what_they_asked_for(world: World) -> None:
    """They withdraw it: a rejection is somebody else's word."""
    await world.ask(user=BOB)
    await _reject(world, BOB)
    await world.told_something(BOB, "You can withdraw it")
    assert world.refused_attempts() == ["own_request"]
    assert world.nothing_done()


async def _reject(world: World, user: str) -> None:
    await world.press(user, "reject")
    await world.slack.wait_for(lambda: world.slack.seen_by(user).views)
    await world.slack.submit_view(user, None, {"reason": {"reason": "no"}})


@pytest.mark.parametrize(
    ("action", "why", "told"),
    [
        ("approve", "not_allowed", "You may not approve"),
        ("reject", "not_allowed", "You may not reject"),
        ("unapprove", "nothing", "nothing to take back"),
        ("withdraw", "not_yours", "who asked, can withdraw"),
        ("details", "no_power", "You may not do this"),
    ],
)
async def test_a_member_in_no_group_can_press_every_button_in_vain(
    world: World, action: str, why: str, told: str
) -> None:
    await world.ask("refund ORD123 16.000")
    if action == "reject":
        await _reject(world, OUT)
    else:
        await world.press(OUT, action)
    await world.told_something(OUT, told)
    await world.quiet()
    assert world.refused_attempts() == [why]
    assert len(world.private(OUT)) == 1
    assert world.nothing_done()


async def test_a_member_in_no_group_can_type_every_command_in_vain(world: World) -> None:
    """One private answer to each after its acknowledgement, and Ottu is asked nothing."""
    commands = {
        "refund ORD123 5.000": "not_allowed",
        "void AUTH7": "not_allowed",
        "inquiry ORD123": "not_allowed",
        "delete ORD123": "blocked",
        "status ORD123": "no_power",
        "pending": "no_power",
        "history ORD123": "no_power",
        "pause": "no_power",
        "resume": "no_power",
        "withdraw R-7K2M": "no_request",
        "reject R-7K2M no": "no_request",
    }
    for number, (text, why) in enumerate(commands.items(), start=1):
        assert (await world.type(OUT, text)).ok
        await world.quiet()
        assert world.refused_attempts()[number - 1 :] == [why]
        assert len(world.private(OUT)) == 2 * number
    assert (world.requests(), list(world.ottu.requests)) == ([], [])


async def test_an_agent_who_is_no_lead_may_not_approve(world: World) -> None:
    await world.ask(user=CEM)
    await world.press(ALICE, "approve")
    assert "lets leads decide" in await world.told_something(ALICE, "You may not approve")
    assert world.nothing_done()


@pytest.mark.parametrize(("fault", "times"), [("500", 1), ("ratelimited", 1), ("drop_before", 2), ("fatal_error", 1)])
async def test_a_click_waits_while_slack_cannot_say_who_it_is(world: World, fault: str, times: int) -> None:
    """Not known is not allowed, but it is not refused either: it is decided as soon as Slack answers again."""
    await world.ask()
    world.slack.fault("users.info", fault, times)  # a dropped connection is tried again at once by the client
    await world.press(BOB, "approve")
    waiting = "SELECT 1 FROM work_jobs WHERE kind = 'click' AND tries = 1 AND owner IS NULL AND done_at IS NULL"
    await world.until(lambda: world.running.store.rows(waiting))
    assert world.nothing_done()
    await world.reaches(State.SUCCEEDED)
    assert world.moved() == [("refund", "ORD123", "5.000", "KWD")]
    assert world.refused_attempts() == []


# --- facts at most 60 seconds old


async def test_what_is_known_of_a_person_is_at_most_60_seconds_old() -> None:
    """Whoever is made a guest, or deactivated, can decide nothing a minute later."""
    now = 0.0
    async with serve_slack() as slack:
        slack.add_person(BOB, "Bob")
        client = AsyncWebClient(slack.state.bot_token, base_url=slack.api_url, retry_handlers=[])
        people = People(client, clock=lambda: now)
        with pytest.raises(SlackDown):
            await people.vouch(BOB, slack.state.team_id)  # before Slack has said which team is ours
        people.team_id = slack.state.team_id
        await people.vouch(BOB, slack.state.team_id)
        slack.add_person(BOB, "Bob", deleted=True)
        now = FRESH_SECONDS
        await people.vouch(BOB, slack.state.team_id)
        now = FRESH_SECONDS + 0.001
        with pytest.raises(Refusal, match="deactivated"):
            await people.vouch(BOB, slack.state.team_id)
        assert [call.method for call in slack.state.calls] == ["users.info", "users.info"]


async def test_who_is_in_a_user_group_is_at_most_60_seconds_old() -> None:
    """One that can no longer be read is nobody."""
    policy = load(POLICY.replace('leads = ["U02BOB", "U03CEM"]', 'leads = ["U03CEM", "S01LEADS"]'))
    now = 0.0
    async with serve_slack() as slack:
        slack.state.groups["S01LEADS"] = [BOB]
        people = People(AsyncWebClient(slack.state.bot_token, base_url=slack.api_url), clock=lambda: now)
        assert (await people.members(policy))["leads"] == {BOB, CEM}
        slack.state.groups["S01LEADS"] = [OUT]
        assert (await people.members(policy))["leads"] == {BOB, CEM}
        now = FRESH_SECONDS + 0.001
        assert (await people.members(policy))["leads"] == {OUT, CEM}
        slack.state.usergroups_paid = False
        now *= 2.1
        assert (await people.members(policy))["leads"] == {CEM}


@pytest.mark.parametrize("readable", [True, False])
async def test_somebody_in_a_user_group_of_slack_decides_while_it_can_be_read(
    tmp_path: Path, *, readable: bool
) -> None:
    policy = POLICY.replace('leads = ["U02BOB", "U03CEM"]', 'leads = ["U02BOB", "U03CEM", "S01LEADS"]')
    async with a_world(tmp_path, policy=policy, started=False) as world:
        world.slack.state.groups["S01LEADS"] = [OUT]
        world.slack.state.usergroups_paid = readable
        await world.start()
        await world.ask()
        await world.press(OUT, "approve")
        if readable:
            await world.reaches(State.SUCCEEDED)
        else:
            told = await world.told_something(OUT, "You may not approve")
            assert "S01LEADS in the group leads counts as nobody: this workspace's plan of Slack has no user" in told
            assert world.nothing_done()


async def test_a_start_without_the_only_approvers_says_why(tmp_path: Path) -> None:
    """Closed by default: on a plan without user groups, such a policy starts nothing, and the line says what to do."""
    policy = POLICY.replace('leads = ["U02BOB", "U03CEM"]', 'leads = ["S01LEADS"]')
    async with a_world(tmp_path, policy=policy, started=False) as world:
        world.slack.state.usergroups_paid = False
        bot = Bot.build(world.settings)
        with pytest.raises(CannotStart, match=r"plan of Slack has no user groups\. An administrator can name people"):
            await bot.serve(asyncio.Event())


# --- two people, where the rule wants two


async def test_two_approvals_are_two_people(world: World) -> None:
    """The same person counts once, whatever groups they are in and however often they press."""
    await world.ask("refund ORD123 16.000")
    await world.press(BOB, "approve")
    await world.until(lambda: "1 more approval needed" in str(world.card().blocks))
    await world.press(BOB, "approve")
    await world.told_something(BOB, "You have approved")
    await world.press(ALICE, "approve")
    await world.told_something(ALICE, "yourself")
    assert world.request().state is State.PENDING
    assert world.operations_sent() == []
    await world.press(CEM, "approve")
    await world.reaches(State.SUCCEEDED)
    await world.until(world.results)
    assert f"<@{BOB}>, <@{CEM}> approved" in world.results()[0].text
    assert world.moved() == [("refund", "ORD123", "16.000", "KWD")]
    assert world.refused_attempts() == ["twice", "self_approval"]
    world.check_record()


async def test_an_approval_taken_back_no_longer_counts_and_can_be_given_again(world: World) -> None:
    request = await world.ask("refund ORD123 16.000")
    store = world.running.store
    await world.press(BOB, "approve")
    await world.until(lambda: store.approvals(request.id))
    await world.press(BOB, "unapprove")
    await world.until(lambda: not store.approvals(request.id))
    await world.press(CEM, "approve")
    await world.until(lambda: [given.person for given in store.approvals(request.id)] == [CEM])
    await world.quiet()
    assert world.request().state is State.PENDING
    assert world.operations_sent() == []
    await world.press(BOB, "approve")
    await world.reaches(State.SUCCEEDED)
    kinds = [event.kind for event in store.events(request.id) if event.actor in {BOB, CEM}]
    assert kinds == ["approval", "approval_taken_back", "approval", "approval"]
    world.check_record()


async def test_an_approval_cannot_be_taken_back_once_it_is_done(world: World) -> None:
    """The button is gone from the card, and a late press of the old one reads what became of it."""
    request = await world.ask("refund ORD123 16.000")
    for user in (BOB, CEM):
        await world.press(user, "approve")
    await world.reaches(State.SUCCEEDED)
    value = f"{request.id}:{request.digest}"
    await world.press(BOB, "unapprove", crafted=True, value=value)
    await world.told_something(BOB, "is succeeded")
    assert "Take my approval back" not in world.card().buttons
    assert len(world.running.store.approvals(request.id)) == 2
