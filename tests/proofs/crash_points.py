"""Every point where the program touches disk or network, found without changing it; and the stroke at one of them.

Python's profiler tells of each call into C as it begins and ends. Those that reach the disk or the network are points:
SQLite's statements, sockets, files. A point's name is the chain of our own functions that leads to it and what is
called there, so that it is the same in the next run, whatever else the loop did meanwhile; `number` counts those of the
same name in one process.
"""

from __future__ import annotations

import io
import itertools
import json
import linecache
import os
import re
import signal
import sqlite3
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Literal

HERE = str(Path(__file__).parents[2])
OURS = tuple(f"{HERE}/{part}/" for part in ("bot", "approvals", "ottu"))
OUR_CHAIN_MOST = 6
SQLITE = frozenset({"execute", "executemany", "executescript", "commit", "rollback", "close", "connect"})
SOCKET = frozenset({"send", "sendall", "sendmsg", "recv", "recv_into", "connect", "connect_ex", "_accept", "shutdown"})
FILE = frozenset({"open", "write", "fsync", "replace", "rename", "unlink", "flush"})
NAMES = SQLITE | SOCKET | FILE
SQL_WORD = re.compile(r"\"([A-Z]+)")
When = Literal["before", "after"]
Blow = Literal["kill", "freeze"]


@dataclass(frozen=True)
class Point:
    """One place in the life of a process: before or after the `number`th call of that name."""

    name: str
    number: int
    when: When

    def __str__(self) -> str:
        return f"{self.when} {self.name} #{self.number}"

    @classmethod
    def read(cls, text: str) -> Point:
        """What `str` wrote. ValueError where it did not."""
        when, _, rest = text.partition(" ")
        name, _, number = rest.rpartition(" #")
        if when not in ("before", "after") or not name:
            raise ValueError(f"not a point: {text}")
        return cls(name, int(number), "before" if when == "before" else "after")

    @property
    def is_reading(self) -> bool:
        """Nothing on disk or at the other end differs here from the point before."""
        return " SELECT" in self.name or " PRAGMA" in self.name

    @property
    def is_the_send(self) -> bool:
        """Is the operation itself, its headers or its body, written to Ottu here?"""
        return "client.Client.operation<" in self.name and self.name.endswith(" send ottu")

    @property
    def is_of_sending(self) -> bool:
        """Between the claim and the settlement, or while an unknown outcome is closed: where money is at stake."""
        return any(part in self.name for part in ("executing.Executing", "closing.Closing", "execution.Execution"))


class Watch:
    """A profiler for `sys.setprofile`: tells each point on `report` (a descriptor), or strikes at `target`.

    `ports` names the other ends of sockets: {8022: "ottu"}. What it tells: JSON lines `["point", text]`, and
    `["struck", text]` right before the blow.
    """

    def __init__(
        self, report: int, *, target: Point | None, blow: Blow = "kill", tell: bool, ports: dict[int, str]
    ) -> None:
        self.report = report
        self.target = target
        self.blow = blow
        self.tell = tell
        self.ports = ports
        self.counts: Counter[str] = Counter()
        self.open: dict[int, tuple[str, int]] = {}  # by the id of the frame: the call that is under way in it

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event not in ("c_call", "c_return", "c_exception") or argument.__name__ not in NAMES:
            return
        if event == "c_call":
            what = self._what(frame, argument)
            if what is None:
                return
            name = f"{_chain(frame)} {what}"
            self.counts[name] += 1
            self.open[id(frame)] = (name, self.counts[name])
            self._pass(name, self.counts[name], "before")
        elif (under_way := self.open.pop(id(frame), None)) is not None:
            self._pass(*under_way, "after")

    def _pass(self, name: str, number: int, when: When) -> None:
        if self.tell:
            say(self.report, "point", str(Point(name, number, when)))
        target = self.target
        if target is not None and target.name == name and target.number == number and target.when == when:
            self.target = None
            say(self.report, "struck", str(target))
            os.kill(os.getpid(), signal.SIGKILL if self.blow == "kill" else signal.SIGSTOP)

    def _what(self, frame: FrameType, call: Any) -> str | None:
        """What is called, in words; None where it reaches neither disk nor network."""
        name, owner = call.__name__, getattr(call, "__self__", None)
        if isinstance(owner, sqlite3.Connection | sqlite3.Cursor):
            return _statement(frame) if name.startswith("execute") else f"sqlite {name}"
        if name in SOCKET and hasattr(owner, "getpeername"):
            return f"{name} {self._other_end(owner)}"
        module = getattr(call, "__module__", None)
        if name in FILE and module in ("posix", "io", "_io"):
            return f"file {name}"
        if module == "_sqlite3" or (name in ("write", "flush") and isinstance(owner, io.TextIOWrapper)):
            return None if owner is sys.stderr else f"file {name}"
        return None

    def _other_end(self, connection: Any) -> str:
        try:
            peer, own = connection.getpeername(), connection.getsockname()
        except OSError:
            return "unconnected"
        known = self.ports.get(peer[1]) if isinstance(peer, tuple) else None
        return known or self.ports.get(own[1], "another") if isinstance(own, tuple) else "itself"


def say(report: int, *words: object) -> None:
    """One line of JSON, whole or not at all: a pipe takes so little at once."""
    os.write(report, (json.dumps(words) + "\n").encode())


def _statement(frame: FrameType) -> str:
    """SQLite's statement, by its first word and its table: `UPDATE work_jobs`."""
    sql = frame.f_locals.get("sql")
    if not isinstance(sql, str):
        found = SQL_WORD.search(linecache.getline(frame.f_code.co_filename, frame.f_lineno))
        return found[1] if found else "statement"
    words = sql.split()
    table = next((after for word, after in itertools.pairwise(words) if word in TABLE_FOLLOWS), "")
    return " ".join(part for part in (words[0].upper(), table.strip("(),")) if part)


TABLE_FOLLOWS = frozenset({"INTO", "UPDATE", "FROM"})


def _chain(frame: FrameType) -> str:
    """The last of our own functions on the way to here; of a library's call alone, its own function."""
    names: list[str] = []
    at: FrameType | None = frame
    while at is not None and len(names) < OUR_CHAIN_MOST:
        name = _ours(at.f_code.co_filename, at.f_code.co_qualname)
        if name is not None and name not in names:
            names.append(name)
        at = at.f_back
    if not names:
        return f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}"
    return "<".join(names)


@cache
def _ours(file: str, function: str) -> str | None:
    return f"{Path(file).stem}.{function.replace('.<locals>', '')}" if file.startswith(OURS) else None
