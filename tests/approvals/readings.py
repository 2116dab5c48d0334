"""What Ottu may say of a transaction: examples, and all that it might."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from approvals.reading import (
    Child,
    Figures,
    Reading,
)
from approvals.request import Operation

from .factories import SESSION, a_reading, session

REFUND, CAPTURE, VOID, CANCEL, EXPIRE, DELETE, INQUIRY = (
    Operation.REFUND,
    Operation.CAPTURE,
    Operation.VOID,
    Operation.CANCEL,
    Operation.EXPIRE,
    Operation.DELETE,
    Operation.INQUIRY,
)
NOT_CHECKED = Figures(None, None, None, None)
STATES = [
    "created",
    "pending",
    "attempted",
    "cod",
    "authorized",
    "paid",
    "failed",
    "expired",
    "canceled",
    "invalided",
]


def children(*each: tuple[str, int]) -> tuple[Child, ...]:
    return tuple(Child(session(number), state, minor) for number, (state, minor) in enumerate(each))


def paid(*each: tuple[str, int], refunded_minor: int | None = 0, **changes: Any) -> Reading:
    return a_reading(children=children(*each), refunded_minor=refunded_minor, **changes)


def held(*each: tuple[str, int], **changes: Any) -> Reading:
    """Authorised: 20.000 KWD are held."""
    facts: dict[str, Any] = {
        "state": "authorized",
        "settled_minor": None,
        "refunded_minor": None,
        "children": children(*each),
    }
    return a_reading(**facts | changes)


A_CHILD = st.builds(
    Child,
    st.just(SESSION),
    st.sampled_from(["paid", "refunded", "refund_queued", "refund_rejected", "voided", "something new"]),
    st.integers(0, 10**12),
)
A_READING = st.builds(
    a_reading,
    state=st.sampled_from(STATES),
    amount_minor=st.integers(1, 10**12),
    settled_minor=st.none() | st.integers(0, 10**12),
    refunded_minor=st.none() | st.integers(0, 10**12),
    children=st.lists(A_CHILD, max_size=6).map(tuple),
)
