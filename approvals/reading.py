"""From what was read of a transaction to the terms of a request: which amount, how much is left, may it be done at all.

Pure. Rules of Ottu's documentation: what each operation may act on, and that `remaining_amount` is not what can still
be refunded, so it is worked out here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from approvals import money
from approvals.request import AMOUNT_OPERATIONS, Operation, Refusal, Submission
from approvals.sentences import looking


@dataclass(frozen=True)
class Child:
    """One child of a transaction: `paid` is a capture; the others are refunds in their states, and `voided`."""

    session_id: str | None
    state: str
    amount_minor: int


@dataclass(frozen=True)
class Reading:
    """What Ottu said of a transaction. Amounts in minor units of its currency; None where it was not said.

    `children` is None where they were not read (no inquiry): then what is left is not known either.
    """

    session_id: str | None
    order_no: str | None
    state: str | None
    currency: str | None
    amount_minor: int | None
    read_at: str
    settled_minor: int | None = None
    refunded_minor: int | None = None
    children: tuple[Child, ...] | None = None
    is_sandbox: bool | None = None
    gateway: str | None = None


@dataclass(frozen=True)
class Figures:
    """The sums that a person sees. None: not checked."""

    taken_minor: int | None  # captured or paid
    refunded_minor: int | None
    queued_minor: int | None  # refunds that the bank has not decided
    left_minor: int | None  # that this operation can still take


SESSION_ID = re.compile(r"[0-9a-f]{40}")
UNPAID = frozenset({"created", "pending", "attempted"})
ACTS_ON: dict[Operation, frozenset[str]] = {
    Operation.CAPTURE: frozenset({"authorized"}),
    Operation.REFUND: frozenset({"paid", "authorized"}),  # of an authorised one, what was captured
    Operation.VOID: frozenset({"authorized"}),
    Operation.CANCEL: UNPAID | {"cod"},
    Operation.EXPIRE: UNPAID,
}


def figures(operation: Operation, reading: Reading) -> Figures:
    """What was taken, given back, is queued, and is left for this operation."""
    if reading.children is None:
        return Figures(None, None, None, None)
    taken = _taken(reading)
    refunded = max(_sum(reading, "refunded"), reading.refunded_minor or 0)  # where the two disagree: the smaller left
    queued = _sum(reading, "refund_queued")
    if operation is Operation.CAPTURE:
        whole = reading.amount_minor
        left = None if whole is None or taken is None else max(whole - taken, 0)
    elif operation is Operation.REFUND:
        left = None if taken is None else max(taken - refunded - queued, 0)
    else:
        left = None
    return Figures(taken, refunded, queued, left)


def _sum(reading: Reading, state: str) -> int:
    return sum(child.amount_minor for child in reading.children or () if child.state == state)


def _taken(reading: Reading) -> int | None:
    captured = _sum(reading, "paid")
    if captured:
        return captured
    if reading.state == "paid":
        return reading.settled_minor
    return 0


def advice(reading: Reading) -> str:
    """Which operation would work in this state."""
    state, taken = reading.state or "", _taken(reading) if reading.children is not None else None
    if state in UNPAID:
        return looking.UNPAID
    if state == "cod":
        return looking.CASH_ON_DELIVERY
    if state == "authorized" and taken:
        return looking.PARTLY_CAPTURED
    if state == "authorized":
        return looking.HELD
    if state == "paid":
        return looking.PAID
    return looking.ALL_OVER


def check_state(operation: Operation, reading: Reading) -> None:
    """Raises Refusal (`wrong_state`) with the operation that would work."""
    state = reading.state
    if operation not in ACTS_ON or (state is None and not operation.moves_money):
        return  # what Ottu cannot tell us of an unpaid link, it checks itself
    fits = state in ACTS_ON[operation]
    taken = _taken(reading) if reading.children is not None else None
    if state == "authorized" and taken is not None:
        fits = fits and not (operation is Operation.REFUND and taken == 0)
        fits = fits and not (operation is Operation.VOID and taken > 0)
    if not fits:
        sentence = looking.not_possible(
            name=_name(reading), state=str(state), operation=operation, advice=advice(reading)
        )
        raise Refusal(sentence, kind="wrong_state")


def _name(reading: Reading) -> str:
    return reading.order_no or reading.session_id or looking.THE_TRANSACTION


def check_identity(submission: Submission, reading: Reading) -> None:
    """The transaction read must be the one asked for, and have what a money operation needs."""
    read = reading.session_id if submission.reference_kind == "session" else reading.order_no
    if read is not None and read != submission.reference:
        raise Refusal(looking.ANOTHER_TRANSACTION, kind="disagreeing_read")
    if submission.operation.moves_money and not (reading.session_id and reading.state and reading.currency):
        raise Refusal(looking.too_little(reference=submission.reference), kind="unreadable")
    if reading.session_id is not None and not SESSION_ID.fullmatch(reading.session_id):
        raise Refusal(looking.NO_SESSION_ID, kind="unreadable")


def amount(submission: Submission, reading: Reading, left_minor: int | None) -> int | None:
    """The amount in minor units that will be sent (refund, capture) or released (void); None for the others.

    Raises Refusal: wrong currency, wrong decimals, more than is left, `full` where what is left is not known.
    """
    operation, currency = submission.operation, reading.currency
    if operation is Operation.VOID:
        if reading.amount_minor is None:
            raise Refusal(looking.hold_not_said(name=_name(reading)), kind="unreadable")
        return reading.amount_minor
    if operation not in AMOUNT_OPERATIONS or currency is None:
        return None
    if submission.asked_currency is not None and submission.asked_currency != currency:
        sentence = looking.wrong_currency(name=_name(reading), currency=currency, asked=submission.asked_currency)
        raise Refusal(sentence, kind="wrong_currency")
    if submission.asked_amount == "full":
        return _full(submission, reading, left_minor)
    typed = money.parse_amount(submission.asked_amount or "", currency)
    most = reading.amount_minor if left_minor is None else left_minor
    if most is not None and typed > most:
        raise Refusal(_too_much(submission, reading, typed, most), kind="too_much")
    return typed


def _full(submission: Submission, reading: Reading, left_minor: int | None) -> int:
    if left_minor is None:
        raise Refusal(looking.left_unknown(operation=submission.operation), kind="left_unknown")
    if left_minor == 0:
        raise Refusal(_too_much(submission, reading, 0, 0), kind="too_much")
    return left_minor


def _too_much(submission: Submission, reading: Reading, typed: int, most: int) -> str:
    operation, name, currency = submission.operation, _name(reading), reading.currency or ""
    if most == 0:
        return looking.nothing_left(operation=operation, name=name, why=_why_nothing(submission, reading))
    return looking.too_much(
        typed=money.show(typed, currency),
        left=money.show(most, currency),
        operation=operation,
        name=name,
        most=money.to_decimal_text(most, currency),
    )


def _why_nothing(submission: Submission, reading: Reading) -> str:
    if submission.operation is Operation.CAPTURE:
        return looking.CAPTURED_ALREADY
    queued = _sum(reading, "refund_queued")
    if queued:
        return looking.waits_at_bank(amount=money.show(queued, reading.currency or ""))
    return looking.REFUNDED_ALREADY


def children_text(reading: Reading) -> str | None:
    """The children as read, one word each: `refunded:5000:<session>`; the baseline for a later comparison."""
    if reading.children is None:
        return None
    return " ".join(f"{child.state}:{child.amount_minor}:{child.session_id or ''}" for child in reading.children)
