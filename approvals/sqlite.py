"""SQLite: how the database is opened, what a transaction is, and whose clock it is. (The tables: `schema.py`.)"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database, Migrations

from approvals.schema import STATEMENTS

BUSY_SECONDS = 1.0  # another process may hold the write lock that long before we say "not accepted"

migrations = Migrations("ottu-bot")


@migrations()
def m001_record_and_work(db: Database) -> None:
    for statement in STATEMENTS:
        db.conn.execute(statement)


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
