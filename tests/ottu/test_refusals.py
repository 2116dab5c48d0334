"""How Ottu says no, in all its shapes, and what is shown of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ottu
from ottu.refusals import read_refusal, retry_after_seconds
from tests.ottu.test_models import anything

NOW = datetime(2026, 6, 26, 12, 0, tzinfo=UTC)


def refusal_in(document: dict[str, Any]) -> ottu.Refused:
    """The refusal in a body that has one."""
    refusal = read_refusal(400, document, "refund")
    assert isinstance(refusal, ottu.Refused)
    return refusal


@pytest.mark.parametrize(
    ("document", "detail"),
    [
        ({"detail": "Too late.", "operation": "refund", "result": "failed"}, "Too late."),
        ({"detail": "Too late.", "operation": " REFUND", "result": "Rejected", "success": False}, "Too late."),
        ({"detail": "Too late.", "operation": None, "result": None}, "Too late."),
        ({"detail": "Not found."}, "Not found."),
        ({"detail": ["Not found."]}, "Not found."),
        ({"amount": ["Too much.", "Far too much."]}, "amount: Too much.; amount: Far too much."),
        ({"non_field_errors": ["No."], "result": None}, "No."),
        ({"operation": ['"x" is not a valid choice.']}, 'operation: "x" is not a valid choice.'),
        ({"error": {"type": "invalid", "code": 7, "message": "No.", "field": "amount"}}, "No."),
        ({"amount": [f"{number}" for number in range(99)]}, "; ".join(f"amount: {number}" for number in range(10))),
    ],
)
def test_every_shape_of_a_refusal_is_read(document: dict[str, Any], detail: str) -> None:
    """The four shapes of Ottu's documentation, as leniently as can be without guessing."""
    assert refusal_in(document).detail == detail


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"detail": ""},
        {"detail": None},
        {"detail": {"text": "No."}},
        {"detail": "No.", "operation": "void"},
        {"detail": "No.", "operation": 5},
        {"detail": "No.", "operation": []},
        {"detail": "No.", "result": "success"},
        {"detail": "No.", "result": "queued"},
        {"detail": "No.", "result": ["failed"]},
        {"detail": "No.", "success": True},
        {"detail": "No.", "success": "false"},
        {"result": "failed"},
        {"amount": []},
        {"amount": [" "]},
        {"amount": "No."},
        {"amount": ["No."], "order_no": {"nested": ["No."]}},
        {"Any text at all": ["No."]},
        {"error": "No."},
        {"error": {"code": "no"}},
    ],
)
def test_what_is_no_refusal_is_not_read_as_one(document: dict[str, Any]) -> None:
    """A body that is unreadable, mixed, or about another operation lets no request fail."""
    assert read_refusal(400, document, "refund") is None


def test_a_failed_look_up_is_told_apart_whatever_else_the_body_says() -> None:
    """It must never count as a refusal of the operation."""
    for document in ({"operation": "operation_tracking"}, {"operation": "Operation_Tracking", "detail": "No."}):
        assert isinstance(read_refusal(400, document, "refund"), ottu.LookupFailed)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("No payment attempts found for this Lookup", ottu.InquiryReason.UNKNOWN_TRANSACTION),
        ("payment attempts for order ORD123", ottu.InquiryReason.NO_ATTEMPT),
        ("No payment attempts for order ORD123.", ottu.InquiryReason.NO_ATTEMPT),
        ("No disclosure url found for order ORD123", ottu.InquiryReason.NO_DISCLOSURE_URL),
        ("Operation  is not allowed.", ottu.InquiryReason.NOT_ALLOWED),
        ("Something else about payment attempts for order ORD123", None),
    ],
)
def test_the_four_errors_of_an_inquiry_are_recognised(text: str, reason: ottu.InquiryReason | None) -> None:
    """In either shape, whatever the case."""
    assert refusal_in({"detail": text}).reason is reason
    assert refusal_in({"order_no": [text.upper()]}).reason is reason


def test_nothing_personal_is_shown() -> None:
    """Customer data does not reach a channel by way of an error text."""
    shown = refusal_in({"amount": ["Ask ann@example.com, +965 5000 1234, 4111 1111 1111 1111."]}).detail
    assert shown == "amount: Ask […] […], […]."
    hidden = refusal_in({"customer_email": ["ann is wrong."]})
    assert hidden.detail == "Ottu refused this (400) without a reason that can be shown."


def test_what_is_shown_is_one_line_of_bounded_length() -> None:
    """Foreign text cannot forge lines, hide text or fill a channel; a session id stays readable."""
    session = "0123456789" * 4
    assert refusal_in({"detail": f"a\r\nb\x00c\u202ed {session}"}).detail == f"a b c d {session}"
    assert len(refusal_in({"detail": "x" * 1000}).detail) == 300


@given(st.dictionaries(st.sampled_from(["detail", "operation", "result", "error", "amount"]), anything))
def test_reading_a_refusal_never_fails(document: dict[str, Any]) -> None:
    """Whatever a body holds, the outcome of the operation is decided, and not by an exception."""
    read_refusal(400, document, "refund")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("NaN", None),
        ("0", 0),
        (" 30 ", 30),
        ("1.5", 1.5),
        ("999999999", 86_400),
        ("Fri, 26 Jun 2026 12:01:00 GMT", 60),
        ("Fri, 26 Jun 2026 12:01:00 -0000", 60),
        ("Fri, 26 Jun 2026 11:00:00 GMT", 0),
        ("Fri, 26 Jun 2099 12:00:00 GMT", 86_400),
    ],
)
def test_retry_after_is_read_and_bounded(header: str | None, seconds: float | None) -> None:
    """Seconds or a date, never less than now and never more than a day."""
    assert retry_after_seconds(header, NOW) == seconds


@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_reading_retry_after_never_fails(header: str) -> None:
    """A mangled header must not hide that nothing was executed."""
    retry_after_seconds(header, NOW)
