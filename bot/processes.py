"""Which process this is, and whether another is still alive. `host:pid:start`: a reused pid is not mistaken."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil


def this_process() -> str:
    """The name of this process in the bookkeeping."""
    process = psutil.Process()
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.2f}"


def file_identity(path: str) -> str:
    """Tells one file from its copies, which have the same content."""
    status = Path(path).stat()
    return f"{status.st_dev}:{status.st_ino}"


def is_alive_here(owner: str) -> bool:
    """True where the process is known to run, on this machine. Of another one nothing is known."""
    return owner.startswith(f"{socket.gethostname()}:") and not is_gone(owner)


def is_gone(owner: str) -> bool:
    """True where the process is known to have ended. Of another host nothing is known."""
    host, pid, started = owner.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        return abs(process.create_time() - float(started)) > 1 or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


@dataclass(frozen=True)
class Others:
    """What can be known of other processes, by their names."""

    is_gone: Callable[[str], bool] = is_gone
    is_alive_here: Callable[[str], bool] = is_alive_here
