"""The Tracking-Key in both of Ottu's readings, queued refunds, and the traps that follow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from sandbox.ottu import OttuSandbox, create_ottu
from sandbox.ottu_book import Transaction
from tests.sandbox.ottu_caller import Caller, calling


@contextlib.asynccontextmanager
async def one_payment(key_stored: str = "begin") -> AsyncIterator[tuple[OttuSandbox, Transaction, Caller]]:
    sandbox = create_ottu()
    sandbox.configure(key_stored=key_stored)
    payment = sandbox.create("ORD1", "20.000", "KWD")
    async with calling(sandbox) as caller:
        yield sandbox, payment, caller


@pytest.mark.parametrize("key_stored", ["begin", "success"])
async def test_the_same_key_and_session_id_gives_the_same_operation_back(key_stored: str) -> None:
    async with one_payment(key_stored) as (sandbox, payment, caller):
        first = await caller.operate("refund", "key-1", session_id=payment.session_id, amount="5.000")
        again = await caller.operate("refund", "key-1", session_id=payment.session_id, amount="5.000")
        assert first.status_code == again.status_code == 200
        assert again.json() == first.json()
        assert [one.tracking_key for one in sandbox.ledger] == ["key-1"]


async def test_a_key_is_of_its_session_id_and_an_order_number_executes() -> None:
    async with one_payment() as (sandbox, payment, caller):
        other = sandbox.create("ORD2", "20.000", "KWD")
        await caller.operate("refund", "key-1", session_id=payment.session_id, amount="5.000")
        await caller.operate("refund", "key-1", session_id=other.session_id, amount="5.000")
        await caller.operate("refund", "key-1", order_no="ORD1", amount="5.000")
        await caller.operate("refund", "key-2", session_id=payment.session_id, amount="5.000")
        assert [(one.order_no, one.tracking_key) for one in sandbox.ledger] == [
            ("ORD1", "key-1"),
            ("ORD2", "key-1"),
            ("ORD1", "key-1"),
            ("ORD1", "key-2"),
        ]


async def test_a_gateway_may_ignore_keys() -> None:
    async with one_payment("never") as (sandbox, payment, caller):
        for _ in range(2):
            await caller.operate("refund", "key-1", session_id=payment.session_id, amount="5.000")
        assert len(sandbox.ledger) == 2


@pytest.mark.parametrize("key_stored", ["begin", "success"])
async def test_a_second_send_while_the_first_is_at_the_gateway(key_stored: str) -> None:
    """Trap 2: stored on success, the second moves money too; stored at the beginning, it is a look-up that fails."""
    async with one_payment(key_stored) as (sandbox, payment, caller):
        sandbox.fault("slow", seconds_before=0.3)
        first = asyncio.create_task(caller.operate("refund", "key-1", session_id=payment.session_id, amount="5.000"))
        await asyncio.sleep(0.1)
        second = await caller.operate("refund", "key-1", session_id=payment.session_id, amount="5.000")
        assert (await first).status_code == 200
        if key_stored == "begin":
            assert (second.status_code, second.json()["operation"]) == (400, "operation_tracking")
            assert len(sandbox.ledger) == 1
        else:
            assert second.status_code == 200
            assert len(sandbox.ledger) == 2


async def test_the_money_is_asked_for_again_after_the_gateways_time() -> None:
    """Two full refunds at once: the second finds nothing left, so the sandbox itself never pays more than there is."""
    async with one_payment("success") as (sandbox, payment, caller):
        sandbox.fault("slow", seconds_before=0.2)
        first = asyncio.create_task(caller.operate("refund", "key-1", session_id=payment.session_id, amount="20.000"))
        await asyncio.sleep(0.05)
        second = await caller.operate("refund", "key-2", session_id=payment.session_id, amount="20.000")
        assert (second.status_code, (await first).status_code) == (200, 400)
        assert [one.tracking_key for one in sandbox.ledger] == ["key-2"]


@pytest.mark.parametrize(("key_stored", "movements"), [("begin", 0), ("success", 1)])
async def test_a_failed_operation_is_looked_up_or_done_anew(key_stored: str, movements: int) -> None:
    async with one_payment(key_stored) as (sandbox, payment, caller):
        sandbox.fault("failed")
        first = await caller.operate("refund", "key-1", session_id=payment.session_id, amount="5.000")
        assert (first.status_code, first.json()["result"], first.json()["success"]) == (200, "failed", False)
        assert payment.children == []  # Ottu: a failed real-time operation leaves no child
        await caller.operate("refund", "key-1", session_id=payment.session_id, amount="5.000")
        assert len(sandbox.ledger) == movements


async def test_the_wallet_credits_twice_whatever_the_key() -> None:
    """Trap 3."""
    async with one_payment() as (sandbox, payment, caller):
        for _ in range(2):
            answer = await caller.operate(
                "refund", "key-1", session_id=payment.session_id, amount="5.000", destination="wallet"
            )
            assert answer.status_code == 200
        assert [(one.destination, one.tracking_key) for one in sandbox.ledger] == [("wallet", "key-1")] * 2


@pytest.mark.parametrize(
    ("decision", "result", "movements", "left"),
    [("refunded", "success", 1, "15.000"), ("refund_rejected", "rejected", 0, "20.000")],
)
async def test_a_queued_refund_is_decided_later(decision: str, result: str, movements: int, left: str) -> None:
    """Queued: no money yet, but it counts against what is left; the key gives the latest status."""
    async with one_payment() as (sandbox, payment, caller):
        payment.refunds_queue = True
        answer = await caller.operate("refund", "key-1", session_id=payment.session_id, amount="5.000")
        assert (answer.json()["result"], answer.json()["txn"]["state"]) == ("queued", "refund_queued")
        assert (payment.text(payment.refundable), len(sandbox.ledger)) == ("15.000", 0)
        settled = {"session_id": payment.session_id, "child_session_id": answer.json()["txn"]["session_id"]}
        await caller.http.post("/_control/ottu/settle_queued", json={**settled, "state": decision})
        latest = await caller.operate("refund", "key-1", session_id=payment.session_id, amount="5.000")
        assert (latest.json()["result"], latest.json()["txn"]["state"]) == (result, decision)
        assert latest.json()["reference_number"] == answer.json()["reference_number"]
        assert (payment.text(payment.refundable), len(sandbox.ledger)) == (left, movements)
        with pytest.raises(ValueError, match="no refund is queued"):
            sandbox.settle_queued(payment.session_id)


async def test_a_key_stored_at_the_beginning_keeps_a_refusal_too() -> None:
    """It is the latest status of that operation: the same 400 again, though the request alone would be refused anew."""
    async with one_payment() as (sandbox, payment, caller):
        sandbox.fault("slow", seconds_before=0.2)
        first = asyncio.create_task(caller.operate("refund", "key-1", session_id=payment.session_id, amount="20.000"))
        await asyncio.sleep(0.05)
        await sandbox.dashboard("refund", "ORD1", "5.000")
        refused = await first
        again = await caller.operate("refund", "key-1", session_id=payment.session_id, amount="1.000")
        assert (refused.status_code, again.status_code) == (400, 400)
        assert again.json() == refused.json()
        assert [one.amount for one in sandbox.ledger] == ["5.000"]
