""" "Same again, corrected": after what came to nothing, its requester gets the form filled in; nobody else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from approvals.request import State
from approvals.sentences import request_form as words
from sandbox.slack_records import Message
from tests.bot.test_asking_form import ACKNOWLEDGED_MS, EVERYBODY, form_of, standing
from tests.bot.test_outcomes import status
from tests.bot.world import ALICE, BOB, CEM, GEN, OUT, World, a_world, with_timing

LINE = "refund ORD123 5.000 KWD --wallet damaged <in> transit"
FILLED = {"operation": "refund", "reference": "ORD123", "amount": "5.000 KWD", "destination": "wallet"}
FILLED |= {"reason": "damaged <in> transit"}


def offers(message: Message) -> bool:
    """Has the message the button?"""
    return any(element["action_id"] == "again" for _, element in message.elements)


def offered(world: World, user: str) -> list[Message]:
    """The private messages with the button that this person has."""
    return [message for message in world.private(user) if offers(message)]


async def again(world: World, user: str, message: Message) -> None:
    ack = await world.slack.click(user, message.channel, message.ts, "again")
    assert ack.ok
    assert ack.milliseconds < ACKNOWLEDGED_MS


async def corrected(world: World, message: Message, **changes: str) -> None:
    """Alice presses it, finds what she had asked for, corrects it, and there is one more request, with a card."""
    before = {request.id for request in world.requests()}
    await again(world, ALICE, message)
    assert standing(await form_of(world, ALICE)) == FILLED
    assert (await world.slack.submit_view(ALICE, None, changes)).body == {}
    await world.until(lambda: {request.id for request in world.requests()} - before)
    (new,) = {request.id for request in world.requests()} - before
    request = await world.reaches(State.PENDING, new)
    assert (request.reason, request.requester) == (changes.get("reason", FILLED["reason"]), ALICE)
    assert request.destination == changes.get("destination", "wallet")


async def test_after_a_refusal_the_private_answer_has_the_button(either: World) -> None:
    world = either
    await world.type(ALICE, "refund ORD123 5000.000 KWD --wallet damaged &lt;in&gt; transit")
    await world.told_something(ALICE, "is too much")
    (answer,) = offered(world, ALICE)
    assert answer.ephemeral_to == ALICE
    await again(world, ALICE, answer)
    assert standing(await form_of(world, ALICE)) == FILLED | {"amount": "5000.000 KWD"}
    await world.slack.submit_view(ALICE, None, {"amount": "5.000"})
    request = await world.reaches(State.PENDING, (await world.until(lambda: world.requests()[1:]))[0].id)
    assert (request.asked_amount, request.asked_currency, request.destination) == ("5.000", None, "wallet")
    assert [offered(world, other) for other in EVERYBODY - {ALICE}] == [[], [], []]


async def test_after_a_rejection_the_result_has_the_button_for_whoever_asked(world: World) -> None:
    """All see it; to anybody else's click a private answer says whose it is, and the attempt is on record."""
    request = await world.ask(LINE)
    await world.type(BOB, f"reject {request.id} wrong amount")
    (result,) = await world.until(lambda: world.results_of(request.id))
    assert offers(result)
    for other in (BOB, OUT):
        await again(world, other, result)
        await world.told_something(other, f"Only <@{ALICE}>, who asked for {request.id}, can use that button")
    assert not any(world.slack.seen_by(user).views for user in EVERYBODY)
    assert world.refused_attempts().count("not_requester") == 2
    assert "can use that button" not in world.told(ALICE)
    await corrected(world, result, amount="4.000", destination="pg")


@pytest.mark.parametrize("how", ["by the button", "by a command"])
async def test_after_a_withdrawal_whoever_withdrew_has_the_button(world: World, how: str) -> None:
    request = await world.ask(LINE)
    if how == "by the button":
        await world.press(ALICE, "withdraw")
    else:
        await world.type(ALICE, f"withdraw {request.id}")
    await world.told_something(ALICE, f"{request.id} is withdrawn. Nothing was sent.")
    await world.reaches(State.WITHDRAWN)
    (answer,) = offered(world, ALICE)
    await corrected(world, answer, reason="broken")
    assert [world.told(other) for other in (BOB, CEM, OUT)] == ["", "", ""]


@pytest.mark.parametrize("state", [State.EXPIRED, State.LAPSED])
async def test_after_the_time_is_over_the_result_has_the_button(tmp_path: Path, state: State) -> None:
    async with a_world(tmp_path, policy=with_timing(expires_after="1s", lapse_after="1s")) as world:
        if state is State.LAPSED:
            await world.type(CEM, "pause")
            await world.told_something(CEM, "Paused")
        request = await world.ask(LINE)
        if state is State.LAPSED:
            await world.press(BOB, "approve")
        await world.reaches(state, request.id)
        (result,) = await world.until(lambda: world.results_of(request.id))
        await again(world, ALICE, result)
        assert standing(await form_of(world, ALICE)) == FILLED


async def test_after_a_failure_the_result_has_the_button(world: World) -> None:
    world.ottu.fault(**status(400))
    request = await world.approved(LINE)
    await world.reaches(State.FAILED)
    (result,) = await world.until(lambda: world.results_of(request.id))
    await corrected(world, result)


async def test_what_is_done_or_may_be_done_has_no_button(world: World) -> None:
    """Neither a success nor an unknown outcome: the same again would be the money twice."""
    done = await world.approved("refund ORD123 5.000")
    await world.reaches(State.SUCCEEDED, done.id)
    world.ottu.fault("drop_after")
    lost = await world.approved("refund USD55 1.00")
    await world.reaches(State.UNKNOWN, lost.id)
    await world.until(lambda: len(world.results()) == 2)
    await world.told_something(ALICE, "Outcome unknown")
    await world.quiet()
    assert not any(offers(message) for message in [*world.slack.messages(GEN), *world.private(ALICE)])


async def test_a_button_of_no_request_and_one_of_another_app_are_refused(world: World) -> None:
    request = await world.ask()
    where = (GEN, world.card().ts)
    for value in ("R-ZZZZ", "", "x" * 2000, f"{request.id}:{request.digest}"):
        assert (await world.slack.click(ALICE, *where, "again", value=value, crafted=True)).ok
    await world.told_something(ALICE, "There is no request R-ZZZZ")
    await world.quiet()
    assert not world.slack.seen_by(ALICE).views
    assert world.nothing_done()


@pytest.mark.parametrize("kind", ["hang", "ratelimited"])
async def test_where_the_form_does_not_open_the_command_is_spelled_out(world: World, kind: str) -> None:
    await world.type(ALICE, "refund ORD123 5000.000 --wallet for <@U02BOB>")
    await world.told_something(ALICE, "is too much")
    world.slack.fault("views.open", kind, seconds=10)
    await again(world, ALICE, offered(world, ALICE)[0])
    command = "/ottu refund ORD123 5000.000 --wallet for @U02BOB"
    await world.told_something(ALICE, f"did not open. Try again, or type `{command}`.")
    assert words.AGAIN not in world.told(BOB)
