"""The three calls of Ottu's API over HTTP: who calls, what a fault makes of it, and the answer."""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sandbox.ottu_answers import INITIATOR, child, inquired, retrieved, time_text
from sandbox.ottu_effects import Answer, delivered, undone
from sandbox.ottu_faults import Endpoint, Fault
from sandbox.ottu_inquiry import inquire
from sandbox.ottu_requests import ApiError, json_object, parse, read_inquiry, read_operation

if TYPE_CHECKING:
    from sandbox.ottu import OttuSandbox

MOST_BODY_BYTES = 65_536
EVERY_METHOD = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")  # one that is not served gets Ottu's kind of 405


@dataclass
class Received:
    """One API request as it came in. The Authorization header is not kept."""

    seq: int
    at: str
    method: str
    path: str
    body: Any  # the JSON, or the text where it is none
    tracking_key: str | None
    status: int | None = None  # of the answer; None: not answered yet, or dropped

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Call:
    """A request whose sender is known."""

    request: Request
    raw: bytes
    tracking_key: str | None
    initiator: dict[str, object] | None  # the Basic user; None for an API key
    fault: Fault | None = None


Act = Callable[[Call], Awaitable[Answer]]


class Api:
    """The endpoints over one sandbox."""

    def __init__(self, sandbox: OttuSandbox, api_key: str, basic: tuple[str, str] | None) -> None:
        self._sandbox = sandbox
        self._api_key = api_key
        self._basic = basic
        self._request_count = 0

    def routes(self) -> list[Route]:
        """Each endpoint with its last slash, and without: there Ottu redirects, which loses the body of a POST."""
        endpoints: list[tuple[str, str, Endpoint, Act]] = [
            ("POST", "/b/pbl/v2/operation", "operation", self._operation),
            ("POST", "/b/pbl/v2/inquiry", "inquiry", self._inquiry),
            ("GET", "/b/checkout/v1/pymt-txn/{session_id}", "retrieve", self._retrieve),
        ]
        return [
            *(
                Route(f"{path}/", self._endpoint(method, name, act), methods=EVERY_METHOD)
                for method, path, name, act in endpoints
            ),
            *(Route(path, self._add_slash, methods=EVERY_METHOD) for _, path, _, _ in endpoints),
        ]

    def _endpoint(self, method: str, endpoint: Endpoint, act: Act) -> Callable[[Request], Awaitable[ASGIApp]]:
        async def answer(request: Request) -> ASGIApp:
            raw = await _body(request)
            received = self._log(request, raw)
            try:
                call = Call(request, raw, request.headers.get("Tracking-Key"), self._sender(request))
                _require_method(request, method)
                received.status, response = await self._with_faults(call, endpoint, act)
            except ApiError as error:
                received.status, response = error.status, Answer.of(error).response()
            return response

        return answer

    async def _with_faults(self, call: Call, endpoint: Endpoint, act: Act) -> tuple[int | None, ASGIApp]:
        references, operation = self._subject(call)
        fault = self._sandbox.faults.take(endpoint, references, operation)
        call = replace(call, fault=fault)
        if fault is not None and (fault.does_nothing or endpoint != "operation"):
            await asyncio.sleep(fault.seconds_before)
        if fault is not None and fault.does_nothing:
            return undone(fault, operation or endpoint)
        try:
            answer = await act(call)
        except ApiError as error:
            answer = Answer.of(error)
        if fault is not None:
            await asyncio.sleep(fault.seconds_after)
        return delivered(fault, answer, operation or endpoint)

    async def _operation(self, call: Call) -> Answer:
        request = read_operation(json_object(_json_only(call)))
        self._permit(call, request.operation)
        fault = call.fault
        body, performed = await self._sandbox.operations.perform(
            request,
            tracking_key=call.tracking_key,
            initiator=call.initiator,
            outcome=None if fault is None else fault.outcome,
            gateway_seconds=0.0 if fault is None else fault.seconds_before,
        )
        self._sandbox.notify(performed)
        return Answer(200, body)

    async def _inquiry(self, call: Call) -> Answer:
        request = read_inquiry(json_object(_json_only(call)))
        self._permit(call, "inquiry")
        transaction = inquire(request, self._sandbox.book, self._sandbox.throttle)
        body = inquired(transaction, self._sandbox.settings.webhook_key)
        if request.disclose_to_merchant and request.disclosure_url is not None:
            self._sandbox.webhooks.send(request.disclosure_url, body)
        url = request.webhook_url or transaction.webhook_url
        if request.notify_webhook_url and url is not None:
            self._sandbox.webhooks.send(url, body)
        return Answer(200, body)

    async def _retrieve(self, call: Call) -> Answer:
        session_id = call.request.path_params["session_id"]
        transaction = self._sandbox.book.find(session_id=session_id)
        if transaction is not None:
            return Answer(200, retrieved(transaction))
        if self._sandbox.settings.children_retrievable:
            for parent in self._sandbox.book.all():
                for one in parent.children:
                    if one.session_id == session_id:
                        return Answer(200, child(parent, one))
        raise ApiError(404, {"detail": "Not found."})

    def _sender(self, request: Request) -> dict[str, object] | None:
        """The Basic user, or None for the API key. ApiError 401 for anybody else."""
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Api-Key" and _same(credentials, self._api_key):
            return None
        if scheme == "Basic" and self._basic is not None:
            expected = base64.b64encode(":".join(self._basic).encode()).decode()
            if _same(credentials, expected):
                return INITIATOR
        detail = "Invalid API key." if scheme else "Authentication credentials were not provided."
        raise ApiError(401, {"detail": detail}, {"WWW-Authenticate": "Api-Key"})

    def _permit(self, call: Call, operation: str) -> None:
        permissions = self._sandbox.settings.permissions
        if call.initiator is not None and permissions is not None and operation not in permissions:
            raise ApiError(403, {"detail": "You do not have permission to perform this action."})

    def _subject(self, call: Call) -> tuple[set[str], str | None]:
        """Both names of the payment that a call is about, as far as it names one, and the operation."""
        body = _json_or_text(call.raw)
        named = dict(body) if isinstance(body, dict) else {}
        named.update(call.request.path_params)
        session_id, order_no = _string(named.get("session_id")), _string(named.get("order_no"))
        found = self._sandbox.book.find(session_id=session_id, order_no=order_no)
        names = {session_id, order_no} | ({found.session_id, found.order_no} if found else set())
        return {name for name in names if name}, _string(named.get("operation"))

    def _log(self, request: Request, raw: bytes) -> Received:
        self._request_count += 1
        received = Received(
            seq=self._request_count,
            at=time_text(self._sandbox.clock()),
            method=request.method,
            path=request.url.path,
            body=_json_or_text(raw),
            tracking_key=request.headers.get("Tracking-Key"),
        )
        self._sandbox.requests.append(received)
        return received

    async def _add_slash(self, request: Request) -> Response:
        self._log(request, await _body(request)).status = 301
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{request.url.path}/{query}", 301)


def _require_method(request: Request, method: str) -> None:
    if request.method != method:
        raise ApiError(405, {"detail": f'Method "{request.method}" not allowed.'}, {"Allow": method})


async def _body(request: Request) -> bytes:
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MOST_BODY_BYTES:
            raise HTTPException(413, "Request body is too large.")
    return raw


def _json_only(call: Call) -> bytes:
    media_type = call.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ApiError(415, {"detail": f'Unsupported media type "{media_type}" in request.'})
    return call.raw


def _json_or_text(raw: bytes) -> Any:
    try:
        return parse(raw) if raw else None
    except ValueError:
        return raw[:2000].decode(errors="replace")


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


async def plain_error(_: Request, error: Exception) -> Response:
    """Starlette's own refusals, in the shape that Ottu's have."""
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
