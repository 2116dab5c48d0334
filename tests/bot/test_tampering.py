"""Whoever has the database file can do anything to it; `audit verify` names what they did.

Tables and columns come from the schema: one that is added is tried too, and the test fails until it is covered.
"""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing as closed
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from approvals.audit import GENESIS, ChainKey, Event, hashed
from approvals.closing import Closing
from approvals.request import Ending, Operation, Outcome, Refusal
from approvals.schema import STATEMENTS
from bot.acquaintance import CannotStart
from bot.app import database_id
from bot.audit import verify_record
from bot.marker import Marker
from bot.settings import AuditSettings
from tests.approvals.factories import (
    ALICE,
    BOB,
    CEM,
    KEY,
    MEMBERS,
    UNPAID,
    Desk,
    a_reading,
    found,
    open_desk,
    session,
)
from tests.approvals.hooked import a_hook
from tests.approvals.raw import without_triggers

CANCEL, OTHER = Operation.CANCEL, "U08ERIN"


def tables() -> dict[str, list[str]]:
    """The tables of the record, with their columns, as the schema makes them."""
    with closed(sqlite3.connect(":memory:")) as connection:
        for statement in STATEMENTS:
            connection.execute(statement)
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            for name in names
            if not name.startswith(("work_", "sqlite_", "_sqlite"))
        }


TABLES = tables()
SAME_IN_ALL = {("events", "key_id")}  # columns with one value in the whole record: there is nothing to swap
COLUMNS = [(table, column) for table, columns in TABLES.items() for column in columns]


# --- a record with a bit of everything


