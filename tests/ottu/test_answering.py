"""What each answer, and each missing one, becomes. One test per row of the table "What an answer means"."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import traceback

import httpx
import pytest

import ottu
from ottu.client import BODY_LIMIT_BYTES, NOT_SENT, translated
from tests.ottu.server import KEY, SESSION, Answering, Connection, answer, serving, silent, unread


async def failure_of(answering: Answering, **options: float) -> ottu.OttuError:
    """The error of a refund that is answered like this."""
    async with serving(answering) as server, server.client(**options) as client:
        with pytest.raises(ottu.OttuError) as caught:
            await client.operation("refund", session_id=SESSION, amount="5.000")
    return caught.value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def reset(connection: Connection) -> None:
    """Read the request, then cut the connection off with a reset."""
    await connection.read()
    raw = connection.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def hang_up(connection: Connection) -> None:
    """Read the request, then end the connection in order."""
    await connection.read()


async def cut_short(connection: Connection) -> None:
    """Send less than was announced: what arrived would read as a success."""
    await connection.read()
    await connection.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"result": "success"}')


async def no_http(connection: Connection) -> None:
    """Answer in no known language."""
    await connection.read()
    await connection.send(b"\x00\x01 hello\r\n\r\n")


async def drip(connection: Connection) -> None:
    """Send a byte now and then, for ever: no single read ever takes long."""
    await connection.read()
    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        await connection.send(b" ")
        await asyncio.sleep(0.02)


async def flood(connection: Connection) -> None:
    """Send more than is ever read."""
    await connection.read()
    await connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await connection.send(b" " * 65_536)


async def test_nobody_listening_is_not_sent() -> None:
    """ConnectError: nothing can have reached Ottu."""
    async with ottu.Client(f"http://127.0.0.1:{free_port()}", ottu.ApiKey(KEY)) as client:
        with pytest.raises(ottu.NotSent, match="ConnectError") as caught:
            await client.operation("void", session_id=SESSION)
    assert not isinstance(caught.value, ottu.ClaimTooOld)


@pytest.mark.parametrize(
    ("deadline_seconds", "connect_seconds", "why"), [(0.4, 5.0, "the deadline passed"), (5.0, 0.1, "ConnectTimeout")]
)
async def test_no_handshake_is_not_sent(deadline_seconds: float, connect_seconds: float, why: str) -> None:
    """Neither time limit may call an operation unknown while TLS has not even begun."""
    async with serving(unread) as server:
        url = server.url.replace("http", "https")
        async with ottu.Client(
            url, ottu.ApiKey(KEY), deadline_seconds=deadline_seconds, connect_seconds=connect_seconds
        ) as client:
            with pytest.raises(ottu.NotSent) as caught:
                await client.operation("void", session_id=SESSION)
    assert why in caught.value.why
    assert KEY.encode() not in server.connections[0].body


async def tunnel_refused(connection: Connection) -> None:
    """A proxy that wants a password."""
    await answer(407, b"")(connection)


async def tunnel_to_nowhere(connection: Connection) -> None:
    """A proxy whose tunnel ends at once."""
    await answer(200, b"")(connection)


@pytest.mark.parametrize("proxying", [tunnel_refused, tunnel_to_nowhere, silent, hang_up])
async def test_what_a_proxy_keeps_is_not_sent(proxying: Answering) -> None:
    """The CONNECT that asks for a tunnel is no request to Ottu, whatever becomes of it."""
    async with (
        serving(proxying) as proxy,
        ottu.Client("https://example.ottu.net", ottu.ApiKey(KEY), deadline_seconds=0.4, proxy=proxy.url) as client,
    ):
        with pytest.raises(ottu.NotSent) as caught:
            await client.operation("void", session_id=SESSION, claimed_at=ottu.awake_seconds())
    assert not isinstance(caught.value, ottu.ClaimTooOld)
    assert [connection.request_line for connection in proxy.connections] == ["CONNECT example.ottu.net:443 HTTP/1.1"]
    assert KEY not in proxy.connections[0].head


@pytest.mark.parametrize("kind", NOT_SENT)
def test_errors_before_the_request_line_are_not_sent(kind: type[httpx.TransportError]) -> None:
    """httpx's own promise, for those errors that no server can provoke."""
    assert type(translated(kind("text"), connecting=False)) is ottu.NotSent


@pytest.mark.parametrize("error", [httpx.ReadTimeout("text"), httpx.WriteError("text"), OSError(), RuntimeError("bug")])
def test_an_error_that_proves_nothing_is_no_answer(error: Exception) -> None:
    """Whatever is not known to be harmless counts as sent; before the connection stands, as not sent."""
    assert type(translated(error, connecting=False)) is ottu.NoAnswer
    assert type(translated(error, connecting=True)) is ottu.NotSent


@pytest.mark.parametrize("answering", [silent, drip, reset, hang_up, cut_short, no_http, flood])
async def test_a_lost_answer_is_no_answer(answering: Answering) -> None:
    """The request was written: it may have been done. The deadline ends a server that drips."""
    error = await failure_of(answering, deadline_seconds=0.3)
    assert type(error) is ottu.NoAnswer


