"""A pause stops every execution of every process at once; reading and deciding go on, and to go on is a decision."""

from __future__ import annotations

import asyncio
from pathlib import Path

from approvals.request import Request, State
from tests.bot.test_restart import Process
from tests.bot.world import ALICE, BOB, CEM, OUT, POLICY, World, a_world, with_timing

LEADS_PAUSE = f'{POLICY}\n[powers]\npause = ["leads"]\n'
MOVED = [("refund", "ORD123", "5.000", "KWD")]


async def paused(world: World, reason: str = "") -> None:
    await world.type(CEM, f"pause {reason}".strip())
    await world.told_something(CEM, "Paused: nothing is sent to Ottu")


async def approved_and_waiting(world: World, text: str = "refund ORD123 5.000") -> Request:
    request = await world.approved(text)
    return await world.reaches(State.APPROVED, request.id)


def events(world: World, *kinds: str) -> list[tuple[str, str]]:
    return [(event.kind, event.actor) for event in world.store.events() if event.kind in kinds]


async def test_nothing_is_sent_while_reading_and_deciding_go_on(either: World) -> None:
    """The cards of what is approved say so; `/readyz` says so; and it goes on once somebody has read what is sent."""
    world = either
    await paused(world, "the gateway is being moved")
    request = await approved_and_waiting(world)
    assert f"waits: paused by <@{CEM}>" in world.card_text()
    assert "Nothing is sent until that is over" in world.card_text()
    rejected = await world.ask("refund USD55 1.00")
    await world.type(CEM, f"reject {rejected.id} not this one")
    await world.reaches(State.REJECTED, rejected.id)
    await world.type(ALICE, "inquiry JPY100")
    await world.told_something(ALICE, "1000 JPY")
    world.hurry("execute")
    await world.quiet()
    assert (world.operations_sent(), world.moved()) == ([], [])
    assert (await world.readyz())[0] == 503
    await world.resume(CEM)
    await world.reaches(State.SUCCEEDED, request.id, hurry=("execute",))
    assert "paused" not in world.card_text(request.id)
    assert world.moved() == MOVED
    assert (await world.readyz())[0] == 200
    assert events(world, "paused", "resumed") == [("paused", CEM), ("resumed", CEM)]
    assert [e.facts["reason"] for e in world.store.events() if e.kind == "paused"] == ["the gateway is being moved"]
    world.check_record()


async def test_what_was_approved_before_the_pause_shows_it(world: World) -> None:
    """It waits for its back-off; its card changes with the pause, and again with its end."""
    world.ottu.fault("throttled", retry_after="3600")
    request = await approved_and_waiting(world)
    assert "goes on by itself" in world.card_text()
    await paused(world)
    await world.until(lambda: f"paused by <@{CEM}>" in world.card_text(request.id))
    await world.resume(CEM)
    await world.until(lambda: "goes on by itself" in world.card_text(request.id))
    assert len(world.operations_sent()) == 1


async def test_what_is_under_way_comes_to_its_end(world: World) -> None:
    """A pause cannot call back what was sent; the next one is not begun."""
    world.ottu.fault("slow", seconds_before=0.4)
    request = await world.approved()
    await world.until(world.operations_sent)
    await paused(world)
    await approved_and_waiting(world, "refund USD55 1.00")
    await world.reaches(State.SUCCEEDED, request.id)
    assert len(world.operations_sent()) == 1


async def test_what_waits_can_be_withdrawn_while_paused(world: World) -> None:
    await paused(world)
    request = await approved_and_waiting(world)
    await world.press(ALICE, "withdraw")
    await world.reaches(State.WITHDRAWN, request.id)
    await world.resume(CEM)
    world.hurry("execute")
    await world.quiet()
    assert world.operations_sent() == []


