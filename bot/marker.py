"""The marker against restored databases: how far the record had come when something was last sent, kept outside of it.

Written after the intent's commit and before the first byte. A database that is behind its marker, or one with requests
and no marker, was put back from a copy: what it takes for unsent may have been sent long ago.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from approvals.sentences import executing
from approvals.store import Store

SUFFIX = ".ottu-bot-marker"
DATABASE = "database_id"  # the fact: the name by which markers know this database


@dataclass(frozen=True)
class Mark:
    """One process's marker: the last event that it saw before it sent."""

    database: str
    owner: str
    seq: int
    hash: str


class Marker:
    """The markers in one directory, of one database. Raises OSError where it cannot be written."""

    def __init__(self, directory: Path, store: Store, database: str, owner: str) -> None:
        self.directory = directory
        self.store = store
        self.database = database
        self.owner = owner
        self.path = directory / f"{hashlib.sha256(owner.encode()).hexdigest()[:16]}{SUFFIX}"

    def why_restored(self, alive: list[str]) -> str | None:
        """Why this database must have been put back from a copy; None where it goes on from where it was.

        `alive`: the other processes that use this very file now.
        """
        # First: whoever made a request had written its marker before, perhaps beside us, while we are starting.
        was_used = bool(self.store.select("1 LIMIT 1"))
        marks = [mark for mark in self._marks() if mark.database == self.database]
        seq, _ = self.store.head()
        for mark in marks:
            if mark.seq > seq:
                return executing.sent_after_end(seq=mark.seq, end=seq)
            if mark.seq and self.store.event(mark.seq).hash != mark.hash:
                return executing.another_event(seq=mark.seq)
        if was_used and not marks and not alive:
            return executing.NO_MARKER
        return None

    def write(self) -> None:
        """The record has come so far: on disk when this returns, whole or not at all."""
        seq, head = self.store.head()
        text = json.dumps(asdict(Mark(self.database, self.owner, seq, head)))
        fresh = self.path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def take_over(self, is_gone: Callable[[str], bool]) -> None:
        """Write our own first, then remove those of processes that have ended: at no instant is there none."""
        self.write()
        for path, mark in list(self._files()):
            if path != self.path and mark.database == self.database and is_gone(mark.owner):
                path.unlink(missing_ok=True)

    def _marks(self) -> list[Mark]:
        return [mark for _, mark in self._files()]

    def _files(self) -> Iterator[tuple[Path, Mark]]:
        return _files(self.directory)


def _files(directory: Path) -> Iterator[tuple[Path, Mark]]:
    """The markers that can be read; one that cannot says nothing."""
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        try:
            yield path, Mark(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue


def read_marks(directory: Path, store: Store) -> list[Mark]:
    """The markers of this database, for whoever verifies it."""
    rows = store.rows("SELECT value FROM work_facts WHERE name = :name", name=DATABASE)
    try:
        name = json.loads(rows[0]["value"])["id"] if rows else None
    except (ValueError, TypeError, KeyError):  # bookkeeping, into which anybody can write anything
        return []
    return [mark for _, mark in _files(directory) if mark.database == name]
