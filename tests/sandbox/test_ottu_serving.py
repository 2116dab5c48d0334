"""The server under both stand-ins: it frees its port, keeps its hands off signals, and shows an app's own errors."""

from __future__ import annotations

import asyncio
import logging
import signal
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sandbox.serving import serve


async def hello(_: Request) -> Response:
    return PlainTextResponse("hello")


async def broken(_: Request) -> Response:
    raise LookupError("a mistake in the stand-in")


async def read(request: Request) -> Response:
    return PlainTextResponse(await request.body())


APP = Starlette(routes=[Route("/", hello), Route("/broken", broken), Route("/read", read, methods=["POST"])])


async def test_a_port_is_used_and_given_back() -> None:
    async with serve(APP) as first:
        pass
    port = int(first.rsplit(":", 1)[1])
    for _ in range(2):
        async with serve(APP, port) as base_url, httpx.AsyncClient(trust_env=False) as http:
            assert base_url == first
            assert (await http.get(base_url)).text == "hello"
            with pytest.raises(OSError, match="in use"):
                async with serve(APP, port):
                    pass


async def test_signals_stay_the_programs() -> None:
    """A server that takes SIGTERM would end the bot's own shutdown in the middle."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with serve(APP):
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_an_error_of_the_app_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    async with serve(APP) as base_url, httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{base_url}/broken")).status_code == 500
    assert [record.levelno for record in caplog.records if record.name == "uvicorn.error"] == [logging.ERROR]


async def test_a_caller_who_is_gone_before_the_body_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """A bot that is killed while it sends is what the sandbox is for: no traceback hides what else it says."""
    async with serve(APP) as base_url:
        _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(base_url).port)
        writer.write(b"POST /read HTTP/1.1\r\nHost: sandbox\r\nContent-Length: 10\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(base_url)).text == "hello"
        await asyncio.sleep(0.05)
    assert [record.getMessage() for record in caplog.records if record.name == "uvicorn.error"] == []