def a_life(desk: Desk) -> None:
    """Requests that ended in every way and stand in every place, attempts that were refused, alarms, webhooks."""
    numbers = itertools.count(1)

    def ask(**changes: Any) -> dict[str, Any]:
        return {"reference": f"ORD{next(numbers)}", **changes}

    def read(reference: str, **changes: Any) -> Any:
        return a_reading(
            session_id=session(int(reference[3:])), order_no=reference, read_at=desk.store.now(), **changes
        )

    def pending(**changes: Any) -> Any:
        asked = ask(**changes)
        return desk.pending(read(asked["reference"]), **asked)

    def sent(**changes: Any) -> Any:
        return found(desk.execution.claim(desk.approve(pending(**changes), CEM).id))

    closing = Closing(desk.service)
    desk.store.record("database_created", "bot", data={"ottu_base_url": "https://example.ottu.net"})
    done = sent(asked_currency="KWD")
    desk.execution.settle(done.id, 1, Outcome(Ending.SUCCEEDED, "captured", 5_000, "REF-1"))
    desk.execution.settle(done.id, 1, Outcome(Ending.REFUSED, "no"))  # a late answer, and an alarm
    failed = sent()
    desk.execution.settle(failed.id, 1, Outcome(Ending.NOT_SENT, "no route"))
    failed = found(desk.execution.claim(failed.id))
    desk.execution.settle(failed.id, 2, Outcome(Ending.REFUSED, "the gateway said no"))
    large = desk.approve(pending(asked_amount="16.000"), BOB)
    desk.service.unapprove(large.id, BOB)
    desk.approve(large, CEM)
    for person, seen in ((ALICE, large.digest or ""), (BOB, "0" * 32)):
        with pytest.raises(Refusal) as info:
            desk.service.approve(large.id, person, seen, MEMBERS)
        desk.service.refused_attempt(person, "approve", info.value, large.id)
    desk.service.refused_attempt(ALICE, "approve", info.value, "R-NONE")
    desk.service.reject(pending().id, CEM, "not this one", MEMBERS)
    desk.service.withdraw(pending().id, ALICE)
    other: dict[str, Any] = {
        "requester": BOB,
        "team": "T02",
        "channel": "C09OTHER",
        "reason": "a gift",
        "destination": "wallet",
    }
    desk.ask(reference_kind="session", reference=session(902), **other)  # still in checking
    desk.check(refused := desk.ask(**ask()), read(refused.reference, state="failed"))
    unpaid = ask(operation=CANCEL, asked_amount=None)
    desk.pending(replace(UNPAID, session_id=session(900), order_no=unpaid["reference"]), **unpaid)
    for outcome, number in (("succeeded", 1), ("failed", 2)):
        unknown = sent()
        desk.execution.settle(unknown.id, 1, Outcome(Ending.UNKNOWN, "no answer"))
        closing.by_children(unknown.id, read(unknown.order_no or "", state="paid"))
        for person in (BOB, CEM)[:: 1 if number == 1 else -1]:
            closing.close(unknown.id, person, outcome, f"looked, as {person}", MEMBERS, may_fail=True)
    standing = sent()
    desk.execution.settle(standing.id, 1, Outcome(Ending.UNKNOWN, "no answer"))
    closing.close(standing.id, BOB, "failed", "not in the list", MEMBERS, may_fail=True)
    for reference in ("REF-Q1", "REF-Q2"):
        queued = sent()
        desk.execution.settle(queued.id, 1, Outcome(Ending.QUEUED, "", 5_000, reference))
    hook = {"order_no": queued.order_no, "session_id": queued.session_id, "reference_number": "REF-Q2"}
    desk.execution.hooks.receive(a_hook(**hook))
    desk.execution.hooks.receive(a_hook(order_no="ORD-OTHER", session_id=session(901), reference_number="REF-X"))
    desk.execution.pause(CEM, "lunch")
    desk.execution.resume(CEM)
    desk.execution.mark_restored("a copy was put back")
    desk.execution.resume(CEM)
    desk.approve(pending(), CEM)  # approved, not sent
    pending()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with that record, keyed, and with the marker of a send."""
    return a_record(tmp_path_factory.mktemp("record"), KEY)


def a_record(folder: Path, key: ChainKey) -> Path:
    desk = open_desk(folder, key=key)
    name = database_id(desk.work)
    a_life(desk)
    shutil.copy(copied(desk), folder / "earlier.db")
    desk.store.record("refused_attempt", BOB, data={"wanted": "approve", "why": "not_allowed"})
    Marker(folder, desk.store, name, "host:1:1").write()
    desk.store.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    desk.store.database.close()
    return folder


def copied(desk: Desk) -> Path:
    """The database as it is now, in a file of its own."""
    desk.store.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return desk.path


Audit = Callable[..., tuple[int, str]]


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "copy")


@pytest.fixture
def audit(capsys: pytest.CaptureFixture[str]) -> Audit:
    """The command, on the file in a folder: exit status, and what it printed."""

    def run(folder: Path, *anchors: str, key: ChainKey = KEY, markers: bool = True) -> tuple[int, str]:
        state = folder if markers else folder / "elsewhere"
        status = verify_record(AuditSettings(folder / "bot.db", state, key.secret), anchors=anchors)
        return status, capsys.readouterr().out

    return run


def altered(folder: Path, *statements: str, **parameters: object) -> None:
    """Plain SQL with the triggers dropped, and no check in the way."""
    with closed(sqlite3.connect(folder / "bot.db", isolation_level=None)) as connection:
        for setting in ("foreign_keys = OFF", "ignore_check_constraints = ON", "synchronous = OFF"):
            connection.execute(f"PRAGMA {setting}")
        connection.execute("BEGIN")
        with without_triggers(connection):
            for statement in statements:
                connection.execute(statement, parameters)
        connection.execute("COMMIT")


def rows(folder: Path, sql: str) -> list[dict[str, Any]]:
    with closed(sqlite3.connect(folder / "bot.db")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


def named(table: str, row: dict[str, Any]) -> str:
    """How the audit must name what was done to that row: by its event, or by its request."""
    return f"event {row['seq']}:" if table == "events" else f"{row.get('request_id', row.get('id'))}:"


def test_nothing_was_done_to_it_and_nothing_is_found(original: Path, audit: Audit) -> None:
    status, said = audit(original)
    assert status == 0, said
    assert said.startswith("0 differences in ")


def test_the_record_has_rows_in_every_table_and_a_value_in_every_column(original: Path) -> None:
    """Else a change of it would be tried on nothing."""
    assert TABLES.keys() >= {"requests", "approvals", "closings", "events"}
    for table, column in COLUMNS:
        (counted,) = rows(original, f"SELECT count(*) AS n, count({column}) AS given FROM {table}")
        assert counted["n"] >= 3, table
        assert counted["given"] >= 1, f"{table}.{column}"


# --- one value


def changed(value: object) -> Iterator[object]:
    """Other values in its place."""
    if isinstance(value, int):
        yield value + 1_000
    elif isinstance(value, str):
        yield f"{value}x"
        if value.startswith("{"):
            yield value.replace("{", '{"x":1,', 1).replace(",}", "}")
    yield 1 if value is None else None


def set_value(folder: Path, table: str, column: str, row: dict[str, Any], value: object) -> bool:
    """False where the database cannot hold such a value there (NOT NULL, UNIQUE)."""
    try:
        altered(
            folder, f"UPDATE {table} SET {column} = :value WHERE rowid = :number", value=value, number=row["number"]
        )
    except sqlite3.IntegrityError:
        return False
    return True


def numbered(folder: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a table, each with its row number as `number`."""
    return rows(folder, f"SELECT rowid AS number, * FROM {table} ORDER BY rowid")


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_changed_value_is_found(original: Path, copy: Path, audit: Audit, table: str, column: str) -> None:
    """In the first row, the last, one in the middle, and one where it is not empty."""
    all_rows = numbered(original, table)
    given = [row for row in all_rows if row[column] is not None]
    tried = 0
    for row in (all_rows[0], all_rows[len(all_rows) // 2], all_rows[-1], given[len(given) // 2]):
        for value in changed(row[column]):
            shutil.copy(original / "bot.db", copy / "bot.db")
            if not set_value(copy, table, column, row, value):
                continue
            status, said = audit(copy)
            assert status == 1, f"{column} of {row}: {value!r}"
            assert named(table, row) in said or named(table, {**row, column: value}) in said, said
            tried += 1
    assert tried >= 4


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_two_rows_that_swapped_a_value_are_found(copy: Path, audit: Audit, table: str, column: str) -> None:
    all_rows = numbered(copy, table)
    pair = next(((a, b) for a, b in itertools.combinations(all_rows, 2) if a[column] != b[column]), None)
    if pair is None:
        assert (table, column) in SAME_IN_ALL
        return
    first, second = pair
    if all(row[column] == row["number"] for row in all_rows):  # the key: the rows change their places
        steps = [(first["number"], -1), (second["number"], first["number"]), (-1, second["number"])]
    else:
        steps = []
        aside = -1 if isinstance(first[column] if first[column] is not None else second[column], int) else "aside"
        for row, value in ((first, aside), (second, first[column]), (first, second[column])):
            assert set_value(copy, table, column, row, value)
    for number, value in steps:
        assert set_value(copy, table, column, {"number": number}, value)
    status, said = audit(copy)
    assert status == 1
    assert named(table, first) in said
    assert named(table, second) in said


LINE = "\r\x1b[2K\n0 differences in 1 events"


@pytest.mark.parametrize(
    ("column", "value"),
    [("actor", LINE), ("data", LINE), ("data", "[" * 100_000), ("data", "[[1, 2], [3, 4]]"), ("data", "9" * 5_000)],
)
def test_what_is_written_for_the_eyes_or_the_crash_of_the_auditor_is_a_finding(
    copy: Path, audit: Audit, column: str, value: str
) -> None:
    """Neither hides a line of the report nor ends it before the last one."""
    assert set_value(copy, "events", column, {"number": 3}, value)
    status, said = audit(copy)
    assert status == 1
    assert "event 3: was altered" in said.splitlines()
    assert all(line.isprintable() for line in said.splitlines())
    assert not any(line.startswith("0 differences") for line in said.splitlines())


def test_what_is_no_text_at_all_is_no_clean_record(copy: Path, audit: Audit) -> None:
    altered(copy, "UPDATE events SET actor = CAST(x'ff' AS TEXT) WHERE seq = 3")
    with pytest.raises(CannotStart, match=r"cannot be read: .* column 'actor'"):
        audit(copy)


# --- a row


@pytest.mark.parametrize("table", TABLES)
def test_a_deleted_row_is_found(original: Path, copy: Path, audit: Audit, table: str) -> None:
    """Whichever it is; the last event's row tells more than the events that are left."""
    for row in numbered(original, table):
        shutil.copy(original / "bot.db", copy / "bot.db")
        altered(copy, f"DELETE FROM {table} WHERE rowid = :number", number=row["number"])
        status, said = audit(copy)
        assert status == 1, row
        after = {**row, "seq": row.get("seq", 0) + 1}
        assert named(table, row) in said or named(table, after) in said, said


@pytest.mark.parametrize("table", TABLES)
def test_an_inserted_row_is_found(copy: Path, audit: Audit, table: str) -> None:
    """A copy of another one, as a new one; and one with a number before all others."""
    for number in (len(numbered(copy, table)) + 1, -1):
        row = numbered(copy, table)[2]
        new = {name: row[name] for name in TABLES[table]}
        if "id" in new:
            new["id"] = number if isinstance(new["id"], int) else f"R-NEW{number}"
        new |= {name: f"new {number}" for name in ("origin", "tracking_key", "reference", "session_id") if name in new}
        new |= {"seq": number, "hash": f"{number:064}"} if table == "events" else {}
        altered(copy, f"INSERT INTO {table} VALUES ({', '.join(':' + name for name in new)})", **new)
        status, said = audit(copy)
        assert status == 1
        assert named(table, new) in said, said


# --- the chain


@pytest.mark.parametrize("count", [1, 2, 10])
def test_a_tail_that_was_cut_is_found(copy: Path, audit: Audit, count: int) -> None:
    """By the marker of a send, and without it by an anchor."""
    (last,) = rows(copy, "SELECT * FROM events ORDER BY seq DESC LIMIT 1")
    altered(copy, "DELETE FROM events WHERE seq > :seq", seq=last["seq"] - count)
    status, said = audit(copy)
    assert status == 1
    assert f"event {last['seq']}: the marker of a send says {last['hash'][:8]}" in said
    status, said = audit(copy, f"{last['seq']}:{last['hash'][:8]}", markers=False)
    assert status == 1
    assert f"event {last['seq']}: --anchor says {last['hash'][:8]}, which the record does not contain" in said


def test_a_database_that_denies_its_marker_is_compared_with_nothing_and_the_audit_says_so(
    copy: Path, audit: Audit
) -> None:
    """The name by which markers know it is bookkeeping, which anybody may change."""
    assert "no marker" not in audit(copy)[1]
    for statement in ("UPDATE work_facts SET value = '[]'", "DELETE FROM work_facts"):
        altered(copy, statement)
        assert "no marker of this database in STATE_DIR and no --anchor" in audit(copy)[1]
    assert "no marker" not in audit(copy, "1:" + "0" * 8)[1]


def test_the_whole_record_as_it_was_earlier_is_found(copy: Path, audit: Audit) -> None:
    """Nothing in it disagrees: only what is known from outside tells that it went on."""
    (last,) = rows(copy, "SELECT * FROM events ORDER BY seq DESC LIMIT 1")
    shutil.copy(copy / "earlier.db", copy / "bot.db")
    assert audit(copy, markers=False)[0] == 0
    assert audit(copy)[0] == 1
    status, said = audit(copy, f"{last['seq']}:{last['hash']}", markers=False)
    assert status == 1
    assert said.startswith(f"event {last['seq']}: --anchor says {last['hash'][:8]}")


def rebuilt(folder: Path, key: ChainKey) -> Event:
    """Take the name out of a refused attempt, and write the chain anew, without a flaw; the last event before that."""
    events = [Event(**row) for row in rows(folder, "SELECT * FROM events ORDER BY seq")]
    prev = GENESIS
    with closed(sqlite3.connect(folder / "bot.db")) as connection, without_triggers(connection):
        connection.execute("UPDATE events SET hash = printf('%064d', seq)")
        for event in events:
            actor = OTHER if event.kind == "refused_attempt" else event.actor
            new = replace(event, actor=actor, key_id=key.id, prev=prev)
            prev = key.hash(hashed(new))
            connection.execute(
                "UPDATE events SET actor = ?, key_id = ?, prev = ?, hash = ? WHERE seq = ?",
                (actor, key.id, new.prev, prev, event.seq),
            )
        connection.commit()
    return events[-1]


def test_a_keyed_record_that_was_rebuilt_without_the_key_is_found(copy: Path, audit: Audit) -> None:
    last = rebuilt(copy, ChainKey())
    status, said = audit(copy, markers=False)
    assert status == 1
    assert [f"events 1 to {last.seq}: were written without a key"] == said.splitlines()[:-2]


@pytest.mark.parametrize("key", [KEY, ChainKey()], ids=["with the key", "that never had a key"])
def test_a_record_that_was_rebuilt_without_a_flaw_is_found_by_what_is_known_elsewhere(
    tmp_path: Path, audit: Audit, key: ChainKey
) -> None:
    """With the stolen key, or where there never was one, only the channel and the marker tell."""
    folder = a_record(tmp_path, key)
    last = rebuilt(folder, key)
    assert audit(folder, key=key, markers=False)[0] == 0
    shown = f"{last.seq}:{last.hash[:8]}"
    status, said = audit(folder, shown, key=key, markers=False)
    assert status == 1
    assert f"event {last.seq}: --anchor says" in said
    status, said = audit(folder, key=key)
    assert status == 1
    assert f"event {last.seq}: the marker of a send says" in said


# --- the database itself


def made() -> list[tuple[str, str, str]]:
    """Kind, name and SQL of all that the schema makes."""
    with closed(sqlite3.connect(":memory:")) as connection:
        for statement in STATEMENTS:
            connection.execute(statement)
        return connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name, _ in made() if kind != "table"])
