"""What the worker does with each kind of job: which lane, and the handlers for check, expire, lapse and probe."""

from __future__ import annotations

from collections.abc import Callable

from approvals.execution import Execution
from approvals.request import Refusal, Request, State
from approvals.service import Service
from approvals.store import Store, later
from approvals.work import Job, Work
from bot import answers, results
from bot.delivery import Delivery
from bot.executing import Executing
from bot.homes import Homes
from bot.inbox import Inbox
from bot.people import People
from bot.reader import Later, Reader
from bot.webhook import on_webhook
from bot.worker import Lane, PutBack

PROBE_SECONDS = 15.0
PROBE_SECONDS_MOST = 60.0  # so soon after new credentials are in place, executions go on


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

    def lanes(self, inbox: Inbox, executing: Executing, homes: Homes, parallel: Callable[[], int]) -> list[Lane]:
        """Which kinds of jobs there are, who does them, and how many at once."""
        return [
            Lane("inbox", {"command": inbox.on_command, "click": inbox.on_click, "webhook": self.webhook}, 16),
            Lane("inquiry", {"inquiry": inbox.on_command}, 4),
            Lane("check", {"check": self.check}, 8),
            Lane("execute", {"execute": executing.execute, "resend": executing.resend}, parallel),
            Lane(
                "close", {"close": executing.close, "queued": executing.queued, "overdue": executing.overdue}, parallel
            ),
            Lane("card", {"card": self.delivery.card, "link": self.delivery.link}, 4),
            Lane("notice", {"notice": self.delivery.notice, "alarm": self.delivery.alarm, "head": self.head}, 4),
            Lane("answer", {"answer": self.delivery.answer}, 8),
            Lane("home", {"home_opened": homes.opened, "home": homes.publish}, 2),
            Lane("timer", {"expire": self.expire, "lapse": self.lapse, "probe": self.probe, "remind": self.remind}, 4),
        ]

    async def webhook(self, job: Job) -> None:
        await on_webhook(self.execution.hooks, job)

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
        checked = self.service.check(request.id, read, await self.people.members_now(lambda: self.service.policy))
        before = self.service.done_before(checked) if checked and checked.is_open else None
        if checked and before:
            self.delivery.answer_requester(f"before:{checked.id}", checked, results.repetition(checked, before))

    def _refuse(self, request_id: str, refusal: Refusal) -> None:
        with self.store.transaction():
            request = self.store.get(request_id)
            if request is not None and request.state is State.CHECKING:
                self.service.refuse(request, refusal)

    def _tell_waiting(self, request: Request, why: str, seconds: float) -> None:
        """The requester is told once that it waits, and until when."""
        until = later(self.store.now(), seconds=seconds)
        self.delivery.answer_requester(f"waiting:{request.id}", request, answers.waiting(request, why, until))

    # --- credentials

    async def probe(self, job: Job) -> None:
        """After a 401: ask a harmless question until the credentials are accepted again."""
        if await self.reader.probe():
            self.execution.accept_credentials()
            return
        raise PutBack(min(PROBE_SECONDS * job.tries, PROBE_SECONDS_MOST))

    # --- time

    async def remind(self, job: Job) -> None:
        """Ask those who can still decide, while the request waits for them."""
        request = self.store.get(str(job.payload["request"]))
        if request is None or request.state is not State.PENDING:
            return
        deciders = self.service.deciders(request, await self.people.members_now(lambda: self.service.policy))
        if deciders:
            await self.delivery.call(job, request, deciders)

    def arm_head(self) -> None:
        """The head of the record goes to the audit channel, where there is one, when this day is over (UTC)."""
        if self.service.policy.channels.audit is not None:
            day = self.store.now()[:10]
            over_at = later(f"{day}T00:00:00.000Z", days=1)
            self.work.add(f"head:{day}", "head", {"since": over_at}, due_at=over_at)

    async def head(self, job: Job) -> None:
        """The day is over, maybe long ago: one message, and the next when this day is over."""
        self.arm_head()
        channel = self.service.policy.channels.audit
        if channel is not None:
            await self.delivery.head(job, channel)

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
