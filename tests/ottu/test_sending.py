"""What the client sends, and that it sends it once."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import ottu
from tests.ottu.server import KEY, SESSION, Connection, answer, serving, silent, unread

DESCRIPTION = json.loads((Path(__file__).parent.parent / "data" / "ottu-openapi.json").read_text())
DONE = {"detail": "Done.", "operation": "cancel", "result": "success"}


def check_against_ottu(schema: str, document: object) -> None:
    """Validate against Ottu's own API description."""
    jsonschema.validate(document, {**DESCRIPTION, "$ref": f"#/components/schemas/{schema}"})


def frozen(seconds: float) -> None:
    """What a stopped process looks like from inside."""
    time.sleep(seconds)


async def test_an_operation_goes_out_exactly_as_ottu_describes_it() -> None:
    """The amount is a JSON string, and every header is the one intended."""
    async with serving(answer(200, DONE)) as server, server.client() as client:
        await client.operation(
            "refund", session_id=SESSION, amount="5.000", destination="pg", extra={"orders": []}, tracking_key="R-7K2M"
        )
    [connection] = server.connections
    assert connection.request_line == "POST /b/pbl/v2/operation/ HTTP/1.1"
    assert connection.body == (
        b'{"operation":"refund","session_id":"0123456789abcdef0123456789abcdef01234567",'
        b'"amount":"5.000","destination":"pg","extra":{"orders":[]}}'
    )
    assert connection.headers == {
        "host": f"127.0.0.1:{server.port}",
        "authorization": f"Api-Key {KEY}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "connection": "close",
        "user-agent": "ottu-bot",
        "content-type": "application/json",
        "tracking-key": "R-7K2M",
        "content-length": str(len(connection.body)),
    }
    check_against_ottu("Operation", json.loads(connection.body))


@pytest.mark.parametrize("operation", ["void", "cancel", "expire", "delete"])
async def test_an_operation_without_amount_sends_none(operation: str) -> None:
    """Only what was asked for is in the body."""
    async with serving(answer(200, DONE)) as server, server.client() as client:
        await client.operation(operation, order_no="ORD 12/3")
    [connection] = server.connections
    assert json.loads(connection.body) == {"operation": operation, "order_no": "ORD 12/3"}
    assert "tracking-key" not in connection.headers
    check_against_ottu("Operation", json.loads(connection.body))


async def test_an_inquiry_sends_the_options_that_are_given() -> None:
    """All four options of the two descriptions are possible, and none is sent unasked."""
    async with serving(answer(200, {})) as server, server.client() as client:
        await client.inquiry(order_no="ORD123")
        await client.inquiry(
            session_id=SESSION,
            disclose_to_merchant=True,
            disclosure_url="https://hooks.example.com/a",
            notify_webhook_url=False,
            webhook_url="https://hooks.example.com/b",
        )
    plain, full = (json.loads(connection.body) for connection in server.connections)
    assert plain == {"order_no": "ORD123"}
    assert full == {
        "session_id": SESSION,
        "disclose_to_merchant": True,
        "disclosure_url": "https://hooks.example.com/a",
        "notify_webhook_url": False,
        "webhook_url": "https://hooks.example.com/b",
    }
    assert {connection.request_line for connection in server.connections} == {"POST /b/pbl/v2/inquiry/ HTTP/1.1"}
    check_against_ottu("Inquiry", plain)
    check_against_ottu("Inquiry", full)


async def test_retrieve_reads_by_session_id_with_basic_authentication() -> None:
    """A GET without a body, under the base URL's own path."""
    auth = ottu.Basic("bot", "pässword")
    async with serving(answer(200, {"state": "paid"})) as server, ottu.Client(server.url + "/prefix/", auth) as client:
        assert (await client.retrieve(SESSION)).state == "paid"
    [connection] = server.connections
    assert connection.request_line == f"GET /prefix/b/checkout/v1/pymt-txn/{SESSION}/ HTTP/1.1"
    assert connection.headers["authorization"] == "Basic Ym90OnDDpHNzd29yZA=="
    assert connection.body == b""
    assert "content-type" not in connection.headers


async def test_every_call_has_its_own_connection_and_no_cookies() -> None:
    """A server that offers to keep the connection is not taken up: a reused one may be dead when it is written to."""

    async def generous(connection: Connection) -> None:
        while not connection.reader.at_eof():
            await answer(200, DONE, Connection="keep-alive", Set_Cookie="a=b")(connection)

    async with serving(generous) as server, server.client() as client:
        for _ in range(3):
            await client.operation("void", session_id=SESSION)
        await client.retrieve(SESSION)
    assert len(server.connections) == 4
    assert all("cookie" not in connection.head.lower() for connection in server.connections)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """Somebody else's address would get the key, and Ottu may have acted before it answered."""
    async with (
        serving(answer(200, DONE)) as other,
        serving(answer(status, b"", Location=other.url)) as server,
        server.client() as client,
    ):
        with pytest.raises(ottu.NoAnswer) as caught:
            await client.operation("void", session_id=SESSION)
    assert caught.value.status == status
    assert len(server.connections) == 1
    assert other.connections == []


