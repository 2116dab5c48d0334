"""The only operations that are sent again, with the same key: those that Ottu provably has not executed.

Throttled, not connected, or held back because the credentials were refused. Whoever waits is told why.
"""

from __future__ import annotations

import time
from pathlib import Path

from approvals.request import State
from sandbox.serving import serve
from tests.bot.world import ALICE, BOB, CEM, World, a_world

MOVED = [("refund", "ORD123", "5.000", "KWD")]


async def test_ottu_slows_us_down(world: World) -> None:
    """429: nothing was done. It waits as long as Ottu asked, says so, and goes on with the same Tracking-Key."""
    world.ottu.fault("throttled", retry_after="1")
    await world.approved()
    waiting = await world.reaches(State.APPROVED)
    assert "not sent yet" in world.card_text()
    assert "Ottu asked to slow down" in world.card_text()
    assert "goes on by itself" in world.card_text()
    begun = time.monotonic()
    request = await world.reaches(State.SUCCEEDED)
    assert time.monotonic() - begun > 0.7
    assert world.keys_sent() == [request.tracking_key] * 2
    assert waiting.tracking_key == request.tracking_key
    assert world.moved() == MOVED
    assert (request.attempt, request.misses, request.doubtful_attempt) == (2, 0, None)
    await world.until(world.results)
    assert len(world.results()) == 1
    world.check_record()


async def test_after_a_throttled_attempt_the_next_answer_is_that_of_a_first(world: World) -> None:
    """Of two attempts only the second can have been executed, so that its "no" is proof, and its silence is none."""
    then = {"failed": State.FAILED, "drop_before": State.UNKNOWN, "queued": State.QUEUED}
    for order, (kind, state) in zip(("ORD123", "USD55", "JPY100"), then.items(), strict=True):
        world.ottu.fault("throttled", retry_after="3600")
        world.ottu.fault(kind)
        asked = await world.approved(f"refund {order} 5")
        await world.reaches(State.APPROVED, asked.id)
        request = await world.reaches(state, asked.id, hurry=("execute",))
        assert world.keys_sent()[-2:] == [request.tracking_key] * 2
    assert len(world.keys_sent()) == 6
    assert world.moved() == []


async def test_what_waits_to_be_sent_can_be_withdrawn(world: World) -> None:
    world.ottu.fault("throttled", retry_after="3600")
    await world.approved()
    await world.reaches(State.APPROVED)
    await world.press(ALICE, "withdraw")
    await world.reaches(State.WITHDRAWN)
    world.hurry("execute")
    await world.quiet()
    assert len(world.operations_sent()) == 1
    assert world.moved() == []


async def test_ottu_is_down_and_comes_back(tmp_path: Path) -> None:
    """A refused connection carried nothing: the approval stands, the card says why, and it goes on by itself."""
    async with a_world(tmp_path, started=False) as world:
        port = await asked_then_down(world)
        await world.press(BOB, "approve")
        await world.until(lambda: world.request().misses == 1)
        waiting = await world.reaches(State.APPROVED)
        assert "not sent yet" in world.card_text()
        assert "goes on by itself" in world.card_text()
        assert world.operations_sent() == []
        async with serve(world.ottu.app, port):
            request = await world.reaches(State.SUCCEEDED, hurry=("execute",))
        assert world.keys_sent() == [request.tracking_key] == [waiting.tracking_key]
        assert (request.attempt, request.misses) == (2, 1)


async def test_the_fifth_time_that_nothing_could_be_sent_is_a_failure(tmp_path: Path) -> None:
    """Five refused connections: final, with the reason; nothing moved, and the transaction is free again."""
    async with a_world(tmp_path, started=False) as world:
        port = await asked_then_down(world)
        await world.press(BOB, "approve")
        for missed in range(1, 5):
            await world.until(lambda missed=missed: world.request().misses == missed)  # type: ignore[misc]  # a default
            await world.until(lambda missed=missed: 2**missed - 1 < waits_seconds(world) <= 2**missed)  # type: ignore[misc]  # a default
            world.hurry("execute")
        request = await world.reaches(State.FAILED)
        assert request.misses == 5
        (result,) = await world.until(world.results)
        assert "could not reach Ottu 5 times; nothing was sent" in result.text
        async with serve(world.ottu.app, port):
            world.hurry("execute")
            await world.quiet()
            await world.approved()
            await world.until(world.moved)
        assert world.moved() == MOVED
        assert len(world.operations_sent()) == 1


async def asked_then_down(world: World) -> int:
    """A pending request, and an Ottu that nobody answers for; its port."""
    async with serve(world.ottu.app) as url:
        world.environment["OTTU_BASE_URL"] = url
        await world.start()
        await world.ask()
    return int(url.rsplit(":", 1)[1])


def waits_seconds(world: World) -> float:
    """How long the execution is put off."""
    (row,) = world.store.rows(
        "SELECT (julianday(due_at) - julianday('now')) * 86400 AS seconds FROM work_jobs WHERE kind = 'execute'"
    )
    return float(row["seconds"])


# --- credentials


async def test_refused_credentials_stop_everything_until_they_are_accepted_again(world: World) -> None:
    """401: that one failed; no other is sent, and whoever watches is told, until a harmless call is accepted."""
    waiting = await world.ask("refund USD55 9.99", CEM)
    world.ottu.fault("unauthorized")
    world.ottu.fault("unauthorized", endpoint="retrieve", match="0" * 40)
    first = await world.approved()
    failed = await world.reaches(State.FAILED, first.id)
    assert "did not accept the bot's credentials" in (failed.detail or "")
    assert await world.readyz() == (503, {"slack": True, "database": True, "executing": False})

    await world.press(BOB, "approve", world.card(waiting.id))
    await world.reaches(State.APPROVED, waiting.id)
    world.hurry("execute")
    await world.until(lambda: "0" * 40 in [r.path.split("/")[-2] for r in world.ottu.requests])
    assert len(world.operations_sent()) == 1

    await world.reaches(State.SUCCEEDED, waiting.id, hurry=("probe", "execute"))
    assert (await world.readyz())[0] == 200
    assert world.moved() == [("refund", "USD55", "9.99", "USD")]
    assert [event.kind for event in world.store.events()].count("credentials_accepted") == 1
    world.check_record()


async def test_the_stop_outlives_a_restart(world: World) -> None:
    """The credentials are still the refused ones: the bot that starts again asks before it sends."""
    waiting = await world.ask("refund USD55 9.99", CEM)
    world.ottu.fault("unauthorized")
    world.ottu.fault("unauthorized", endpoint="retrieve", count=2, match="0" * 40)
    first = await world.approved()
    await world.reaches(State.FAILED, first.id)
    await world.quiet()
    await world.stop()
    await world.start()
    assert (await world.readyz())[0] == 503
    await world.press(BOB, "approve", world.card(waiting.id))
    await world.reaches(State.APPROVED, waiting.id)
    await world.until(lambda: len([r for r in world.ottu.requests if "0" * 40 in r.path]) == 2, hurry=("probe",))
    assert len(world.operations_sent()) == 1
    await world.reaches(State.SUCCEEDED, waiting.id, hurry=("probe", "execute"))
