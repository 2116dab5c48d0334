"""One simulated process: the bot's real parts on a connection of their own, and the points at which it can break."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any

from sqlite_utils import Database

import ottu
from approvals.audit import ChainKey
from approvals.policy_in_force import InForce
from approvals.sqlite import open_database
from approvals.store import Store
from approvals.work import Work
from bot.acquaintance import Acquaintance, CannotStart
from bot.app import GRACE_SECONDS, RECOVER_SECONDS, database_id
from bot.marker import Marker
from bot.parts import Given, put_together
from bot.processes import Others
from tests.proofs.scripted_slack import ScriptedSlack
from tests.proofs.virtual import Crashed, Fate, within
from tests.proofs.wire import Wire
from tests.proofs.wounds import ALL_GONE, NO_CLAIM_AGE

if TYPE_CHECKING:
    from tests.proofs.simulated import Simulation

CALM_RECOVER_SECONDS = 900.0  # nothing is left to recover then
WORKER_IDLE_SECONDS = 3600.0  # the simulation itself wakes the workers when something was written
WRITES = ("INSERT", "UPDATE", "DELETE")
NOT_NOTED = {
    "slack chat.update, answered": "card updated, not noted",
    "slack chat.postMessage, answered": "message posted, not noted",
}


def refused(why: str, code: int) -> sqlite3.OperationalError:
    """What SQLite raises."""
    error = sqlite3.OperationalError(why)
    error.sqlite_errorcode = code
    return error


async def _good_policy() -> None:
    """The one of the simulation needs no check."""


class Fetched:
    """What is left of a cursor when all has been read: only then is a write with RETURNING done."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self.description = cursor.description
        self._rows = cursor.fetchall()

    def fetchall(self) -> list[Any]:
        return self._rows


class Disk:
    """A connection whose every commit is a point: the process may end before it or after it, or be refused."""

    def __init__(self, database: Database, process: Simulated) -> None:
        self._database = database
        self._connection = database.conn
        self._process = process
        self._written = database.conn.total_changes

    @property
    def in_transaction(self) -> bool:
        return not (self._process.fate.dead or self._process.ended) and self._connection.in_transaction

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor | Fetched:
        """One statement of the bot's."""
        process, connection = self._process, self._connection
        process.check_alive()
        within_transaction = connection.in_transaction
        if sql.startswith("BEGIN") or (not within_transaction and sql.startswith(WRITES)):
            process.before_write()
        if sql == "COMMIT":
            process.before_commit()
        try:
            executed = connection.execute(sql, parameters)
            cursor = Fetched(executed) if " RETURNING " in sql else executed
        except sqlite3.OperationalError as error:
            if process.world.locked_by is not None and error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                process.world.count("locked by one that is frozen")
            raise
        if connection.total_changes != self._written and not connection.in_transaction:
            self._written = connection.total_changes
            process.written()
        return cursor

    def close(self) -> None:
        self._connection.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class PointedMarker(Marker):
    """The marker, with a point before and after it is written."""

    process: Simulated

    def write(self) -> None:
        self.process.here("marker")
        super().write()
        self.process.here("marker, written")


