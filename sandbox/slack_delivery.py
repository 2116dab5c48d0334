"""Bringing a payload to the app, over HTTP or Socket Mode, and waiting three seconds for its acknowledgement.

Sources: docs.slack.dev, "Verifying requests from Slack" and "Using Socket Mode".
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import time
import urllib.parse
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
from aiohttp import WSMsgType, web

from sandbox.slack_records import Json, Message
from sandbox.slack_state import State

Kind = Literal["slash_commands", "interactive", "events_api"]
CONNECTIONS_MAX = 10  # Slack: "up to 10 WebSocket connections at the same time"
ANSWER_BYTES_MAX = 1_000_000


@dataclass(frozen=True)
class Delivery:
    """One payload on its way to the app. `body` and `headers` are the signed request of the HTTP mode."""

    kind: Kind
    payload: Json
    user: str
    channel: str = ""
    view_id: str = ""
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ack:
    """How the app acknowledged, as the person sees it.

    `error` is None, or Slack's word: operation_timeout (nothing within 3 s), dispatch_failed (nobody connected),
    http_service_error (not 200), invalid_command_response (unreadable, or content Slack refuses). `message` is what
    appeared for the person (or, with response_type in_channel, for all). `status` is None over Socket Mode.
    """

    error: str | None
    milliseconds: float
    status: int | None = None
    body: Json = field(default_factory=dict)
    message: Message | None = None

    @property
    def ok(self) -> bool:
        """True when the app acknowledged in time."""
        return self.error is None

    @property
    def text(self) -> str:
        """The text that appeared, "" for none."""
        return "" if self.message is None else self.message.text

    @property
    def errors(self) -> Json:
        """The field errors of a form, by block id."""
        errors: Json = self.body.get("errors", {})
        return errors


class Outbox:
    """Sends payloads to the one installed app. With `request_url` over HTTP, else over an open socket."""

    def __init__(self, state: State, session: aiohttp.ClientSession, request_url: str, ack_seconds: float) -> None:
        self.state = state
        self.request_url = request_url
        self.ack_seconds = ack_seconds
        self.sockets: list[web.WebSocketResponse] = []
        self._requests: dict[web.WebSocketResponse, web.Request] = {}
        self._session = session
        self._turns = itertools.count()
        self._waiting: dict[str, asyncio.Future[Json]] = {}

    async def send(self, delivery: Delivery) -> Ack:
        """Deliver once and wait for the acknowledgement."""
        begun = time.monotonic()
        over = self._over_http if self.request_url else self._over_socket
        try:
            async with asyncio.timeout(self.ack_seconds):
                error, status, body = await over(delivery)
        except TimeoutError:
            error, status, body = "operation_timeout", None, {}
        return Ack(error, (time.monotonic() - begun) * 1000, status, body)

    # --- HTTP ------------------------------------------------------------------------------------------------------

    def signed(self, delivery: Delivery) -> Delivery:
        """The same delivery with the body and the signed headers of an HTTP request."""
        if delivery.kind == "slash_commands":
            body, content_type = urllib.parse.urlencode(delivery.payload), "application/x-www-form-urlencoded"
        elif delivery.kind == "interactive":
            body = urllib.parse.urlencode({"payload": json.dumps(delivery.payload)})
            content_type = "application/x-www-form-urlencoded"
        else:
            body, content_type = json.dumps(delivery.payload), "application/json"
        timestamp = str(int(self.state.clock()))
        headers = {
            "Content-Type": content_type,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": signature(self.state.signing_secret, timestamp, body),
        }
        return Delivery(
            delivery.kind, delivery.payload, delivery.user, delivery.channel, delivery.view_id, body.encode(), headers
        )

    async def _over_http(self, delivery: Delivery) -> tuple[str | None, int | None, Json]:
        try:
            async with self._session.post(
                self.request_url, data=delivery.body, headers=delivery.headers, allow_redirects=False
            ) as response:
                content = await response.content.read(ANSWER_BYTES_MAX)
        except aiohttp.ClientError:
            return "dispatch_failed", None, {}
        if response.status != 200:
            return "http_service_error", response.status, {}
        error, body = _readable(content, response.content_type)
        return error, response.status, body

    # --- Socket Mode -----------------------------------------------------------------------------------------------

    async def _over_socket(self, delivery: Delivery) -> tuple[str | None, int | None, Json]:
        if not self.sockets:
            return "dispatch_failed", None, {}
        socket = self.sockets[next(self._turns) % len(self.sockets)]
        envelope_id = str(uuid.uuid4())
        envelope: Json = {"envelope_id": envelope_id, "type": delivery.kind, "payload": delivery.payload}
        envelope["accepts_response_payload"] = delivery.kind != "events_api"
        if delivery.kind == "events_api":
            envelope |= {"retry_attempt": 0, "retry_reason": ""}
        self._waiting[envelope_id] = asyncio.get_running_loop().create_future()
        try:
            await socket.send_json(envelope)
            return None, None, await self._waiting[envelope_id]
        except ConnectionError:
            return "dispatch_failed", None, {}
        finally:
            del self._waiting[envelope_id]

    async def accept(self, request: web.Request) -> web.StreamResponse:
        """One Socket Mode connection, from hello to its end. The ticket in its address is good once."""
        ticket = request.query.get("ticket", "")
        if ticket not in self.state.tickets:
            return web.Response(status=401)
        self.state.tickets.discard(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if len(self.sockets) >= CONNECTIONS_MAX:
            await socket.send_json(_disconnect("too_many_websockets"))
            await socket.close()
            return socket
        self.sockets.append(socket)
        self._requests[socket] = request
        self.state.changed()
        try:
            await socket.send_json(self._hello())
            async for frame in socket:
                if frame.type == WSMsgType.TEXT:
                    self._acknowledged(frame.data)
        finally:
            self._forget(socket)
            del self._requests[socket]
        return socket

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self.sockets),
            "connection_info": {"app_id": self.state.app_id},
            "debug_info": {"host": "applink-sandbox", "build_number": 1, "approximate_connection_time": 18060},
        }

    def _acknowledged(self, text: str) -> None:
        """Hand an acknowledgement to whoever waits; one that comes too late, or is none, is a failure on record."""
        try:
            answer = json.loads(text)
            waiting = self._waiting[answer["envelope_id"]]
        except (ValueError, KeyError, TypeError):
            self.state.fail("", "socket", "unknown_envelope")
            return
        if not waiting.done():
            payload = answer.get("payload")
            waiting.set_result(payload if isinstance(payload, dict) else {})

    def _forget(self, socket: web.WebSocketResponse) -> None:
        if socket in self.sockets:
            self.sockets.remove(socket)
            self.state.changed()

    async def disconnect(self, reason: str) -> None:
        """Tell every connection to come again (Slack: warning, refresh_requested); none gets another payload."""
        for socket in list(self.sockets):
            self._forget(socket)
            await socket.send_json(_disconnect(reason))

    def drop(self) -> None:
        """Break every connection off without a word."""
        for socket, request in list(self._requests.items()):
            self._forget(socket)
            if request.transport is not None:
                request.transport.abort()


def signature(secret: str, timestamp: str, body: str) -> str:
    """Slack's `X-Slack-Signature`, version 0."""
    digest = hmac.new(secret.encode(), f"v0:{timestamp}:{body}".encode(), hashlib.sha256).hexdigest()
    return f"v0={digest}"


def _disconnect(reason: str) -> Json:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-sandbox"}}


def _readable(content: bytes, content_type: str) -> tuple[str | None, Json]:
    """An HTTP acknowledgement's body: nothing, an object, or plain text for the person."""
    if not content.strip():
        return None, {}
    if content_type != "application/json":
        return None, {"text": content.decode(errors="replace")}
    try:
        body: Any = json.loads(content)
    except ValueError:
        body = None
    return (None, body) if isinstance(body, dict) else ("invalid_command_response", {})
