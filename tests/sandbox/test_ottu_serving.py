"""The server under both stand-ins: it frees its port, keeps its hands off signals, and shows an app's own errors."""

from __future__ import annotations

import logging
import signal

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


APP = Starlette(routes=[Route("/", hello), Route("/broken", broken)])


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