class Simulated:
    """One process from its start to its end."""

    def __init__(self, world: Simulation, number: int) -> None:
        self.world = world
        self.fate = Fate(f"p{number}")
        self.ended = False  # nothing of it may be written or sent any more
        self.owner = f"sim:{number}:{world.loop.now:.2f}"
        database = open_database(world.path)
        self.connection = database.conn
        self.connection.execute("PRAGMA busy_timeout = 0")  # to wait would be to wait in real time
        self.disk = Disk(database, self)
        database.conn = self.disk  # type: ignore[assignment]  # it does what a connection does
        self.store = Store(database, ChainKey(), world.database_time)
        self.work = Work(self.store, self.owner)
        client = ScriptedSlack(self, world.slack)
        gateway = ottu.Client(
            "http://127.0.0.1:9",
            ottu.ApiKey("simulated"),
            deadline_seconds=world.policy.timing.deadline_seconds,
            clock=(lambda: 0.0) if world.wound == NO_CLAIM_AGE else world.loop.time,
            transport=lambda: Wire(self, world.ottu),
        )
        marker = PointedMarker(world.folder, self.store, database_id(self.work), self.owner)
        marker.process = self
        given = Given(
            new_id=world.new_id,
            new_key=world.new_key,
            own_clock=world.loop.time,
            others=Others(is_gone=self._is_gone, is_alive_here=lambda owner: not self._is_gone(owner)),
            uniform=world.random.uniform,
            idle_seconds=WORKER_IDLE_SECONDS,
        )
        self.parts = put_together(
            InForce(world.bots_policy), self.work, client, gateway, marker, host="127.0.0.1", given=given
        )
        self.acquaintance = Acquaintance(client, self.parts.people, self.work, _good_policy)

    def _is_gone(self, owner: str) -> bool:
        return owner not in self.world.alive or (self.world.wound == ALL_GONE and owner != self.owner)

    # --- its life

    async def live(self) -> None:
        """What `Bot.serve` does, without its sockets."""
        try:
            self.parts.executing.adopt()
            self.parts.executing.recover()
        except sqlite3.Error:
            self.kill("start refused")
            return
        within(self.fate, self._meet())
        within(self.fate, self.parts.worker.run())
        within(self.fate, self._look_after())

    async def _meet(self) -> None:
        try:
            await self.acquaintance.meet()
        except CannotStart:
            self.kill("token refused at the start")

    async def _look_after(self) -> None:
        while True:
            world = self.world
            times = min(3, world.theme.looks_after) if world.is_troubled() else world.theme.looks_after
            calm = world.calm and not world.is_troubled()
            await asyncio.sleep(CALM_RECOVER_SECONDS if calm else RECOVER_SECONDS * times)  # each look costs
            try:
                self.parts.executing.recover()
            except sqlite3.Error:
                continue

    async def stop(self) -> None:
        """What SIGTERM does."""
        patience = self.world.policy.timing.deadline_seconds + GRACE_SECONDS
        await self.parts.worker.stop(patience={"execute": patience, "close": patience})
        try:
            self.work.forget_process(self.owner)
        except sqlite3.Error:
            self.world.count("stopped without a word")
        self.world.buries(self)

    # --- the points at which something happens to it

    def check_alive(self) -> None:
        if self.fate.dead or self.ended:
            raise Crashed(self.fate.name)

    def kill(self, where: str) -> None:
        """Nothing of it runs any more, and nothing more is written."""
        self.world.say(f"{self.fate.name} is killed: {where}")
        self.world.count(f"crash: {NOT_NOTED.get(where) or where.partition(' ')[0].strip(',')}")
        self.world.buries(self)

    def here(self, where: str) -> None:
        """A point between two steps without waiting: it may be killed, or the whole machine sleeps."""
        self.check_alive()
        fault = self.world.fault(where, "crash", "machine sleeps")
        if fault == "crash":
            self.kill(where)
            raise Crashed(where)
        if fault == "machine sleeps":
            self.world.count("machine sleeps")
            self.world.loop.now += self.world.a_while()

    async def point(self, where: str) -> None:
        """A point at which it waits for the network: it may be killed, or frozen for a while."""
        self.check_alive()
        fault = self.world.fault(where, "crash", "freeze")
        if fault == "crash":
            self.kill(where)
            raise Crashed(where)
        if fault == "freeze":
            self.freeze(where)
            await asyncio.sleep(0)

    def freeze(self, where: str) -> None:
        """As SIGSTOP does; and SIGCONT after a while."""
        seconds = self.world.a_while()
        self.world.say(f"{self.fate.name} is frozen for {seconds:.0f} s: {where}")
        self.world.count(f"freeze: {where.partition(' ')[0].strip(',')}")
        self.fate.frozen = True
        self.world.trouble()
        self.world.loop.call_at_world(self.world.loop.now + seconds, self.fate.thaw, self.world.loop)

    def _freeze_within_transaction(self) -> None:
        """It stops with the lock in its hand: all others go on, and can write nothing until it goes on, too."""
        self.freeze("transaction")
        self.world.locked_by = self.owner
        try:
            self.world.loop.run_while(lambda: self.fate.frozen)
        finally:
            self.world.locked_by = None
        self.check_alive()

    def before_write(self) -> None:
        """Another program may hold the lock."""
        self.here("disk, before")
        if self.world.fault("disk, before", "locked"):
            self.world.count("database locked")
            raise refused("database is locked", sqlite3.SQLITE_BUSY)

    def before_commit(self) -> None:
        """It may end before all of it is on disk, or stop for a while, or the disk be full."""
        self.here("disk, uncommitted")
        if self.owner in self.world.alive and self.world.fault("disk, uncommitted", "freeze"):
            self._freeze_within_transaction()
        if self.world.fault("disk, uncommitted", "full"):
            self.world.count("disk full")
            raise refused("database or disk is full", sqlite3.SQLITE_FULL)

    def written(self) -> None:
        """Something is on disk."""
        self.world.wake()
        self.world.oracles.look(self)
        self.here("disk, committed")
