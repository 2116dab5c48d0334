"""The web part, in both connection modes: health for whoever watches the process, and Slack's calls in HTTP mode."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvicorn
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY_BYTES = 256 * 1024  # Slack's largest payloads are well below


class BodyLimit:
    """Refuses a body that is too long before anything reads it whole."""

    def __init__(self, app: ASGIApp, most: int = MOST_BODY_BYTES) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self.most:
                await PlainTextResponse("too long", status_code=413)(scope, receive, send)
                return
        await self.app(scope, _once(bytes(body), receive), send)


def _once(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


Endpoint = Callable[[Request], Awaitable[Response]]


def web_app(
    *,
    slack: AsyncApp | None,
    webhook: Endpoint | None,
    ready: Callable[[], dict[str, bool]],
    metrics: Callable[[], str],
) -> ASGIApp:
    """The routes. `slack` is given in HTTP mode only, `webhook` where there is a key; `ready` says which parts work."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        parts = ready()
        return JSONResponse(parts, status_code=200 if all(parts.values()) else 503)

    async def metricsz(_: Request) -> Response:
        return PlainTextResponse(metrics(), media_type="text/plain; version=0.0.4")

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metricsz)]
    if webhook is not None:
        routes.append(Route("/ottu/webhook", webhook, methods=["POST"]))
    if slack is not None:
        handler = AsyncSlackRequestHandler(slack)

        async def events(request: Request) -> Response:
            if not request.headers.get("x-slack-request-timestamp", "").isdecimal():
                return PlainTextResponse("not signed", status_code=401)  # Bolt would answer 500 for what is no number
            return await handler.handle(request)

        routes.append(Route("/slack/events", events, methods=["POST"]))
    return BodyLimit(Starlette(routes=routes))


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: it would raise SIGTERM again after it had caught it."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # as uvicorn declares it
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's delay off: 40 ms less for each answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening


@asynccontextmanager
async def serving(app: ASGIApp, listening: socket.socket) -> AsyncIterator[str]:
    """Serve until the block is left; gives the address."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=3)
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn tells it by a flag
            await asyncio.sleep(0.01)
        address = listening.getsockname()
        yield f"http://{address[0]}:{address[1]}"
    finally:
        server.should_exit = True
        await task
        listening.close()
