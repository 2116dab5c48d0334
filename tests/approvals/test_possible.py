"""May it be done at all, in this state, and is it the transaction that was asked for?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.reading import (
    ACTS_ON,
    Reading,
    check_identity,
    check_state,
)
from approvals.request import Operation, Refusal

from .factories import SESSION, a_reading, a_submission, refused
from .readings import A_READING, CANCEL, CAPTURE, DELETE, EXPIRE, INQUIRY, REFUND, STATES, VOID, held, paid

# --- may it be done in this state

# From Ottu's documentation: what each operation may act on.
ALLOWED = {
    CAPTURE: {"authorized"},
    REFUND: {"paid"},  # and what was captured of an authorised one: below
    VOID: {"authorized"},
    CANCEL: {"created", "pending", "attempted", "cod"},
    EXPIRE: {"created", "pending", "attempted"},
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("operation", ALLOWED)
def test_an_operation_is_possible_in_the_states_that_ottu_names(operation: Operation, state: str) -> None:
    read = held(state=state)
    if state in ALLOWED[operation]:
        check_state(operation, read)
    else:
        with refused("wrong_state"):
            check_state(operation, read)


@pytest.mark.parametrize("operation", [CAPTURE, REFUND])
def test_a_partly_captured_one_can_be_captured_further_and_refunded(operation: Operation) -> None:
    check_state(operation, held(("paid", 6_000)))


def test_a_partly_captured_one_cannot_be_voided() -> None:
    with refused("wrong_state") as info:
        check_state(VOID, held(("paid", 6_000)))
    assert "refund works on what was captured, capture on the rest" in str(info.value)


@pytest.mark.parametrize("operation", [REFUND, CAPTURE, VOID])
def test_where_the_children_were_not_read_the_state_alone_decides(operation: Operation) -> None:
    """An authorised one may have been captured in part: Ottu checks it itself."""
    check_state(operation, held(children=None))
    with refused("wrong_state") as info:
        check_state(operation, a_reading(state="canceled", children=None))
    assert "Nothing can be done with it any more." in str(info.value)


@pytest.mark.parametrize("operation", [CANCEL, EXPIRE])
def test_an_unpaid_link_of_which_ottu_tells_nothing_may_be_closed(operation: Operation) -> None:
    check_state(operation, a_reading(state=None, children=None))


@pytest.mark.parametrize("operation", [DELETE, INQUIRY])
def test_an_operation_without_such_a_rule_is_possible_in_any_state(operation: Operation) -> None:
    for state in STATES:
        check_state(operation, held(state=state))


@pytest.mark.parametrize(
    ("operation", "read", "sentence"),
    [
        (
            REFUND,
            held(),
            "ORD123 is authorized: refund is not possible. The amount is held, not taken: capture or void would work.",
        ),
        (
            REFUND,
            held(state="pending"),
            "ORD123 is pending: refund is not possible. Nothing was paid yet: cancel or expire would work.",
        ),
        (
            EXPIRE,
            held(state="cod", order_no=None),
            f"{SESSION} is cod: expire is not possible. It is cash on delivery: cancel would work.",
        ),
        (VOID, paid(), "ORD123 is paid: void is not possible. Refund would work."),
        (
            CANCEL,
            held(("paid", 1)),
            "ORD123 is authorized: cancel is not possible. It is partly captured: refund works on what was captured, "
            "capture on the rest.",
        ),
        (
            CANCEL,
            held(children=None),
            "ORD123 is authorized: cancel is not possible. The amount is held, not taken: capture or void would work.",
        ),
        (
            CAPTURE,
            held(state="failed", order_no=None, session_id=None),
            "The transaction is failed: capture is not possible. Nothing can be done with it any more.",
        ),
    ],
)
def test_a_wrong_state_is_answered_with_the_operation_that_would_work(
    operation: Operation, read: Reading, sentence: str
) -> None:
    with refused("wrong_state") as info:
        check_state(operation, read)
    assert str(info.value) == sentence


@given(read=A_READING, operation=st.sampled_from(sorted(ACTS_ON)))
def test_the_operation_that_is_advised_is_possible(read: Reading, operation: Operation) -> None:
    """Whoever follows the advice is not refused again."""
    try:
        check_state(operation, read)
    except Refusal as refusal:
        advised = str(refusal).rpartition("not possible. ")[2]
        for other in ACTS_ON:
            if other.value in advised:
                check_state(other, read)


# --- is it the transaction that was asked for


@pytest.mark.parametrize(
    ("changes", "read"),
    [
        ({}, a_reading()),
        ({}, a_reading(order_no=None)),  # not said: nothing that disagrees
        ({"reference_kind": "session", "reference": SESSION}, a_reading(order_no="another")),
        ({"operation": CANCEL}, a_reading(session_id=None, state=None, currency=None)),
    ],
)
def test_a_reading_of_what_was_asked_for(changes: dict[str, Any], read: Reading) -> None:
    check_identity(a_submission(**changes), read)


@pytest.mark.parametrize(
    ("changes", "read", "kind"),
    [
        ({}, a_reading(order_no="ORD124"), "disagreeing_read"),
        ({"reference_kind": "session", "reference": SESSION}, a_reading(session_id="b" * 40), "disagreeing_read"),
        ({}, a_reading(session_id=None), "unreadable"),
        ({}, a_reading(state=None), "unreadable"),
        ({}, a_reading(currency=None), "unreadable"),
        ({"operation": VOID}, a_reading(currency=None), "unreadable"),
        ({}, a_reading(session_id="a" * 39), "unreadable"),
        ({}, a_reading(session_id="A" * 40), "unreadable"),
        ({"operation": CANCEL}, a_reading(session_id="../" * 13 + "a"), "unreadable"),
    ],
)
def test_a_reading_of_something_else_or_without_what_money_needs_is_refused(
    changes: dict[str, Any], read: Reading, kind: str
) -> None:
    with refused(kind):
        check_identity(a_submission(**changes), read)
