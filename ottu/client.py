"""An asynchronous client for three calls to Ottu: operation, inquiry, retrieve.

It never sends twice: no retries, no redirects, no proxy from the environment, a fresh connection for every call, and
one deadline over connecting, sending and reading. Foreign errors become ours in `translated`, and nowhere else.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from types import TracebackType
from typing import Any, Self

import httpx

from ottu.errors import ClaimTooOld, NoAnswer, NotSent, OttuError, Throttled, Unauthorized
from ottu.models import Inquiry, OperationAnswer, Retrieved, plain, read_document
from ottu.outgoing import (
    ApiKey,
    Basic,
    check_base_url,
    check_proxy,
    inquiry_body,
    operation_body,
    session_path,
    tracking,
)
from ottu.refusals import REFUSAL_STATUSES, read_refusal, retry_after_seconds

CLAIM_LIMIT_SECONDS = 5.0  # how old a claim may be when the request is written, the connecting not counted
CLAIM_LIMIT_DEADLINES = 2  # the same, where deadlines are short: with the connecting, three of them
CLAIM_LIMIT_SECONDS_MINIMUM = 1.0  # a busy machine is no frozen one
ASLEEP_SECONDS = 0.5  # a deadline that is noticed so late was slept through: this process had been frozen
ARRIVED_SECONDS = 1.0  # then what has arrived meanwhile is read for so long
BODY_LIMIT_BYTES = 1024 * 1024

# With these, httpx and httpcore promise that the request was not written.
NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
# Their texts speak of addresses and certificates. Those of the other errors may quote a header, and are not shown.
WORDS: tuple[tuple[type[Exception], str], ...] = (
    (httpx.ConnectTimeout, "Ottu did not take the connection in time"),
    (httpx.ConnectError, "no connection to Ottu"),
    (httpx.RemoteProtocolError, "Ottu closed the connection without a whole answer"),
    (httpx.NetworkError, "the connection to Ottu broke"),
    (httpx.TimeoutException, "Ottu did not answer in time"),
)
TEXT_IS_HARMLESS = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)


def awake_seconds() -> float:
    """A clock that also runs while the machine sleeps, where the system has one; its zero means nothing.

    `claimed_at` is a reading of it. Python's monotonic clock stands still during a sleep on Linux.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@cache
def _certificates() -> ssl.SSLContext:
    """The authorities that httpx brings along; loading them takes longer than a call to a near server."""
    return httpx.create_ssl_context(trust_env=False)


@dataclass(frozen=True)
class _Answered:
    status: int
    retry_after: str | None
    body: bytes = field(repr=False)  # it may hold customer data


class _Sending:
    """One call as httpcore's trace shows it: is it still connecting, and may it be written at all?"""

    def __init__(
        self, clock: Callable[[], float], claimed_at: float | None, connect_seconds: float, limit_seconds: float
    ) -> None:
        self._clock = clock
        self._claimed_at = claimed_at
        self._connect_seconds = connect_seconds
        self._limit_seconds = limit_seconds
        self._began_at = clock()
        self._stood_at = self._began_at  # when the connection stood, last as far as it is known
        self._connecting_seconds = 0.0
        self._stream: Any = None
        # True only while it is certain that nothing was written; None before the first event.
        self.connecting: bool | None = None

    async def aclose(self) -> None:
        """Close the connection. httpcore itself leaves it open where the deadline ends a TLS handshake."""
        if self._stream is not None:
            await self._stream.aclose()

    async def watch(self, event: str, info: Mapping[str, Any]) -> None:
        """httpcore's trace extension. Whatever is not known to be part of connecting counts as writing.

        Over HTTP/1.1 the first such event is `http11.send_request_headers.started`, just before the request line. A
        proxy is asked for a tunnel with events of the same name, whose request is a CONNECT.
        """
        if event == "connection.connect_tcp.complete":
            self._stream = info["return_value"]
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._stood_at = self._clock()
        if not event.endswith(".started") or event == "http11.response_closed.started":
            return
        method = getattr(info.get("request"), "method", None)
        if event.startswith(("connection.", "proxy.")) or method == b"CONNECT":
            self.connecting = True
        elif self.connecting is not False:
            self._connecting_seconds = min(self._stood_at - self._began_at, self._connect_seconds)
            if self._claim_is_too_old():
                raise ClaimTooOld
            self.connecting = False
        elif event == "http11.send_request_body.started" and self._claim_is_too_old():
            raise NoAnswer("too much time passed between the headers and the body, which was held back")

    def _claim_is_too_old(self) -> bool:
        if self._claimed_at is None:
            return False
        now = self._clock()
        age = now - self._claimed_at
        # A claim from the future is a reading of another clock: its age is unknown.
        return age < 0 or age - self._connecting_seconds > self._limit_seconds

    def end(self, limit: asyncio.Timeout, ends_at: float) -> None:
        """The deadline has passed. Where it was slept through, an answer may lie here unread, which is proof."""
        now = asyncio.get_running_loop().time()
        may_read = self.connecting is False and now - ends_at > ASLEEP_SECONDS
        limit.reschedule(now + (ARRIVED_SECONDS if may_read else 0))


