"""A process that forks bots: everything is imported once, and each bot begins where a fresh one would.

The nursery has one thread, and no event loop ever ran in it, so that a fork of it is whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import inspect
import json
import os
import signal
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bot import log
from bot.acquaintance import CannotStart
from bot.app import Bot
from bot.settings import read_settings
from tests.proofs.crash_points import Blow, Point, Watch, say

ORDER_BYTES = 60_000
LATE = (  # what the libraries import only when they are first used: each bot would do so again
    "anyio._backends._asyncio",
    "httpcore",
    "slack_bolt.listener_matcher.async_builtins",
    "uvicorn.lifespan.off",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)


@dataclass(frozen=True)
class Order:
    """A bot to be born: its environment, the file for its log, and what becomes of it."""

    variables: dict[str, str]
    log: str
    target: str | None  # a point, as text
    blow: Blow
    tell: bool  # every point that it passes
    ports: dict[int, str]


class Child:
    """A forked bot, as its driver sees it: what it tells, and whether it is gone."""

    def __init__(self, pid: int, report: socket.socket) -> None:
        self.pid = pid
        self.points: list[Point] = []
        self.struck = asyncio.Event()
        self.gone = asyncio.Event()
        self.refused: str | None = None  # why it could not start
        self._report = report
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        report.setblocking(False)
        self._loop.add_reader(report, self._read)

    def _read(self) -> None:
        try:
            read = self._report.recv(1 << 20)
        except BlockingIOError:
            return
        if not read:
            self._loop.remove_reader(self._report)
            self._report.close()
            self.gone.set()
            return
        *lines, self._rest = (self._rest + read).split(b"\n")
        for line in lines:
            self._hear(*json.loads(line))

    def _hear(self, kind: str, text: str) -> None:
        if kind == "point":
            self.points.append(Point.read(text))
        elif kind == "struck":
            self.struck.set()
        else:
            self.refused = text

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def kill(self) -> None:
        """End it, as a power cut does, and wait until it is gone."""
        if not self.gone.is_set():
            self.signal(signal.SIGKILL)
            await self.gone.wait()


class Nursery:
    """The driver's end of it."""

    def __init__(self) -> None:
        """Forks the nursery. Before any event loop and any thread of this process."""
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            self._orders.close()
            with contextlib.suppress(BaseException):
                _serve(theirs)
            os._exit(0)
        theirs.close()

    def bear(self, order: Order) -> Child:
        """Fork a bot."""
        ours, theirs = socket.socketpair()
        socket.send_fds(self._orders, [json.dumps(asdict(order)).encode()], [theirs.fileno()])
        theirs.close()
        return Child(int(self._orders.recv(100)), ours)

    def close(self) -> None:
        """No more bots: the nursery ends."""
        self._orders.close()
        os.waitpid(self.pid, 0)


def _serve(orders: socket.socket) -> None:
    for name in LATE:
        importlib.import_module(name)
    inspect.stack()  # as Bolt calls it: what it finds about all modules is kept
    gc.collect()
    gc.freeze()
    alive: set[int] = set()
    while True:
        said, descriptors, _, _ = socket.recv_fds(orders, ORDER_BYTES, 1)
        alive = {pid for pid in alive if os.waitpid(pid, os.WNOHANG) == (0, 0)}
        if not said:  # the driver is gone, and nobody else would end them
            for pid in alive:
                os.kill(pid, signal.SIGKILL)
            return
        pid = os.fork()
        if pid == 0:
            orders.close()
            _live(json.loads(said), descriptors[0])
        os.close(descriptors[0])
        alive.add(pid)
        orders.send(str(pid).encode())


def _live(order: dict[str, Any], report: int) -> None:
    """The life of one bot, as `python -m bot` leads it. Does not return."""
    status = 0
    try:
        descriptor = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 2)
        os.chdir(Path(order["log"]).parent)
        target = order["target"] and Point.read(order["target"])
        ports = {int(port): name for port, name in order["ports"].items()}
        if target or order["tell"]:
            watch = Watch(report, target=target, blow=order["blow"], tell=order["tell"], ports=ports)
            sys.setprofile(watch)
        settings = read_settings(order["variables"], {})
        log.set_up(settings.secrets())
        bot = Bot.build(settings)
        asyncio.run(bot.run())
    except CannotStart as error:
        say(report, "refused", str(error))
        status = 2
    except BaseException as error:
        say(report, "refused", f"{type(error).__name__}: {error}")
        status = 1
    finally:
        sys.setprofile(None)
        os._exit(status)
