"""Waits that a wrong clock cannot shorten: the database's clock and the process's own must both say that it is over."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.execution import Execution
from approvals.request import Request, State
from approvals.store import later
from approvals.work import Attempt, Work
from bot import processes
from bot.patience import Patience
from tests.bot.world import BOB, CEM, World, a_world, with_timing

FAST = with_timing(deadline_seconds=0.6, settle_seconds=0.7, inquiry_gap_seconds=0.1)
FAR_SECONDS = 1_000.0  # how wrong a clock is here
LEASE_SECONDS = 3 * 0.4


class Clock:
    """A clock that says what it is told."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


# --- patience, alone


def test_a_wait_lasts_from_when_it_was_begun() -> None:
    clock = Clock(50.0)
    patience = Patience(clock)
    patience.begin("settle")
    for at, remaining in ((50.0, 10.0), (57.5, 2.5), (60.0, 0.0), (99.0, 0.0)):
        clock.seconds = at
        assert patience.remaining_seconds("settle", 10.0) == remaining


def test_to_begin_again_does_not_prolong_it() -> None:
    clock = Clock()
    patience = Patience(clock)
    patience.begin("settle")
    clock.seconds = 9.0
    patience.begin("settle")
    assert patience.remaining_seconds("settle", 10.0) == 1.0


def test_one_that_was_not_seen_to_begin_begins_when_it_is_first_seen() -> None:
    """So that after a restart one waits longer, never shorter."""
    patience = Patience(Clock(1_000_000.0))
    assert patience.remaining_seconds("lease", 10.0) == 10.0


def test_each_waits_for_itself_and_what_is_forgotten_begins_anew() -> None:
    clock = Clock()
    patience = Patience(clock)
    patience.begin("one")
    clock.seconds = 8.0
    patience.begin("two")
    patience.keep_only(lambda key: key in {"two", "never begun"})
    assert patience.remaining_seconds("two", 10.0) == 10.0
    clock.seconds = 9.0
    assert patience.remaining_seconds("one", 10.0) == 10.0
    assert patience.remaining_seconds("two", 10.0) == 9.0


@given(steps=st.lists(st.integers(0, 10**6), max_size=10), seconds=st.integers(0, 10**6))
def test_a_wait_is_over_once_and_never_before_its_time(steps: list[int], seconds: int) -> None:
    """Whatever the clock of a machine that sleeps and wakes does, as long as it goes forward."""
    clock = Clock(123.0)
    patience = Patience(clock)
    patience.begin("settle")
    before = float(seconds)
    for step in steps:
        clock.seconds += step
        remaining = patience.remaining_seconds("settle", seconds)
        assert 0 <= remaining <= before
        assert remaining == max(0.0, 123.0 + seconds - clock.seconds)
        before = remaining


# --- the settle window


@asynccontextmanager
async def an_unknown(folder: Path, policy: str = FAST) -> AsyncIterator[tuple[World, Request]]:
    """A refund that moved, and whose answer was lost."""
    async with a_world(folder, policy=policy) as world:
        world.ottu.configure(throttle_scale=0.00005)
        world.ottu.fault("drop_after")
        await world.approved()
        yield world, await world.reaches(State.UNKNOWN)
        assert [line.tracking_key for line in world.ottu.ledger] == [world.request().tracking_key]


async def nothing_happens(world: World, request: Request) -> None:
    """It is neither read nor sent, and cannot be called failed."""
    await asyncio.sleep(0.8)
    await world.quiet()
    assert (len(world.inquiries_sent()), len(world.operations_sent())) == (1, 1)
    await world.type(CEM, f"close {request.id} failed nothing to be seen")
    await world.told_something(CEM, "It is too early")
    assert world.request() == request


async def test_the_window_is_not_over_while_our_own_clock_says_so(tmp_path: Path) -> None:
    """The database's clock was set forward: by it the window is over long ago."""
    async with an_unknown(tmp_path) as (world, request):
        world.own_clock_ahead_seconds -= FAR_SECONDS
        await nothing_happens(world, request)
        world.own_clock_ahead_seconds += FAR_SECONDS
        await world.reaches(State.SUCCEEDED, hurry=("close",))


