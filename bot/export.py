"""`audit export`: the record for a spreadsheet, a program, or Datasette. Written completely or not at all.

It needs no secret of Slack or Ottu, and writes nothing but the export.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from sqlite_utils import Database

from approvals.choice import Choice
from approvals.export import DECIMAL, TABLES, Record, as_line, cell, event_line, record
from approvals.schema import VIEW
from approvals.store import Store, later
from bot.acquaintance import CannotStart
from bot.audit import plain
from bot.record import reading
from bot.settings import AuditSettings
from bot.told import Told, told_to_stop

ABOUT = "export"  # the file, or the table, that says what was exported


def export_record(settings: AuditSettings, form: str, target: Path, choice: Choice) -> int:
    """Write the chosen part of the record to a new folder or file, and say how much it is.

    `form`: one of FORMS. Raises CannotStart, and then nothing was written.
    """
    try:
        with told_to_stop(), reading(settings) as store, _whole(target) as fresh:
            seq, head = store.head()
            about = {"made_at": store.now(), "head": f"{seq}:{head}", **_words(choice)}
            counts = FORMS[form](store, choice, fresh, about)
    except Told:
        raise CannotStart(f"stopped before {target} was complete; nothing was exported") from None
    except (ValueError, TypeError, KeyError) as error:
        raise CannotStart(
            f"a row of the record cannot be read ({error}); nothing was exported; run audit verify"
        ) from None
    written = ", ".join(f"{count} {table}" for table, count in counts.items())
    print(f"wrote {written} to {target}; head {seq}:{plain(head)}")
    return 0


# --- what is chosen


def from_time(text: str) -> str:
    """A day (its beginning, in UTC) or a moment, as a stored time."""
    return _stored(text, days=0)


def until_time(text: str) -> str:
    """The end of a day, or a moment, as a stored time."""
    return _stored(text, days=1)


def _stored(text: str, *, days: int) -> str:
    """`days` are added where it is a day."""
    try:
        try:
            moment = datetime.combine(date.fromisoformat(text), time(), UTC) + timedelta(days=days)
        except ValueError:
            moment = datetime.fromisoformat(text)
        return later((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat())
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 2026-11-24 or 2026-11-24T13:30Z") from None


def _words(choice: Choice) -> dict[str, str | None]:
    """What was asked for, for whoever finds the export later."""
    return {
        "since": choice.since,
        "until": choice.until,
        "people": " ".join(choice.people) or None,
        "transaction": choice.transaction,
        "states": " ".join(choice.states) or None,
    }


# --- the forms: each writes to a path that is not there yet, and says how many rows of each table

Counts = dict[str, int]
About = Mapping[str, str | None]


class Counted:
    """Records on their way into a file, counted as they pass, so that none is kept."""

    def __init__(
        self, store: Store, table: str, choice: Choice, make: Callable[[str, Record], Record] = record
    ) -> None:
        self.count = 0
        self._records = (make(table, row) for row in store.chosen(table, choice))

    def __iter__(self) -> Iterator[Record]:
        try:
            for one in self._records:
                self.count += 1
                yield one
        except sqlite3.Error as error:
            raise CannotStart(f"the record cannot be read: {error}; nothing was exported") from None


def as_csv(store: Store, choice: Choice, folder: Path, about: About) -> Counts:
    """A folder with a file for each table."""
    folder.mkdir()
    counts = {}
    for table, columns in TABLES.items():
        records = Counted(store, table, choice)
        # With its mark of UTF-8, without which Excel takes Arabic for something else.
        with (folder / f"{table}.csv").open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows([_cell(name, value) for name, value in one.items()] for one in records)
        counts[table] = records.count
    _write_about(folder, {**about, **counts})
    return counts


def _cell(name: str, value: object) -> object:
    """Numbers of ours stay numbers, decimals among them; of all other text nothing is a formula."""
    return cell(value) if isinstance(value, str) and not name.endswith(DECIMAL) else value


def as_jsonl(store: Store, choice: Choice, folder: Path, about: About) -> Counts:
    """A folder with a file for each table; the events as `audit stream` has them."""
    folder.mkdir()
    counts = {}
    for table in TABLES:
        records = Counted(store, table, choice, _object)
        with (folder / f"{table}.jsonl").open("wb") as file:
            file.writelines(map(as_line, records))
        counts[table] = records.count
    _write_about(folder, {**about, **counts})
    return counts


def _object(table: str, row: Record) -> Record:
    return event_line(row) if table == "events" else record(table, row)


def _write_about(folder: Path, about: Mapping[str, object]) -> None:
    (folder / f"{ABOUT}.json").write_text(json.dumps(about, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


INDEXES: Mapping[str, tuple[str, ...]] = {
    "requests": ("created_at", "state", "requester", "order_no", "session_id"),
    "events": ("request_id", "at", "kind", "actor"),
    "approvals": ("request_id", "person"),
    "closings": ("request_id",),
}


def as_sqlite(store: Store, choice: Choice, file: Path, about: About) -> Counts:
    """A database with the same tables, linked, and the view with decimals that the bot's own has."""
    try:
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            return _fill_all(Database(connection, execute_plugins=False), store, choice, about)
    except sqlite3.Error as error:
        raise CannotStart(f"{file.name} cannot be written: {error}; nothing was exported") from None


def _fill_all(database: Database, store: Store, choice: Choice, about: About) -> Counts:
    database.execute("PRAGMA synchronous = OFF")  # what is cut short is thrown away
    counts = {table: _fill(database, table, Counted(store, table, choice)) for table in TABLES}
    database.table("requests").enable_fts(["reason", "detail"])
    database.execute(VIEW)
    facts = {**about, **{table: str(count) for table, count in counts.items()}}
    rows = [{"name": name, "value": value} for name, value in facts.items()]
    database.table(ABOUT).insert_all(rows, pk="name", strict=True)
    database.execute("ANALYZE")
    return counts


def _fill(database: Database, table: str, records: Counted) -> int:
    columns = TABLES[table]
    made = database.create_table(
        table,
        {name: column.kind for name, column in columns.items()},
        pk=next(iter(columns)),
        foreign_keys=[("request_id", "requests", "id")] if "request_id" in columns else [],
        not_null=[name for name, column in columns.items() if column.always],
        strict=True,
    )
    made.insert_all(records)
    for name in INDEXES[table]:
        made.create_index([name])
    return records.count


FORMS: Mapping[str, Callable[[Store, Choice, Path, About], Counts]] = {
    "csv": as_csv,
    "jsonl": as_jsonl,
    "sqlite": as_sqlite,
}


# --- completely or not at all


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """Where to write what becomes the target once all of it is on disk. Raises CannotStart."""
    try:
        _check_free(target)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as beside:
            fresh = Path(beside) / target.name
            yield fresh
            for path in [fresh, *fresh.glob("*")]:
                _sync(path)
            _check_free(target)
            fresh.rename(target)
            _sync(target.parent)
    except OSError as error:
        raise CannotStart(f"{target} cannot be written: {error.strerror}; nothing was exported") from None


def _check_free(target: Path) -> None:
    if os.path.lexists(target):
        raise CannotStart(f"{target} is there already; name a new one")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
