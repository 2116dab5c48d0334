"""What an answer says, and above all what it does not say."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottu import Child, ChildState, Inquiry, OperationAnswer, Retrieved, Verdict, read_document

DESCRIPTION = json.loads((Path(__file__).parent.parent / "data" / "ottu-openapi.json").read_text())
SESSION = "0123456789abcdef0123456789abcdef01234567"
EXTERNAL: dict[str, Any] = {
    "amount": "5.000",
    "session_id": SESSION,
    "order_no": "ORD123",
    "operation": "refund",
    "result": "success",
    "success": True,
    "reference_number": "ABC123",
    "is_sandbox": True,
    "pg_code": "kpay",
    "pg_params": {"card_number": "411111******1111", "card_holder": "Ann Example"},
    "pg_response": {"payer": "Ann Example"},
    "initiator": {"id": 1, "username": "ann", "email": "ann@example.com", "first_name": "Ann"},
    "customer_email": "ann@example.com",
    "signature": "00",
    "source": "input",
    "timestamp_utc": "2026-06-26T12:00:00Z",
    "txn": {"amount": "5.000", "currency_code": "KWD", "session_id": SESSION[::-1], "state": "refunded"},
}
words = ("", " ", "success", "failed", "paid", "refunded", "operation_tracking", "5.000", "KWD", "x" * 200, "\ud800")
numbers = (0, -1, 10**400, 1.5, float("nan"), Decimal("5.000"), Decimal("NaN"), Decimal("1E+999999"))
scalars = st.sampled_from([None, True, False, *words, *numbers])
anything = (
    scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.sampled_from(["state", "message", "x"]), scalars)
)


def test_a_whole_external_answer_is_read_without_anything_personal() -> None:
    """An answer that satisfies Ottu's description, every field that is kept, and none that must not be."""
    jsonschema.validate(EXTERNAL, {**DESCRIPTION, "$ref": "#/components/schemas/ExternalOperation"})
    answer = OperationAnswer.read(EXTERNAL)
    assert answer.verdict is Verdict.SUCCEEDED
    assert answer.model_dump() == {
        "amount": Decimal("5.000"),
        "session_id": SESSION,
        "order_no": "ORD123",
        "operation": "refund",
        "result": "success",
        "success": True,
        "reference_number": "ABC123",
        "is_sandbox": True,
        "pg_code": "kpay",
        "txn": {
            "amount": Decimal("5.000"),
            "currency_code": "KWD",
            "session_id": SESSION[::-1],
            "order_no": None,
            "state": "refunded",
        },
        "detail": None,
    }
    assert "Ann" not in repr(answer)
    assert "ann@" not in repr(answer)


S, Q, F, U = Verdict.SUCCEEDED, Verdict.QUEUED, Verdict.FAILED, Verdict.UNCLEAR
VERDICTS: list[tuple[dict[str, Any], Verdict]] = [
    ({"detail": "Done.", "operation": "cancel", "result": "success"}, S),
    ({"detail": "No.", "operation": "cancel", "result": "failed"}, F),
    ({"result": "success"}, S),
    ({"result": " Success "}, S),
    ({"success": True}, S),
    ({"operation": "capture", "txn": {"state": "paid"}}, S),
    ({"operation": "VOID", "result": "success", "txn": {"state": "voided"}}, S),
    ({"result": "success", "success": True, "txn": {}}, S),
    ({"result": "success", "success": None, "txn": None}, S),
    ({"operation": None, "result": "success", "txn": {"state": "refunded"}}, S),
    ({"result": "queued"}, Q),
    ({"result": "QUEUED", "success": True}, Q),
    ({"result": "success", "success": True, "txn": {"state": "refund_queued"}}, Q),
    ({"operation": "refund", "txn": {"state": "refund_queued"}}, Q),
    ({"result": "failed"}, F),
    ({"result": "rejected", "success": False}, F),
    ({"success": False}, F),
    ({"operation": "refund", "txn": {"state": "refund_rejected"}}, F),
    ({"result": "Failed", "success": False, "txn": {"state": "Refund_Rejected"}}, F),
    # Nothing is said.
    ({}, U),
    ({"detail": "Done."}, U),
    ({"operation": "refund"}, U),
    ({"txn": {"state": "paid"}}, U),
    # The fields contradict each other.
    ({"result": "success", "success": False}, U),
    ({"result": "failed", "success": True}, U),
    ({"result": "success", "txn": {"state": "refund_rejected"}}, U),
    ({"result": "failed", "txn": {"state": "refunded"}}, U),
    ({"result": "queued", "success": False}, U),
    ({"result": "failed", "txn": {"state": "refund_queued"}}, U),
    ({"result": "queued", "txn": {"state": "refund_rejected"}}, U),
    ({"operation": "refund", "result": "success", "txn": {"state": "paid"}}, U),
    ({"operation": "void", "result": "success", "txn": {"state": "refund_queued"}}, U),
    # Something cannot be read.
    ({"result": ""}, U),
    ({"result": "pending", "success": True}, U),
    ({"result": 1, "success": True}, U),
    ({"result": "success", "success": "true"}, U),
    ({"result": "success", "success": 1}, U),
    ({"result": "failed", "success": 0}, U),
    ({"result": "success", "txn": "refunded"}, U),
    ({"result": "success", "txn": {"state": "settled"}}, U),
    ({"result": "success", "txn": {"state": ["refunded"]}}, U),
    ({"result": "success", "txn": {"state": "refunded", "amount": True}}, U),
    ({"result": "success", "amount": "five"}, U),
    ({"result": "success", "amount": float("nan")}, U),
    ({"result": "success", "amount": Decimal("NaN")}, U),
    ({"result": "success", "amount": Decimal("1E+999999")}, U),
    ({"result": "success", "amount": 5.0}, U),
    ({"result": "success", "amount": True}, U),
    ({"result": "success", "session_id": 5}, U),
    ({"result": "success", "session_id": "x" * 129}, U),
    ({"result": "success", "operation": {"name": "refund"}}, U),
    ({"result": "failed", "detail": ["No."]}, U),
]


@pytest.mark.parametrize(("document", "verdict"), VERDICTS)
def test_the_verdict_is_what_all_fields_say_together(document: dict[str, Any], verdict: Verdict) -> None:
    """Success and failure both need proof; whatever is mixed, unreadable or silent is unclear."""
    assert OperationAnswer.read(document).verdict is verdict


@given(st.dictionaries(st.sampled_from([*OperationAnswer.model_fields, "unreadable", "x"]), anything))
def test_reading_an_answer_never_fails(document: dict[str, Any]) -> None:
    """No answer raises, and none that has an unreadable field is believed."""
    answer = OperationAnswer.read(document)
    assert answer.verdict is Verdict.UNCLEAR or not answer.unreadable


def test_an_answer_cannot_name_its_own_unreadable_fields() -> None:
    """The bookkeeping of the reader is not for the sender to fill."""
    assert OperationAnswer.read({"unreadable": ["result"], "result": "success"}).unreadable == frozenset()


def test_a_detail_is_cleaned_before_anybody_sees_it() -> None:
    """Texts for people are one bounded line without control characters or addresses."""
    answer = OperationAnswer.read({"detail": "Done\n<!channel>\x07 for ann@example.com " + "x" * 400})
    assert answer.detail is not None
    assert answer.detail.startswith("Done <!channel> for […] xxx")
    assert len(answer.detail) == 300


def test_amounts_are_read_as_they_were_sent() -> None:
    """Text, whole number or decimal; never by way of a float."""
    document = read_document(b'{"amount": "5.000", "settled_amount": 5.100, "refunded_amount": 0, "voided_amount": -1}')
    inquiry = Inquiry.read(document)
    assert [
        str(amount)
        for amount in (inquiry.amount, inquiry.settled_amount, inquiry.refunded_amount, inquiry.voided_amount)
    ] == ["5.000", "5.100", "0", "-1"]
    assert inquiry.unreadable == frozenset()


def test_an_inquiry_keeps_its_children_in_order() -> None:
    """They are the evidence that an unknown is closed on."""
    children = [
        {"amount": "2.000", "currency_code": "kwd", "state": "paid", "order_no": None, "token": "secret"},
        {"amount": "1.000", "currency_code": "KWD", "state": "Refund_Queued", "session_id": SESSION},
    ]
    inquiry = Inquiry.read({"state": "PAID", "message": "Fine.\n", "transactions": children, "customer_phone": "1"})
    assert inquiry.transactions_readable
    assert inquiry.transactions == [
        Child(amount=Decimal("2.000"), currency_code="KWD", state=ChildState.PAID),
        Child(amount=Decimal("1.000"), currency_code="KWD", state=ChildState.REFUND_QUEUED, session_id=SESSION),
    ]
    assert (inquiry.state, inquiry.message) == ("paid", "Fine.")


@pytest.mark.parametrize(
    "child",
    [
        None,
        "paid",
        {},
        {"amount": "1.000", "currency_code": "KWD"},
        {"amount": "1.000", "currency_code": "KWD", "state": "settled"},
        {"amount": "x", "currency_code": "KWD", "state": "paid"},
        {"amount": "1.000", "currency_code": "dinar", "state": "paid"},
        {"amount": "1.000", "currency_code": "KWD", "state": "paid", "session_id": 5},
    ],
)
def test_one_unreadable_child_makes_the_list_untrustworthy(child: object) -> None:
    """A child that is silently dropped could be the refund that is looked for."""
    good = {"amount": "1.000", "currency_code": "KWD", "state": "paid"}
    inquiry = Inquiry.read({"state": "paid", "transactions": [good, child]})
    assert not inquiry.transactions_readable
    assert (inquiry.state, inquiry.transactions) == ("paid", None)


def test_a_missing_list_of_children_says_nothing() -> None:
    """Ottu's description does not require the list: only an empty one says that there are none."""
    documents: list[dict[str, object]] = [{}, {"transactions": None}, {"transactions": []}]
    for document in documents:
        assert Inquiry.read(document).transactions_readable is (document.get("transactions") is not None)
    assert not Inquiry.read({"transactions": {}}).transactions_readable


def test_a_retrieved_transaction_names_its_gateway() -> None:
    """Ottu calls it `settled_pg_code`."""
    retrieved = Retrieved.read({"state": "paid", "amount": "9.000", "settled_pg_code": "kpay", "is_sandbox": True})
    assert (retrieved.pg_code, retrieved.is_sandbox, retrieved.amount) == ("kpay", True, Decimal("9.000"))
    assert Retrieved.read({"settled_pg_code": 3}).unreadable == {"settled_pg_code"}
