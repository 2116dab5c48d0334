"""One simulated world: processes, Ottu, Slack, people, time and trouble; all of it follows from one seed."""

from __future__ import annotations

import asyncio
import gc
import random
import shutil
import sqlite3
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from approvals.audit import ChainKey
from approvals.execution import PAUSED
from approvals.request import Request, State
from approvals.sqlite import open_database
from approvals.store import Store
from bot.app import CROCKFORD
from tests.proofs.beginnings import EPOCH, policy, template
from tests.proofs.crowd import BOB, CEM, Crowd
from tests.proofs.jobs import is_busy
from tests.proofs.memory import MEMORY
from tests.proofs.oracles import Oracles
from tests.proofs.postman import Postman
from tests.proofs.processes import Simulated
from tests.proofs.scripted_ottu import Child, Deed, OttuScript, Payment
from tests.proofs.scripted_slack import SlackScript
from tests.proofs.themes import Theme, theme_of
from tests.proofs.virtual import Crashed, Loop, within
from tests.proofs.wounds import LATE_MONEY, wounded

BASE_SECONDS = 100_000.0  # the loop's clock at the beginning: payments are older than that
WAKE_SECONDS = 0.4  # so soon a process sees what another has written
TROUBLED_SECONDS = 400.0
CALM_ROUND_SECONDS = 2_400.0
MOST_CALM_ROUNDS = 45
MOST_LAST_SECONDS = 120
MOST_HITS = 10  # of those that a theme makes frequent: else nothing would ever get done


