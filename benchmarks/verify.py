"""How fast `audit verify` is, and how much memory it takes: `python benchmarks/verify.py [EVENTS]`.

A record of 1,000,000 events is made in a temporary folder, and verified in one pass. The measure is a ratio, because
seconds depend on the machine: to a floor, measured in the same run, which reads the same rows and hashes each once.
Seconds are of the processor, which others use too.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from approvals.audit import ChainKey, hashed
from approvals.execution import Execution
from approvals.policy import load
from approvals.policy_in_force import InForce
from approvals.reading import Reading
from approvals.request import SEEN, Ending, Operation, Outcome, Refusal, Submission, digest
from approvals.service import Service
from approvals.sqlite import open_database
from approvals.store import Store
from approvals.verify import differences
from approvals.work import Work

EVENTS = 1_000_000
KEY = ChainKey(b"a key of the benchmark")
MEMBERS = {"agents": frozenset({"U01ALICE", "U02BOB"}), "leads": frozenset({"U02BOB", "U03CEM"})}
POLICY = """
[channels]
requests = ["C01GEN"]
[groups]
agents = ["U01ALICE", "U02BOB"]
leads = ["U02BOB", "U03CEM"]
[[rules]]
name = "money"
operations = ["refund", "capture", "void"]
ask = ["agents"]
approve = ["leads"]
approvals = 2
"""
INSERT = "INSERT INTO {} VALUES ({})"


def main() -> int:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bot.db"
        life = Life(path)
        for count in (events // 10, events):
            life.fill(count)
            floor, audit = measured("floor", path), measured("audit", path)
            if audit["differences"]:
                print(f"{audit['differences']} differences in a record that nobody touched")
                return 1
            print(
                f"verify: {audit['events']:,} events, {audit['requests']:,} requests in {audit['seconds']:.1f} s: "
                f"{audit['events'] / audit['seconds']:,.0f} events/s, peak memory {audit['peak_mib']:.1f} MiB; "
                f"floor {floor['seconds']:.1f} s, {floor['peak_mib']:.1f} MiB; "
                f"ratio {audit['seconds'] / floor['seconds']:.2f}"
            )
        life.close()
    return 0


class Life:
    """The life of one refund, led by the bot's own parts, and then stamped out as often as is wanted."""

    def __init__(self, path: Path) -> None:
        self.store = Store(open_database(path), KEY)
        self.connection: sqlite3.Connection = self.store.database.conn
        self._lead()
        self.events = list(self.store.events())
        self.tables = {
            name: self.store.rows(f"SELECT * FROM {name} ORDER BY id")  # noqa: S608 - our own names
            for name in ("requests", "approvals")
        }
        self.count = 1

    def _lead(self) -> None:
        """Asked, refused to who asked, approved by two, sent, done."""
        work, in_force = Work(self.store, "benchmark:1:1"), InForce(load(POLICY))
        service = Service(self.store, work, in_force, lambda _: "R-00000001")
        execution = Execution(self.store, work, in_force, lambda: "key-1")
        submission = Submission(
            "o1", "U01ALICE", "T01", "C01GEN", Operation.REFUND, "order", "ORD1", "5.000", reason="sent back"
        )
        request = service.submit(submission, MEMBERS)
        reading = Reading(
            session_id="1" * 40,
            order_no="ORD1",
            state="paid",
            currency="KWD",
            amount_minor=20_000,
            read_at=self.store.now(),
            settled_minor=20_000,
            refunded_minor=0,
            children=(),
        )
        checked = service.check(request.id, reading, MEMBERS)
        seen = (checked.digest if checked else None) or ""
        try:
            service.approve(request.id, "U01ALICE", seen, MEMBERS)
        except Refusal as refusal:
            service.refused_attempt("U01ALICE", "approve", refusal, request.id)
        for person in ("U02BOB", "U03CEM"):
            service.approve(request.id, person, seen, MEMBERS)
        execution.claim(request.id)
        execution.settle(request.id, 1, Outcome(Ending.SUCCEEDED, "done", 5_000, "REF-1"))

    def fill(self, events: int) -> None:
        """Stamp lives out until there are so many events."""
        seq, head = self.store.head()
        self.connection.execute("BEGIN")
        triggers = self.store.rows("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        for trigger in triggers:
            self.connection.execute(f"DROP TRIGGER {trigger['name']}")  # rows are put in as they are at their end
        while seq < events:
            self.count += 1
            seq, head = self._stamp(self.count, seq, head)
        for trigger in triggers:
            self.connection.execute(trigger["sql"])
        self.connection.execute("COMMIT")
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _stamp(self, number: int, seq: int, head: str) -> tuple[int, str]:
        """One more life; the sequence and hash of its last event."""
        (row,) = self.tables["requests"]
        name = f"R-{number:08}"
        own: dict[str, Any] = {
            "id": name,
            "origin": f"o{number}",
            "reference": f"ORD{number}",
            "order_no": f"ORD{number}",
            "session_id": f"{number:040x}",
            "tracking_key": f"key-{number}",
            "reference_number": f"REF-{number}",
        }
        row = {**row, **own}
        own["digest"] = row["digest"] = digest({field: row[field] for field in SEEN})
        self._insert("requests", row)
        for event in self.events:
            seq += 1
            stamped = replace(event, seq=seq, request_id=name, data=_stamped(event.facts, own), prev=head)
            head = KEY.hash(hashed(stamped))
            self._insert("events", {**stamped.__dict__, "hash": head})
        for approval in self.tables["approvals"]:
            number_of_row = (number - 1) * len(self.tables["approvals"]) + approval["id"]
            self._insert("approvals", {**approval, "id": number_of_row, "request_id": name, "digest": own["digest"]})
        return seq, head

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        self.connection.execute(INSERT.format(table, ", ".join("?" * len(row))), list(row.values()))

    def close(self) -> None:
        self.store.database.close()


def _stamped(facts: dict[str, Any], own: dict[str, Any]) -> str:
    """The data of an event, of another request."""
    if "set" in facts:
        facts["set"] = {name: own.get(name, value) for name, value in facts["set"].items()}
    if "digest" in facts:
        facts["digest"] = own["digest"]
    return json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


# --- what is measured, each in a process of its own


def measured(what: str, path: Path) -> dict[str, Any]:
    """Run one of the two below in a fresh process."""
    ran = subprocess.run([sys.executable, __file__, what, str(path)], check=True, capture_output=True, text=True)  # noqa: S603 - ourselves
    return dict(json.loads(ran.stdout))


def measure(what: str, path: str) -> None:
    """Print the seconds, the counts, and this process's peak memory."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    connection.execute("BEGIN")
    begun = time.process_time()
    found = sum(1 for _ in differences(Store(Database(connection), KEY))) if what == "audit" else floor(connection)
    seconds = time.process_time() - begun
    counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("events", "requests")}  # noqa: S608 - our own names
    connection.close()
    print(json.dumps({"seconds": seconds, "differences": found, "peak_mib": peak_mib(), **counts}))


def floor(connection: sqlite3.Connection) -> int:
    """Read every row of the record, and hash it once."""
    for row in all_rows(connection):
        hashlib.sha256(repr(row).encode()).digest()
    return 0


def all_rows(connection: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    for table, order in (("events", "seq"), ("requests", "id"), ("approvals", "id"), ("closings", "id")):
        yield from connection.execute(f"SELECT * FROM {table} ORDER BY {order}")  # noqa: S608 - our own names


def peak_mib() -> float:
    """The most memory that this process ever held, by the kernel (VmHWM)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in {"floor", "audit"}:
        measure(sys.argv[1], sys.argv[2])
    else:
        sys.exit(main())
