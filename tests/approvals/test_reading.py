"""How much is left, and which amount will be sent: the sums of “Reading a transaction”."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.reading import (
    Figures,
    Reading,
    amount,
    figures,
)
from approvals.request import Operation

from .factories import a_reading, a_submission, refused
from .readings import A_READING, CANCEL, CAPTURE, NOT_CHECKED, REFUND, VOID, held, paid

# --- how much is left


@pytest.mark.parametrize(
    ("operation", "read", "expected"),
    [
        pytest.param(REFUND, paid(), Figures(20_000, 0, 0, 20_000), id="paid at once: what was settled"),
        pytest.param(
            REFUND, paid(settled_minor=19_000), Figures(19_000, 0, 0, 19_000), id="settled is not the amount asked"
        ),
        pytest.param(
            REFUND,
            paid(("paid", 4_000), ("paid", 5_000)),
            Figures(9_000, 0, 0, 9_000),
            id="captured: the sum of the captures, not what was settled",
        ),
        pytest.param(
            REFUND,
            paid(("refunded", 1_000), ("refunded", 500), refunded_minor=1_500),
            Figures(20_000, 1_500, 0, 18_500),
            id="refunds are taken off",
        ),
        pytest.param(
            REFUND,
            paid(("refunded", 1_000), refunded_minor=6_000),
            Figures(20_000, 6_000, 0, 14_000),
            id="refunded_amount says more than the children: the smaller left counts",
        ),
        pytest.param(
            REFUND,
            paid(("refunded", 1_000), refunded_minor=0),
            Figures(20_000, 1_000, 0, 19_000),
            id="refunded_amount says less than the children: the smaller left counts",
        ),
        pytest.param(
            REFUND,
            paid(("refunded", 1_000), refunded_minor=None),
            Figures(20_000, 1_000, 0, 19_000),
            id="refunded_amount is not there",
        ),
        pytest.param(
            REFUND,
            paid(("refund_queued", 3_000), ("refunded", 1_000), refunded_minor=1_000),
            Figures(20_000, 1_000, 3_000, 16_000),
            id="what waits at the bank is taken off too",
        ),
        pytest.param(
            REFUND,
            paid(("refund_rejected", 3_000)),
            Figures(20_000, 0, 0, 20_000),
            id="what the bank rejected is left again",
        ),
        pytest.param(
            REFUND, paid(refunded_minor=25_000), Figures(20_000, 25_000, 0, 0), id="never less than nothing is left"
        ),
        pytest.param(
            REFUND,
            paid(settled_minor=None),
            Figures(None, 0, 0, None),
            id="paid, nobody says how much: not checked",
        ),
        pytest.param(REFUND, held(), Figures(0, 0, 0, 0), id="held, nothing captured"),
        pytest.param(
            REFUND,
            held(("paid", 6_000), ("refunded", 1_000)),
            Figures(6_000, 1_000, 0, 5_000),
            id="partly captured: a refund takes what was captured",
        ),
        pytest.param(
            CAPTURE,
            held(("paid", 6_000)),
            Figures(6_000, 0, 0, 14_000),
            id="partly captured: a capture takes the rest",
        ),
        pytest.param(
            CAPTURE, held(("paid", 21_000)), Figures(21_000, 0, 0, 0), id="captured more than held: nothing is left"
        ),
        pytest.param(
            CAPTURE, held(amount_minor=None), Figures(0, 0, 0, None), id="nobody says how much is held: not checked"
        ),
        pytest.param(
            CAPTURE,
            paid(settled_minor=None),
            Figures(None, 0, 0, None),
            id="a capture of what is paid already, without its sum",
        ),
        pytest.param(VOID, held(), Figures(0, 0, 0, None), id="a void has no choice"),
        pytest.param(CANCEL, held(), Figures(0, 0, 0, None), id="nor has a cancel"),
        pytest.param(
            REFUND,
            a_reading(children=None),
            NOT_CHECKED,
            id="no children: nobody knows what waits at the bank, whatever the sums say",
        ),
        pytest.param(CAPTURE, a_reading(children=None), NOT_CHECKED, id="no children, for a capture"),
    ],
)
def test_what_is_left(operation: Operation, read: Reading, expected: Figures) -> None:
    assert figures(operation, read) == expected


def total(read: Reading, state: str) -> int:
    return sum(child.amount_minor for child in read.children or () if child.state == state)


@given(read=A_READING)
def test_no_refund_can_take_more_than_was_taken_whatever_ottu_says(read: Reading) -> None:
    """What is left, what was given back and what waits at the bank are together never more than what was taken."""
    left = figures(REFUND, read).left_minor
    taken = total(read, "paid") or (read.settled_minor if read.state == "paid" else 0)
    assert (left is None) is (taken is None)
    if left and taken is not None:
        gone = max(total(read, "refunded"), read.refunded_minor or 0)
        assert left + gone + total(read, "refund_queued") == taken


@given(read=A_READING)
def test_no_capture_can_take_more_than_was_held(read: Reading) -> None:
    left = figures(CAPTURE, read).left_minor
    assert left is None or (left >= 0 and (left == 0 or left + total(read, "paid") <= (read.amount_minor or 0)))


# --- the amount


@pytest.mark.parametrize(
    ("changes", "read", "left_minor", "expected"),
    [
        ({"asked_amount": "5.000"}, a_reading(), 18_000, 5_000),
        ({"asked_amount": "5"}, a_reading(), 18_000, 5_000),
        ({"asked_amount": "18.000"}, a_reading(), 18_000, 18_000),
        ({"asked_amount": "full"}, a_reading(), 18_000, 18_000),
        ({"asked_amount": "5.000", "asked_currency": "KWD"}, a_reading(), 18_000, 5_000),
        ({"asked_amount": "18.001"}, a_reading(), None, 18_001),  # not checked: the whole transaction bounds it
        ({"asked_amount": "500"}, a_reading(amount_minor=None), None, 500_000),  # nothing is known that bounds it
        ({"asked_amount": "500"}, a_reading(currency="JPY"), 18_000, 500),
        ({"operation": CAPTURE, "asked_amount": "full"}, held(), 20_000, 20_000),
        ({"operation": VOID, "asked_amount": None}, held(), None, 20_000),
        ({"operation": CANCEL, "asked_amount": None}, a_reading(), None, None),
        ({"asked_amount": "5.000"}, a_reading(currency=None), None, None),  # refused before, by check_identity
    ],
)
def test_the_amount(changes: dict[str, Any], read: Reading, left_minor: int | None, expected: int | None) -> None:
    assert amount(a_submission(**changes), read, left_minor) == expected


@pytest.mark.parametrize(
    ("changes", "read", "left_minor", "kind", "says"),
    [
        (
            {"asked_amount": "18.001"},
            a_reading(),
            18_000,
            "too_much",
            "18.001 KWD is too much: 18.000 KWD is left to refund of ORD123. Type 18.000 or less, or full.",
        ),
        ({"asked_amount": "20.001"}, a_reading(), None, "too_much", "20.000 KWD is left"),
        ({"asked_amount": "full"}, a_reading(), None, "left_unknown", "`full` is not possible"),
        ({"asked_amount": "full"}, a_reading(), 0, "too_much", "All of it was refunded before."),
        ({"asked_amount": "0.001"}, a_reading(), 0, "too_much", "Nothing is left to refund of ORD123."),
        (
            {"asked_amount": "full"},
            paid(("refund_queued", 20_000)),
            0,
            "too_much",
            "20.000 KWD waits at the bank.",
        ),
        (
            {"operation": CAPTURE, "asked_amount": "full"},
            held(("paid", 20_000)),
            0,
            "too_much",
            "It is captured already: refund would work.",
        ),
        (
            {"asked_currency": "USD"},
            a_reading(),
            18_000,
            "wrong_currency",
            "ORD123 is in KWD, not USD. Give the amount in KWD.",
        ),
        ({"asked_currency": "USD", "asked_amount": "full"}, a_reading(), 18_000, "wrong_currency", "not USD"),
        ({"asked_amount": "5.0001"}, a_reading(), 18_000, "amount", "KWD has 3 decimals"),
        ({"asked_amount": "5.00"}, a_reading(currency="JPY"), 18_000, "amount", "JPY has no decimals"),
        ({"asked_amount": None}, a_reading(), 18_000, "amount", "An amount is more than zero"),
        ({"operation": VOID, "asked_amount": None}, held(amount_minor=None), None, "unreadable", "how much is held"),
    ],
)
def test_the_amount_is_refused(
    changes: dict[str, Any], read: Reading, left_minor: int | None, kind: str, says: str
) -> None:
    """Each with a sentence that says what would be possible."""
    with refused(kind) as info:
        amount(a_submission(**changes), read, left_minor)
    assert says in str(info.value)


@given(typed=st.integers(1, 10**12), read=A_READING, operation=st.sampled_from([REFUND, CAPTURE]))
def test_an_amount_is_what_was_typed_and_never_more_than_is_left(
    typed: int, read: Reading, operation: Operation
) -> None:
    left = figures(operation, read).left_minor
    submission = a_submission(operation=operation, asked_amount=f"{typed // 1000}.{typed % 1000:03}")
    most = read.amount_minor if left is None else left
    assert most is not None
    if typed > most:
        with refused("too_much"):
            amount(submission, read, left)
    else:
        assert amount(submission, read, left) == typed