class Simulation:
    """The world of one seed. A wound breaks an assumption or a part of the bot, which its judges must see (WOUNDS)."""

    def __init__(
        self,
        seed: int,
        processes: int = 2,
        *,
        say: Callable[[str], None] | None = None,
        wound: str = "",
        theme: Theme | None = None,
    ) -> None:
        self.seed = seed
        self.random = random.Random(seed)  # noqa: S311 - the same again is what is wanted
        self.loop = Loop(BASE_SECONDS)
        self.folder = Path(tempfile.mkdtemp(prefix="ottu-bot-", dir=MEMORY))
        self.path = self.folder / "bot.db"
        self.path.write_bytes(template())
        self.theme = theme or theme_of(seed)
        self.policy = policy(self.theme.terms)
        self.bots_policy = wounded(self.policy, wound)
        self.wound = wound
        self.locked_by: str | None = None  # who was stopped with the lock of the database in its hand
        self.jumped_seconds = 0.0  # so far the database's clock has jumped, to and fro
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.calm = False
        self.patient = False  # nobody decides in the end: what waits for people expires, or stays visible
        self.alive: dict[str, Simulated] = {}
        self.born = 0
        self.buried: list[Simulated] = []
        self._say = say
        self._tasks: set[asyncio.Task[Any]] = set()
        self._waking = False
        self._offset = timedelta()
        self._troubled_until = 0.0
        self._how_many = min(self.theme.processes or self.random.randint(1, processes), processes)
        self._hits_left = MOST_HITS
        self._faults_left = self.random.choice(self.theme.faults)
        self._fault_rate = self.random.choice([0.003, 0.01, 0.03])
        self.ottu = self._an_ottu()
        self.slack = SlackScript(self, fault_rate=self.random.choice([0.0, 0.0, 0.05, 0.2]))
        self.postman = Postman(self, loss=self.random.choice(self.theme.loss))
        self.crowd = Crowd(self)
        self.crowd.mistaken = self.random.random() < self.theme.mistaken
        self.count(f"theme: {self.theme.name}")
        self.say(f"a world of the theme: {self.theme.name}")
        self.oracles = Oracles(self)
        database = open_database(self.path)
        self._reader = Store(database, ChainKey(), self.database_time)
        self._next_due: str | None = None

    # --- what there is

    def _an_ottu(self) -> OttuScript:
        random, theme = self.random, self.theme
        script = OttuScript(
            self,
            key_stored=random.choice(theme.key_stored),
            caps=random.random() < theme.caps,
            has_child_ids=random.random() < 0.7,
            ways=random.choice(theme.ways),
            lag_seconds=theme.lag_seconds,
        )
        if self.wound == LATE_MONEY:
            script.slowest_seconds = 9_000.0
        for number in range(random.choice(theme.payments)):
            state = random.choices(list(theme.states), list(theme.states.values()))[0]
            created_at = BASE_SECONDS - random.choice(theme.ages_seconds)
            payment = Payment(self.new_session(), f"ORD{number + 1}", state, theme.payment_minor, created_at)
            if state == "paid" and random.random() < 0.4:
                payment.children.append(Child(self.new_session(), "refunded", 2_000))
            script.payments.append(payment)
        return script

    def new_session(self) -> str:
        return f"{self.random.getrandbits(160):040x}"

    def new_reference(self) -> str:
        return f"REF{self.random.getrandbits(40):010X}"

    def new_id(self, length: int) -> str:
        return "R-" + "".join(self.random.choice(CROCKFORD) for _ in range(length))

    def new_key(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128)))

    def database_time(self) -> datetime:
        return EPOCH + timedelta(seconds=self.loop.now) + self._offset

    @property
    def store(self) -> Store:
        """The record, by a connection to which nothing happens."""
        return self._reader

    def everybody(self) -> list[Simulated]:
        """The processes that live, and those that have ended."""
        return [*self.alive.values(), *self.buried]

    def row(self, request_id: str) -> Request | None:
        return self._reader.get(request_id)

    def rows(self) -> list[Request]:
        return self._reader.select("1 ORDER BY created_at, id")

    def is_paused(self) -> bool:
        return bool(self._reader.rows("SELECT 1 FROM work_facts WHERE name = :name", name=PAUSED))

    # --- bookkeeping

    def count(self, what: str) -> None:
        self.counts[what] += 1

    def say(self, what: str) -> None:
        if self._say is not None:
            self._say(f"{self.loop.now - BASE_SECONDS:10.2f} {what}")

    def fail(self, why: str) -> None:
        """A promise is broken."""
        self.say(f"BROKEN: {why}")
        self.failures.append(why)

    def around(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task of the world, not of a process."""
        task = within(None, coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Crashed | httpx.HTTPError):  # that is for whoever still listens
            self.fail(f"unexpected in the world: {error!r}")

    # --- trouble

    def fault(self, where: str, *kinds: str) -> str:
        """Which of these happens here; nothing, mostly."""
        if self.calm:
            return ""
        for hit in self.theme.hits if self._hits_left > 0 else ():
            if hit.kind in kinds and where.startswith(hit.where) and self.random.random() < hit.rate:
                self._hits_left -= 1
                return hit.kind
        if self._faults_left <= 0 or self.random.random() >= self._fault_rate:
            return ""
        self._faults_left -= 1
        return self.random.choice(kinds)

    def a_while(self) -> float:
        """For how long something is frozen or asleep."""
        return self.random.choice(self.theme.stops_seconds)

    def trouble(self) -> None:
        self._troubled_until = self.loop.now + TROUBLED_SECONDS

    def is_troubled(self) -> bool:
        return self.loop.now < self._troubled_until

    async def _troubles(self, until: float) -> None:
        """What happens to everybody: clocks, outages, stops."""
        while True:
            await asyncio.sleep(self.random.expovariate(1 / self.theme.trouble_seconds))
            if self.loop.now > until:
                return
            kinds = self.theme.troubles
            kind = self.random.choices(list(kinds), list(kinds.values()))[0]
            self.count(f"trouble: {kind}")
            self.say(f"trouble: {kind}")
            end = self.loop.now + self.random.choice(self.theme.outage_seconds)
            match kind:
                case "clock":
                    seconds = self.random.choice([-3_600, 3_600, -700, 700])
                    self._offset += timedelta(seconds=seconds)
                    self.jumped_seconds += abs(seconds)
                    self.wake()
                case "slack down":
                    self.slack.down_until = end
                case "401":
                    self.ottu.unauthorized_until = end
                case "ottu down":
                    self.ottu.unreachable_until = end
                case "stop":
                    self._stop_one()

    def _stop_one(self) -> None:
        if self.alive:
            process = self.random.choice(list(self.alive.values()))
            within(process.fate, process.stop())

    def buries(self, process: Simulated) -> None:
        """It has ended; another will come in its place."""
        if process.fate.dead:
            return
        process.fate.dead = True
        process.connection.close()
        self.alive.pop(process.owner, None)
        self.buried.append(process)
        self.trouble()
        self.around(self._start(self.random.choice([0.5, 5, 60, 300])))

    async def _start(self, delay_seconds: float) -> None:
        await asyncio.sleep(delay_seconds)
        if self.locked_by is not None:
            self.around(self._start(5))  # it cannot start; whatever looks after it tries again
            return
        self.born += 1
        try:
            process = Simulated(self, self.born)
        except Crashed:
            return
        except sqlite3.Error:
            self.around(self._start(5))  # it cannot start; whatever looks after it tries again
            return
        self.alive[process.owner] = process
        self.count("started")
        self.say(f"{process.fate.name} starts")
        within(process.fate, process.live())

    def wake(self) -> None:
        """Every worker looks soon: it polls, in reality, once a second."""
        if not self._waking:
            self._waking = True
            self.loop.call_at_world(self.loop.now + WAKE_SECONDS, self._wake_all)

    def _wake_all(self) -> None:
        self._waking = False
        rows = self._reader.rows("SELECT min(due_at) AS due FROM work_jobs WHERE done_at IS NULL AND owner IS NULL")
        before, self._next_due = self._next_due, rows[0]["due"]
        if self._next_due is None or (self._next_due == before and self._next_due > self._reader.now()):
            return  # they would find what they have found before
        for process in self.alive.values():
            process.work.on_change()

    def moved(self, deed: Deed) -> None:
        """The gateway has decided something."""
        self.oracles.moved(deed)
        self.postman.send(deed)

    # --- the course of it

    def run(self) -> None:
        """All of it, to the end; then what is left is unwound, and nothing of that is written."""
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._course())
            gc.collect()  # an error that nobody fetched is told of only then
            self.oracles.check_end()
        finally:
            self._unwind()
            self._reader.database.close()
            self.loop.close()
            asyncio.set_event_loop(None)
            shutil.rmtree(self.folder, ignore_errors=True)

    async def _course(self) -> None:
        until = self.loop.now + self.random.choice(self.theme.lasts_seconds)
        for _ in range(self._how_many):
            await self._start(0)
        self.around(self.crowd.ask())
        self.around(self.crowd.act(until))
        self.around(self.crowd.dashboard(until))
        self.around(self._troubles(until))
        await asyncio.sleep(until - self.loop.now)
        await self._calm()

    async def _calm(self) -> None:
        """Everything works again, and everybody has time: now everything must come to its end."""
        self.calm = True
        self.say("calm")
        self.slack.down_until = self.ottu.unauthorized_until = self.ottu.unreachable_until = 0.0
        for process in self.alive.values():
            process.fate.thaw(self.loop)
        self.trouble()
        await asyncio.sleep(700)
        self.patient = self.random.random() < self.theme.patient
        await self._everybody_has_time()
        await asyncio.sleep(self.theme.goes_on_seconds)  # the cards follow
        await self._everybody_has_time()  # the bank may have decided meanwhile, or be silent for too long
        for _ in range(MOST_LAST_SECONDS):  # something may have come at the last moment
            if not is_busy(self._reader):
                break
            await asyncio.sleep(1)

    async def _everybody_has_time(self) -> None:
        for _ in range(MOST_CALM_ROUNDS):
            await self._resume()
            if not self.patient:
                self._close_what_is_open()
            await asyncio.sleep(CALM_ROUND_SECONDS)
            if not any(request.is_open and not self.may_wait(request) for request in self.rows()):
                break

    async def _resume(self) -> None:
        while self.is_paused():
            self.crowd.type(BOB, "resume")
            await asyncio.sleep(20)

    def _close_what_is_open(self) -> None:
        for card in self.slack.cards():
            told = card.told("ottu_request") or {}
            if told["state"] == State.UNKNOWN and self.oracles.is_for_people(told["request"]):
                for person in (BOB, CEM, "U01ALICE"):
                    self.crowd.say(card, told["request"], person)
            elif told["state"] == State.PENDING:
                self.crowd.about(card)

    def may_wait(self, request: Request) -> bool:
        """Does it wait for people, where nobody decides?"""
        return self.patient and self.oracles.is_for_people(request.id)

    def _unwind(self) -> None:
        """Let every task end, in a world in which nothing can be written or sent any more."""
        processes = self.everybody()
        for process in self.alive.values():
            process.connection.close()
        for process in processes:
            process.fate.dead, process.fate.frozen = True, False
        left = [task for process in processes for task in process.fate.tasks if not task.done()]
        everything = [*left, *self._tasks]
        for process in processes:
            process.fate.dead = False  # so that its tasks may end; its connection is closed
            process.ended = True
            self.loop.again(process.fate.held)
        for task in everything:
            task.cancel()
        if everything:
            self.loop.run_until_complete(asyncio.wait(everything))
        for task in everything:
            if not task.cancelled():
                task.exception()