async def test_the_deadline_is_over_the_whole_call() -> None:
    """A dripping server would outlive a time limit per read."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    error = await failure_of(drip, deadline_seconds=0.3)
    assert loop.time() - started < 1
    assert str(error) == "Ottu gave no clear answer: the deadline passed."


async def test_a_long_answer_is_not_read_to_its_end() -> None:
    """The limit on the body holds, up to the last byte that is allowed."""
    error = await failure_of(flood)
    assert isinstance(error, ottu.NoAnswer)
    assert error.why == "the answer is too long"
    longest = b'{"result": "success"}'.ljust(BODY_LIMIT_BYTES)
    async with serving(answer(200, longest)) as server, server.client() as client:
        assert (await client.operation("void", session_id=SESSION)).verdict is ottu.Verdict.SUCCEEDED


@pytest.mark.parametrize("status", [300, 304, 402, 406, 408, 409, 410, 415, 418, 500, 502, 503, 504, 599])
async def test_any_other_status_is_no_answer(status: int) -> None:
    """Even where its body reads like a refusal."""
    error = await failure_of(answer(status, b"" if status == 304 else {"detail": "No."}))
    assert isinstance(error, ottu.NoAnswer)
    assert error.status == status


@pytest.mark.parametrize("status", [200, 201, 400, 403, 404, 405, 422])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'"success"',
        b"null",
        b'{"result": "success"',
        b'{"detail": "\xff"}',
        b'{"amount": NaN, "detail": "No."}',
        b'{"amount": 1e99999999999999999999, "detail": "No."}',
        b'{"detail": "No.", "result": "failed", "result": "success"}',
        b"[" * 100_000,
    ],
)
async def test_an_unreadable_body_is_no_answer(status: int, body: bytes) -> None:
    """2xx or refusal: what is no JSON object, or names a thing twice, proves nothing."""
    error = await failure_of(answer(status, body))
    assert isinstance(error, ottu.NoAnswer)
    assert error.status == status


@pytest.mark.parametrize("status", [400, 403, 404, 405, 422])
async def test_a_readable_refusal_is_refused(status: int) -> None:
    """The one proof of "no" that lets a request fail."""
    error = await failure_of(answer(status, {"detail": "Too late.", "operation": "refund", "result": "failed"}))
    assert isinstance(error, ottu.Refused)
    assert (error.status, error.detail, error.operation, str(error)) == (status, "Too late.", "refund", "Too late.")


@pytest.mark.parametrize("document", [{}, {"detail": "No.", "operation": "void", "result": "failed"}])
async def test_a_refusal_of_something_else_is_no_answer(document: object) -> None:
    """A refusal must be readable, and about the operation that was asked for."""
    error = await failure_of(answer(400, document))
    assert isinstance(error, ottu.NoAnswer)
    assert error.status == 400


async def test_a_failed_look_up_says_nothing_about_the_operation() -> None:
    """Ottu refuses the look-up by Tracking-Key, not the refund."""
    failed = {"detail": "No such key.", "operation": "operation_tracking", "result": "failed"}
    error = await failure_of(answer(400, failed))
    assert isinstance(error, ottu.LookupFailed)
    assert error.status == 400


async def test_401_is_unauthorized_with_any_body() -> None:
    """The credentials were not accepted; nothing was done."""
    assert isinstance(await failure_of(answer(401, b"<html>")), ottu.Unauthorized)


async def test_429_is_throttled_with_any_body() -> None:
    """Not executed; how long to wait is in the header, if anywhere."""
    error = await failure_of(answer(429, b"<html>", Retry_After="120"))
    assert isinstance(error, ottu.Throttled)
    assert error.retry_after_seconds == 120
    assert str(error) == "Ottu is throttling; try again in 120 seconds."
    error = await failure_of(answer(429, {"detail": "Slow down."}))
    assert isinstance(error, ottu.Throttled)
    assert error.retry_after_seconds is None
    assert str(error) == "Ottu is throttling; try again later."


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_a_readable_2xx_is_an_answer(status: int) -> None:
    """Numbers arrive as they were sent, not as floats."""
    document = b'{"amount": 5.000, "operation": "refund", "result": "success", "success": true}'
    async with serving(answer(status, document)) as server, server.client() as client:
        answered = await client.operation("refund", session_id=SESSION, amount="5.000")
    assert answered.verdict is ottu.Verdict.SUCCEEDED
    assert str(answered.amount) == "5.000"


async def test_the_reads_fail_like_the_operations() -> None:
    """One place decides for all three calls; only an operation compares the operation's name."""
    refusal = {"detail": "No payment attempts found for this Lookup", "result": "failed", "operation": "inquiry"}
    async with serving(answer(400, refusal)) as server, server.client() as client:
        for call in (client.inquiry(order_no="ORD123"), client.retrieve(SESSION)):
            with pytest.raises(ottu.Refused) as caught:
                await call
            assert caught.value.reason is ottu.InquiryReason.UNKNOWN_TRANSACTION


@pytest.mark.parametrize(
    "answering",
    [
        silent,
        hang_up,
        flood,
        answer(401, b""),
        answer(429, b""),
        answer(503, b""),
        answer(200, b"<html>customer@example.com"),
        answer(400, {"detail": "No."}),
        answer(400, {"detail": "No.", "operation": "operation_tracking"}),
    ],
)
async def test_no_error_shows_the_key(answering: Answering, caplog: pytest.LogCaptureFixture) -> None:
    """Neither text, repr, traceback with local variables, context, nor the debug log of any library."""
    caplog.set_level(logging.DEBUG)
    error = await failure_of(answering, deadline_seconds=0.3)
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    for text in (str(error), repr(error), shown, caplog.text):
        assert KEY not in text
        assert "customer@example.com" not in text
    assert error.__context__ is None
    assert error.__cause__ is None


async def test_no_error_before_sending_shows_the_key(caplog: pytest.LogCaptureFixture) -> None:
    """The same for what is not sent."""
    caplog.set_level(logging.DEBUG)
    async with serving(unread) as server, server.client() as client:
        with pytest.raises(ottu.ClaimTooOld) as caught:
            await client.operation("void", session_id=SESSION, claimed_at=ottu.awake_seconds() - 60)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert KEY not in shown + caplog.text + repr(caught.value)
    assert caught.value.__context__ is None
