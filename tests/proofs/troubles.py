"""Real troubles of a machine, made and ended at will: full disks, limits, locks, damage, wrong names."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DISK_BYTES = 8 * 1024 * 1024
PAGE_BYTES = 4096


class Unavailable(Exception):
    """This trouble cannot be made here; the text says what would be needed."""


def _command(*words: str | Path) -> bool:
    found = shutil.which(str(words[0]))
    return found is not None and subprocess.run([found, *words[1:]], capture_output=True, check=False).returncode == 0  # noqa: S603 - our own words


@contextmanager
def a_small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own, of a few megabytes. Raises Unavailable where only an administrator may make one."""
    disk = folder / "disk"
    disk.mkdir()
    if not _command("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", disk):
        raise Unavailable("a file system of its own needs the right to mount one")
    try:
        yield disk
    finally:
        _command("umount", "-l", disk)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Not a byte is left on it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, PAGE_BYTES, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def limited(pid: int, which: int, most: int) -> Iterator[None]:
    """A limit of the system's on a running process of ours, lifted afterwards."""
    before = resource.prlimit(pid, which)
    resource.prlimit(pid, which, (most, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, which, before)


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another program has it, and does not let go."""
    connection = sqlite3.connect(database, isolation_level=None, timeout=30)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing in that folder can be written. An administrator is not stopped by modes, so for one it is mounted so."""
    if os.geteuid() == 0:
        if not (_command("mount", "--bind", folder, folder) and _command("mount", "-o", "remount,ro,bind", folder)):
            raise Unavailable("a folder that an administrator cannot write needs the right to mount one")
        try:
            yield
        finally:
            _command("umount", "-l", folder)
        return
    files = [folder, *folder.iterdir()]
    modes = [file.stat().st_mode for file in files]
    for file in files:
        file.chmod(0o500 if file.is_dir() else 0o400)
    try:
        yield
    finally:
        for file, mode in zip(files, modes, strict=True):
            file.chmod(mode)


def checkpoint(database: Path) -> None:
    """All that was committed is in the file itself, and the next write begins a new log."""
    connection = sqlite3.connect(database, timeout=30)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()


def damage(database: Path, table: str) -> None:
    """Garbage over the first page of a table, as a dying disk leaves it."""
    checkpoint(database)
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    (number,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", [table]).fetchone()
    connection.close()
    with database.open("r+b") as file:
        file.seek((number - 1) * PAGE_BYTES)
        file.write(b"\xff" * PAGE_BYTES)


class Names:
    """The names that one process of ours resolves: a hosts file of its own, in a mount namespace of its own."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "hosts"
        self.set("127.0.0.1 localhost")
        words = f'mount --bind "{self.file}" /etc/hosts && exec "$@"'
        self.through = ["unshare", "--map-root-user", "--mount", "sh", "-c", words, "sh"]
        test = "import socket; socket.getaddrinfo('localhost', 80)"
        if not _command(*self.through, "python3", "-c", test):
            raise Unavailable("names of its own need user namespaces (unshare)")
        self.set("")
        if _command(*self.through, "python3", "-c", test):
            raise Unavailable("localhost is resolved here without the hosts file")
        self.set("127.0.0.1 localhost")

    def set(self, text: str) -> None:
        """Written in place: a mount holds the file itself, not its name."""
        with self.file.open("w", encoding="utf-8") as file:
            file.write(f"{text}\n")
