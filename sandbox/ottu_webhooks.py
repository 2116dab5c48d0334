"""Ottu's webhooks, sent as Ottu sends them: retried on a time-out only, three times."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from urllib.parse import urlsplit

import httpx

from sandbox.ottu_answers import time_text
from sandbox.ottu_settings import Settings

RETRIES = 3
# Loopback speaks plain http: reading the system's certificates would hold the event loop up for 40 ms each time.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Sending:
    """One attempt to bring one event to its address."""

    at: str
    url: str
    outcome: str  # the status as text, or why there is none
    body: dict[str, object]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


class Webhooks:
    """Sends in the background; `sent` is what happened. Only to loopback: nothing leaves the machine."""

    MOST_KEPT = 1000

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self.sent: deque[Sending] = deque(maxlen=self.MOST_KEPT)
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, url: str, body: dict[str, object]) -> None:
        """Send `body` after the settings' delay, and again as often as the settings repeat it. Needs a running loop."""
        task = asyncio.get_running_loop().create_task(self._send(url, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Wait until everything that was to be sent has been."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Give up what is still to be sent."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, url: str, body: dict[str, object]) -> None:
        if urlsplit(url).hostname not in LOOPBACK:
            self._record(url, "not sent: the sandbox sends to loopback only", body)
            return
        await asyncio.sleep(self._settings.webhook_delay_seconds)
        for _ in range(1 + self._settings.webhook_repeats):
            await self._deliver(url, body)

    async def _deliver(self, url: str, body: dict[str, object]) -> None:
        timeout_seconds = self._settings.webhook_timeout_seconds
        async with httpx.AsyncClient(trust_env=False, verify=NO_CERTIFICATES, timeout=timeout_seconds) as client:
            for _ in range(1 + RETRIES):
                try:
                    response = await client.post(url, json=body)
                except httpx.TimeoutException:
                    self._record(url, "timed out", body)
                    continue
                except httpx.HTTPError as error:
                    self._record(url, type(error).__name__, body)
                else:
                    self._record(url, str(response.status_code), body)
                return

    def _record(self, url: str, outcome: str, body: dict[str, object]) -> None:
        self.sent.append(Sending(time_text(self._clock()), url, outcome, body))
