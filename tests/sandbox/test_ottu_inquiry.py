"""The local Ottu's inquiry: its throttle, its refusals word for word, its figures."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from sandbox.ottu import OttuSandbox, create_ottu
from tests.sandbox.ottu_caller import Caller, Clock, calling


@contextlib.asynccontextmanager
async def at_noon(**settings: Any) -> AsyncIterator[tuple[OttuSandbox, Clock, Caller]]:
    clock = Clock()
    sandbox = create_ottu(clock=clock)
    sandbox.configure(**settings)
    async with calling(sandbox) as caller:
        yield sandbox, clock, caller


def throttled_seconds(answer: httpx.Response) -> str | None:
    assert answer.status_code == 429
    assert "throttled" in answer.json()["detail"]
    retry_after: str | None = answer.headers.get("Retry-After")
    return retry_after


async def test_the_throttle_of_one_payment() -> None:
    """Not in the first ten minutes, then one per half hour, and three in all."""
    async with at_noon() as (sandbox, clock, caller):
        sandbox.create("ORD1", "20.000", "KWD", age_seconds=590)
        assert throttled_seconds(await caller.inquire(order_no="ORD1")) == "10"
        clock.pass_seconds(10)
        assert (await caller.inquire(order_no="ORD1")).status_code == 200
        assert throttled_seconds(await caller.inquire(order_no="ORD1")) == "1800"
        clock.pass_seconds(1799.5)
        assert throttled_seconds(await caller.inquire(order_no="ORD1")) == "1"
        for _ in range(2):
            clock.pass_seconds(1800)
            assert (await caller.inquire(order_no="ORD1")).status_code == 200
        clock.pass_seconds(86_400)
        assert throttled_seconds(await caller.inquire(order_no="ORD1")) is None


async def test_thirty_a_minute_over_all_payments() -> None:
    async with at_noon() as (sandbox, clock, caller):
        for number in range(31):
            sandbox.create(f"ORD{number}", "20.000", "KWD")
        for number in range(30):
            assert (await caller.inquire(order_no=f"ORD{number}")).status_code == 200
        assert throttled_seconds(await caller.inquire(order_no="ORD30")) == "60"
        clock.pass_seconds(60)
        assert (await caller.inquire(order_no="ORD30")).status_code == 200


async def test_the_throttle_can_be_scaled_and_switched_off() -> None:
    async with at_noon(throttle_scale=0.01) as (sandbox, clock, caller):
        sandbox.create("ORD1", "20.000", "KWD", age_seconds=6)
        assert (await caller.inquire(order_no="ORD1")).status_code == 200
        assert throttled_seconds(await caller.inquire(order_no="ORD1")) == "18"
        sandbox.configure(throttle=False)
        for _ in range(40):
            assert (await caller.inquire(order_no="ORD1")).status_code == 200
        assert clock.now.hour == 12


@pytest.mark.parametrize(
    ("state", "status", "detail"),
    [
        ("created", 400, "payment attempts for order ORD1"),
        ("pending", 200, None),
        ("attempted", 200, None),
        ("failed", 200, None),
        ("expired", 200, None),
        ("paid", 200, None),
        ("authorized", 200, None),
        ("canceled", 400, "Operation is not allowed"),
        ("invalided", 400, "Operation is not allowed"),
        ("cod", 400, "Operation is not allowed"),
    ],
)
async def test_which_states_can_be_asked_about(state: str, status: int, detail: str | None) -> None:
    async with at_noon() as (sandbox, _, caller):
        payment = sandbox.create("ORD1", "20.000", "KWD", state)
        answer = await caller.inquire(session_id=payment.session_id)
        assert (answer.status_code, answer.json().get("detail")) == (status, detail)


async def test_the_refusals_word_for_word() -> None:
    async with at_noon(throttle=False) as (sandbox, _, caller):
        sandbox.create("ORD1", "20.000", "KWD")
        sandbox.create("LINK9", "1.000", "KWD", "created")
        unknown = await caller.inquire(order_no="ORD2")
        assert unknown.json() == {"detail": "No payment attempts found for this Lookup", "result": "failed"}
        undisclosed = await caller.inquire(order_no="ORD1", disclose_to_merchant=True)
        assert undisclosed.json()["detail"] == "No disclosure url found for order ORD1"
        await caller.operate("expire", order_no="LINK9")
        unattempted = await caller.inquire(order_no="LINK9")
        assert unattempted.json()["detail"] == "payment attempts for order LINK9"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "non_field_errors"),
        ({"order_no": "ORD1", "session_id": "0" * 40}, "non_field_errors"),
        ({"order_no": "ORD1", "disclose_to_merchant": "yes"}, "disclose_to_merchant"),
        ({"order_no": "ORD1", "disclosure_url": "ftp://127.0.0.1/"}, "disclosure_url"),
        ({"order_no": "ORD1", "disclosure_url": "http://[::1/"}, "disclosure_url"),
        ({"order_no": "ORD1", "notify_webhook_url": 1}, "notify_webhook_url"),
        ({"order_no": "ORD1", "webhook_url": "https://127.0.0.1/" + "x" * 200}, "webhook_url"),
    ],
)
async def test_malformed_inquiries_are_field_errors(fields: dict[str, Any], named: str) -> None:
    async with at_noon() as (sandbox, _, caller):
        sandbox.create("ORD1", "20.000", "KWD")
        answer = await caller.inquire(**fields)
        assert (answer.status_code, list(answer.json())) == (400, [named])


async def test_the_figures_and_the_children() -> None:
    """Trap for a careless reader: `remaining_amount` is what the customer owes, not what can be refunded."""
    async with at_noon(throttle=False) as (sandbox, _, caller):
        payment = sandbox.create("ORD1", "20.000", "KWD")
        sandbox.create("AUTH7", "12.500", "KWD", "authorized")
        sandbox.create("TRIED", "3.000", "KWD", "attempted")
        await caller.operate("refund", order_no="ORD1", amount="5.000")
        sandbox.fault("queued")
        await caller.operate("refund", order_no="ORD1", amount="4.000")
        sandbox.fault("rejected")
        await caller.operate("refund", order_no="ORD1", amount="3.000")
        await caller.operate("void", order_no="AUTH7")
        names = ("settled_amount", "refunded_amount", "remaining_amount", "voided_amount", "state", "result")
        answers = {no: (await caller.inquire(order_no=no)).json() for no in ("ORD1", "AUTH7", "TRIED")}
        assert {no: [answer[name] for name in names] for no, answer in answers.items()} == {
            "ORD1": [20.0, 5.0, 0.0, 0.0, "paid", "success"],
            "AUTH7": [12.5, 0.0, 0.0, 12.5, "authorized", "success"],
            "TRIED": [0.0, 0.0, 3.0, 0.0, "attempted", "pending"],
        }
        assert [(one["state"], one["amount"]) for one in answers["ORD1"]["transactions"]] == [
            ("refunded", "5.000"),
            ("refund_queued", "4.000"),
            ("refund_rejected", "3.000"),
        ]
        assert payment.text(payment.refundable) == "11.000"
        assert set(answers["ORD1"]["transactions"][0]) == {
            "amount",
            "currency_code",
            "order_no",
            "session_id",
            "state",
        }  # in Ottu's children there is no Tracking-Key
