"""The connection of one call to the scripted Ottu: the steps that httpcore reports, and what can befall each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from tests.proofs.scripted_ottu import OttuScript

if TYPE_CHECKING:
    from tests.proofs.processes import Simulated


class _Stream:
    async def aclose(self) -> None:
        """Nothing is open."""


class Wire(httpx.AsyncBaseTransport):
    """One call of one process."""

    def __init__(self, process: Simulated, script: OttuScript) -> None:
        self.process = process
        self.script = script

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Connect, write, wait: at each step the process may crash or freeze."""
        trace, world = request.extensions["trace"], self.process.world
        kind = "operation" if request.url.path.endswith("/operation/") else "reading"
        await trace("connection.connect_tcp.started", {})
        connecting_seconds = await self._connect(request, kind)
        await trace("connection.connect_tcp.complete", {"return_value": _Stream()})
        await self.process.point(f"{kind}, connected")
        await trace("http11.send_request_headers.started", {"request": request})
        await self.process.point(f"{kind}, headers written")
        await trace("http11.send_request_body.started", {"request": request})
        world.oracles.arrives(self.process, request, connecting_seconds)  # from here on, Ottu has it
        answering: asyncio.Task[httpx.Response] = world.around(self.script.respond(request))
        await self.process.point(f"{kind}, request written")
        response = await asyncio.shield(answering)
        await self.process.point(f"{kind}, answered")
        return response

    async def _connect(self, request: httpx.Request, kind: str) -> float:
        world, began_at = self.process.world, self.process.world.loop.now
        await self.process.point(f"{kind}, connecting")
        seconds, limit = 0.05, float(request.extensions["timeout"]["connect"])
        if not world.calm:
            seconds = world.random.choices([0.05, 4.0, 9.0, 30.0], [90, 3, 2, 2])[0]
        await asyncio.sleep(min(seconds, limit))
        if seconds > limit:
            world.count("ottu: connecting timed out")
            raise httpx.ConnectTimeout("simulated")
        lost = not world.calm and world.random.random() < (world.theme.no_connection if kind == "operation" else 0.05)
        if lost or world.loop.now < self.script.unreachable_until:
            world.count("ottu: no connection")
            raise httpx.ConnectError("simulated")
        return min(world.loop.now - began_at, limit)
