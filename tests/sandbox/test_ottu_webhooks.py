"""The local Ottu's webhooks: signed by the published rule, retried on a time-out only, never sent off the machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.ottu import OttuSandbox, create_ottu
from sandbox.ottu_answers import signature
from sandbox.serving import serve
from tests.sandbox.ottu_caller import Caller, calling


class Merchant:
    """A merchant's server: takes webhooks, as slowly and with the status that it is told."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.status = 200
        self.seconds = 0.0
        self.app = Starlette(routes=[Route("/hook", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        self.bodies.append(await request.json())
        await asyncio.sleep(self.seconds)
        return Response(status_code=self.status)


@contextlib.asynccontextmanager
async def merchant(**settings: Any) -> AsyncIterator[tuple[OttuSandbox, Merchant, Caller]]:
    merchants = Merchant()
    sandbox = create_ottu()
    async with serve(merchants.app) as base_url, calling(sandbox) as caller:
        sandbox.configure(webhook_url=f"{base_url}/hook", webhook_key="made-up-key", throttle=False, **settings)
        sandbox.create("ORD1", "20.000", "KWD")
        yield sandbox, merchants, caller


def test_the_signature_is_ottus() -> None:
    """The vector that Ottu publishes."""
    payload: dict[str, object] = {
        "amount": "86.000",
        "currency_code": "KWD",
        "customer_first_name": "example-customer",
        "customer_last_name": "",
        "session_id": "not signed",
    }
    assert signature(payload, "pu9MpX3yPR") == "6143b8ad4bd283540721ab000f6de746e722231aaaa90bc38f639081d3ff9f67"


async def test_an_operations_webhook_is_its_answer_and_signed() -> None:
    async with merchant() as (sandbox, merchants, caller):
        answer = await caller.operate("refund", "key-1", order_no="ORD1", amount="5.000")
        await sandbox.webhooks.drain()
        assert merchants.bodies == [answer.json()]
        body = dict(merchants.bodies[0])
        given = body.pop("signature")
        assert given == signature(body, "made-up-key")
        assert "key-1" not in str(body)


async def test_refused_and_internal_operations_send_none() -> None:
    async with merchant() as (sandbox, merchants, caller):
        sandbox.create("LINK9", "1.000", "KWD", "created")
        assert (await caller.operate("refund", order_no="ORD1", amount="50.000")).status_code == 400
        assert (await caller.operate("cancel", order_no="LINK9")).status_code == 200
        await sandbox.webhooks.drain()
        assert merchants.bodies == []


async def test_a_webhook_comes_even_where_the_answer_does_not() -> None:
    async with merchant() as (sandbox, merchants, caller):
        sandbox.fault("status", status=502)
        assert (await caller.operate("refund", order_no="ORD1", amount="5.000")).status_code == 502
        await sandbox.webhooks.drain()
        assert [one["result"] for one in merchants.bodies] == ["success"]


@pytest.mark.parametrize(("status", "seconds", "sent"), [(500, 0.0, 1), (200, 0.5, 4)])
async def test_only_a_time_out_is_retried_and_three_times(status: int, seconds: float, sent: int) -> None:
    async with merchant(webhook_timeout_seconds=0.1) as (sandbox, merchants, caller):
        merchants.status, merchants.seconds = status, seconds
        await caller.operate("refund", order_no="ORD1", amount="5.000")
        await sandbox.webhooks.drain()
        assert len(merchants.bodies) == sent
        assert [one.outcome for one in sandbox.webhooks.sent] == ["timed out" if seconds else "500"] * sent


async def test_webhooks_may_be_late_repeated_and_switched_off() -> None:
    async with merchant(webhook_delay_seconds=0.2, webhook_repeats=2) as (sandbox, merchants, caller):
        await caller.operate("refund", order_no="ORD1", amount="5.000")
        await asyncio.sleep(0.05)
        assert merchants.bodies == []
        await sandbox.webhooks.drain()
        assert [one["amount"] for one in merchants.bodies] == ["5.000"] * 3
        sandbox.configure(webhook_url=None)
        await caller.operate("refund", order_no="ORD1", amount="5.000")
        await sandbox.webhooks.drain()
        assert len(merchants.bodies) == 3


async def test_somebody_elses_operation_moves_money_and_tells() -> None:
    """By Ottu's dashboard or by the gateway's own: no Tracking-Key, and `source` says which."""
    async with merchant() as (sandbox, merchants, caller):
        for source in ("input", "pg"):
            body = {"operation": "refund", "reference": "ORD1", "amount": "2.000", "source": source}
            assert (await caller.http.post("/_control/ottu/dashboard", json=body)).status_code == 200
        await sandbox.webhooks.drain()
        assert [one["source"] for one in merchants.bodies] == ["input", "pg"]
        assert [(one.amount, one.tracking_key) for one in sandbox.ledger] == [("2.000", None)] * 2
        with pytest.raises(ValueError, match="left"):
            await sandbox.dashboard("refund", "ORD1", "50.000")


async def test_the_banks_decision_comes_as_a_webhook_of_the_same_reference() -> None:
    async with merchant() as (sandbox, merchants, caller):
        sandbox.fault("queued")
        queued = (await caller.operate("refund", order_no="ORD1", amount="5.000")).json()
        await sandbox.webhooks.drain()
        sandbox.settle_queued(queued["session_id"])
        await sandbox.webhooks.drain()
        assert [one["result"] for one in merchants.bodies] == ["queued", "success"]
        assert len({one["reference_number"] for one in merchants.bodies}) == 1


async def test_an_inquiry_discloses_and_notifies_on_loopback_only() -> None:
    """Four fields, of both documents. An address off the machine is written down and never called."""
    async with merchant() as (sandbox, merchants, caller):
        hook = sandbox.settings.webhook_url
        await caller.inquire(order_no="ORD1", disclose_to_merchant=True, disclosure_url=hook)
        await caller.inquire(order_no="ORD1", notify_webhook_url=True, webhook_url=hook)
        await caller.inquire(order_no="ORD1", webhook_url=hook)  # not asked to notify
        await sandbox.webhooks.drain()
        assert [one["state"] for one in merchants.bodies] == ["paid", "paid"]
        await caller.inquire(order_no="ORD1", disclose_to_merchant=True, disclosure_url="https://hooks.example.com/")
        await sandbox.webhooks.drain()
        assert sandbox.webhooks.sent[-1].outcome == "not sent: the sandbox sends to loopback only"


async def test_nobody_listening_and_an_early_end_harm_nothing() -> None:
    async with merchant(webhook_delay_seconds=60) as (sandbox, _, caller):
        await caller.operate("refund", order_no="ORD1", amount="5.000")
        sandbox.configure(webhook_url="http://127.0.0.1:9/", webhook_delay_seconds=0)
        await caller.operate("refund", order_no="ORD1", amount="5.000")
        await asyncio.sleep(0.1)
        assert [one.outcome for one in sandbox.webhooks.sent] == ["ConnectError"]
