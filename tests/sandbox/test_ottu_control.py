"""The control of the local Ottu over HTTP, and the record that it gives of itself."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sandbox.ottu import create_ottu, seed_demo
from sandbox.serving import serve
from tests.sandbox.ottu_caller import OPERATION, Clock, calling

CONTROL = "/_control/ottu"


async def test_a_whole_story_by_http_alone() -> None:
    sandbox = create_ottu(clock=Clock())
    async with calling(sandbox) as caller:
        http = caller.http
        body = {"order_no": "ORD1", "amount": "20.000", "currency": "KWD", "age_seconds": 700}
        payment = (await http.post(f"{CONTROL}/transactions", json=body)).json()
        assert (payment["refundable"], payment["created_at"]) == ("20.000", "2026-06-26T11:48:20Z")
        await http.post(f"{CONTROL}/settings", json={"key_stored": "success", "permissions": ["refund"]})
        await http.post(f"{CONTROL}/faults", json={"kind": "status", "status": 500, "count": 2})
        assert [one["count"] for one in (await http.get(f"{CONTROL}/faults")).json()] == [2]
        answer = await caller.operate("refund", "key-1", session_id=payment["session_id"], amount="5.000")
        assert answer.status_code == 500
        assert (await http.delete(f"{CONTROL}/faults")).json() == []
        (movement,) = (await http.get(f"{CONTROL}/ledger")).json()
        (child,) = (await http.get(f"{CONTROL}/transactions")).json()[0]["children"]
        assert movement == {
            "seq": 1,
            "at": "2026-06-26T12:00:00Z",
            "kind": "refund",
            "session_id": payment["session_id"],
            "order_no": "ORD1",
            "amount": "5.000",
            "currency": "KWD",
            "destination": "pg",
            "tracking_key": "key-1",
            "child_session_id": child["session_id"],
        }
        (request,) = (await http.get(f"{CONTROL}/requests")).json()
        assert request == {
            "seq": 1,
            "at": "2026-06-26T12:00:00Z",
            "method": "POST",
            "path": OPERATION,
            "body": {"operation": "refund", "session_id": payment["session_id"], "amount": "5.000"},
            "tracking_key": "key-1",
            "status": 500,
        }
        assert (await http.get(f"{CONTROL}/settings")).json()["key_stored"] == "success"
        assert (await http.get(f"{CONTROL}/webhooks")).json() == []


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("transactions", {"order_no": "ORD1", "amount": 20.0, "currency": "KWD"}),
        ("transactions", {"order_no": "ORD1", "amount": "20.0000", "currency": "KWD"}),
        ("transactions", {"order_no": "ORD1", "amount": "20.000", "currency": "XXX"}),
        ("transactions", {"order_no": "ORD123", "amount": "20.000", "currency": "KWD"}),
        ("transactions", {"order_no": "ORD1", "amount": "1", "currency": "KWD", "state": "refunded"}),
        ("transactions", []),
        ("faults", {"kind": "nonsense"}),
        ("faults", {"kind": "slow", "seconds": 5}),
        ("faults", {"kind": "slow", "count": 0}),
        ("settings", {"key_stored": "later"}),
        ("settings", {"throttle": "off"}),
        ("settings", {"unknown": 1}),
        ("dashboard", {"operation": "void", "reference": "ORD123"}),
        ("dashboard", {"operation": "refund", "reference": "ORD123", "source": "nobody"}),
        ("settle_queued", {"session_id": "0" * 40}),
        ("settle_queued", {"session_id": "0" * 40, "state": "paid"}),
    ],
)
async def test_a_wrong_control_is_refused_with_the_reason(name: str, body: Any) -> None:
    sandbox = create_ottu()
    seed_demo(sandbox)
    async with calling(sandbox) as caller:
        answer = await caller.http.post(f"{CONTROL}/{name}", json=body)
        assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert len(sandbox.ledger) == 0


async def test_no_credential_is_kept_in_the_log_of_requests() -> None:
    """Refused requests are logged as well; what they authorised themselves with is not."""
    sandbox = create_ottu(api_key="a-key-to-look-for")
    async with serve(sandbox.app) as base_url, httpx.AsyncClient(base_url=base_url, trust_env=False) as http:
        for key in ("a-key-to-look-for", "a-wrong-key"):
            await http.post(OPERATION, json={}, headers={"Authorization": f"Api-Key {key}"})
        log = await http.get(f"{CONTROL}/requests")
    assert [one["status"] for one in log.json()] == [400, 401]
    assert "key-to-look-for" not in log.text
    assert "wrong-key" not in log.text


def test_the_demo_has_the_payments_that_its_page_speaks_of() -> None:
    sandbox = create_ottu()
    seed_demo(sandbox)
    assert {one.order_no: (one.text(one.amount), one.currency, one.state) for one in sandbox.book.all()} == {
        "ORD123": ("20.000", "KWD", "paid"),
        "AUTH7": ("12.500", "KWD", "authorized"),
        "LINK9": ("7.250", "KWD", "created"),
        "USD55": ("49.99", "USD", "paid"),
        "JPY100": ("1000", "JPY", "paid"),
        "Q42": ("42.000", "KWD", "paid"),
    }
    assert all((sandbox.clock() - one.created_at).total_seconds() > 600 for one in sandbox.book.all())
