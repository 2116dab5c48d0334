"""Two things at the same instant: one of them wins, the money moves at most once, and the other one is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from approvals.request import FINAL, Request, State
from sandbox.slack_records import Message
from tests.bot.world import ALICE, BOB, CEM, POLICY, World, a_world, with_timing

ROUNDS = 8  # each race is run so often, on transactions of its own
Act = Callable[[World, Request, Message], Awaitable[object]]


async def _approve(world: World, user: str, request: Request, card: Message) -> None:
    """Press the button that was there, also where the card has just lost it."""
    await world.press(user, "approve", card, crafted=True, value=f"{request.id}:{request.digest}")


async def _approve_bob(world: World, request: Request, card: Message) -> None:
    await _approve(world, BOB, request, card)


async def _approve_cem(world: World, request: Request, card: Message) -> None:
    await _approve(world, CEM, request, card)


async def _withdraw(world: World, request: Request, card: Message) -> None:
    await world.press(ALICE, "withdraw", card, crafted=True, value=f"{request.id}:{request.digest}")


async def _withdraw_by_command(world: World, request: Request, _: Message) -> None:
    await world.type(ALICE, f"withdraw {request.reference}")


async def _reject(world: World, request: Request, _: Message) -> None:
    await world.type(CEM, f"reject {request.id} already refunded")


async def _pending(world: World, number: int) -> tuple[Request, Message]:
    world.ottu.create(f"RACE{number}", "20.000", "KWD", "paid")
    request = await world.ask(f"refund RACE{number} 5.000")
    return request, world.card(request.id)


def _moved(world: World, request: Request) -> int:
    """How often money moved for the request's transaction."""
    return sum(order == request.reference for _, order, _, _ in world.moved())


async def _ended(world: World, request: Request) -> State:
    """How the request ended, when nothing is left to do."""
    await world.until(lambda: world.request(request.id).state in FINAL)
    await world.quiet()
    return world.request(request.id).state


def _heard(world: World) -> dict[str, int]:
    """How many private messages each person has had."""
    return {user: len(world.private(user)) for user in (ALICE, BOB, CEM)}


async def _hear(world: World, before: dict[str, int], *, more: int) -> None:
    """Wait until all of them together have had exactly so many more."""
    await world.until(lambda: sum(_heard(world).values()) >= sum(before.values()) + more)
    await world.quiet()
    assert sum(_heard(world).values()) == sum(before.values()) + more


RACES: list[tuple[str, list[Act], set[State]]] = [
    ("a double click", [_approve_bob, _approve_bob], {State.SUCCEEDED}),
    ("two approvers", [_approve_bob, _approve_cem, _approve_bob, _approve_cem], {State.SUCCEEDED}),
    ("approve and withdraw", [_approve_bob, _withdraw], {State.SUCCEEDED, State.WITHDRAWN}),
    ("withdraw and approve", [_withdraw_by_command, _approve_bob], {State.SUCCEEDED, State.WITHDRAWN}),
    ("approve and reject", [_approve_bob, _reject], {State.SUCCEEDED, State.REJECTED}),
    ("reject and approve", [_reject, _approve_bob], {State.SUCCEEDED, State.REJECTED}),
    ("reject and withdraw", [_reject, _withdraw], {State.REJECTED, State.WITHDRAWN}),
]


@pytest.mark.parametrize(("acts", "ends"), [race[1:] for race in RACES], ids=[race[0] for race in RACES])
async def test_decisions_at_the_same_instant(world: World, acts: list[Act], ends: set[State]) -> None:
    """Money moves once where the request succeeded, and never where it did not; the record holds."""
    for number in range(ROUNDS):
        request, card = await _pending(world, number)
        await asyncio.gather(*(act(world, request, card) for act in acts))
        state = await _ended(world, request)
        assert state in ends
        assert _moved(world, request) == (state is State.SUCCEEDED)
    world.check_record()


async def test_who_comes_second_reads_who_was_first(world: World) -> None:
    """Whatever the request has become meanwhile: being sent, done, or rejected."""
    for number in range(ROUNDS):
        request, card = await _pending(world, number)
        told = _heard(world)
        await asyncio.gather(_approve(world, BOB, request, card), _approve(world, CEM, request, card))
        await _hear(world, told, more=1)
        (second,) = [user for user, count in _heard(world).items() if count > told[user]]
        (first,) = {BOB, CEM} - {second}
        assert f"<@{first}>" in world.private(second)[-1].text
    request, card = await _pending(world, ROUNDS)
    await _approve(world, BOB, request, card)
    await _ended(world, request)
    await _approve(world, CEM, request, card)
    await world.told_something(CEM, f"{request.id} is succeeded (approved by <@{BOB}>)")
    request, card = await _pending(world, ROUNDS + 1)
    await world.type(CEM, f"reject {request.id} no")
    await _approve(world, BOB, request, card)
    await world.told_something(BOB, f"{request.id} is rejected by <@{CEM}>")


