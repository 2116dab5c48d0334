"""The record, opened for whoever only reads it: no secret is needed, and nothing can be written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from approvals.audit import ChainKey
from approvals.store import Store
from bot.acquaintance import CannotStart
from bot.settings import AuditSettings


def read_only(path: Path) -> str:
    """The address by which SQLite opens that file for reading alone; a plain path could hold `?`, `#` or `%`."""
    return f"{path.absolute().as_uri()}?mode=ro"


@contextmanager
def reading(settings: AuditSettings) -> Iterator[Store]:
    """The record as it is at the first query, whatever the bot writes meanwhile. Raises CannotStart."""
    path = settings.database_path
    if not path.is_file():
        raise CannotStart(f"DATABASE_URL {path} is not there; name the database that is to be read")
    try:
        connection = sqlite3.connect(read_only(path), uri=True, isolation_level=None)
        try:
            connection.execute("BEGIN")
            yield Store(Database(connection, execute_plugins=False), ChainKey(settings.key))
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise CannotStart(f"DATABASE_URL {path} cannot be read: {error}") from None