async def test_to_resume_is_asked_twice_with_what_would_be_sent(world: World) -> None:
    """Somebody else's first time is not one's own second; a first one that is a minute old counts no more."""
    await paused(world)
    request = await approved_and_waiting(world)
    await world.type(CEM, "resume")
    told = await world.told_something(CEM, "Would be sent at once")
    for words in (request.id, "refund 5.000 KWD", "ORD123", "again within a minute"):
        assert words in told
    await world.type(BOB, "resume")
    await world.told_something(BOB, "again within a minute")
    assert world.running.tasks.execution.is_paused()
    asked = world.running.work.fact("resume_asked")
    assert asked is not None
    world.running.work.set_fact("resume_asked", {**asked, "at": "2026-01-01T00:00:00.000Z"})
    await world.type(BOB, "resume")
    await world.until(lambda: world.told(BOB).count("again within a minute") == 2)
    assert world.running.tasks.execution.is_paused()
    await world.type(BOB, "resume")
    await world.told_something(BOB, "Resumed. 1 approved request may be sent now")
    await world.reaches(State.SUCCEEDED, request.id, hurry=("execute",))
    assert events(world, "resumed") == [("resumed", BOB)]


async def test_where_nothing_waits_to_resume_takes_one_word(world: World) -> None:
    await paused(world)
    await world.type(CEM, "resume")
    await world.told_something(CEM, "Resumed. 0 approved requests")


async def test_to_pause_twice_or_to_resume_what_runs_is_refused(world: World) -> None:
    await world.type(CEM, "resume")
    await world.told_something(CEM, "Executions are not paused")
    await paused(world)
    await world.type(BOB, "pause")
    await world.told_something(BOB, "paused already")
    assert events(world, "paused", "resumed") == [("paused", CEM)]
    assert world.refused_attempts() == ["not_paused", "paused"]


async def test_who_may_pause(tmp_path: Path) -> None:
    """Those whom the policy names: neither an agent nor an outsider, and neither may they resume."""
    async with a_world(tmp_path, policy=LEADS_PAUSE) as world:
        for user in (ALICE, OUT):
            await world.type(user, "pause")
            await world.told_something(user, "The policy lets leads do it")
        await paused(world)
        request = await approved_and_waiting(world)
        for user in (ALICE, OUT):
            await world.type(user, "resume")
            await world.until(lambda user=user: world.told(user).count("The policy lets leads do it") == 2)  # type: ignore[misc]  # a default
        world.hurry("execute")
        await world.quiet()
        assert world.request(request.id).state is State.APPROVED
        assert world.refused_attempts() == ["no_power"] * 4


async def test_a_pause_outlives_a_restart(world: World) -> None:
    await paused(world)
    request = await approved_and_waiting(world)
    await world.stop()
    await world.start()
    world.hurry("execute")
    await world.quiet()
    assert world.operations_sent() == []
    await world.resume(CEM)
    await world.reaches(State.SUCCEEDED, request.id, hurry=("execute",))


async def test_every_process_on_the_database_stops_and_goes_on(tmp_path: Path) -> None:
    """Whichever of the two takes the command. Afterwards both send, each request once."""
    async with a_world(tmp_path, started=False, policy=with_timing(parallel=1)) as world:
        both = [Process(world), Process(world)]
        try:
            for process in both:
                await process.start()
            await world.slack.connected(2)
            await paused(world)
            requests = []
            for number in range(6):
                world.ottu.create(f"MANY{number}", "9.000", "KWD")
                requests.append(await approved_and_waiting(world, f"refund MANY{number} 1.000"))
            await asyncio.sleep(1.2)  # each process looks once a second at least
            assert world.operations_sent() == []
            world.ottu.fault("slow", count=6, seconds_before=0.4)
            await world.type(CEM, "resume")
            await world.told_something(CEM, "again within a minute")
            await world.type(CEM, "resume")
            for request in requests:
                await world.reaches(State.SUCCEEDED, request.id, 10)
            keys = world.keys_sent()
            assert sorted(keys) == sorted({request.tracking_key for request in world.requests()})  # type: ignore[type-var]  # each was sent
            owners = world.store.rows("SELECT DISTINCT owner FROM work_attempts")
            assert len(owners) == 2
            world.check_record()
        finally:
            for process in both:
                await process.stop()
