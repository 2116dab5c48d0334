"""What the worker does with each kind of job: check, execute, expire, lapse, probe; and what lost processes left."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3

import ottu
from approvals.execution import Execution, backoff_seconds
from approvals.request import Ending, Outcome, Refusal, Request, State
from approvals.service import Service
from approvals.store import Store, later
from approvals.work import Job, Work
from bot import answers, perform, processes
from bot.delivery import Delivery
from bot.inbox import Inbox
from bot.people import People
from bot.perform import Later, Reader
from bot.worker import Lane, PutBack

log = logging.getLogger("bot.tasks")
LEASE_DEADLINES = 3  # an attempt this many deadlines old is nobody's any more
STOPPED_SECONDS = 2.0
PROBE_SECONDS = 15.0


class Tasks:
    """The handlers of the worker's jobs, apart from those of `inbox` and `delivery`."""

    def __init__(
        self, *, service: Service, execution: Execution, reader: Reader, people: People, delivery: Delivery
    ) -> None:
        self.service = service
        self.execution = execution
        self.reader = reader
        self.people = people
        self.delivery = delivery
        self.store: Store = service.store
        self.work: Work = service.work

    def lanes(self, inbox: Inbox, parallel: int) -> list[Lane]:
        """Which kinds of jobs there are, who does them, and how many at once."""
        return [
            Lane("inbox", {"command": inbox.on_command, "click": inbox.on_click}, 16),
            Lane("check", {"check": self.check}, 8),
            Lane("execute", {"execute": self.execute}, parallel),
            Lane("card", {"card": self.delivery.card, "link": self.delivery.link}, 4),
            Lane("notice", {"notice": self.delivery.notice}, 4),
            Lane("answer", {"answer": self.delivery.answer}, 8),
            Lane("timer", {"expire": self.expire, "lapse": self.lapse, "probe": self.probe}, 4),
        ]

    # --- reading

    async def check(self, job: Job) -> None:
        """Read the transaction of a new request, and decide whether it gets its card."""
        request = self.store.get(str(job.payload["request"]))
        if request is None or request.state is not State.CHECKING:
            return
        try:
            read = await self.reader.read(request)
        except Refusal as refusal:
            self._refuse(request.id, refusal)
            return
        except Later as wait:
            seconds = wait.seconds or min(5.0 * 2 ** (job.tries - 1), 300)
            self._tell_waiting(request, str(wait), seconds)
            raise PutBack(seconds) from None
        self.service.check(request.id, read, await self.people.members(self.service.policy))

    def _refuse(self, request_id: str, refusal: Refusal) -> None:
        with self.store.transaction():
            request = self.store.get(request_id)
            if request is not None and request.state is State.CHECKING:
                self.service.refuse(request, refusal)

    def _tell_waiting(self, request: Request, why: str, seconds: float) -> None:
        """The requester is told once that it waits, and until when."""
        until = later(self.store.now(), seconds=seconds)
        self.delivery.answer_requester(f"waiting:{request.id}", request, answers.waiting(request, why, until))

    # --- executing

    async def execute(self, job: Job) -> None:
        """Claim, send, settle. Nothing is sent before the claim is on disk; no answer is not "no"."""
        request_id = str(job.payload["request"])
        claimed_at = ottu.awake_seconds()
        claimed = self.execution.claim(request_id)
        if claimed is None:
            request = self.store.get(request_id)
            if request is not None and request.state is State.APPROVED:
                raise PutBack(STOPPED_SECONDS)
            return
        try:
            outcome = await perform.send(self.reader.client, claimed, claimed_at)
        except asyncio.CancelledError:
            why = "the bot was stopped while it waited for the answer"
            with contextlib.suppress(
                sqlite3.Error
            ):  # the next start finds the attempt without an end, and says the same
                self.execution.settle(claimed.id, claimed.attempt, Outcome(Ending.UNKNOWN, why))
            raise
        after = await self._settle(claimed, outcome)
        if after.state is State.APPROVED:
            raise PutBack(backoff_seconds(max(after.misses - 1, 0), outcome))

    async def _settle(self, claimed: Request, outcome: Outcome) -> Request:
        """Write the outcome down, however long the database takes to let us: the answer must not be lost."""
        while True:
            try:
                return self.execution.settle(claimed.id, claimed.attempt, outcome)
            except sqlite3.Error as error:
                log.error("not_settled", extra={"facts": {"request": claimed.id, "error": str(error)}})
                await asyncio.sleep(1)

    async def probe(self, job: Job) -> None:
        """After a 401: ask a harmless question until the credentials are accepted again."""
        if await self.reader.probe():
            self.execution.accept_credentials()
            return
        raise PutBack(min(PROBE_SECONDS * job.tries, 300))

    # --- time

    async def expire(self, job: Job) -> None:
        if self.service.expire(str(job.payload["request"])) is None:
            self._again_if_early(job, State.CHECKING, State.PENDING)

    async def lapse(self, job: Job) -> None:
        if self.service.lapse(str(job.payload["request"])) is None:
            self._again_if_early(job, State.APPROVED, State.EXECUTING)

    def _again_if_early(self, job: Job, *states: State) -> None:
        request = self.store.get(str(job.payload["request"]))
        if request is not None and request.state in states:
            raise PutBack(1.0)

    # --- what a process left behind that is gone

    def recover(self) -> None:
        """Give back the jobs of ended processes; what they were sending has an unknown outcome."""
        now, lease = self.store.now(), LEASE_DEADLINES * self.service.policy.timing.deadline_seconds
        over = later(now, seconds=-max(lease, 60))
        for attempt in self.work.attempts_under_way():
            if attempt.owner == self.work.owner:
                continue
            if processes.is_gone(attempt.owner):
                self._give_up(attempt.request_id, attempt.attempt, "the bot was ended while it waited for the answer")
            elif attempt.started_at < over:
                self._give_up(attempt.request_id, attempt.attempt, "the process that sent it did not come back in time")
        for owner in self.work.owners():
            if owner != self.work.owner:
                self.work.give_back(owner, taken_before=now if processes.is_gone(owner) else over)

    def _give_up(self, request_id: str, attempt: int, why: str) -> None:
        if self.execution.give_up(request_id, attempt, why):
            log.warning("gave_up", extra={"facts": {"request": request_id, "attempt": attempt, "why": why}})
