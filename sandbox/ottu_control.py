"""The control of the local Ottu over HTTP, under `/_control/ottu/`: for tests, the demo and its page. Loopback only.

GET transactions, ledger, requests, faults, settings, webhooks; POST transactions, faults, settings, dashboard,
settle_queued; DELETE faults. A refusal is `400 {"error": "…"}`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.ottu_answers import external

if TYPE_CHECKING:
    from sandbox.ottu import OttuSandbox

ROOT = "/_control/ottu"
Body = dict[str, Any]


def control_routes(sandbox: OttuSandbox) -> list[Route]:
    """The routes over one sandbox."""
    readers: dict[str, Callable[[], object]] = {
        "transactions": lambda: [one.as_json() for one in sandbox.book.all()],
        "ledger": lambda: [one.as_json() for one in sandbox.ledger],
        "requests": lambda: [one.as_json() for one in sandbox.requests],
        "webhooks": lambda: [one.as_json() for one in sandbox.webhooks.sent],
        "faults": lambda: [one.model_dump(mode="json") for one in sandbox.faults.waiting()],
        "settings": lambda: sandbox.settings.model_dump(mode="json"),
    }

    async def create(body: Body) -> object:
        return sandbox.create(**body).as_json()

    async def fault(body: Body) -> object:
        return sandbox.fault(**body).model_dump(mode="json")

    async def configure(body: Body) -> object:
        if isinstance(body.get("permissions"), list):
            body["permissions"] = frozenset(body["permissions"])
        return sandbox.configure(**body).model_dump(mode="json")

    async def dashboard(body: Body) -> object:
        return await sandbox.dashboard(**body)

    async def settle_queued(body: Body) -> object:
        return external(sandbox.settle_queued(**body), sandbox.settings.webhook_key)

    async def clear_faults(_: Request) -> Response:
        sandbox.faults.clear()
        return JSONResponse([])

    writers = {
        "transactions": create,
        "faults": fault,
        "settings": configure,
        "dashboard": dashboard,
        "settle_queued": settle_queued,
    }
    return [
        *(Route(f"{ROOT}/{name}", _reading(reader), methods=["GET"]) for name, reader in readers.items()),
        *(Route(f"{ROOT}/{name}", _writing(writer), methods=["POST"]) for name, writer in writers.items()),
        Route(f"{ROOT}/faults", clear_faults, methods=["DELETE"]),
    ]


def _reading(reader: Callable[[], object]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        return JSONResponse(reader())

    return answer


def _writing(writer: Callable[[Body], Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            body = json.loads(await request.body())
            return JSONResponse(await writer(body))
        except (ValueError, TypeError) as error:  # not JSON, not an object, or not what the sandbox allows
            return JSONResponse({"error": str(error)}, 400)

    return answer
