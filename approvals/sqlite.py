"""SQLite: how the database is opened, what a transaction is, and whose clock it is. (The tables: `schema.py`.)"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlite_utils import Database, Migrations

from approvals.schema import HEAD_OF_INQUIRY, INDEX_OF_TIME, INQUIRIES_BY_TIME, STATEMENTS

MOST_NAMED = 20  # places in which a damaged file is damaged
BUSY_SECONDS = 1.0  # another process may hold the write lock that long before we say "not accepted"

migrations = Migrations("ottu-bot")


@migrations()
def m001_record_and_work(db: Database) -> None:
    for statement in STATEMENTS:
        db.conn.execute(statement)


@migrations()
def m002_what_ended_lately(db: Database) -> None:
    db.conn.execute(INDEX_OF_TIME)


@migrations()
def m003_when_an_inquiry_was_sent(db: Database) -> None:
    db.conn.execute(HEAD_OF_INQUIRY)
    db.conn.execute(INQUIRIES_BY_TIME)


def open_database(path: Path) -> Database:
    """Open or create the database, with the settings that make a commit durable, read back to be sure.

    Raises sqlite3.Error where the file cannot be used, RuntimeError where SQLite does not take the settings.
    """
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    database = Database(connection, execute_plugins=False)
    try:
        _set_up(database)
    except BaseException:
        connection.close()
        raise
    return database


def _set_up(database: Database) -> None:
    _write_ahead(database)
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA foreign_keys = ON")
    settings = {name: database.execute(f"PRAGMA {name}").fetchone()[0] for name in DURABLE}
    if settings != DURABLE:
        raise RuntimeError(f"SQLite did not take the durable settings: {settings}")
    with transaction(database):
        migrations.apply(database)


def _write_ahead(database: Database) -> None:
    """Switch to WAL. Where another process does so at that moment, SQLite fails at once, whatever the busy time-out."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.01)
        else:
            return


def check_sound(database: Database) -> None:
    """Raises sqlite3.DatabaseError where the file is damaged, before anything is decided by what is in it."""
    found = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok":
        raise sqlite3.DatabaseError(f"database disk image is malformed ({' '.join(found.split())})")


def differences(database: Database) -> Iterator[str]:
    """What of the database is not as this program makes it: tables, indexes, triggers, views, and whether the indexes
    hold what the tables hold. Where they do not, a query finds other rows than there are."""
    pending = [one.name for one in migrations.pending(database) if one.name != m001_record_and_work.__name__]
    with closing(sqlite3.connect(":memory:")) as fresh:  # of the version that the file has: it may only be read
        migrations.apply(Database(fresh, execute_plugins=False), stop_before=pending[:1])
        made, here = _objects(fresh), _objects(database.conn)
    for kind, name in sorted(made):
        if here.get((kind, name)) != made[kind, name]:
            yield f"{kind} {name} is {'altered' if (kind, name) in here else 'missing'}"
    for kind, name in sorted(here.keys() - made.keys()):
        if kind == "trigger":
            yield f"trigger {name} was added"
    for (found,) in database.execute(f"PRAGMA integrity_check({MOST_NAMED})"):
        if found != "ok":
            yield str(found)


def _objects(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """Kind and name → the SQL that makes it. What SQLite makes for itself has none."""
    rows = connection.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
        " AND NOT (tbl_name = ? AND type IN ('table', 'index'))",
        [Migrations.migrations_table],
    )
    return {(kind, name): sql for kind, name, sql in rows}


Files = tuple[tuple[str, int, int], ...]  # path, device and inode of the database and of its write-ahead log


def files_of(database: Database) -> Files:
    """The files that this connection writes to, as they are named now. One that only reads has no log perhaps."""
    path = str(database.execute("PRAGMA database_list").fetchone()[2])
    found = [(name, Path(name).stat()) for name in (path, f"{path}-wal") if Path(name).exists()]
    return tuple((name, status.st_dev, status.st_ino) for name, status in found)


def check_in_place(files: Files) -> None:
    """Raises sqlite3.OperationalError where a file has gone, or is another one now.

    SQLite would go on writing to a file that has no name any more, and all of it would be lost at the end.
    """
    for name, device, inode in files:
        try:
            status = Path(name).stat()
        except OSError:
            raise sqlite3.OperationalError(f"{name} was moved or deleted") from None
        if (status.st_dev, status.st_ino) != (device, inode):
            raise sqlite3.OperationalError(f"{name} was moved or deleted, and there is another one")


def rescue(database: Database) -> None:
    """Bring into the database's file what stands in the write-ahead log, also in one that was deleted meanwhile."""
    database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


DURABLE = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@contextmanager
def transaction(database: Database) -> Iterator[None]:
    """One writing transaction; inside another one, a part of it that can fail alone (a savepoint)."""
    if database.conn.in_transaction:
        with database.atomic():
            yield
        return
    database.conn.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.conn.execute("COMMIT")
    except BaseException:
        if database.conn.in_transaction:
            database.conn.execute("ROLLBACK")
        raise


NOW = "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"  # the database's clock
