"""Slack fails in every way: the card still comes right, results are not doubled, and money never waits for it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from approvals.request import State
from tests.bot.world import ALICE, AUDIT, BOB, CEM, GEN, World, a_world

# Slack says no, or nothing, and nothing was posted; with the last, the message is there and the answer is lost.
FAULTS = ["ratelimited", "500", "internal_error", "hang", "drop_after"]


async def all_is_shown(world: World) -> None:
    """One card, which shows the row as it is, and the result once, in its thread; also after a while."""

    def card_is_right() -> bool:
        payload = (world.card().metadata or {})["event_payload"]
        request = world.request()
        right: bool = (payload["version"], payload["state"]) == (request.version, request.state.value)
        return right and len(world.results()) > 0

    await world.until(card_is_right, hurry=("card", "notice"))
    await world.quiet()
    assert card_is_right()
    assert [message.thread_ts for message in world.results()] == [world.card().ts]


# --- one call goes wrong


@pytest.mark.parametrize("kind", FAULTS)
async def test_what_slack_did_not_take_is_posted_again_and_what_it_took_is_not(world: World, kind: str) -> None:
    """Of one request there is never a second card, and never a second result."""
    world.slack.fault("chat.postMessage", kind, seconds=0.2)
    await world.type(ALICE, "refund ORD123 5.000")
    await world.until(lambda: world.requests() and world.request().state is State.PENDING)
    await world.until(world.cards, hurry=("card",))
    world.slack.fault("chat.update", kind, times=2, seconds=0.2)
    world.slack.fault("chat.postMessage", kind, seconds=0.2)
    await world.press(BOB, "approve")
    await world.until(lambda: world.request().state is State.SUCCEEDED)
    await all_is_shown(world)
    assert world.slack.state.faults == []
    assert world.moved() == [("refund", "ORD123", "5.000", "KWD")]


async def test_it_waits_as_long_as_slack_asks(world: World) -> None:
    """429 names the seconds; nothing is posted before they are over."""
    world.slack.fault("chat.postMessage", "ratelimited", seconds=2)
    await world.ask()
    first, second = [call.at for call in world.slack.state.calls if call.method == "chat.postMessage"]
    assert second - first >= 2


async def test_the_channel_takes_one_post_a_second(world: World) -> None:
    """Slack's own limit: several cards and results arrive all the same, each once."""
    world.slack.state.rate_limits = True
    for order in ("ORD123", "USD55"):
        await world.type(ALICE, f"refund {order} 5")
    await world.until(lambda: len(world.cards()) == 2)
    world.slack.state.rate_limits = False
    for request in world.requests():
        await world.press(BOB, "approve", world.card(request.id))
    for request in world.requests():
        await world.reaches(State.SUCCEEDED, request.id)
        await world.until(lambda request=request: len(world.results_of(request.id)) == 1)  # type: ignore[misc]  # a default


# --- messages that vanish


def delete_card(world: World) -> None:
    """Somebody who may delete messages deletes the card."""
    world.slack.state.messages.remove(world.card())


async def paused(world: World) -> None:
    """An approved request that waits, so that its card can be deleted before the result."""
    await world.type(CEM, "pause")
    await world.told_something(CEM, "Paused")
    await world.approved()
    await world.reaches(State.APPROVED)


async def test_a_deleted_card_is_posted_again(world: World) -> None:
    """With the next move; its buttons work, and the result goes into the new one's thread."""
    await paused(world)
    old = world.card()
    delete_card(world)
    await world.resume(CEM)
    await world.reaches(State.SUCCEEDED, hurry=("execute",))
    await all_is_shown(world)
    assert world.card().ts != old.ts


async def test_a_card_deleted_once_it_is_right_does_not_hold_the_result_up(world: World) -> None:
    """The card shows the last move already, so only the result finds out that there is no thread to write into."""
    await paused(world)
    await world.resume(CEM)
    world.slack.fault("chat.postMessage", "500", times=1000)
    await world.reaches(State.SUCCEEDED, hurry=("execute",))
    delete_card(world)
    world.slack.state.faults.clear()
    await all_is_shown(world)


async def test_the_buttons_of_a_card_posted_again_work(world: World) -> None:
    """One of two approvals is given after the card was deleted; the other on the card that came instead."""
    await world.ask("refund ORD123 16.000")  # needs two people
    old = world.card()
    world.slack.fault("chat.update", "500")  # the card is gone before the approval is shown on it
    await world.press(BOB, "approve")
    await world.until(lambda: not world.slack.state.faults)
    delete_card(world)
    await world.until(lambda: world.card().ts != old.ts, hurry=("card",))
    await world.press(CEM, "approve")
    await world.reaches(State.SUCCEEDED)
    await all_is_shown(world)


# --- answers to one person


@pytest.mark.parametrize("kind", ["500", "drop_before", "drop_after"])
async def test_an_answer_that_slack_does_not_take_comes_as_a_direct_message(world: World, kind: str) -> None:
    world.slack.fault("response_url", kind, times=3)
    await world.type(ALICE, "refund ORD123 99.000")
    await world.until(lambda: world.requests() and world.request().state is State.REFUSED)
    await world.until(lambda: "is too much" in world.told(ALICE), hurry=("answer",))
    assert world.slack.messages(GEN) == []  # and nobody else reads it


