"""Which process this is, and whether another is still alive.

`host+boot:pid:start`: a reused pid is not mistaken, and on Linux a clock that is set makes nobody look ended. Elsewhere
there is no boot in it, and the start is by the clock.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux: another one after each boot
SAME_SECONDS = 1.0  # two looks at the start of one process differ by less


def this_process() -> str:
    """The name of this process in the bookkeeping."""
    return name_of(psutil.Process())


def name_of(process: psutil.Process) -> str:
    """The name of a process of this machine."""
    boot = _boot()
    host = f"{socket.gethostname()}+{boot}" if boot else socket.gethostname()
    return f"{host}:{process.pid}:{_began(process, boot):.2f}"


def _boot() -> str:
    """What tells this boot from another one; nothing where the system does not say."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _began(process: psutil.Process, boot: str) -> float:
    """When it began, in seconds: after that boot, which no setting of the clock moves; else by the clock."""
    # Linux counts from the boot, and psutil adds when that was by the clock of now.
    return process.create_time() - (psutil.boot_time() if boot else 0.0)


def file_identity(path: str) -> str:
    """Tells one file from its copies, which have the same content."""
    status = Path(path).stat()
    return f"{status.st_dev}:{status.st_ino}"


def is_alive_here(owner: str) -> bool:
    """True where the process is known to run, on this machine. Of another one nothing is known."""
    host = owner.rsplit(":", 2)[0].partition("+")[0]
    return host == socket.gethostname() and not is_gone(owner)


def is_gone(owner: str) -> bool:
    """True where the process is known to have ended. Of another host nothing is known."""
    try:
        where, pid, began = owner.rsplit(":", 2)
        number, seconds = int(pid), float(began)
    except ValueError:
        return False  # no name that we gave
    host, _, boot = where.partition("+")
    now = _boot()
    if host != socket.gethostname() or (boot and not now):
        return False
    if boot not in ("", now):
        return True  # this machine has been started again since
    try:
        process = psutil.Process(number)
        same = abs(_began(process, boot) - seconds) <= SAME_SECONDS
        return not same or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


@dataclass(frozen=True)
class Others:
    """What can be known of other processes, by their names."""

    is_gone: Callable[[str], bool] = is_gone
    is_alive_here: Callable[[str], bool] = is_alive_here
