"""Faults on demand, over real sockets: what the caller meets, and whether the money moved."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from sandbox.ottu import OttuSandbox, create_ottu
from sandbox.ottu_book import Transaction
from tests.sandbox.ottu_caller import Caller, calling


@contextlib.asynccontextmanager
async def one_payment() -> AsyncIterator[tuple[OttuSandbox, Transaction, Caller]]:
    sandbox = create_ottu()
    sandbox.configure(throttle=False)
    payment = sandbox.create("ORD1", "20.000", "KWD")
    async with calling(sandbox) as caller:
        yield sandbox, payment, caller


@pytest.mark.parametrize(("kind", "movements"), [("drop_before", 0), ("drop_after", 1)])
async def test_a_dropped_connection_tells_the_caller_nothing(kind: str, movements: int) -> None:
    """The caller sees the same in both cases; only the ledger knows. The same key then finds out."""
    async with one_payment() as (sandbox, payment, caller):
        sandbox.fault(kind)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await caller.operate("refund", "key-1", session_id=payment.session_id, amount="5.000")
        assert len(sandbox.ledger) == movements
        assert sandbox.requests[-1].status is None
        again = await caller.operate("refund", "key-1", session_id=payment.session_id, amount="5.000")
        assert again.json()["result"] == "success"
        assert len(sandbox.ledger) == 1


@pytest.mark.parametrize(("when", "movements"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("status", [301, 400, 403, 404, 405, 408, 422, 500, 502, 503, 504])
async def test_another_status_before_or_after_the_money(status: int, when: str, movements: int) -> None:
    async with one_payment() as (sandbox, payment, caller):
        sandbox.fault("status", status=status, when=when)
        answer = await caller.operate("refund", session_id=payment.session_id, amount="5.000")
        assert answer.status_code == status
        assert len(sandbox.ledger) == movements
        if status == 400:
            assert answer.json()["result"] == "failed"
        elif 400 < status < 500:
            assert list(answer.json()) == ["detail"]
        else:
            assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("unauthorized", 401, {"detail": "Invalid API key."}),
        ("throttled", 429, {"detail": "Request was throttled."}),
        (
            "tracking",
            400,
            {
                "detail": "The operation could not be tracked.",
                "operation": "operation_tracking",
                "result": "failed",
            },
        ),
    ],
)
async def test_refusals_that_move_nothing(kind: str, status: int, body: dict[str, str]) -> None:
    async with one_payment() as (sandbox, payment, caller):
        sandbox.fault(kind, retry_after="7")
        answer = await caller.operate("refund", session_id=payment.session_id, amount="5.000")
        assert (answer.status_code, answer.json()) == (status, body)
        assert answer.headers.get("Retry-After") == ("7" if kind == "throttled" else None)
        assert len(sandbox.ledger) == 0


async def test_garbage_is_a_success_that_cannot_be_read() -> None:
    async with one_payment() as (sandbox, payment, caller):
        sandbox.fault("garbage")
        answer = await caller.operate("refund", session_id=payment.session_id, amount="5.000")
        assert answer.status_code == 200
        with pytest.raises(ValueError, match="Unterminated"):
            answer.json()
        assert len(sandbox.ledger) == 1


async def test_a_dripping_answer_outlives_a_time_out_per_read() -> None:
    """Each byte comes within httpx's time-out, the whole does not: only a deadline over all ends it."""
    async with one_payment() as (sandbox, payment, caller):
        sandbox.fault("dripping", drip_seconds=0.05)
        caller.http.timeout = httpx.Timeout(0.2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await caller.operate("refund", session_id=payment.session_id, amount="5.000")
        assert len(sandbox.ledger) == 1
        sandbox.fault("dripping", drip_seconds=0.0001)
        answer = await caller.operate("refund", session_id=payment.session_id, amount="5.000")
        assert answer.json()["result"] == "success"


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "50.000"},
        {"session_id": "0" * 40},
        {"operation": "capture"},
        {"result": "failed"},
        {"txn": {"amount": "1.000"}},
    ],
)
async def test_an_answer_may_disagree_with_what_was_done(changes: dict[str, Any]) -> None:
    async with one_payment() as (sandbox, payment, caller):
        sandbox.fault("disagree", changes=changes)
        answer = (await caller.operate("refund", session_id=payment.session_id, amount="5.000")).json()
        for name, value in changes.items():
            if isinstance(value, dict):
                assert answer[name].items() >= value.items()
                assert answer[name]["state"] == "refunded"
            else:
                assert answer[name] == value
        assert [one.amount for one in sandbox.ledger] == ["5.000"]


