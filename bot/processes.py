"""Which process this is, and whether another is still alive.

`host:pid:start`: a reused pid is not mistaken, and a clock that is set makes nobody look ended.
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
    return f"{socket.gethostname()}:{process.pid}:{boot}{_began(process, boot):.2f}"


def _boot() -> str:
    """What tells this boot from another one; nothing where the system has no such thing."""
    try:
        return f"{BOOT_ID.read_text(encoding='ascii').strip()}+"
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
    return owner.startswith(f"{socket.gethostname()}:") and not is_gone(owner)


def is_gone(owner: str) -> bool:
    """True where the process is known to have ended. Of another host nothing is known."""
    host, pid, start = owner.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    boot = start[: start.rfind("+") + 1]
    try:
        process = psutil.Process(int(pid))
        if boot not in ("", _boot()) or abs(_began(process, boot) - float(start.removeprefix(boot))) > SAME_SECONDS:
            return True
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


@dataclass(frozen=True)
class Others:
    """What can be known of other processes, by their names."""

    is_gone: Callable[[str], bool] = is_gone
    is_alive_here: Callable[[str], bool] = is_alive_here
