"""`audit verify`: is the record whole and unaltered? It needs no secret of Slack or Ottu, and writes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlite_utils import Database

from approvals.audit import ChainKey, differences
from approvals.store import Store
from bot.acquaintance import CannotStart
from bot.marker import read_marks
from bot.settings import AuditSettings


def verify_record(settings: AuditSettings, *, unkeyed_until: int, expected: str | None) -> int:
    """Print each difference and the head; exit status 1 where there is any difference."""
    path = settings.database_path
    if not path.is_file():
        raise CannotStart(f"DATABASE_URL {path} is not there; name the database that is to be verified")
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            store = Store(Database(connection, execute_plugins=False), ChainKey(settings.key))
            found = [*_chain(store, unkeyed_until), *_anchors(store, settings.state_directory, expected)]
            seq, head = store.head()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise CannotStart(f"DATABASE_URL {path} cannot be read: {error}") from None
    for difference in found:
        print(difference)
    print(f"{len(found)} differences in {seq} events; head {seq}:{head}")
    if not settings.key:
        print("without AUDIT_KEY whoever can write to the file can write all of it anew; compare the head with Slack's")
    return 1 if found else 0


def _chain(store: Store, unkeyed_until: int) -> Iterator[str]:
    rows = {request.id: request for request in store.select("1")}
    return differences(store.events(), rows, store.key, store.beside(), unkeyed_until=unkeyed_until)


def _anchors(store: Store, directory: Path, expected: str | None) -> Iterator[str]:
    """Heads that are known from outside the database: the markers beside it, and one that somebody read in Slack."""
    known = [(mark.seq, mark.hash, "the marker of a send") for mark in read_marks(directory, store)]
    if expected is not None:
        number, _, start = expected.partition(":")
        if not number.isascii() or not number.isdigit() or len(start) < 8:
            raise CannotStart("--expect takes SEQ:HASH with at least 8 digits of the hash, such as 6:e47aa652")
        known.append((int(number), start, "--expect"))
    for seq, head, whose in known:
        here = store.rows("SELECT hash FROM events WHERE seq = :seq", seq=seq)
        if seq and not (here and str(here[0]["hash"]).startswith(head)):
            yield f"event {seq}: {whose} says {head[:8]}, which the record does not contain"
