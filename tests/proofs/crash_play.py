"""One trial: people use the real bot while it is killed or frozen at chosen points, and carry on after it is back."""

from __future__ import annotations

import asyncio
import signal
import socket
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlite_utils import Database

from approvals.audit import ChainKey
from approvals.request import Request, State
from approvals.store import Store, seconds_between
from sandbox.ottu_answers import time_text
from sandbox.slack_delivery import Ack
from sandbox.slack_records import Impossible
from tests.bot.world import ALICE, BOB, CEM, World
from tests.proofs.crash_trial import (
    DEADLINE_SECONDS,
    FAULTS,
    POLICY,
    SCENARIOS,
    SETTLE_SECONDS,
    SLOW_SECONDS,
    UNREADABLE,
    Stage,
    Trial,
    Tried,
)
from tests.proofs.nursery import Child, Order

LEASE_SECONDS = 3 * DEADLINE_SECONDS
FREEZE_SECONDS = LEASE_SECONDS + 1.2  # what is sent after it is clearly late
THAW_SECONDS = 0.5  # in which a process that would do something late does it
TRIAL_SECONDS = 120.0  # a busy machine is no proof of anything
CALM_SECONDS = 0.1  # what a busy machine may add to Ottu's slowness
LOOK_SECONDS = 0.01
DISK_SECONDS = 0.04  # between two looks at the database, which cost more
BEGUN_SECONDS = 0.4  # so long after its birth, and in touch with Slack, a bot has opened its database
MOST_DECISIONS = 6  # the first by a process that is too young to know how long it was, another by one that is killed
STUCK = "without an end"
LATER_KINDS = {"expire", "lapse", "remind", "queued", "overdue", "probe"}  # jobs that wait for a time of their own