def test_what_guards_the_record_is_missed_where_it_is_gone_or_another(
    copy: Path, audit: Audit, kind: str, name: str
) -> None:
    """Without it the database would no longer refuse what it must, or a view would show what is not so."""
    sql = next(sql for _, there, sql in made() if there == name)
    with closed(sqlite3.connect(copy / "bot.db")) as connection:
        connection.execute(f"DROP {kind} {name}")
    assert f"the database: {kind} {name} is missing" in audit(copy)[1].splitlines()
    another = {"trigger": sql.replace(" WHEN ", " WHEN 0 AND ", 1), "view": f"CREATE VIEW {name} AS SELECT 1"}
    with closed(sqlite3.connect(copy / "bot.db")) as connection:
        connection.execute(another.get(kind, f"CREATE INDEX {name} ON requests (id)"))
    status, said = audit(copy)
    assert status == 1
    assert f"the database: {kind} {name} is altered" in said.splitlines()


def test_a_trigger_that_does_something_else_is_named(copy: Path, audit: Audit) -> None:
    """It would act whenever the bot writes, with the bot's own hands."""
    with closed(sqlite3.connect(copy / "bot.db")) as connection:
        connection.execute(
            "CREATE TRIGGER more AFTER UPDATE ON requests BEGIN INSERT INTO work_facts VALUES ('x', '{}'); END"
        )
    assert audit(copy)[0] == 1
    assert "the database: trigger more was added" in audit(copy)[1].splitlines()