async def test_the_window_is_not_over_while_the_databases_clock_says_so(tmp_path: Path) -> None:
    """By our own clock it is over, and its job is due."""
    policy = with_timing(deadline_seconds=0.4, settle_seconds=600, inquiry_gap_seconds=0.1)
    async with an_unknown(tmp_path, policy) as (world, request):
        world.hurry("close")
        await nothing_happens(world, request)


async def test_a_window_that_begins_in_the_future_is_over_by_our_own_clock(tmp_path: Path) -> None:
    """The database's clock was a year ahead when nobody knew what had become of it, and is right again."""
    policy = with_timing(deadline_seconds=0.4, settle_seconds=600, inquiry_gap_seconds=0.1)
    async with an_unknown(tmp_path, policy) as (world, _):
        for change in (
            "UPDATE work_jobs SET due_at = :far, created_at = :far WHERE kind = 'close'",
            "UPDATE requests SET state_at = :far, version = version + 1",
        ):
            world.store.database.execute(change, {"far": later(world.store.now(), days=365)})
        world.running.executing.recover()
        await nothing_happens(world, world.request())
        world.own_clock_ahead_seconds += FAR_SECONDS
        waiting = world.running.work.find(f"close:{world.request().id}")
        assert waiting is not None
        assert waiting.due_at < later(world.store.now(), seconds=600)
        await world.reaches(State.SUCCEEDED, hurry=("close",))


# --- the back-off


async def throttled(world: World, retry_after: str) -> None:
    world.ottu.fault("throttled", retry_after=retry_after)
    await world.approved()
    await world.reaches(State.APPROVED)
    await world.until(lambda: len(world.operations_sent()) == 1)


async def test_the_back_off_is_not_over_while_our_own_clock_says_so(world: World) -> None:
    await throttled(world, "1")
    world.own_clock_ahead_seconds -= FAR_SECONDS
    await asyncio.sleep(1.5)
    assert len(world.operations_sent()) == 1
    world.own_clock_ahead_seconds += FAR_SECONDS
    await world.reaches(State.SUCCEEDED, hurry=("execute",))


async def test_the_back_off_is_not_over_while_the_databases_clock_says_so(world: World) -> None:
    await throttled(world, "3600")
    world.own_clock_ahead_seconds += 2 * 3600
    world.running.work.on_change()
    await asyncio.sleep(0.3)
    await world.quiet()
    assert len(world.operations_sent()) == 1


async def test_after_a_restart_the_back_off_begins_anew(world: World) -> None:
    await throttled(world, "1")
    await world.stop()
    await asyncio.sleep(0.5)
    begun = time.monotonic()
    await world.start()
    await world.reaches(State.SUCCEEDED)
    assert time.monotonic() - begun > 1


# --- the lease: an attempt of another process, which lives and does not come back


@asynccontextmanager
async def somebody_else() -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A living process, and its name in the bookkeeping."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(60)")
    try:
        yield process, processes.name_of(psutil.Process(process.pid))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def system_set_on(folder: Path, pid: int) -> str:
    """What the system says of itself and of one process when its clock has been set an hour on."""
    told = re.sub(r"(?m)^btime (\d+)$", lambda found: f"btime {int(found[1]) + 3600}", Path("/proc/stat").read_text())
    (folder / "stat").write_text(told, encoding="ascii")
    (folder / str(pid)).symlink_to(f"/proc/{pid}")
    return str(folder)


