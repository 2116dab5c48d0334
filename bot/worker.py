"""The loop: takes what is due from disk and does it, a few at a time, and is woken when something new is written.

Lanes keep one kind of work from holding up another: however slow Ottu or Slack is, clicks are decided.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from approvals.store import seconds_between
from approvals.work import Job, Work
from bot.people import SlackDown
from bot.reader import Later

log = logging.getLogger("bot.worker")
IDLE_SECONDS = 1.0  # look at least so often: another process may have written something
SLACK_SECONDS = 15  # the longest back-off while Slack is down: a click counts for 60 s, so it gets several tries
MOST_TRIES = 8  # of a handler that raises what nobody expected
LONGEST_SECONDS = 60.0  # the longest back-off after that
# Another program has it, or the disk: no handler can do anything about that, and it says nothing of the job.
UNUSABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
    }
)
Handler = Callable[[Job], Awaitable[None]]


@dataclass(frozen=True)
class Lane:
    """Kinds of jobs that share a number of places, which may be another one from time to time."""

    name: str
    handlers: Mapping[str, Handler]
    places: int | Callable[[], int]


class Worker:
    """Runs lanes of jobs until it is stopped. A handler that returns is done; one that raises is called again.

    `uniform` draws a number between two, which spreads retries; `idle_seconds`: it looks at least so often.
    """

    def __init__(
        self,
        work: Work,
        lanes: list[Lane],
        *,
        gave_up: Callable[[Job], None],
        uniform: Callable[[float, float], float] = random.uniform,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.work = work
        self.lanes = lanes
        self.gave_up = gave_up
        self.uniform = uniform
        self.idle_seconds = idle_seconds
        self.running: dict[str, set[asyncio.Task[None]]] = {lane.name: set() for lane in lanes}
        self.stopping = False
        self._mistakes: Counter[str] = Counter()  # by job; a wait that the handler asked for is none
        self._ended: dict[int, tuple[Job, float | None]] = {}  # not running any more, and not yet written down
        self._woken = asyncio.Event()
        work.on_change = self._woken.set

    async def run(self) -> None:
        """Until `stop`. A database that cannot be used is tried again, so that a full disk ends nothing."""
        while not self.stopping:
            self._woken.clear()
            try:
                waits = self._start_due()
            except Exception as error:
                log.error("database", extra={"facts": {"error": f"{type(error).__name__}: {error}"}})
                waits = self.idle_seconds
            await self._sleep(waits)

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except TimeoutError:
            return

    def _start_due(self) -> float:
        """Start what is due, as far as there are places; how long until something else is."""
        for job, seconds in list(self._ended.values()):
            self._write_end(job, seconds)
            del self._ended[job.id]
        now = self.work.store.now()
        next_due = self.work.next_due()
        due = {kind for kind, at in next_due.items() if at <= now}
        if not due:
            waits = [seconds_between(now, at) for at in next_due.values()]
            return min([max(seconds, 0.001) for seconds in waits] + [self.idle_seconds])
        for lane in self.lanes:
            kinds = [kind for kind in lane.handlers if kind in due]  # each look at the others would be a write
            places = lane.places if isinstance(lane.places, int) else lane.places()
            free = places - len(self.running[lane.name])
            for job in self.work.take(kinds, free):
                task = asyncio.create_task(self._do(lane, job), name=job.key)
                self.running[lane.name].add(task)
        return self.idle_seconds

    async def _do(self, lane: Lane, job: Job) -> None:
        task = asyncio.current_task()
        try:
            await self._handle(lane, job)
        finally:
            if task is not None:
                self.running[lane.name].discard(task)
            self._woken.set()

    async def _handle(self, lane: Lane, job: Job) -> None:
        try:
            await lane.handlers[job.kind](job)
        except asyncio.CancelledError:
            self._end_job(job, 0)
            raise
        except PutBack as again:
            self._end_job(job, again.seconds)
        except (SlackDown, Later) as down:
            wait = down.seconds or 0
            back_off = min(0.5 * 2 ** min(job.tries, 7), SLACK_SECONDS)
            seconds = max(wait, back_off) if isinstance(down, SlackDown) else wait
            log.info("later", extra={"facts": {"job": job.key, "why": str(down), "seconds": round(seconds, 1)}})
            self._end_job(job, seconds or 5.0)
        except Exception as error:
            self._end_job(job, self._failed(job, error))
        else:
            self._mistakes.pop(job.key, None)
            self._end_job(job, None)

    def _failed(self, job: Job, error: Exception) -> float | None:
        """A mistake of ours: later again, and in the end given up (None), loudly. For an unusable database no job can
        help, so that it is tried for ever."""
        log.error("failed", extra={"facts": {"job": job.key, "error": type(error).__name__}}, exc_info=error)
        if not is_unusable(error):
            self._mistakes[job.key] += 1
        tries = self._mistakes[job.key]
        if tries >= MOST_TRIES:
            try:
                self.gave_up(job)
            except Exception as again:
                log.error("database", extra={"facts": {"job": job.key, "error": type(again).__name__}})
            else:
                del self._mistakes[job.key]
                return None
        return min(2.0 ** max(tries, 1), LONGEST_SECONDS) * self.uniform(0.5, 1)

    def _end_job(self, job: Job, seconds: float | None) -> None:
        """Done (None), or due again after so many seconds. What the database does not take now, it is given later:
        else the job would be ours for ever, and nobody would do it."""
        try:
            self._write_end(job, seconds)
        except sqlite3.Error as error:
            log.error("database", extra={"facts": {"job": job.key, "error": f"{type(error).__name__}: {error}"}})
            self._ended[job.id] = (job, seconds)

    def _write_end(self, job: Job, seconds: float | None) -> None:
        if seconds is None:
            self.work.finish(job)
        else:
            self.work.put_back(job, seconds=seconds)

    async def stop(self, *, patience: Mapping[str, float]) -> None:
        """Take nothing more; let a lane's running jobs finish for so many seconds, then cut them off."""
        self.stopping = True
        self._woken.set()
        async with asyncio.TaskGroup() as group:
            for lane in self.lanes:
                group.create_task(self._end(self.running[lane.name], patience.get(lane.name, 1.0)))

    @staticmethod
    async def _end(tasks: set[asyncio.Task[None]], seconds: float) -> None:
        if not tasks:
            return
        _, late = await asyncio.wait(set(tasks), timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)


def is_unusable(error: Exception) -> bool:
    """Is it the database that cannot be used just now?"""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in UNUSABLE  # the rest of it is a finer reason


class PutBack(Exception):
    """The job is not done: due again after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds
