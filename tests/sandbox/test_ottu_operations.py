"""The local Ottu's rules: what each operation may act on, how much it moves, and how it says no."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from sandbox.ottu import OttuSandbox, create_ottu, seed_demo
from tests.sandbox.ottu_caller import INQUIRY, OPERATION, Caller, calling

EVERY_STATE = (
    "created",
    "pending",
    "attempted",
    "authorized",
    "paid",
    "failed",
    "canceled",
    "expired",
    "invalided",
    "cod",
)
# After "What it may act on" in Ottu's operations document.
ALLOWED = {
    "refund": {"paid"},
    "capture": {"authorized"},
    "void": {"authorized"},
    "cancel": {"created", "pending", "attempted", "cod"},
    "expire": {"created", "pending", "attempted"},
    "delete": set(EVERY_STATE),
}


@contextlib.asynccontextmanager
async def demo() -> AsyncIterator[tuple[OttuSandbox, Caller]]:
    sandbox = create_ottu(username="agent", password="made-up")
    seed_demo(sandbox)
    async with calling(sandbox) as caller:
        yield sandbox, caller


def moved(sandbox: OttuSandbox) -> list[tuple[str, str, str, str]]:
    return [(one.kind, one.order_no, one.amount, one.currency) for one in sandbox.ledger]


@pytest.mark.parametrize("operation", ALLOWED)
async def test_every_operation_acts_on_the_documented_states_only(operation: str) -> None:
    """An operation that the sandbox lets through in a wrong state would hide a bug of the bot's."""
    sandbox = create_ottu()
    async with calling(sandbox) as caller:
        for state in EVERY_STATE:
            payment = sandbox.create(f"ORD-{state}", "20.000", "KWD", state)
            answer = await caller.operate(operation, session_id=payment.session_id)
            allowed = state in ALLOWED[operation]
            assert answer.status_code == (200 if allowed else 400), (operation, state, answer.text)
            assert answer.json()["result"] == ("success" if allowed else "failed")
            assert answer.json()["operation"] == operation
    expected = len(ALLOWED[operation]) if operation in ("refund", "capture", "void") else 0
    assert [one.kind for one in sandbox.ledger] == [operation] * expected


async def test_partial_refunds_stop_where_the_money_ends() -> None:
    async with demo() as (sandbox, caller):
        first = await caller.operate("refund", order_no="ORD123", amount="5.000")
        second = await caller.operate("refund", order_no="ORD123", amount="15.001")
        third = await caller.operate("refund", order_no="ORD123")  # left out: all that remains
        fourth = await caller.operate("refund", order_no="ORD123", amount="0.001")
        assert [one.status_code for one in (first, second, third, fourth)] == [200, 400, 200, 400]
        assert first.json()["txn"]["state"] == "refunded"
        assert first.json()["txn"]["session_id"] != first.json()["session_id"]
        assert third.json()["amount"] == "15.000"
        assert moved(sandbox) == [("refund", "ORD123", "5.000", "KWD"), ("refund", "ORD123", "15.000", "KWD")]


async def test_captures_and_the_refund_of_what_was_captured() -> None:
    """A partly captured payment: the rest can be captured, what was captured refunded, nothing voided."""
    async with demo() as (sandbox, caller):
        assert (await caller.operate("refund", order_no="AUTH7", amount="1.000")).status_code == 400
        assert (await caller.operate("capture", order_no="AUTH7", amount="2.500")).status_code == 200
        assert (await caller.operate("void", order_no="AUTH7")).status_code == 400
        assert (await caller.operate("refund", order_no="AUTH7", amount="2.501")).status_code == 400
        assert (await caller.operate("refund", order_no="AUTH7", amount="2.500")).status_code == 200
        assert (await caller.operate("capture", order_no="AUTH7", amount="10.001")).status_code == 400
        assert (await caller.operate("capture", order_no="AUTH7")).json()["amount"] == "10.000"
        assert (await caller.operate("capture", order_no="AUTH7")).status_code == 400
        assert [(one.kind, one.amount) for one in sandbox.ledger] == [
            ("capture", "2.500"),
            ("refund", "2.500"),
            ("capture", "10.000"),
        ]


async def test_void_is_in_full_and_once() -> None:
    async with demo() as (sandbox, caller):
        answer = await caller.operate("void", order_no="AUTH7", amount="1.000")
        assert (answer.json()["amount"], answer.json()["txn"]["state"]) == ("12.500", "voided")
        assert (await caller.operate("void", order_no="AUTH7")).status_code == 400
        assert (await caller.operate("capture", order_no="AUTH7")).status_code == 400
        assert moved(sandbox) == [("void", "AUTH7", "12.500", "KWD")]


async def test_internal_operations_change_the_state_and_move_nothing() -> None:
    async with demo() as (sandbox, caller):
        payment = sandbox.create("LINK10", "1.000", "KWD", "created")
        assert (await caller.operate("cancel", order_no="LINK9")).json()["result"] == "success"
        assert (await caller.operate("expire", order_no="LINK10")).json()["result"] == "success"
        assert (await caller.retrieve(payment.session_id)).json()["state"] == "expired"
        assert (await caller.operate("cancel", order_no="LINK9")).status_code == 400
        assert (await caller.operate("delete", order_no="LINK10")).json()["operation"] == "delete"
        assert (await caller.retrieve(payment.session_id)).status_code == 404
        assert len(sandbox.ledger) == 0


@pytest.mark.parametrize(
    ("order_no", "amount"),
    [
        ("ORD123", "5.0000"),
        ("ORD123", "-5.000"),
        ("ORD123", "0.000"),
        ("ORD123", "1e1"),
        ("ORD123", "5,000"),
        ("ORD123", "٥"),
        ("ORD123", "5_0"),
        ("ORD123", " 5"),
        ("ORD123", ""),
        ("ORD123", "."),
        ("ORD123", 5),
        ("ORD123", 5.0),
        ("ORD123", True),
        ("ORD123", ["5.000"]),
        ("USD55", "1.000"),
        ("JPY100", "1.0"),
    ],
)
async def test_an_amount_that_is_none_in_the_currency_is_a_field_error(order_no: str, amount: object) -> None:
    async with demo() as (sandbox, caller):
        answer = await caller.operate("refund", order_no=order_no, amount=amount)
        assert answer.status_code == 400
        assert list(answer.json()) == ["amount"]
        assert len(sandbox.ledger) == 0


async def test_amounts_are_exact_in_every_number_of_decimals() -> None:
    async with demo() as (sandbox, caller):
        for order_no, amount in (("ORD123", "0.1"), ("ORD123", "0.2"), ("USD55", "49.98"), ("JPY100", "999")):
            assert (await caller.operate("refund", order_no=order_no, amount=amount)).status_code == 200
        assert [one.amount for one in sandbox.ledger] == ["0.100", "0.200", "49.98", "999"]
        assert [one.as_json()["refundable"] for one in sandbox.book.all()][:5] == [
            "19.700",
            "0.000",
            "0.000",
            "0.01",
            "1",
        ]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"operation": "refunds"}, "operation"),
        ({"operation": None}, "operation"),
        ({"session_id": "0" * 40}, "non_field_errors"),
        ({"order_no": None}, "non_field_errors"),
        ({"order_no": 123}, "order_no"),
        ({"order_no": "  "}, "order_no"),
        ({"order_no": "x" * 129}, "order_no"),
        ({"order_no": "ord123"}, "order_no"),
        ({"order_no": None, "session_id": "0" * 40}, "session_id"),
        ({"destination": "bank"}, "destination"),
        ({"operation": "capture", "destination": "wallet"}, "destination"),
        ({"extra": []}, "extra"),
    ],
)
async def test_a_malformed_request_is_a_field_error(changes: dict[str, Any], field: str) -> None:
    async with demo() as (sandbox, caller):
        body = {"operation": "refund", "order_no": "ORD123", "amount": "5.000", **changes}
        answer = await caller.http.post(OPERATION, json=body)
        assert (answer.status_code, list(answer.json())) == (400, [field])
        assert len(sandbox.ledger) == 0


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"operation": NaN}', b'{"order_no": "\\ud800"}', b"[" * 60_000])
async def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    async with demo() as (_, caller):
        answer = await caller.http.post(OPERATION, content=raw, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert (await caller.http.get("/_control/ottu/requests")).json()[0]["status"] == 400


async def test_other_media_types_and_large_bodies_are_refused() -> None:
    async with demo() as (_, caller):
        assert (await caller.http.post(OPERATION, data={"operation": "refund"})).status_code == 415
        assert (await caller.http.post(OPERATION, content=b"x" * 70_000)).status_code == 413


async def test_gateways_differ_in_what_they_can_do() -> None:
    """Unsupported operation, foreign currency, no wallet: a 400 with a reason, and no money."""
    async with demo() as (sandbox, caller):
        sandbox.create("NOREFUND", "1.000", "KWD", unsupported=["refund"])
        sandbox.create("FOREIGN", "1.000", "KWD", gateway_currency="USD")
        sandbox.create("NOWALLET", "1.000", "KWD", has_wallet=False)
        for order_no, fields in (("NOREFUND", {}), ("FOREIGN", {}), ("NOWALLET", {"destination": "wallet"})):
            answer = await caller.operate("refund", order_no=order_no, **fields)
            assert (answer.status_code, answer.json()["result"]) == (400, "failed")
        assert len(sandbox.ledger) == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Api-Key wrong"},
        {"Authorization": "Api-Key"},
        {"Authorization": "Bearer sandbox-api-key"},
        {"Authorization": "sandbox-api-key"},
        {"Authorization": "Basic sandbox-api-key"},
    ],
)
async def test_without_the_right_credentials_nothing_is_served(headers: dict[str, str]) -> None:
    async with demo() as (sandbox, caller):
        async with httpx.AsyncClient(base_url=caller.http.base_url, trust_env=False) as stranger:
            answers = [
                await stranger.post(OPERATION, json={"operation": "refund", "order_no": "ORD123"}, headers=headers),
                await stranger.post(INQUIRY, json={"order_no": "ORD123"}, headers=headers),
                await stranger.get(f"/b/checkout/v1/pymt-txn/{'0' * 40}/", headers=headers),
            ]
        assert [(one.status_code, list(one.json())) for one in answers] == [(401, ["detail"])] * 3
        assert len(sandbox.ledger) == 0


