"""One simulated world: processes, Ottu, Slack, people, time and trouble; all of it follows from one seed."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from approvals.audit import ChainKey
from approvals.execution import PAUSED
from approvals.policy import Policy, load
from approvals.request import Request, State
from approvals.sqlite import open_database
from approvals.store import Store
from approvals.work import Work
from bot.app import ACCOUNT, CROCKFORD
from tests.proofs.crowd import BOB, CEM, Crowd
from tests.proofs.oracles import Oracles
from tests.proofs.postman import DEAF, Postman
from tests.proofs.processes import ALL_GONE, NO_CLAIM_AGE, Simulated
from tests.proofs.scripted_ottu import Child, Deed, OttuScript, Payment
from tests.proofs.scripted_slack import SlackScript
from tests.proofs.virtual import Crashed, Loop, within

EPOCH = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
BASE_SECONDS = 100_000.0  # the loop's clock at the beginning: payments are older than that
WAKE_SECONDS = 0.4  # so soon a process sees what another has written
TROUBLED_SECONDS = 400.0
CALM_ROUND_SECONDS = 2_400.0
MOST_CALM_ROUNDS = 45
LIMIT_MINOR = 70_000
LATE_MONEY = "the gateway is slower than the settle window"
WOUNDS = (LATE_MONEY, NO_CLAIM_AGE, ALL_GONE, DEAF)
POLICY = """
[[limits]]
name = "daily"
operations = ["refund"]
currency = "KWD"
per = "all"
within = "24h"
total = "70.000"

[timing]
remind_after = ["4h"]
"""
SHM = Path("/dev/shm")  # noqa: S108 - only where the disk is memory; the folder in it is our own


@cache
def policy() -> Policy:
    """The policy of the tests, with a limit."""
    text = (Path(__file__).parents[1] / "data" / "policy.toml").read_text(encoding="utf-8")
    return load(text + POLICY)


@cache
def _template() -> bytes:
    """A database that has just been made."""
    with tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else None) as folder:
        path = Path(folder) / "bot.db"
        database = open_database(path)
        store = Store(database, ChainKey(), lambda: EPOCH)
        Work(store, "template:1:1").set_fact(ACCOUNT, {"url": "http://127.0.0.1:9"})
        store.record("database_created", "bot")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        return path.read_bytes()


class Simulation:
    """The world of one seed. A wound breaks an assumption or a part of the bot, which its judges must see (WOUNDS)."""

    def __init__(
        self, seed: int, processes: int = 2, *, say: Callable[[str], None] | None = None, wound: str = ""
    ) -> None:
        self.seed = seed
        self.random = random.Random(seed)  # noqa: S311 - the same again is what is wanted
        self.loop = Loop(BASE_SECONDS)
        self.folder = Path(tempfile.mkdtemp(prefix="ottu-bot-", dir=SHM if SHM.is_dir() else None))
        self.path = self.folder / "bot.db"
        self.path.write_bytes(_template())
        self.policy = policy()
        self.wound = wound
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.calm = False
        self.alive: dict[str, Simulated] = {}
        self.born = 0
        self.buried: list[Simulated] = []
        self._say = say
        self._tasks: set[asyncio.Task[Any]] = set()
        self._waking = False
        self._offset = timedelta()
        self._troubled_until = 0.0
        self._how_many = self.random.randint(1, processes)
        self._faults_left = self.random.choice([0, 1, 2, 3, 5])
        self._fault_rate = self.random.choice([0.003, 0.01, 0.03])
        self.ottu = self._an_ottu()
        self.slack = SlackScript(self, fault_rate=self.random.choice([0.0, 0.0, 0.05, 0.2]))
        self.postman = Postman(self, loss=self.random.choice([0.1, 0.5, 1.0]))
        self.crowd = Crowd(self)
        self.crowd.mistaken = self.random.random() < 0.04
        self.oracles = Oracles(self)
        self._reader = Store(open_database(self.path), ChainKey(), self.database_time)

    # --- what there is

    def _an_ottu(self) -> OttuScript:
        random = self.random
        script = OttuScript(
            self,
            key_stored=random.choice(["start", "success", "never"]),
            caps=random.random() < 0.7,
            has_child_ids=random.random() < 0.7,
            bad_hour=random.random() < 0.4,
        )
        if self.wound == LATE_MONEY:
            script.slowest_seconds = 9_000.0
        for number in range(random.choice([1, 1, 2])):
            state = random.choices(["paid", "authorized", "pending"], [6, 3, 1])[0]
            created_at = BASE_SECONDS - random.choice([60, 4_000, 4_000, 50_000, 50_000])
            payment = Payment(self.new_session(), f"ORD{number + 1}", state, 20_000, created_at)
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
        if not task.cancelled():
            task.exception()  # a broken connection is for whoever still listens

    # --- trouble

    def fault(self, *kinds: str) -> str:
        """Which of these happens here; nothing, mostly."""
        if self.calm or self._faults_left <= 0 or self.random.random() >= self._fault_rate:
            return ""
        self._faults_left -= 1
        return self.random.choice(kinds)

    def a_while(self) -> float:
        """For how long something is frozen or asleep."""
        return self.random.choice([3.0, 7.0, 30.0, 100.0, 400.0, 2_000.0])

    def trouble(self) -> None:
        self._troubled_until = self.loop.now + TROUBLED_SECONDS

    def is_troubled(self) -> bool:
        return self.loop.now < self._troubled_until

    async def _troubles(self, until: float) -> None:
        """What happens to everybody: clocks, outages, stops."""
        while True:
            await asyncio.sleep(self.random.expovariate(1 / 1_500))
            if self.loop.now > until:
                return
            kind = self.random.choice(["clock", "slack down", "401", "ottu down", "stop"])
            self.count(f"trouble: {kind}")
            self.say(f"trouble: {kind}")
            end = self.loop.now + self.random.choice([20, 200, 900])
            match kind:
                case "clock":
                    self._offset += timedelta(seconds=self.random.choice([-3_600, 3_600, -700, 700]))
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
            self.oracles.check_end()
        finally:
            self._unwind()
            self._reader.database.close()
            self.loop.close()
            asyncio.set_event_loop(None)
            shutil.rmtree(self.folder, ignore_errors=True)

    async def _course(self) -> None:
        until = self.loop.now + self.random.choice([900, 3_600, 6_000])
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
        patient = self.random.random() < 0.15  # nobody decides: what waits for people expires, or stays visible
        for _ in range(MOST_CALM_ROUNDS):
            await self._resume()
            if not patient:
                self._close_what_is_open()
            await asyncio.sleep(CALM_ROUND_SECONDS)
            if not self._waits_for_anything(patient):
                break
        await asyncio.sleep(1_000)  # the cards follow

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

    def _waits_for_anything(self, patient: bool) -> bool:
        return any(
            request.is_open
            and not (patient and request.state is State.UNKNOWN and self.oracles.is_for_people(request.id))
            for request in self.rows()
        )

    def _unwind(self) -> None:
        """Let every task end, in a world in which nothing can be written or sent any more."""
        processes = [*self.alive.values(), *self.buried]
        for process in self.alive.values():
            process.connection.close()
        for process in processes:
            process.fate.dead, process.fate.frozen = True, False
        left = [task for process in processes for task in process.fate.tasks if not task.done()]
        everything = [*left, *self._tasks]
        self.oracles.unexpected = list(self.loop.unexpected)
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