@pytest.mark.skipif(not processes.BOOT_ID.exists(), reason="the system counts by the clock")
async def test_a_clock_that_is_set_makes_no_living_process_look_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux works out anew when it was started, whenever its clock is set."""
    async with somebody_else() as (process, owner):
        monkeypatch.setattr(psutil, "PROCFS_PATH", system_set_on(tmp_path, process.pid))
        assert processes.is_alive_here(owner)
        another_boot = owner.replace(processes.BOOT_ID.read_text(encoding="ascii").strip(), "another")
        assert processes.is_gone(another_boot)
        process.kill()
        await process.wait()
        assert processes.is_gone(owner)


async def test_a_process_that_an_older_version_named_is_known() -> None:
    async with somebody_else() as (process, owner):
        host, pid = owner.partition("+")[0], process.pid
        began = psutil.Process(process.pid).create_time()
        assert processes.is_alive_here(f"{host}:{pid}:{began:.2f}")
        assert processes.is_gone(f"{host}:{pid}:{began - 5:.2f}")
        for strange in ("", "nobody", f"{host}:{pid}:yesterday", f"{host}:0x10:1.0"):
            assert not processes.is_gone(strange)


async def claimed_by(world: World, owner: str) -> Request:
    """A full refund that another process has claimed, and may be sending."""
    world.ottu.create("SMALL", "9.000", "KWD")
    world.ottu.fault("throttled", retry_after="3600")
    await world.approved("refund SMALL full")
    waiting = await world.reaches(State.APPROVED)
    store, in_force = world.store, world.running.policies.in_force
    assert Execution(store, Work(store, owner), in_force, lambda: "not needed").claim(waiting.id)
    return await world.reaches(State.EXECUTING)


def recovered(world: World, *, row_seconds: float, own_seconds: float) -> State:
    """Look after what others left behind, where the attempt is so old by either clock."""
    (attempt,) = under_way(world)
    started_at = later(world.store.now(), seconds=-row_seconds)
    world.store.database.execute("UPDATE work_attempts SET started_at = ? WHERE ended_at IS NULL", [started_at])
    world.running.executing.recover()  # from now on its age is known to our own clock
    world.own_clock_ahead_seconds += own_seconds
    world.running.executing.recover()
    world.own_clock_ahead_seconds -= own_seconds
    return world.request(attempt.request_id).state


def under_way(world: World) -> list[Attempt]:
    return world.running.work.attempts_under_way()


async def test_a_living_process_loses_its_attempt_only_when_both_clocks_agree(tmp_path: Path) -> None:
    async with somebody_else() as (_, owner), a_world(tmp_path, policy=FAST) as world:
        await claimed_by(world, owner)
        assert recovered(world, row_seconds=0, own_seconds=0) is State.EXECUTING
        assert recovered(world, row_seconds=FAR_SECONDS, own_seconds=0) is State.EXECUTING
        assert recovered(world, row_seconds=0, own_seconds=FAR_SECONDS) is State.EXECUTING
        assert recovered(world, row_seconds=FAR_SECONDS, own_seconds=LEASE_SECONDS + 10) is State.UNKNOWN
        assert "did not come back in time" in (world.request().detail or "")


async def test_an_attempt_from_the_future_is_given_up_by_our_own_clock(tmp_path: Path) -> None:
    """The database's was ahead when it began: by it the lease would last for as long as that."""
    async with somebody_else() as (_, owner), a_world(tmp_path, policy=FAST) as world:
        await claimed_by(world, owner)
        assert recovered(world, row_seconds=-FAR_SECONDS, own_seconds=0) is State.EXECUTING
        assert recovered(world, row_seconds=-FAR_SECONDS, own_seconds=LEASE_SECONDS + 10) is State.UNKNOWN


async def test_while_that_process_lives_nothing_is_sent_again_and_nobody_says_failed(tmp_path: Path) -> None:
    """It may be frozen with the request at the gateway. Once it has ended, the bot goes on by itself."""
    async with somebody_else() as (process, owner), a_world(tmp_path, policy=FAST) as world:
        world.ottu.configure(throttle_scale=0.00005)
        request = await claimed_by(world, owner)
        assert recovered(world, row_seconds=FAR_SECONDS, own_seconds=FAR_SECONDS) is State.UNKNOWN
        await asyncio.sleep(0.8)  # the settle window
        world.hurry("close")
        await world.quiet()
        await world.type(BOB, f"close {request.id} failed nothing to be seen")
        await world.told_something(BOB, "It is too early")
        assert (len(world.operations_sent()), len(world.inquiries_sent())) == (1, 1)
        process.kill()
        await process.wait()
        world.running.executing.recover()
        await world.reaches(State.SUCCEEDED, hurry=("close",))
        assert under_way(world) == []
        assert world.moved() == [("refund", "SMALL", "9.000", "KWD")]


async def test_the_attempt_of_a_process_that_has_ended_is_given_up_at_once(tmp_path: Path) -> None:
    """No clock is asked: it cannot send any more. The window begins then."""
    async with a_world(tmp_path, policy=with_timing(deadline_seconds=2, settle_seconds=5)) as world:
        async with somebody_else() as (_, owner):
            request = await claimed_by(world, owner)
        world.running.executing.recover()
        assert world.request(request.id).state is State.UNKNOWN
        assert under_way(world) == []