async def test_a_proxy_of_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """What reaches Ottu does not depend on a variable that somebody set for another program."""
    async with serving(answer(200, DONE)) as proxy, serving(answer(200, DONE)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with server.client() as client:
            await client.operation("void", session_id=SESSION)
    assert len(server.connections) == 1
    assert proxy.connections == []


async def test_a_proxy_that_is_given_is_used() -> None:
    """The setting does what it says."""
    async with (
        serving(answer(200, DONE)) as proxy,
        ottu.Client("http://127.0.0.1:9", ottu.ApiKey(KEY), proxy=proxy.url) as client,
    ):
        await client.operation("void", session_id=SESSION)
    assert proxy.connections[0].request_line == "POST http://127.0.0.1:9/b/pbl/v2/operation/ HTTP/1.1"


async def test_an_old_claim_writes_not_a_byte() -> None:
    """A process that was frozen between claim and call does not move money late."""
    async with serving(unread) as server, server.client() as client:
        with pytest.raises(ottu.ClaimTooOld):
            await client.operation("void", session_id=SESSION, claimed_at=ottu.awake_seconds() - 5.1)
        await asyncio.sleep(0.05)
    assert [connection.body for connection in server.connections] == [b""]


async def test_a_claim_of_another_clock_writes_not_a_byte() -> None:
    """A claim from the future has no known age."""
    async with serving(unread) as server, server.client() as client:
        with pytest.raises(ottu.ClaimTooOld):
            await client.operation("void", session_id=SESSION, claimed_at=ottu.awake_seconds() + 60)
        await asyncio.sleep(0.05)
    assert [connection.body for connection in server.connections] == [b""]


async def test_a_fresh_claim_is_sent() -> None:
    """The check holds back nothing that is in time."""
    async with serving(answer(200, DONE)) as server, server.client() as client:
        await client.operation("cancel", session_id=SESSION, claimed_at=ottu.awake_seconds() - 4)
    assert len(server.connections) == 1


async def test_connecting_does_not_make_a_claim_old() -> None:
    """A slow network is no frozen process."""
    async with serving(answer(200, DONE)) as server, server.client() as client:
        call = asyncio.create_task(
            client.operation("cancel", session_id=SESSION, claimed_at=ottu.awake_seconds() - 4.8)
        )
        await asyncio.sleep(0)
        frozen(0.4)
        assert (await call).result == "success"


async def test_connecting_longer_than_allowed_makes_a_claim_old() -> None:
    """A process that was frozen while it connected does not send either."""
    async with serving(unread) as server, server.client(connect_seconds=0.1) as client:
        call = asyncio.create_task(client.operation("void", session_id=SESSION, claimed_at=ottu.awake_seconds() - 4.8))
        await asyncio.sleep(0)
        frozen(0.5)
        with pytest.raises(ottu.NotSent):
            await call
        await asyncio.sleep(0.05)
    assert b"".join(connection.body for connection in server.connections) == b""


async def test_cancelling_is_passed_on_as_itself() -> None:
    """The caller who cancels decides what that means; it is not an answer of Ottu."""
    async with serving(silent) as server, server.client() as client:
        call = asyncio.create_task(client.operation("void", session_id=SESSION))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_a_closed_client_sends_nothing() -> None:
    """What is still asked for while the program stops is not begun."""
    async with serving(unread) as server:
        async with server.client() as client:
            pass
        with pytest.raises(ottu.NotSent, match="closed"):
            await client.operation("void", session_id=SESSION)
    assert server.connections == []


WRONG: list[dict[str, Any]] = [
    {"operation": "inquiry", "session_id": SESSION},
    {"operation": "void"},
    {"operation": "void", "session_id": SESSION, "order_no": "ORD123"},
    {"operation": "void", "session_id": SESSION[1:]},
    {"operation": "void", "session_id": "x" * 40},
    {"operation": "void", "order_no": ""},
    {"operation": "void", "order_no": "x" * 129},
    {"operation": "void", "session_id": SESSION, "amount": "5.000"},
    {"operation": "void", "session_id": SESSION, "destination": "pg"},
    {"operation": "refund", "session_id": SESSION, "amount": "5.000", "destination": "bank"},
    {"operation": "refund", "session_id": SESSION},
    {"operation": "capture", "session_id": SESSION},
    *({"operation": "refund", "session_id": SESSION, "amount": amount} for amount in ("", "0", "0.000", "-1", "+1")),
    *({"operation": "refund", "session_id": SESSION, "amount": amount} for amount in ("1.0000", "1" * 14, "1e3", "1.")),
    *({"operation": "refund", "session_id": SESSION, "amount": amount} for amount in ("١٢", "1\n", "NaN", "1,000")),
    {"operation": "void", "session_id": SESSION, "extra": {"when": object()}},
    {"operation": "void", "session_id": SESSION, "extra": {"amount": float("nan")}},
    {"operation": "void", "session_id": SESSION, "tracking_key": ""},
    {"operation": "void", "session_id": SESSION, "tracking_key": "a\r\nX-Evil: 1"},
    {"operation": "void", "session_id": SESSION, "tracking_key": "x" * 129},
]


@pytest.mark.parametrize("arguments", WRONG)
async def test_what_ottu_would_not_take_is_refused_before_anything_is_sent(arguments: dict[str, Any]) -> None:
    """Above all: no refund without an amount, which Ottu would take as all that is left."""
    async with serving(unread) as server, server.client() as client:
        with pytest.raises(ValueError, match=r"\."):
            await client.operation(**arguments)
    assert server.connections == []


async def test_an_inquiry_or_retrieve_that_is_wrong_is_refused_before_anything_is_sent() -> None:
    """An inquiry is scarce: none is spent on a mistake."""
    async with serving(unread) as server, server.client() as client:
        with pytest.raises(ValueError, match="Exactly one"):
            await client.inquiry()
        for url in ("ftp://hooks.example.com", "https://hooks.example.com/" + "x" * 200, "https://a b"):
            with pytest.raises(ValueError, match="disclosure_url must be"):
                await client.inquiry(order_no="ORD123", disclosure_url=url)
        with pytest.raises(ValueError, match="40 hex digits"):
            await client.retrieve("../../../admin")
    assert server.connections == []
