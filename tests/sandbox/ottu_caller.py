"""A caller of the local Ottu over real sockets, for the tests of the sandbox."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from sandbox.ottu import OttuSandbox
from sandbox.ottu_webhooks import NO_CERTIFICATES
from sandbox.serving import serve

OPERATION = "/b/pbl/v2/operation/"
INQUIRY = "/b/pbl/v2/inquiry/"
API_KEY = {"Authorization": "Api-Key sandbox-api-key"}


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = datetime(2026, 6, 26, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Caller:
    """Sends what the bot would send, with the API key."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def operate(self, operation: str, tracking_key: str | None = None, **fields: Any) -> httpx.Response:
        headers = {} if tracking_key is None else {"Tracking-Key": tracking_key}
        return await self.http.post(OPERATION, json={"operation": operation, **fields}, headers=headers)

    async def inquire(self, **fields: Any) -> httpx.Response:
        return await self.http.post(INQUIRY, json=fields)

    async def retrieve(self, session_id: str) -> httpx.Response:
        return await self.http.get(f"/b/checkout/v1/pymt-txn/{session_id}/")


@contextlib.asynccontextmanager
async def calling(sandbox: OttuSandbox) -> AsyncIterator[Caller]:
    """Serve the sandbox and give a caller of it."""
    async with (
        serve(sandbox.app) as base_url,
        httpx.AsyncClient(
            base_url=base_url, headers=API_KEY, trust_env=False, verify=NO_CERTIFICATES, timeout=5
        ) as http,
    ):
        yield Caller(http)
