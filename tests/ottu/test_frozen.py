"""A process that was frozen in the midst of sending does not move money late."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator

import pytest

import ottu
from tests.ottu.server import SESSION, serving, unread

HTTP = logging.getLogger("httpcore.http11")  # it logs each step as it is done


class FrozenAfterTheHeaders(logging.Handler):
    """What a stopped process looks like from inside, right after the headers were written."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("send_request_headers.complete"):
            time.sleep(0.5)


@pytest.fixture
def frozen_after_the_headers() -> Iterator[None]:
    handler, level = FrozenAfterTheHeaders(), HTTP.level
    HTTP.addHandler(handler)
    HTTP.setLevel(logging.DEBUG)
    yield
    HTTP.setLevel(level)
    HTTP.removeHandler(handler)


@pytest.mark.usefixtures("frozen_after_the_headers")
async def test_a_claim_that_grew_old_between_headers_and_body_moves_nothing() -> None:
    """The body is held back, without which Ottu can do nothing; that something was sent is still said."""
    async with serving(unread) as server, server.client(connect_seconds=0.1) as client:
        with pytest.raises(ottu.NoAnswer, match="between the headers and the body"):
            await client.operation("void", session_id=SESSION, claimed_at=ottu.awake_seconds() - 4.8)
        await asyncio.sleep(0.05)
    [connection] = server.connections
    head, _, body = connection.body.partition(b"\r\n\r\n")
    assert head.startswith(b"POST ")
    assert body == b""