async def test_an_approval_at_the_moment_of_expiry(tmp_path: Path) -> None:
    """Approved in time and done once, or expired and nothing sent: never both, whatever the millisecond."""
    async with a_world(tmp_path, policy=with_timing(expires_after="1s")) as world:
        cards = [await _pending(world, number) for number in range(ROUNDS)]
        await asyncio.gather(*(_late(world, request, card, step) for step, (request, card) in enumerate(cards)))
        await world.until(lambda: all(request.state in FINAL for request in world.requests()))
        await world.quiet()
        for request in world.requests():
            assert request.state in {State.SUCCEEDED, State.EXPIRED}
            assert _moved(world, request) == (request.state is State.SUCCEEDED)
            assert request.quorum_at is None or request.quorum_at < request.expires_at
            assert (request.quorum_at is None) == (request.state is State.EXPIRED)
        world.check_record()


async def test_nothing_is_decided_after_the_time_that_the_card_names(tmp_path: Path) -> None:
    """Also where the timer that expires the request is late, as after a restart."""
    async with a_world(tmp_path, policy=with_timing(expires_after="1s")) as world:
        request, card = await _pending(world, 0)
        world.running.store.database.execute("UPDATE work_jobs SET due_at = '2999-01-01' WHERE kind = 'expire'")
        await asyncio.sleep(1.05)
        await _approve(world, BOB, request, card)
        await world.told_something(BOB, "was not decided in time")
        await world.type(CEM, f"reject {request.id} no")
        await world.told_something(CEM, "was not decided in time")
        assert world.nothing_done()
        assert world.refused_attempts() == ["expired", "expired"]


async def _late(world: World, request: Request, card: Message, step: int) -> None:
    """Press within some hundredths of a second of the expiry."""
    left = world.running.store.rows("SELECT (julianday(:at) - julianday('now')) * 86400 AS s", at=request.expires_at)
    await asyncio.sleep(max(left[0]["s"] + (step - ROUNDS // 2) * 0.01, 0))
    await _approve(world, BOB, request, card)


async def test_two_people_ask_for_the_same_transaction_by_both_of_its_names(world: World) -> None:
    """One by the order number, one by the session id, at once: one card; the other reads which request was first."""
    for number in range(ROUNDS):
        session_id = world.ottu.create(f"RACE{number}", "20.000", "KWD", "paid").session_id
        told = _heard(world)
        await asyncio.gather(
            world.type(ALICE, f"refund RACE{number} 5.000"), world.type(CEM, f"refund {session_id} 5.000")
        )
        await _hear(world, told, more=3)  # two acknowledgements, one refusal
        (pending,) = [r for r in world.requests() if r.session_id == session_id and r.state is State.PENDING]
        (second,) = {ALICE, CEM} - {pending.requester}
        answer = world.private(second)[-1].text
        assert pending.id in answer
        assert f"<@{pending.requester}>" in answer
    assert len(world.cards()) == ROUNDS


async def test_the_same_command_of_two_people_at_once_makes_one_request(world: World) -> None:
    users = [ALICE, BOB, CEM]
    await asyncio.gather(*(world.type(user, "refund ORD123 5.000") for user in users))
    request = await world.reaches(State.PENDING)
    await world.quiet()
    others = [user for user in users if user != request.requester]
    for user in others:
        assert f"{request.id} is open" in world.told(user)
        assert f"<@{request.requester}>" in world.told(user)
    assert world.refused_attempts() == ["already_open", "already_open"]


async def test_three_approvals_at_once_where_two_are_needed(tmp_path: Path) -> None:
    """The quorum is reached once, and the third person is told."""
    policy = POLICY.replace('leads = ["U02BOB", "U03CEM"]', 'leads = ["U02BOB", "U03CEM", "U09DAVE"]')
    async with a_world(tmp_path, policy=policy) as world:
        request, card = await world.ask("refund ORD123 16.000"), world.card()
        approvers = [BOB, CEM, "U09DAVE"]
        await asyncio.gather(*(_approve(world, user, request, card) for user in approvers))
        await world.reaches(State.SUCCEEDED)
        await world.quiet()
        given = [approval.person for approval in world.running.store.approvals(request.id)]
        (third,) = set(approvers) - set(given)
        assert len(given) == 2
        assert any(f"<@{user}>" in world.told(third) for user in given)
        assert world.moved() == [("refund", "ORD123", "16.000", "KWD")]
        world.check_record()