class Play:
    """One trial on the stage, from the first start to the end of the request."""

    def __init__(self, stage: Stage, trial: Trial) -> None:
        stage.count += 1
        self.stage = stage
        self.trial = trial
        self.scenario = SCENARIOS[trial.scenario]
        self.order_no = f"K{stage.count}"
        self.tried = Tried()
        self.accepted_command = False
        self.accepted_clicks: set[str] = set()
        self.lives: list[Child] = []
        self.thawed = asyncio.Event()
        self._is_after_the_thaw = False
        folder = stage.folder / self.order_no
        folder.mkdir()
        self.tried.folder = str(folder)
        self._reserved = ExitStack()  # the ports
        self._reading = ExitStack()
        self._store: Store | None = None
        self.world = World(folder, stage.slack, stage.ottu, stage.ottu_url, trial.line, POLICY)
        self.port = 0
        self.bank_paid = False
        self._born_at = 0.0
        self._older_sockets: set[object] = set()  # of processes before the newest
        (folder / "policy.toml").write_text(POLICY, encoding="utf-8")

    async def run(self) -> None:
        """To the end of the request, or to what went wrong on the way. Every process is gone then."""
        self._set_up()
        keeping = asyncio.create_task(self._keep_alive())
        people = asyncio.create_task(self._people())
        try:
            async with asyncio.timeout(TRIAL_SECONDS):
                await asyncio.wait({keeping, people}, return_when=asyncio.FIRST_COMPLETED)
            for task in (people, keeping):
                if task.done():
                    task.result()
        except TimeoutError:
            self.tried.failures.append((STUCK, f"after {TRIAL_SECONDS} s: {self._where()}"))
        finally:
            for task in (keeping, people):
                task.cancel()
            await asyncio.gather(keeping, people, return_exceptions=True)
            for child in self.lives:
                await child.kill()
            await self._until(self._is_calm)
            await self.stage.ottu.webhooks.close()
            self.tried.ended = "; ".join(f"{one.state}: {one.detail}" for one in self.requests())
            self.tried.by_webhook = self.is_told()
            self.tried.points = [[str(point) for point in child.points] for child in self.lives]
            self._stop_reading()
            self._reserved.close()
            await self._until(lambda: not self.stage.slack.outbox.sockets, LOOK_SECONDS)

    def _set_up(self) -> None:
        state, ottu = self.stage.slack.state, self.stage.ottu
        for kept in (state.messages, state.failures, state.calls, state.response_urls, state.triggers, state.views):
            kept.clear()
        state.faults.clear()
        ottu.faults.clear()
        ottu.requests.clear()
        ottu.webhooks.sent.clear()
        ottu.configure(key_stored=self.trial.key, webhook_url=None)
        self.stage.slack.outbox.request_url = ""
        amount, currency, status = self.scenario.payment
        ottu.create(self.order_no, amount, currency, status)
        if fault := FAULTS[self.trial.fault]:
            ottu.fault(**fault, match=self.order_no)

    # --- the processes

    def _bear(self, strike: str | None) -> Child:
        variables = self.world.variables
        if self.trial.line == "http":
            variables |= self._at_a_port()
        order = Order(
            variables=variables,
            log=str(self.world.folder / "bot.log"),
            target=strike,
            blow=self.trial.blow,
            tell=self.trial.tell,
            ports={
                urlsplit(self.stage.ottu_url).port or 0: "ottu",
                urlsplit(self.stage.slack.api_url).port or 0: "slack",
            },
        )
        self._stop_reading()
        self._born_at = time.monotonic()
        self._older_sockets = set(self.stage.slack.outbox.sockets)
        self.lives.append(self.stage.nursery.bear(order))
        return self.lives[-1]

    def _at_a_port(self) -> dict[str, str]:
        """Have Slack and Ottu call the next process, at a port of its own."""
        self.port = self._reserved_port()
        self.stage.slack.outbox.request_url = f"http://127.0.0.1:{self.port}/slack/events"
        self.stage.ottu.configure(webhook_url=f"http://127.0.0.1:{self.port}/ottu/webhook")
        return {"PORT": str(self.port), "OTTU_WEBHOOK_KEY": self.stage.ottu.settings.webhook_key}

    def _reserved_port(self) -> int:
        """One that nobody else gets: whoever has bound it, and does not listen, leaves it to the bot alone."""
        one = self._reserved.enter_context(socket.socket())
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])

    async def _keep_alive(self) -> None:
        """As a supervisor does: whenever the bot is gone, start it again."""
        for number in range(100):
            strike = self.trial.strikes[number] if number < len(self.trial.strikes) else None
            child = self._bear(strike)
            if strike is not None and self.trial.blow == "freeze":
                await self._freeze(child)
                return
            await child.gone.wait()
            if not child.struck.is_set():
                raise AssertionError(f"the bot ended by itself: {child.refused}")
            self.tried.struck += 1

    async def _freeze(self, child: Child) -> None:
        """Another process takes over; the frozen one comes back when its lease is long over."""
        await _first(child.struck.wait(), child.gone.wait())
        if child.gone.is_set():
            raise AssertionError(f"the bot ended by itself: {child.refused}")
        self.tried.struck += 1
        taking_over = asyncio.create_task(self._take_over())
        try:
            await asyncio.sleep(FREEZE_SECONDS)
            child.signal(signal.SIGCONT)
            self.thawed.set()
            await _first(child.gone.wait(), taking_over)
            raise AssertionError(f"one of two bots ended by itself: {child.refused or self.lives[-1].refused}")
        finally:
            taking_over.cancel()

    async def _take_over(self) -> None:
        """The other process. One that was frozen in a transaction keeps it out: then it is started again."""
        while True:
            other = self._bear(None)
            await other.gone.wait()
            if "locked" not in (other.refused or ""):
                return

    # --- the people

    async def _people(self) -> None:
        await self._ask()
        if self.trial.fault == "lost and unreadable":
            await self._until(lambda: self._approvable() or self._is_decided())
            self.stage.ottu.fault(**UNREADABLE, match=self.order_no)
        for person in self.scenario.approvers:
            await self._approve(person)
        request = await self._thawed_end()
        for number in range(MOST_DECISIONS):
            if request.state is not State.UNKNOWN:
                break
            if number:  # a process that has just begun says that it is too early
                await asyncio.sleep(SETTLE_SECONDS)
            await self._decide(request)
            request = await self._thawed_end()
        if request.state is State.QUEUED and self.trial.line == "http":
            await self._up()
            await self._bank(request)
            if self.is_told():
                await self._until(lambda: self.requests()[0].state is not State.QUEUED)
            await self._thawed_end()
        await self.stage.ottu.webhooks.drain()  # what is on its way may set the bot to work once more
        await self._end()

    async def _bank(self, request: Request) -> None:
        """It pays what is queued, and Ottu says so, once. The bot may be struck just then."""
        assert request.session_id is not None
        self.bank_paid = True
        self.stage.ottu.settle_queued(request.session_id)
        await self.stage.ottu.webhooks.drain()

    async def _thawed_end(self) -> Request:
        """The end; of a trial with a freeze, what is the end when the frozen process has gone on for a while."""
        request = await self._end()
        if await self._goes_on():
            request = await self._end()
        return request

    async def _goes_on(self) -> bool:
        """Where a process is frozen: until it has gone on for a while. False where there is nothing to wait for."""
        if self.trial.blow != "freeze" or self._is_after_the_thaw:
            return False
        await asyncio.sleep(LOOK_SECONDS)  # in which a blow is heard that was struck already
        if not self.lives[0].struck.is_set():
            return False
        await self.thawed.wait()
        await asyncio.sleep(THAW_SECONDS)
        self._is_after_the_thaw = True
        return True

    async def _ask(self) -> None:
        text = self.scenario.text.format(self.order_no)
        while True:
            await self._up()
            if self.trial.tell and not self.tried.began:
                await self._in_touch()
                self.tried.began = len(self.lives[0].points)
            if await self._is_accepted(self.world.type(ALICE, text)):
                self.accepted_command = True
                return
            await self._heard("command")
            if self.requests():
                return

    async def _approve(self, person: str) -> None:
        while True:
            await self._until(lambda: self._approvable() or self._has_decided(person))
            if self._has_decided(person):
                return
            await self._up()
            try:
                if await self._is_accepted(self.world.press(person, "approve")):
                    self.accepted_clicks.add(person)
                    return
            except (Impossible, LookupError):
                continue
            await self._heard("click")

    async def _heard(self, kind: str) -> None:
        """Until it is clear what became of what was not acknowledged. Over HTTP a frozen bot may still have it in its
        socket, and take it when it goes on."""
        await self._until(lambda: self._is_idle(kind))
        if self.trial.line == "http" and await self._goes_on():
            await self._until(lambda: self._is_idle(kind))

    def _approvable(self) -> bool:
        try:
            return "approve" in [element["action_id"] for _, element in self.world.card().elements]
        except LookupError:
            return False

    def _has_decided(self, person: str) -> bool:
        given = self.rows("SELECT 1 FROM approvals WHERE person = :person", person=person)
        return bool(given) or self._is_decided()

    def _is_decided(self) -> bool:
        return bool(self.rows("SELECT 1 FROM requests WHERE state NOT IN ('checking', 'pending')"))

    async def _decide(self, request: Request) -> None:
        """It waits for people: they press the button that the card has, else two of them say what they saw."""
        card = self.world.card()
        if "resend" in [element["action_id"] for _, element in card.elements]:
            await self._up()
            if await self._is_accepted(self.world.press(CEM, "resend", card)):
                await self._until(lambda: self._is_idle("click", "resend"))
            return
        self.tried.by_people = True
        if self.is_queued():  # they wait for the bank before they say anything
            await self._bank(request)
        outcome = "succeeded" if self.is_done() else "failed"
        for person in (BOB, CEM):
            await self._up()
            await self._is_accepted(self.world.type(person, f"close {request.id} {outcome} seen in the dashboard"))
            await self._until(lambda: self._is_idle("command"))

    async def _is_accepted(self, act: Awaitable[Ack]) -> bool:
        """Was it acknowledged, as the person sees it? A process that is gone acknowledges nothing more."""
        acting = asyncio.ensure_future(act)
        gone = asyncio.create_task(self.lives[-1].gone.wait())
        await asyncio.wait({acting, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not acting.done():
            await asyncio.wait({acting}, timeout=0.1)  # what was sent before the end is still on its way
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        if not acting.done():
            acting.cancel()
            await asyncio.gather(acting, return_exceptions=True)
            return False
        return acting.result().ok

    # --- waiting and looking

    async def _up(self) -> None:
        await self._until(self._is_up, LOOK_SECONDS)

    async def _in_touch(self) -> None:
        """Until the bot and Slack have met: over HTTP it listens before that."""
        while self.trial.line == "http":
            reading, writing = await asyncio.open_connection("127.0.0.1", self.port)
            writing.write(b"GET /readyz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            answer = await reading.read()
            writing.close()
            if b'"slack":true' in answer.replace(b" ", b""):
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _is_up(self) -> bool:
        """Is the newest process there, and can Slack reach it? One that is being killed may listen a moment longer."""
        newest = self.lives[-1]
        if newest.gone.is_set() or (newest.struck.is_set() and self.trial.blow == "kill"):
            return False
        if self.trial.line == "http":
            return listens(self.port)
        return not self._older_sockets.issuperset(self.stage.slack.outbox.sockets)

    async def _end(self) -> Request:
        """Over at two looks by the same process: what is on disk may be seen before its own end is heard."""
        while True:
            await self._until(self._is_over)
            child = self.lives[-1]
            await asyncio.sleep(DISK_SECONDS)
            if self.lives[-1] is child and self._is_over():
                return self.requests()[0]

    async def _until(self, look: Callable[[], object], seconds: float = DISK_SECONDS) -> None:
        while not look():  # noqa: ASYNC110 - what another process does, it tells nobody
            await asyncio.sleep(seconds)

    def requests(self) -> list[Request]:
        """The requests on disk, as another process sees them; none while there is no database to read."""
        with self._read() as store:
            return store.select("1") if store else []

    def rows(self, sql: str, **parameters: object) -> list[dict[str, Any]]:
        with self._read() as store:
            return store.rows(sql, **parameters) if store else []

    @contextmanager
    def _read(self) -> Iterator[Store | None]:
        """The record, kept open while a bot is up: to open it costs more than to read.

        Not before: whoever had it open when the last bot was killed would spare the next one SQLite's own recovery.
        """
        if self._store is None and self._has_begun():
            self._store = self._reading.enter_context(reading(self.world.folder / "bot.db"))
        if self._store is not None:
            yield self._store
            return
        with reading(self.world.folder / "bot.db") as store:
            yield store

    def _has_begun(self) -> bool:
        """Has the newest process opened the database for certain?"""
        return self._is_up() and time.monotonic() - self._born_at > BEGUN_SECONDS

    def _stop_reading(self) -> None:
        self._reading.close()
        self._store = None

    def _is_idle(self, *kinds: str) -> bool:
        """Is nothing of these kinds left to do? Only what is read from a running bot's database counts."""
        return self._is_up() and not set(self._waiting()) & set(kinds)

    def _waiting(self, before: str = "+9999 days") -> list[str]:
        """The kinds of what is to be done until then, or is being done."""
        rows = self.rows(
            "SELECT kind FROM work_jobs WHERE done_at IS NULL AND (owner IS NOT NULL"
            " OR due_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', :before))",
            before=before,
        )
        return [row["kind"] for row in rows]

    def _is_over(self) -> bool:
        """Final, or waiting for people or the bank, and all that follows from it done, by a bot that is there.

        One that was killed at its last step has its recovery still before it.
        """
        if not self._is_up() or not set(self._waiting(before="+60 seconds")) <= LATER_KINDS:
            return False
        requests = self.requests()
        ended = [one for one in requests if not one.is_open or one.state in {State.UNKNOWN, State.QUEUED}]
        return bool(requests) and len(ended) == len(requests)

    def is_done(self) -> bool:
        """Has the local Ottu done it?"""
        if self.scenario.kind == "cancel":
            payment = self.stage.ottu.book.find(order_no=self.order_no)
            return payment is not None and payment.state == "canceled"
        return any(movement.order_no == self.order_no for movement in self.stage.ottu.ledger)

    def is_queued(self) -> bool:
        """Does a refund wait at the bank?"""
        payment = self.stage.ottu.book.find(order_no=self.order_no)
        return payment is not None and any(child.state == "refund_queued" for child in payment.children)

    def is_told(self) -> bool:
        """Has the bot taken the webhook of what the bank did?"""
        sent = self.stage.ottu.webhooks.sent
        return self.bank_paid and any(one.outcome == "200" and one.body["result"] == "success" for one in sent)

    def _is_calm(self) -> bool:
        """Can no operation move money any more? Ottu carries on also for a caller that is dead."""
        if "seconds_before" not in FAULTS[self.trial.fault]:
            return True
        now = time_text(self.stage.ottu.clock())
        calls = [one for one in self.stage.ottu.requests if one.path.endswith("/operation/")]
        return all(seconds_between(one.at, now) > SLOW_SECONDS + CALM_SECONDS for one in calls)

    def _where(self) -> str:
        jobs = self.rows("SELECT key, due_at, owner, tries FROM work_jobs WHERE done_at IS NULL")
        rows = self.rows("SELECT id, state, version, attempt, detail FROM requests")
        return f"{rows} {jobs}"


def listens(port: int) -> bool:
    """Does anybody listen there?"""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def reading(database: Path) -> Iterator[Store | None]:
    """The record as it is on disk, to be read only; None where there is none yet."""
    connection = None
    try:
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        connection.execute("SELECT 1 FROM requests LIMIT 1")
        store = Store(Database(connection, execute_plugins=False), ChainKey(b""))
    except sqlite3.OperationalError:
        store = None
    try:
        yield store
    finally:
        if connection is not None:
            connection.close()


async def _first(*waits: Awaitable[object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
