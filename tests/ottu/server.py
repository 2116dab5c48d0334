"""A scripted HTTP server on loopback: one plain function answers every connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import ottu

KEY = "made-up.K3yThatNobodyMaySee"
SESSION = "0123456789abcdef0123456789abcdef01234567"
Answering = Callable[["Connection"], Awaitable[None]]


@dataclass(repr=False)
class Connection:
    """One connection: what arrived, and where to answer. Not shown, because it holds the key."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: str = ""
    body: bytes = b""

    @property
    def request_line(self) -> str:
        return self.head.split("\r\n")[0]

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.strip().split("\r\n")[1:]
        return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    async def read(self) -> None:
        """Read one request; a connection that ends before leaves what it had sent."""
        try:
            self.head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            self.body = await self.reader.readexactly(int(self.headers.get("content-length", 0)))
        except asyncio.IncompleteReadError as error:
            self.head += error.partial.decode(errors="replace")

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


@dataclass
class Server:
    """What the server has seen: one entry per connection, in order of arrival."""

    port: int
    connections: list[Connection] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, *, deadline_seconds: float = 5.0, connect_seconds: float = 5.0) -> ottu.Client:
        return ottu.Client(
            self.url, ottu.ApiKey(KEY), deadline_seconds=deadline_seconds, connect_seconds=connect_seconds
        )


@asynccontextmanager
async def serving(answering: Answering) -> AsyncIterator[Server]:
    """Run a server whose every connection is handed to `answering`, and then closed."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        server.connections.append(connection)
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.CancelledError):
            await answering(connection)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    server = Server(listener.sockets[0].getsockname()[1])
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answer(status: int, document: object, **headers: str) -> Answering:
    """Read the request and answer it: a `bytes` document as it is, everything else as JSON."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    lines = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = f"HTTP/1.1 {status} Made Up\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())

    async def answering(connection: Connection) -> None:
        await connection.read()
        await connection.send(head.encode() + b"\r\n" + body)

    return answering


async def silent(connection: Connection) -> None:
    """Read the request and never answer."""
    await connection.read()
    await asyncio.sleep(3600)


async def unread(connection: Connection) -> None:
    """Keep every byte that arrives in `body`, and answer nothing."""
    while data := await connection.reader.read(65_536):
        connection.body += data