@pytest.mark.parametrize(
    ("kind", "result", "success", "child_states"),
    [
        ("queued", "queued", True, ["refund_queued"]),
        ("rejected", "rejected", False, ["refund_rejected"]),
        ("failed", "failed", False, []),
    ],
)
async def test_the_gateway_may_say_something_else(
    kind: str, result: str, success: bool, child_states: list[str]
) -> None:
    async with one_payment() as (sandbox, payment, caller):
        sandbox.fault(kind)
        answer = (await caller.operate("refund", session_id=payment.session_id, amount="5.000")).json()
        assert (answer["result"], answer["success"]) == (result, success)
        assert [one.state for one in payment.children] == child_states
        assert len(sandbox.ledger) == 0


async def test_a_capture_is_never_queued() -> None:
    async with one_payment() as (sandbox, _, caller):
        sandbox.create("AUTH7", "12.500", "KWD", "authorized")
        sandbox.fault("queued")
        assert (await caller.operate("capture", order_no="AUTH7")).json()["result"] == "success"
        assert len(sandbox.faults.waiting()) == 1


@pytest.mark.parametrize(("fields", "moved_early"), [({"seconds_before": 0.3}, 0), ({"seconds_after": 0.3}, 1)])
async def test_a_slow_gateway_goes_on_when_the_caller_has_given_up(fields: dict[str, float], moved_early: int) -> None:
    """The trap of every time-out: the money may move after the caller has stopped listening."""
    async with one_payment() as (sandbox, payment, caller):
        sandbox.fault("slow", **fields)
        caller.http.timeout = httpx.Timeout(0.1)
        with pytest.raises(httpx.ReadTimeout):
            await caller.operate("refund", session_id=payment.session_id, amount="5.000")
        assert len(sandbox.ledger) == moved_early
        await asyncio.sleep(0.3)
        assert len(sandbox.ledger) == 1


async def test_a_fault_meets_only_the_calls_that_it_fits() -> None:
    """By endpoint, by operation, by either name of the payment, and as often as it says."""
    async with one_payment() as (sandbox, payment, caller):
        sandbox.create("ORD2", "20.000", "KWD")
        sandbox.fault("status", match="ORD1", count=2, status=500, when="before")
        sandbox.fault("status", endpoint="inquiry", status=503)
        sandbox.fault("status", endpoint="retrieve", status=504, match="ORD1")
        sandbox.fault("status", operation="void", status=500)
        statuses = [
            (await caller.operate("refund", order_no="ORD2", amount="1.000")).status_code,
            (await caller.operate("refund", session_id=payment.session_id, amount="1.000")).status_code,
            (await caller.operate("refund", order_no="ORD1", amount="1.000")).status_code,
            (await caller.operate("refund", order_no="ORD1", amount="1.000")).status_code,
            (await caller.inquire(order_no="ORD2")).status_code,
            (await caller.inquire(order_no="ORD2")).status_code,
            (await caller.retrieve(payment.session_id)).status_code,
            (await caller.retrieve(payment.session_id)).status_code,
        ]
        assert statuses == [200, 500, 500, 200, 503, 200, 504, 200]
        assert [one.operation for one in sandbox.faults.waiting()] == ["void"]


async def test_drops_reach_every_endpoint() -> None:
    async with one_payment() as (sandbox, payment, caller):
        for endpoint in ("inquiry", "retrieve"):
            sandbox.fault("drop_after", endpoint=endpoint)
        for call in (caller.inquire(order_no="ORD1"), caller.retrieve(payment.session_id)):
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await call


async def test_the_sandbox_ends_at_once_under_a_slow_request() -> None:
    async with one_payment() as (sandbox, payment, caller):
        sandbox.fault("slow", seconds_before=60)
        call = asyncio.create_task(caller.operate("refund", session_id=payment.session_id))
        await asyncio.sleep(0.1)
        started = time.monotonic()
    assert time.monotonic() - started < 1
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await call
    assert len(sandbox.ledger) == 0
