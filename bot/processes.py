"""Which process this is, and whether another is still alive. `host:pid:start`: a reused pid is not mistaken."""

from __future__ import annotations

import socket

import psutil


def this_process() -> str:
    """The name of this process in the bookkeeping."""
    process = psutil.Process()
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.2f}"


def is_alive_here(owner: str) -> bool:
    """True where the process runs on this host."""
    return owner.rsplit(":", 2)[0] == socket.gethostname() and not is_gone(owner)


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
