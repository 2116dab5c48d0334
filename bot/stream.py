"""`audit stream`: the events as lines of JSON, to standard output or a file, for whatever takes logs to a SIEM.

It needs no secret of Slack or Ottu. Nothing is left out and nothing comes twice: each event must follow the one before
by number and hash, whatever has become of the database meanwhile.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from approvals.export import SCHEMA, as_line, event_line
from approvals.store import Store
from bot.acquaintance import CannotStart
from bot.record import reading
from bot.settings import AuditSettings
from bot.told import Told, told_to_stop

POLL_SECONDS = 1.0
BATCH_EVENTS = 500  # at once in memory
LINE_BYTES_MAXIMUM = 16 * 2**20
STANDARD_OUTPUT = 1
BEGINNING = as_line({"schema": SCHEMA}).rstrip(b"}\n")  # of every line of ours


@dataclass(frozen=True)
class Place:
    """How far the lines have come: the last event that was written."""

    seq: int
    hash: str


def stream_record(settings: AuditSettings, to: Path | None, after: int, *, follow: bool) -> int:
    """Write every event that comes after the last one written; with `follow`, go on until told to stop.

    `after`: where to begin, unless the file has lines. Raises CannotStart.
    """
    try:
        with told_to_stop(), _output(to) as output:
            place = output.place or _begin(settings, after)
            while True:
                with reading(settings) as store:
                    place = _catch_up(store, output, place)
                if not follow or output.is_gone_within(POLL_SECONDS):
                    return 0
    except Told:
        if not follow:
            raise CannotStart("stopped before all events were written; it can go on") from None
    return 0


def _begin(settings: AuditSettings, after: int) -> Place:
    with reading(settings) as store:
        found = store.hash_of(after)
        if found is None:
            raise CannotStart(f"the record has no event {after}; it ends at {store.head()[0]}")
        return Place(after, found)


def _catch_up(store: Store, output: Output, place: Place) -> Place:
    if store.hash_of(place.seq) != place.hash:
        raise CannotStart(f"the record does not contain event {place.seq} as it was written; run audit verify")
    while rows := store.events_after(place.seq, BATCH_EVENTS):
        for row in rows:
            if (row["seq"], row["prev"]) != (place.seq + 1, place.hash):
                raise CannotStart(f"event {row['seq']} does not follow event {place.seq}; run audit verify")
            try:
                line = as_line(event_line(row))
            except (ValueError, TypeError, KeyError):
                raise CannotStart(f"event {row['seq']} cannot be read; run audit verify") from None
            output.write(line)
            place = Place(row["seq"], row["hash"])
        output.settle()
    return place


# --- where the lines go


class Output:
    """An open file or pipe. `place`: the last event that it has already; None where it has none."""

    def __init__(self, descriptor: int, place: Place | None, *, is_file: bool) -> None:
        self.place = place
        self._descriptor = descriptor
        self._is_file = is_file
        self._poll = select.poll()
        self._poll.register(descriptor, 0)

    def write(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def settle(self) -> None:
        """What is in a file is on disk."""
        if self._is_file:
            os.fsync(self._descriptor)

    def is_gone_within(self, seconds: float) -> bool:
        """Wait so long; at once True where nobody reads the pipe any more."""
        return bool(self._poll.poll(seconds * 1000))


@contextmanager
def _output(to: Path | None) -> Iterator[Output]:
    try:
        if to is None:
            yield Output(STANDARD_OUTPUT, None, is_file=False)
            return
        with _open(to) as file:
            yield Output(file.fileno(), _resume(file, to), is_file=True)
    except BrokenPipeError:
        return  # whoever read it has seen enough
    except OSError as error:
        raise CannotStart(f"{to or 'standard output'} cannot be written: {error.strerror}") from None


@contextmanager
def _open(to: Path) -> Iterator[BinaryIO]:
    """The file, for one process at a time; what is written goes to its end."""
    descriptor = os.open(to, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    with closing(os.fdopen(descriptor, "r+b", buffering=0)) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise CannotStart(f"{to} is no file; without --to the lines go to standard output")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(f"another process is writing to {to}") from None
        yield file


def _resume(file: BinaryIO, to: Path) -> Place | None:
    """The place after which the file goes on; a line that was cut short is cut off. Of a foreign file nothing is."""
    line, piece = _end(file)
    foreign = CannotStart(f"{to} ends with something else than a line of {SCHEMA}; name another file")
    if not (piece.startswith(BEGINNING) or BEGINNING.startswith(piece)):
        raise foreign
    place = None
    if line:
        try:
            said = json.loads(line)
            place = Place(said["seq"], said["hash"])
        except (ValueError, TypeError, KeyError):
            raise foreign from None
        if said.get("schema") != SCHEMA:
            raise foreign
    if piece:
        file.truncate(file.seek(0, os.SEEK_END) - len(piece))
    return place


def _end(file: BinaryIO) -> tuple[bytes, bytes]:
    """The last complete line, empty where there is none, and what comes after it."""
    size = file.seek(0, os.SEEK_END)
    taken, tail = 0, b""
    while taken < size and tail.count(b"\n") < 2 and taken <= LINE_BYTES_MAXIMUM:
        taken = min(size, max(2 * taken, 2**16))
        file.seek(-taken, os.SEEK_END)
        tail = file.read(taken)
    lines, newline, piece = tail.rpartition(b"\n")
    return lines.rpartition(b"\n")[2] if newline else b"", piece