async def test_a_basic_user_may_do_what_its_permissions_say_and_is_named() -> None:
    async with demo() as (sandbox, caller):
        caller.http.auth = httpx.BasicAuth("agent", "made-up")
        allowed = await caller.operate("refund", order_no="ORD123", amount="1.000")
        assert allowed.json()["initiator"]["username"]
        sandbox.configure(permissions=frozenset({"capture"}))
        assert (await caller.operate("refund", order_no="ORD123", amount="1.000")).status_code == 403
        assert (await caller.inquire(order_no="ORD123")).status_code == 403
        assert (await caller.operate("capture", order_no="AUTH7")).status_code == 200
        caller.http.auth = httpx.BasicAuth("agent", "wrong")
        assert (await caller.operate("capture", order_no="AUTH7")).status_code == 401


async def test_without_the_last_slash_a_post_is_redirected_and_never_served() -> None:
    """A client that follows would send a GET without a body: only one that writes the slash gets through."""
    async with demo() as (sandbox, caller):
        body = {"operation": "refund", "order_no": "ORD123"}
        answer = await caller.http.post(OPERATION.removesuffix("/"), json=body)
        assert (answer.status_code, answer.headers["Location"]) == (301, OPERATION)
        followed = await caller.http.post(OPERATION.removesuffix("/"), json=body, follow_redirects=True)
        assert (followed.status_code, list(followed.json())) == (405, ["detail"])
        retrieve = await caller.http.get(f"/b/checkout/v1/pymt-txn/{'0' * 40}")
        assert retrieve.status_code == 301
        assert len(sandbox.ledger) == 0


async def test_retrieve_has_no_children_and_knows_only_session_ids() -> None:
    async with demo() as (sandbox, caller):
        payment = sandbox.book.find(order_no="ORD123")
        assert payment is not None
        found = await caller.retrieve(payment.session_id)
        wanted = ("state", "amount", "currency_code", "order_no", "session_id", "settled_pg_code")
        assert [found.json()[name] for name in wanted] == [
            "paid",
            "20.000",
            "KWD",
            "ORD123",
            payment.session_id,
            "sandbox-knet",
        ]
        assert "transactions" not in found.json()
        for unknown in ("0" * 40, "ORD123"):
            answer = await caller.retrieve(unknown)
            assert (answer.status_code, list(answer.json())) == (404, ["detail"])


async def test_a_refund_can_be_retrieved_where_that_is_switched_on() -> None:
    """Ottu's texts do not say whether it can, so that it is off by itself."""
    async with demo() as (sandbox, caller):
        refund = (await caller.operate(operation="refund", order_no="ORD123", amount="5.000")).json()["txn"]
        assert (await caller.retrieve(refund["session_id"])).status_code == 404
        sandbox.configure(children_retrievable=True)
        found = (await caller.retrieve(refund["session_id"])).json()
        assert found == refund
        assert (await caller.retrieve("0" * 40)).status_code == 404