class Client:
    """Three calls to one merchant's Ottu. An asynchronous context manager; safe to share between tasks.

    `base_url` is `https://<name>.ottu.net`, or plain http to a loopback address. `auth` may be a function that
    each call asks, for credentials that are renewed meanwhile; it must not raise. `deadline_seconds` is over a call,
    and may be a function too; `connect_seconds` is over each step of connecting. `clock` is the one by which claims are
    aged, in seconds; `transport` makes the connection of one call, which reports its steps as httpcore's trace does.
    Where this process was frozen past the deadline, what has arrived is still read. Raises ValueError for a base URL or
    proxy that cannot be
    used. Every call raises ValueError for arguments that Ottu would not take, before anything is sent, and `OttuError`.
    """

    def __init__(
        self,
        base_url: str,
        auth: ApiKey | Basic | Callable[[], ApiKey | Basic],
        *,
        deadline_seconds: float | Callable[[], float] = 60.0,
        connect_seconds: float = 10.0,
        proxy: str | None = None,
        clock: Callable[[], float] = awake_seconds,
        transport: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        if not (_value(deadline_seconds) > 0 and connect_seconds > 0):
            raise ValueError("The deadline and the time for connecting must be more than 0 seconds.")
        self._base_url = check_base_url(base_url)
        self._auth = auth
        self._deadline_seconds = deadline_seconds
        self._connect_seconds = connect_seconds
        self._proxy = check_proxy(proxy)
        self.clock = clock
        self._transport = transport or self._connection
        self._closed = False

    def __repr__(self) -> str:
        return f"<ottu.Client {self._base_url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Begin no more calls; those under way go on. Nothing is open between calls."""
        self._closed = True

    async def operation(
        self,
        operation: str,
        *,
        session_id: str | None = None,
        order_no: str | None = None,
        amount: str | None = None,
        destination: str | None = None,
        extra: Mapping[str, object] | None = None,
        tracking_key: str | None = None,
        claimed_at: float | None = None,
    ) -> OperationAnswer:
        """Act on a transaction: refund, capture, void, cancel, expire or delete it.

        Exactly one of `session_id` (40 hex digits) and `order_no`. `amount` is a decimal string in the transaction's
        currency: required for refund and capture, for which Ottu would else take all that is left, and refused for the
        others. With the same `tracking_key` and session id, Ottu answers with the state of the first operation, *if* it
        has stored the key; if not, it executes. `claimed_at` is a reading of `clock`: a claim that is more than
        5 seconds, or two deadlines, older than the connecting took is not sent (`ClaimTooOld`).
        """
        body = operation_body(operation, session_id, order_no, amount, destination, extra)
        request = self._request("POST", "/b/pbl/v2/operation/", body, tracking(tracking_key))
        return OperationAnswer.read(await self._call(request, asked=operation, claimed_at=claimed_at))

    async def inquiry(
        self,
        *,
        session_id: str | None = None,
        order_no: str | None = None,
        disclose_to_merchant: bool | None = None,
        disclosure_url: str | None = None,
        notify_webhook_url: bool | None = None,
        webhook_url: str | None = None,
    ) -> Inquiry:
        """Ask the gateway about a transaction: exactly one of `session_id` and `order_no`.

        Ottu refuses it in a payment's first 10 minutes, then allows one per 30 minutes and at most 3. The first pair of
        options is from the second version of Ottu's documentation, the other from its newer API description.
        """
        options = {
            "disclose_to_merchant": disclose_to_merchant,
            "disclosure_url": disclosure_url,
            "notify_webhook_url": notify_webhook_url,
            "webhook_url": webhook_url,
        }
        request = self._request("POST", "/b/pbl/v2/inquiry/", inquiry_body(session_id, order_no, options))
        return Inquiry.read(await self._call(request))

    async def retrieve(self, session_id: str) -> Retrieved:
        """Read a transaction by its session id (40 hex digits). Ottu documents no throttle for it."""
        return Retrieved.read(await self._call(self._request("GET", session_path(session_id))))

    def _request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Request:
        auth = self._auth if isinstance(self._auth, (ApiKey, Basic)) else self._auth()
        return httpx.Request(
            method,
            self._base_url + path,
            content=body,
            headers={
                "Authorization": auth.header(),
                "Accept": "application/json",
                "Accept-Encoding": "identity",  # what is read is then what was limited
                "Connection": "close",
                "User-Agent": "ottu-bot",
                **({} if body is None else {"Content-Type": "application/json"}),
                **(headers or {}),
            },
        )

    async def _call(
        self, request: httpx.Request, *, asked: str | None = None, claimed_at: float | None = None
    ) -> dict[str, object]:
        deadline_seconds = _value(self._deadline_seconds)
        deadlines_seconds = max(CLAIM_LIMIT_DEADLINES * deadline_seconds, CLAIM_LIMIT_SECONDS_MINIMUM)
        limit_seconds = min(CLAIM_LIMIT_SECONDS, deadlines_seconds)
        connect_seconds = min(self._connect_seconds, deadline_seconds)
        sending = _Sending(self.clock, claimed_at, connect_seconds, limit_seconds)
        timeout = httpx.Timeout(None, connect=self._connect_seconds)  # the deadline is over reading and writing
        request.extensions = {"trace": sending.watch, "timeout": timeout.as_dict()}
        if self._closed:
            raise NotSent("the client is closed")
        try:
            answered = await self._in_time(request, sending, deadline_seconds)
        except Exception as error:  # CancelledError is none, and passes as itself
            failure = translated(error, connecting=sending.connecting is True)
        else:
            return _document(answered, asked)
        raise failure  # out here, so that it has no context: the foreign error's frames hold the headers

    async def _in_time(self, request: httpx.Request, sending: _Sending, deadline_seconds: float) -> _Answered:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + deadline_seconds
        async with asyncio.timeout(None) as limit:
            alarm = loop.call_at(ends_at, sending.end, limit, ends_at)
            try:
                return await self._exchange(request, sending)
            finally:
                alarm.cancel()

    def _connection(self) -> httpx.AsyncBaseTransport:
        return httpx.AsyncHTTPTransport(verify=_certificates(), trust_env=False, proxy=self._proxy)

    async def _exchange(self, request: httpx.Request, sending: _Sending) -> _Answered:
        # A transport of its own is a connection of its own. It knows no redirects, cookies or environment.
        async with (
            aclosing(sending),
            self._transport() as transport,
            aclosing(await transport.handle_async_request(request)) as response,
        ):
            status = response.status_code
            worth_reading = response.is_success or status in REFUSAL_STATUSES
            body = await _limited_body(response) if worth_reading else b""
            return _Answered(status, response.headers.get("Retry-After"), body)


async def _limited_body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise NoAnswer("the answer is too long", response.status_code)
    return bytes(body)


def translated(error: Exception, *, connecting: bool) -> OttuError:
    """The one place where httpx's errors become ours. Any error that proves nothing is a missing answer."""
    if isinstance(error, OttuError):
        return error.with_traceback(None)
    what = "the deadline passed" if type(error) is TimeoutError else _in_words(error)
    if isinstance(error, TEXT_IS_HARMLESS) and str(error):
        what = f"{what}, {plain(str(error))}"
    if connecting or isinstance(error, NOT_SENT):
        return NotSent(what)
    return NoAnswer(what)


def _value(seconds: float | Callable[[], float]) -> float:
    return seconds() if callable(seconds) else seconds


def _in_words(error: Exception) -> str:
    """What happened, for a person, with the name by which engineers look it up."""
    return next(
        (f"{words} ({type(error).__name__})" for kind, words in WORDS if isinstance(error, kind)), type(error).__name__
    )


def _document(answered: _Answered, asked: str | None) -> dict[str, object]:
    """The JSON object of a 2xx, or the error that any other status means."""
    status = answered.status
    if status == 401:
        raise Unauthorized
    if status == 429:
        raise Throttled(retry_after_seconds(answered.retry_after, datetime.now(UTC)))
    if not (200 <= status < 300 or status in REFUSAL_STATUSES):
        raise NoAnswer(f"status {status}", status)
    document = _json_object(answered)
    if 200 <= status < 300:
        return document
    raise read_refusal(status, document, asked) or NoAnswer(f"status {status} without a readable reason", status)


def _json_object(answered: _Answered) -> dict[str, object]:
    try:
        return read_document(answered.body)
    except ValueError as error:
        why = f"status {answered.status}, {error}"
    raise NoAnswer(why, answered.status)  # without context: the JSON error holds the whole body
