"""A webhook is genuine, or it is not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottu import SIGNED_FIELDS, read_document, signature, signed_fields, verify
from tests.ottu.test_models import anything

KEY = "pu9MpX3yPR"  # published by Ottu, like the payload and its signature
PAYLOAD = {"amount": "86.000", "currency_code": "KWD", "customer_first_name": "example-customer"}
SIGNATURE = "6143b8ad4bd283540721ab000f6de746e722231aaaa90bc38f639081d3ff9f67"
WEBHOOK = {"order_no": "ORD123", "reference_number": "ABC123", "gateway_name": "kpay", "result": "success"}


def signed(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload with its genuine signature."""
    return {**payload, "signature": signature(payload, KEY)}


def test_the_published_vector() -> None:
    """Our signature is Ottu's."""
    assert signature(PAYLOAD, KEY) == SIGNATURE
    assert verify({**PAYLOAD, "signature": SIGNATURE}, KEY)


def test_the_fields_are_signed_in_the_order_of_their_names() -> None:
    """Whatever the order in which they arrive."""
    assert list(SIGNED_FIELDS) == sorted(SIGNED_FIELDS)
    assert signature(dict(reversed(PAYLOAD.items())), KEY) == SIGNATURE


def test_what_is_absent_or_empty_or_not_signed_does_not_count() -> None:
    """So that nobody takes it for signed either."""
    payload = {**PAYLOAD, "order_no": "", "state": None, "session_id": "x", "operation": "refund", "success": True}
    assert signed_fields(payload) == PAYLOAD
    assert signature(payload, KEY) == SIGNATURE


def test_numbers_are_signed_as_they_were_written() -> None:
    """A decimal keeps its last zeros; a float would lose them, and is refused."""
    assert signature(read_document(b'{"amount": 86.000, "order_no": 7}'), KEY) == signature(
        {"amount": "86.000", "order_no": "7"}, KEY
    )
    assert signed_fields({"amount": Decimal("86.000")}) == {"amount": "86.000"}
    for value in (86.0, True, ["86.000"]):
        with pytest.raises(ValueError, match="amount"):
            signed_fields({"amount": value})


@pytest.mark.parametrize(
    "change",
    [
        {"order_no": "ORD124"},
        {"state": "paid"},
        {"result": ""},
        {"order_no": 12.5},
        {"order_no": "\ud800"},
        {"signature": None},
        {"signature": 5},
        {"signature": ""},
        {"signature": "ü"},
        {"signature": "\ud800"},
        {"signature": SIGNATURE},
    ],
)
def test_a_webhook_that_was_changed_is_not_genuine(change: dict[str, Any]) -> None:
    """Neither the payload nor the signature may differ, and nothing odd raises."""
    assert verify(signed(WEBHOOK), KEY)
    assert not verify({**signed(WEBHOOK), **change}, KEY)


def test_fields_cannot_be_cut_elsewhere() -> None:
    """Without separators one signature fits many payloads: text that a payer typed must not become an order number."""
    typed = {"customer_last_name": "Xgateway_accountYorder_noORD999", "order_no": "ORD1", "result": "success"}
    forged = {
        "customer_last_name": "X",
        "gateway_account": "Y",
        "order_no": "ORD999order_noORD1",
        "result": "success",
    }
    moved = {**WEBHOOK, "gateway_name": "kpayorder_noORD123", "order_no": ""}
    assert signature(typed, KEY) == signature(forged, KEY)
    assert signature(moved, KEY) == signature(WEBHOOK, KEY)
    assert not verify(signed(typed), KEY)
    assert not verify(signed(moved), KEY)
    assert verify(signed({**WEBHOOK, "order_no": "order_no-7"}), KEY)


def test_an_empty_key_proves_nothing() -> None:
    """Anybody can sign with it."""
    with pytest.raises(ValueError, match="empty"):
        signature(PAYLOAD, "")
    assert not verify({**PAYLOAD, "signature": SIGNATURE}, "")


@given(st.dictionaries(st.sampled_from([*SIGNED_FIELDS, "signature"]), anything))
def test_nothing_that_arrives_raises_or_is_genuine_by_chance(payload: dict[str, Any]) -> None:
    """The address is open to the world."""
    assert not verify(payload, KEY)