async def test_without_either_way_the_answer_waits_for_slack(world: World) -> None:
    world.slack.fault("response_url", "500", times=9)
    world.slack.fault("chat.postMessage", "500", times=3)
    await world.type(ALICE, "refund ORD123 99.000")
    await world.until(lambda: "is too much" in world.told(ALICE), hurry=("answer",))
    assert world.told(ALICE).count("is too much") == 1


# --- money never waits for Slack


async def test_money_moves_while_slack_is_down(world: World) -> None:
    """From the click on, Slack takes no message: the refund is done at once, and shown when Slack is back."""
    await world.ask()
    for method in ("chat.update", "chat.postMessage", "conversations.history", "conversations.replies"):
        world.slack.fault(method, "500", times=1000)
    begun = time.monotonic()
    await world.press(BOB, "approve")
    await world.until(lambda: world.request().state is State.SUCCEEDED)
    assert time.monotonic() - begun < 3
    assert world.moved() == [("refund", "ORD123", "5.000", "KWD")]
    assert "Waiting for approval" in world.card().text  # what Slack still shows
    assert world.results() == []
    world.slack.state.faults.clear()
    await world.reaches(State.SUCCEEDED, hurry=("card", "notice"))
    await all_is_shown(world)


async def test_a_hanging_slack_holds_up_no_other_refund(world: World) -> None:
    """Calls that hang take the places of their own lanes only: what others ask and decide goes on."""
    requests = [await world.ask(f"refund {order} 5") for order in ("ORD123", "USD55", "JPY100")]
    world.slack.fault("chat.update", "hang", times=1000, seconds=3)
    world.slack.fault("chat.postMessage", "hang", times=1000, seconds=3)
    for request in requests:
        await world.press(BOB, "approve", world.card(request.id))
    await world.until(lambda: len(world.moved()) == 3, 2)
    world.slack.state.faults.clear()


async def test_what_slack_did_not_take_is_shown_after_a_restart(tmp_path: Path) -> None:
    """The bot is stopped while Slack is down; the next start brings the card and the result, once."""
    async with a_world(tmp_path) as world:
        await world.ask()
        world.slack.fault("chat.update", "500", times=1000)
        world.slack.fault("chat.postMessage", "drop_after")  # the result is there, but nobody knows
        await world.press(BOB, "approve")
        await world.until(lambda: world.request().state is State.SUCCEEDED)
        await world.until(lambda: world.results())
        await world.stop()
        world.slack.state.faults.clear()
        await world.start()
        await world.reaches(State.SUCCEEDED, hurry=("card", "notice"))
        await all_is_shown(world)


async def test_the_bot_starts_while_slack_is_down(tmp_path: Path) -> None:
    """It says that it is not ready, goes on asking, and then works."""
    async with a_world(tmp_path, started=False) as world:
        world.slack.fault("auth.test", "503", times=1)
        begun = time.monotonic()
        await world.start()
        assert time.monotonic() - begun > 0.9
        await world.approved()
        await world.reaches(State.SUCCEEDED)


# --- what is not worth waiting for, and what is


async def test_without_a_permanent_link_lists_show_the_request_all_the_same(world: World) -> None:
    world.slack.fault("chat.getPermalink", "channel_not_found")
    request = await world.ask()
    await world.quiet()
    await world.type(CEM, "pending")
    assert request.id in await world.told_something(CEM, request.id)


async def test_an_alarm_waits_for_its_channel(world: World) -> None:
    """The audit channel is archived: the alarm is told once it is open again, and only once."""
    channel = world.slack.state.channels[AUDIT]
    channel.is_archived = True
    world.ottu.fault("unauthorized")
    await world.approved()
    await world.reaches(State.FAILED)
    await world.quiet()
    channel.is_archived = False
    await world.until(lambda: world.slack.messages(AUDIT), hurry=("alarm",))
    await world.quiet()
    assert ["Alarm" in message.text for message in world.slack.messages(AUDIT)] == [True]


async def test_a_reminder_waits_for_its_channel(world: World) -> None:
    await world.ask()
    await world.quiet()
    channel = world.slack.state.channels[GEN]
    channel.is_archived = True
    world.hurry("remind")
    await world.quiet()
    before = len(world.slack.messages(GEN))
    channel.is_archived = False
    await world.until(lambda: len(world.slack.messages(GEN)) > before, hurry=("remind",))


# --- before its time


async def test_a_timer_that_rings_early_ends_nothing(world: World) -> None:
    """The database decides whether the time is over: a job that is due too early waits on."""
    await world.ask()
    world.hurry("expire")
    await world.quiet()
    assert world.request().state is State.PENDING
    await paused_approval(world)
    world.hurry("lapse")
    await world.quiet()
    assert world.request().state is State.APPROVED


async def paused_approval(world: World) -> None:
    await world.type(CEM, "pause")
    await world.told_something(CEM, "Paused")
    await world.press(BOB, "approve")
    await world.reaches(State.APPROVED)


async def test_a_queued_refund_is_not_overdue_before_its_days_are_over(world: World) -> None:
    world.ottu.fault("queued")
    await world.approved()
    await world.reaches(State.QUEUED)
    world.hurry("overdue")
    await world.quiet()
    assert world.request().state is State.QUEUED