@pytest.mark.parametrize("table", TABLES)
def test_a_second_row_of_the_same_name_is_no_clean_record(copy: Path, audit: Audit, table: str) -> None:
    """In a table without its key: whoever lists the rows sees it, whoever looks one up sees the first."""
    with closed(sqlite3.connect(copy / "bot.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA legacy_alter_table = ON")
        beside = "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type <> 'table' AND sql IS NOT NULL"
        made_again = [sql for (sql,) in connection.execute(beside, (table,))]
        connection.execute(f"CREATE TABLE other AS SELECT * FROM {table}")
        connection.execute(f"INSERT INTO other SELECT * FROM {table} LIMIT 1")
        connection.execute(f"DROP TABLE {table}")
        connection.execute(f"ALTER TABLE other RENAME TO {table}")
        for sql in made_again:
            if not sql.startswith("CREATE UNIQUE"):
                connection.execute(sql)
    status, said = audit(copy)
    assert status == 1
    assert f"the database: table {table} is altered" in said.splitlines()


def test_an_index_that_leaves_rows_out_is_named(copy: Path, audit: Audit) -> None:
    """What looks for the events of a request would not find them, though all are there."""
    with closed(sqlite3.connect(copy / "bot.db", isolation_level=None)) as connection:
        (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'events_of_request'").fetchone()
        connection.execute("DROP INDEX events_of_request")
        connection.execute(f"{sql} WHERE kind <> 'refused_attempt'")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'events_of_request'", (sql,))
    status, said = audit(copy)
    assert status == 1
    assert "missing from index events_of_request" in said
