"""Serve an ASGI app on loopback inside the running event loop: real sockets, no signal handlers, an end at once.

Both stand-ins, and the tests, run their apps here. An app may also break its connection off, as a crashed gateway does:
see `drop_connection`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from email.utils import formatdate
from typing import cast

import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_ABORT = "abort_connection"


@contextlib.asynccontextmanager
async def serve(app: ASGIApp, port: int = 0, *, clock: Callable[[], float] = time.time) -> AsyncIterator[str]:
    """Run `app` on 127.0.0.1 while the context is open; yields its base URL, `http://127.0.0.1:<port>`, no last slash.

    `clock` gives the `Date` of its answers, in seconds since 1970. Port 0 takes a free one. OSError when the port is
    taken. At the end, requests still under way are cancelled and every connection is closed: nothing is waited for.
    """
    listener = _listen(port)
    server = _Server(uvicorn.Config(app, http=_Connection, ws="none", log_config=None, access_log=False), clock)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    ready = asyncio.create_task(server.ready.wait())
    try:
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
            raise RuntimeError("the app ended while it was starting")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ready.cancel()
        server.closing.set()
        await serving
        listener.close()


def _listen(port: int) -> socket.socket:
    # Named as TCP: asyncio turns Nagle's delay (40 ms an answer) off only where the socket says so itself.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    return listener


async def drop_connection(scope: Scope, receive: Receive) -> None:
    """Close the client's connection now, whatever was sent on it. Returns when it is gone; then answer nothing.

    The request's body must have been read. RuntimeError when the app is not run by `serve`.
    """
    abort = scope.get("state", {}).get(_ABORT)
    if abort is None:
        raise RuntimeError("only an app run by sandbox.serving can drop a connection")
    abort()
    while (await receive())["type"] != "http.disconnect":
        pass


class _Connection(H11Protocol):
    """uvicorn's protocol; each request's `state` carries the way to break its connection off."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        super().connection_made(transport)
        self.app_state = {**self.app_state, _ABORT: transport.abort}


class _Server(uvicorn.Server):
    """uvicorn's server, ended by an event and without its pauses of a tenth of a second."""

    def __init__(self, config: uvicorn.Config, clock: Callable[[], float]) -> None:
        super().__init__(config)
        self.clock = clock
        self.ready = asyncio.Event()
        self.closing = asyncio.Event()
        app = config.app

        async def quiet_when_closing(scope: Scope, receive: Receive, send: Send) -> None:
            """A request cancelled by our own shutdown, or whose caller is gone, is no error worth a traceback."""
            try:
                await cast(ASGIApp, app)(scope, receive, send)
            except ClientDisconnect:
                return
            except asyncio.CancelledError:
                if not self.closing.is_set():
                    raise

        config.app = quiet_when_closing

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the program, not to a server inside it."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        while not self.closing.is_set():
            await self.on_tick(0)  # looks after the connections, and sets the headers that every answer carries
            self.server_state.default_headers = [(b"date", formatdate(self.clock(), usegmt=True).encode())]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.closing.wait(), 1.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        del sockets  # closed by the servers that own them
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            cast(_Connection, connection).transport.abort()
        running = list(self.server_state.tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self.lifespan.shutdown()
        await asyncio.sleep(0)  # aborted transports close their sockets in the loop's next round
