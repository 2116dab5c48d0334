"""How an answer reaches the caller: whole, or as a fault has it. Each is an ASGI app that sends one answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.ottu_answers import failure
from sandbox.ottu_faults import Fault
from sandbox.ottu_inquiry import throttled
from sandbox.ottu_requests import ApiError
from sandbox.serving import drop_connection

GATEWAY_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center><hr></body></html>"
GARBAGE = '{"amount": "5.000", "result": "succ'  # what a proxy leaves of an answer that it cut


@dataclass(frozen=True)
class Answer:
    """A status, a JSON body, headers."""

    status: int
    body: object
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, error: ApiError) -> Answer:
        return cls(error.status, error.body, error.headers)

    def response(self) -> Response:
        return JSONResponse(self.body, self.status, self.headers)


def undone(fault: Fault, operation: str) -> tuple[int | None, ASGIApp]:
    """What the caller meets where nothing is carried out: the status (None: no answer) and the app that sends it."""
    match fault.kind:
        case "drop_before":
            return None, _drop
        case "unauthorized":
            answer = Answer(401, {"detail": "Invalid API key."})
        case "tracking":
            answer = Answer(400, failure("operation_tracking", "The operation could not be tracked."))
        case "throttled":
            answer = Answer.of(throttled(None))
            if fault.retry_after is not None:
                answer.headers["Retry-After"] = fault.retry_after
        case _:
            return _altered(fault, operation)
    return answer.status, answer.response()


def delivered(fault: Fault | None, answer: Answer, operation: str) -> tuple[int | None, ASGIApp]:
    """What the caller meets after `answer` has been worked out (and the money, where it is a success, has moved)."""
    if fault is None:
        return answer.status, answer.response()
    match fault.kind:
        case "drop_after":
            return None, _drop
        case "dripping":
            return answer.status, _dripping(answer, fault.drip_seconds)
        case "disagree":
            answer = Answer(answer.status, _merged(answer.body, fault.changes), answer.headers)
        case "status" | "garbage":
            return _altered(fault, operation)
    return answer.status, answer.response()


async def _drop(scope: Scope, receive: Receive, send: Send) -> None:
    del send
    await drop_connection(scope, receive)


def _altered(fault: Fault, operation: str) -> tuple[int, Response]:
    """Another status, with the body that goes with it: a refusal for 400, `detail` for 4xx, a proxy's page for 5xx."""
    if fault.kind == "garbage":
        return 200, Response(GARBAGE, 200, media_type="application/json")
    headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
    if fault.body is not None:
        return fault.status, JSONResponse(fault.body, fault.status, headers)
    if fault.status == 400:
        return 400, JSONResponse(failure(operation, "The payment gateway declined the operation."), 400, headers)
    if 400 < fault.status < 500:
        return fault.status, JSONResponse({"detail": "The request was refused."}, fault.status, headers)
    if 300 <= fault.status < 400:
        headers["Location"] = "/elsewhere/"
    return fault.status, Response(GATEWAY_PAGE.format(fault.status), fault.status, headers, media_type="text/html")


def _dripping(answer: Answer, drip_seconds: float) -> Response:
    body = json.dumps(answer.body).encode()

    async def bytes_one_by_one() -> AsyncIterator[bytes]:
        for position in range(len(body)):
            await asyncio.sleep(drip_seconds)
            yield body[position : position + 1]

    headers = {**answer.headers, "Content-Length": str(len(body))}
    return StreamingResponse(bytes_one_by_one(), answer.status, headers, media_type="application/json")


def _merged(body: object, changes: dict[str, object]) -> object:
    """`body` with `changes`; a change that is an object is merged into the one that is there."""
    if not isinstance(body, dict):
        return body
    merged = dict(body)
    for name, value in changes.items():
        merged[name] = _merged(merged.get(name), value) if isinstance(value, dict) and name in merged else value
    return merged
