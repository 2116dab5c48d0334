"""The JSON that the local Ottu answers with, in the shapes of Ottu's OpenAPI file. Pure functions.

Personal data is in every place where Ottu has it, so that a leak can be found.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from sandbox.ottu_book import Child, Transaction

# After Ottu's documentation of the operation webhook: these are signed, where present and not empty, in this order.
SIGNED = (
    "amount",
    "currency_code",
    "customer_address_city",
    "customer_address_country",
    "customer_address_line1",
    "customer_address_line2",
    "customer_address_postal_code",
    "customer_address_state",
    "customer_email",
    "customer_first_name",
    "customer_last_name",
    "customer_phone",
    "gateway_account",
    "gateway_name",
    "order_no",
    "reference_number",
    "result",
    "state",
)
PG_PARAMS = {
    "auth_code": "B07781",
    "card_holder": "LAYLA PAYERSDOTTIR",
    "card_number": "512345******2346",
    "cardholder_email": "layla.payersdottir@example.com",
    "rrn": "417900007781",
}
# Whom Ottu names when an operation was not made with an API key.
INITIATOR: dict[str, object] = {
    "id": 7781,
    "username": "initiator.nasser",
    "email": "initiator.nasser@example.com",
    "first_name": "Nasser",
    "last_name": "Initiatorsson",
    "phone": "+96550007782",
}
CARD: dict[str, object] = {
    "agreements": [],
    "brand": "MASTERCARD",
    "customer_id": "payer-7781",
    "cvv_required": True,
    "expiry_month": "07",
    "expiry_year": "39",
    "is_expired": False,
    "is_preferred": True,
    "name_on_card": "LAYLA PAYERSDOTTIR",
    "number": "512345******2346",
    "pg_code": "sandbox-knet",
    "pg_name": "ottu_sandbox",
    "token": "9900000077812346",
}
RESULT_OF_STATE = {
    "created": "pending",
    "pending": "pending",
    "attempted": "pending",
    "authorized": "success",
    "paid": "success",
    "failed": "failed",
    "canceled": "canceled",
    "expired": "failed",
    "invalided": "error",
    "cod": "cod",
}

Outcome = Literal["success", "queued", "rejected", "failed"]


@dataclass
class Performed:
    """One external operation as Ottu remembers it: what its Tracking-Key gives back, always the latest status."""

    transaction: Transaction
    operation: str
    amount: Decimal
    destination: Literal["pg", "wallet"]
    reference_number: str
    at: datetime
    source: Literal["input", "pg"]
    initiator: dict[str, object] | None
    tracking_key: str | None
    outcome: Outcome | None = None  # None: still at the gateway
    child: Child | None = None  # a failed operation leaves none
    refusal: dict[str, object] | None = None  # what it was refused with, after it had begun


def time_text(moment: datetime) -> str:
    """ISO 8601 in UTC, as Ottu writes it."""
    return moment.isoformat().replace("+00:00", "Z")


def signature(payload: dict[str, object], key: str) -> str:
    """HMAC-SHA256, in hex, of name and value of each signed field, joined without anything between them."""
    message = "".join(f"{name}{payload[name]}" for name in SIGNED if payload.get(name) not in (None, ""))
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def failure(operation: str, detail: str) -> dict[str, object]:
    """The body of a 400: the operation was refused, and nothing was done."""
    return {"detail": detail, "operation": operation, "result": "failed"}


def internal(operation: str) -> dict[str, object]:
    """The answer to cancel, expire and delete."""
    return {"detail": f"The {operation} operation was successful.", "operation": operation, "result": "success"}


def external(performed: Performed, key: str) -> dict[str, object]:
    """The answer to refund, capture and void, and the body of the operation's webhook; signed with `key`.

    `result` may also be `queued` or `rejected`: Ottu's prose has them, its schema does not.
    """
    transaction = performed.transaction
    amount = transaction.text(performed.amount)
    txn: dict[str, object] = {"amount": amount, "currency_code": transaction.currency}
    if performed.child is not None:
        txn = child(transaction, performed.child)
    body: dict[str, object] = {
        "amount": amount,
        "session_id": transaction.session_id,
        "order_no": transaction.order_no,
        "operation": performed.operation,
        "result": performed.outcome,
        "success": performed.outcome in ("success", "queued"),
        "reference_number": performed.reference_number,
        "is_sandbox": True,
        "pg_code": transaction.pg_code,
        "pg_params": PG_PARAMS,
        "pg_response": {"code": "00" if performed.outcome == "success" else "05", "payer": transaction.payer},
        "txn": txn,
        "timestamp_utc": time_text(performed.at),
        "source": performed.source,
    }
    if performed.initiator is not None:
        body["initiator"] = performed.initiator
    return {**body, "signature": signature(body, key)}


def child(transaction: Transaction, one: Child) -> dict[str, object]:
    """A child as it stands in `txn` and in `transactions`. There is no Tracking-Key in it."""
    return {
        "amount": transaction.text(one.amount),
        "currency_code": transaction.currency,
        "order_no": transaction.order_no,
        "session_id": one.session_id,
        "state": one.state,
    }


def retrieved(transaction: Transaction) -> dict[str, object]:
    """The answer of the Checkout API's retrieve. It has no children."""
    settled = transaction.state in ("paid", "authorized")
    return {
        "amount": transaction.text(transaction.amount),
        "currency_code": transaction.currency,
        "is_sandbox": True,
        "order_no": transaction.order_no,
        "session_id": transaction.session_id,
        "settled_pg_code": transaction.pg_code if settled else None,
        "state": transaction.state,
        **transaction.payer,
    }


def inquired(transaction: Transaction, key: str) -> dict[str, object]:
    """The answer to an inquiry, and the body of a payment webhook; signed with `key`."""
    settled = transaction.state in ("paid", "authorized")
    amount = transaction.text(transaction.amount)
    body: dict[str, object] = {
        "agreement": {},
        "amount": amount,
        "amount_details": {
            "amount": amount,
            "currency_code": transaction.currency,
            "fee": transaction.text(Decimal(0)),
            "total": amount,
        },
        "card_acceptance_criteria": {},
        "currency_code": transaction.currency,
        "fee": transaction.text(Decimal(0)),
        "gateway_account": transaction.pg_code,
        "gateway_name": transaction.gateway_name,
        "gateway_response": {"card": CARD["number"], "holder": CARD["name_on_card"]},
        "initiator": INITIATOR,
        "is_sandbox": True,
        "message": "successful" if settled else f"The payment is {transaction.state}.",
        "order_no": transaction.order_no,
        "payment_type": "one_off",
        "pg_params": PG_PARAMS,
        "reference_number": f"sandbox{transaction.session_id[:6].upper()}",
        "result": RESULT_OF_STATE[transaction.state],
        "session_id": transaction.session_id,
        "state": transaction.state,
        "timestamp_utc": time_text(transaction.created_at),
        "token": CARD,
        "transactions": [child(transaction, one) for one in transaction.children],
        **transaction.payer,
        **_figures(transaction, settled=settled),
    }
    return {**body, "signature": signature(body, key)}


def _figures(transaction: Transaction, *, settled: bool) -> dict[str, object]:
    """What the schema calls double. Python's floats give back up to fifteen digits unchanged; the sums are Decimal."""
    nothing = Decimal(0)
    return {
        "paid_amount": float(transaction.received),
        "refunded_amount": float(transaction.total("refunded")),
        "remaining_amount": float(nothing if settled else transaction.amount),  # what the customer still owes
        "settled_amount": float(transaction.amount if settled else nothing),  # "paid or authorized"
        "voided_amount": float(transaction.total("voided")),
    }
