"""Sending, and finding out what became of it: execute, close an unknown, look after a queued one, recover.

Nothing is sent before its claim is on disk; no answer is not "no"; what is unknown is read before it is sent again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3

import ottu
from approvals.children import KINDS
from approvals.closing import TARGET_STATES, Closing, Found
from approvals.execution import Execution, backoff_seconds
from approvals.inquiries import MOST
from approvals.policy import Timing
from approvals.request import Ending, Outcome, Refusal, Request, State
from approvals.sentences import executing as sentences
from approvals.store import Store, later, seconds_between
from approvals.work import Attempt, Job, Work
from bot import perform, processes
from bot.marker import Marker
from bot.patience import Patience
from bot.reader import Later, Reader, reading_of
from bot.worker import PutBack

log = logging.getLogger("bot.executing")
LEASE_DEADLINES = 3  # an attempt so many deadlines old is nobody's any more
SHORTEST_DEADLINE_SECONDS = 0.5  # for the lease: with it, no process sends any more once its lease is over
JOB_SECONDS_MINIMUM = 60.0  # other jobs wait for Slack too
STOPPED_SECONDS = 2.0
STILL_SENDING_SECONDS = 5.0
SETTLE_AGAIN_SECONDS = 1.0
QUEUED_LOOK_SECONDS = 8 * 3600.0  # Ottu allows three inquiries a day
TIMERS = ("expire", "lapse", "overdue", "remind", "head")  # the row's own times, by the database's clock
QUEUED_CHILD_SECONDS = 15 * 60.0  # for retrieving the queued refund itself, which Ottu does not throttle


class Executing:
    """The jobs that send, or that follow from having sent."""

    def __init__(
        self,
        execution: Execution,
        closing: Closing,
        reader: Reader,
        patience: Patience,
        marker: Marker,
        others: processes.Others = processes.Others(),  # noqa: B008 - it cannot be changed
    ) -> None:
        self.marker = marker
        self.others = others
        self.file = processes.file_identity(execution.store.path)
        self.execution = execution
        self.closing = closing
        self.reader = reader
        self.patience = patience
        self.store: Store = execution.store
        self.work: Work = execution.work

    @property
    def timing(self) -> Timing:
        """The times that count now."""
        return self.execution.policy.timing

    # --- sending

    async def execute(self, job: Job) -> None:
        """Claim, send, settle."""
        request = self.store.get(str(job.payload["request"]))
        if request is None or request.state is not State.APPROVED:
            return
        self._wait_out(_backoff_key(request), self._backoff_seconds(request))
        claimed_at = self.reader.client.clock()
        claimed = self.execution.claim(request.id)
        if claimed is None:
            raise PutBack(STOPPED_SECONDS)  # paused; or it has just moved, which the next look will see
        outcome, after = await self._send(claimed, claimed_at)
        if after.state is State.APPROVED:
            self.patience.begin(_backoff_key(after))
            raise PutBack(backoff_seconds(max(after.misses - 1, 0), outcome))

    def _backoff_seconds(self, request: Request) -> float:
        """What the last end of an attempt asked us to wait; 0 before the first."""
        if request.attempt == 0:
            return 0.0
        last = [event for event in self.store.events(request.id) if "again_in_seconds" in event.facts]
        return float(last[-1].facts["again_in_seconds"]) if last else 0.0

    def _wait_out(self, key: str, seconds: float) -> None:
        remaining = self.patience.remaining_seconds(key, seconds)
        if remaining > 0:
            raise PutBack(remaining)

    async def _send(self, claimed: Request, claimed_at: float) -> tuple[Outcome, Request]:
        try:
            self.marker.write()
        except OSError as error:
            outcome = Outcome(
                Ending.NOT_SENT, sentences.marker_not_written(error=error.strerror or type(error).__name__)
            )
            return outcome, await self._settle(claimed, outcome)
        try:
            outcome = await perform.send(self.reader.client, claimed, claimed_at)
        except asyncio.CancelledError:
            self._park(claimed, Outcome(Ending.UNKNOWN, sentences.STOPPED))
            raise
        after = await self._settle(claimed, outcome)
        if after.state is State.UNKNOWN:
            self.patience.begin(_settle_key(after.id, after.attempt))
        return outcome, after

    def _park(self, claimed: Request, outcome: Outcome) -> None:
        """Cut off. Where even this cannot be written, the next start finds an attempt without an end."""
        try:
            self.execution.settle(claimed.id, claimed.attempt, outcome)
        except sqlite3.Error as error:
            self._not_settled(claimed, outcome, error)

    async def _settle(self, claimed: Request, outcome: Outcome) -> Request:
        """Write the outcome down, however long the database takes to let us: the answer must not be lost."""
        while True:
            try:
                return self.execution.settle(claimed.id, claimed.attempt, outcome)
            except sqlite3.Error as error:
                self._not_settled(claimed, outcome, error)
                if isinstance(error, sqlite3.IntegrityError):
                    # A mistake of ours: the database refuses the move, so that people must look.
                    outcome = Outcome(Ending.UNKNOWN, sentences.NOT_WRITTEN_DOWN)
            try:
                await asyncio.sleep(SETTLE_AGAIN_SECONDS)
            except asyncio.CancelledError:
                self._park(claimed, outcome)
                raise

    @staticmethod
    def _not_settled(claimed: Request, outcome: Outcome, error: sqlite3.Error) -> None:
        """Also what Ottu answered: should the process end before it is on disk, the log alone knows."""
        facts = {"request": claimed.id, "attempt": claimed.attempt, "ending": outcome.ending.value, "error": str(error)}
        log.error("not_settled", extra={"facts": facts}, exc_info=error)

    async def resend(self, job: Job) -> None:
        """Somebody who may has pressed "Send again with the same key", perhaps long ago: a pause held it up."""
        request = self.store.get(str(job.payload["request"]))
        if request is None:
            return
        if not (self.closing.offers_resend(request) and self.closing.has_fresh_reading(request)):
            self.work.arm(f"close:{request.id}", "close", {"request": request.id})  # the card will show what is found
            return
        claimed_at = self.reader.client.clock()
        claimed = self.execution.claim_again(request.id, int(job.payload["version"]), str(job.payload["by"]))
        if claimed is not None:
            await self._send(claimed, claimed_at)
        elif self.execution.stopped():
            raise PutBack(STOPPED_SECONDS)

    # --- unknown

    def window_remaining_seconds(self, request: Request) -> float:
        """How long the settle window lasts yet, by the database's clock and by our own, whichever is longer.

        A window that begins in the future was begun by a clock that was wrong: then our own alone tells.
        """
        seconds = self.timing.settle_seconds
        since = seconds_between(request.state_at, self.store.now())
        by_database = seconds - since if since >= 0 else 0.0
        return max(by_database, self.patience.remaining_seconds(_settle_key(request.id, request.attempt), seconds), 0.0)

    def is_settled(self, request: Request) -> bool:
        """Is the window over, and has whoever sent it recorded the end of that attempt, or ended?"""
        return self.window_remaining_seconds(request) == 0 and not self._still_sending(request)

    def _still_sending(self, request: Request) -> bool:
        return any(
            attempt.request_id == request.id and not self.others.is_gone(attempt.owner)
            for attempt in self.work.attempts_under_way()
        )

    async def close(self, job: Job) -> None:
        """After the window: read; where nothing is new and it limits itself, send once more; else people decide."""
        request = self.store.get(str(job.payload["request"]))
        if request is None or request.state is not State.UNKNOWN or request.restored:
            return
        remaining = self.window_remaining_seconds(request)
        if remaining > 0:
            raise PutBack(remaining)
        if self._still_sending(request):
            raise PutBack(STILL_SENDING_SECONDS)
        found = await self._look(request)
        if found is None:
            self.closing.unreadable(request.id)
        current = self.store.get(request.id)
        if found is Found.NOTHING_NEW and current is not None and self.closing.may_send_again(current):
            await self._send_again(current)

    async def _send_again(self, request: Request) -> None:
        claimed_at = self.reader.client.clock()
        claimed = self.execution.claim_again(request.id, request.version, "bot")
        if claimed is not None:
            await self._send(claimed, claimed_at)
        elif self.execution.stopped():
            raise PutBack(STOPPED_SECONDS)

    async def _look(self, request: Request) -> Found | None:
        """Read what became of it. None where that cannot be read: then it is for people."""
        if request.session_id is None or request.operation not in TARGET_STATES.keys() | KINDS.keys():
            self.closing.unreadable(request.id)
            return None
        head, _ = self.store.head()
        try:
            if request.operation in TARGET_STATES:
                read, compare = await self.reader.retrieve(request.session_id), self.closing.by_state
            else:
                stored = await self.reader.inquire("session", request.session_id, most=MOST)
                read, compare = reading_of(stored), self.closing.by_children
        except (Refusal, ottu.Refused):
            self.closing.unreadable(request.id)
            return None
        except Later as wait:
            raise PutBack(wait.seconds or self.timing.inquiry_gap_seconds) from None
        except ottu.OttuError:
            raise PutBack(self.timing.inquiry_gap_seconds) from None
        with self.store.transaction():
            if self.closing.is_overtaken(request.id, head):
                return Found.UNCLEAR
            return compare(request.id, read)

    # --- queued

    async def queued(self, job: Job) -> None:
        """Look at the bank's decision now and then; a webhook is usually faster."""
        request = self.store.get(str(job.payload["request"]))
        if request is None or request.state is not State.QUEUED:
            return
        child = self.closing.queued_child(request)
        if child is not None and await self._look_at_child(request, child) is Found.PROOF:
            return
        looks = round(QUEUED_LOOK_SECONDS / QUEUED_CHILD_SECONDS)
        if child is None or job.tries % looks == 1:
            await self._look(request)
        raise PutBack(QUEUED_LOOK_SECONDS if child is None else QUEUED_CHILD_SECONDS)

    async def _look_at_child(self, request: Request, child: str) -> Found | None:
        """Ottu's documentation does not say that a refund can be retrieved; where it cannot, inquiries are left."""
        try:
            return self.closing.by_queued_child(request.id, await self.reader.retrieve(child))
        except (Refusal, Later):
            return None

    async def overdue(self, job: Job) -> None:
        """Queued for too long."""
        request = self.store.get(str(job.payload["request"]))
        if request is not None and request.state is State.QUEUED and self.closing.overdue(request.id) is None:
            raise PutBack(60.0)

    # --- what a process left behind that is gone

    def adopt(self) -> None:
        """At the start: is this database where it was? Raises OSError where the marker cannot be written."""
        here = [owner for owner in self.work.processes_of(self.file) if self.others.is_alive_here(owner)]
        why = self.marker.why_restored([owner for owner in here if owner != self.work.owner])
        if why is not None:
            count = self.execution.mark_restored(why)
            log.error("restored", extra={"facts": {"why": why, "open_requests": count}})
        self.marker.take_over(self.others.is_gone)
        self.work.give_back(self.work.owner, taken_before=None)  # a process that begins holds nothing
        self.work.register(self.file)

    def recover(self) -> None:
        """Give back the jobs of ended processes; what they were sending has an unknown outcome."""
        still_open = self.store.open_attempts()
        names = {request_id for request_id, _, _ in still_open}
        self.patience.keep_only(lambda key: key.split(":")[1] in names)
        for request_id, state, attempt_number in still_open:
            if state is State.UNKNOWN:
                self.patience.begin(_settle_key(request_id, attempt_number))
        for attempt in self.work.attempts_under_way():
            if attempt.owner != self.work.owner:
                self._recover_attempt(attempt)
        self.work.pull_in(except_kinds=TIMERS)
        now = self.store.now()
        for owner in self.work.owners():
            if owner != self.work.owner:
                lease_ago = later(now, seconds=-max(self._lease_seconds, JOB_SECONDS_MINIMUM))
                self.work.give_back(owner, taken_before=None if self.others.is_gone(owner) else lease_ago)
        for owner in self.work.all_owners():
            if self.others.is_gone(owner):
                self.work.forget_process(owner)

    @property
    def _lease_seconds(self) -> float:
        return LEASE_DEADLINES * max(self.execution.in_force.longest_deadline_seconds, SHORTEST_DEADLINE_SECONDS)

    def _recover_attempt(self, attempt: Attempt) -> None:
        key = f"lease:{attempt.request_id}:{attempt.attempt}"
        if self.others.is_gone(attempt.owner):
            self._give_up(attempt, sentences.ENDED)
            return
        age = seconds_between(attempt.started_at, self.store.now())
        by_database = not 0 <= age < self._lease_seconds  # from the future: a clock was wrong, and our own alone tells
        if self.patience.remaining_seconds(key, self._lease_seconds) == 0 and by_database:
            self._give_up(attempt, sentences.FROZEN)

    def _give_up(self, attempt: Attempt, why: str) -> None:
        ended = not self.others.is_alive_here(attempt.owner)
        if self.execution.give_up(attempt.request_id, attempt.attempt, why, ended=ended):
            log.warning("gave_up", extra={"facts": {"request": attempt.request_id, "why": why}})


def _settle_key(request_id: str, attempt: int) -> str:
    return f"settle:{request_id}:{attempt}"


def _backoff_key(request: Request) -> str:
    return f"backoff:{request.id}:{request.attempt}"
