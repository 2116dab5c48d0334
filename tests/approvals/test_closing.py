"""Closing an unknown by reading, and by one more send: what is proof, and what may be sent again."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from approvals.closing import Closing, Found
from approvals.policy import Members
from approvals.reading import Child
from approvals.request import Ending, Operation, Outcome, State
from approvals.sqlite import open_database
from approvals.store import Store

from .factories import (
    ALICE,
    BOB,
    CEM,
    DENIZ,
    KEY,
    MEMBERS,
    OUT,
    Desk,
    age_seconds,
    found,
    open_desk,
    refused,
    session,
)
from .unknowns import CAPTURE, REFUND, VOID, an_unknown, an_unlinked, child, now, payment_of, sent, unanswered

HALF_AN_HOUR_SECONDS = 1800.0

# --- by the children of an inquiry

OLD = child("refunded", 2_000, 9)
PROOFS: list[tuple[str, Operation, list[Child], list[Child], State]] = [
    ("a refund", REFUND, [], [child("refunded")], State.SUCCEEDED),
    ("a refund at the bank", REFUND, [], [child("refund_queued")], State.QUEUED),
    ("a refund that the bank rejected", REFUND, [], [child("refund_rejected")], State.FAILED),
    ("beside an older one", REFUND, [OLD], [OLD, child("refunded")], State.SUCCEEDED),
    ("beside an equal older one", REFUND, [child("refunded", number=9)], [child("refunded", number=9)], State.UNKNOWN),
    (
        "beside an older one that the bank has decided since",
        REFUND,
        [child("refund_queued", number=9)],
        [child("refund_rejected", number=9), child("refunded")],
        State.SUCCEEDED,
    ),
    ("by count", REFUND, [child("refunded", number=None)], [child("refunded", number=None)] * 2, State.SUCCEEDED),
    ("a capture", CAPTURE, [], [child("paid")], State.SUCCEEDED),
    ("a void", VOID, [], [child("voided", 20_000)], State.SUCCEEDED),
]


@pytest.mark.parametrize(
    ("operation", "before", "after", "state"), [row[1:] for row in PROOFS], ids=[r[0] for r in PROOFS]
)
def test_exactly_one_new_child_of_its_kind_and_amount_decides(
    desk: Desk, closing: Closing, operation: Operation, before: list[Child], after: list[Child], state: State
) -> None:
    request = an_unknown(desk, *before, operation=operation)
    expected = Found.NOTHING_NEW if state is State.UNKNOWN else Found.PROOF
    assert closing.by_children(request.id, now(desk, *after)) is expected
    row = desk.row(request)
    assert row.state is state
    if state in {State.SUCCEEDED, State.QUEUED}:
        assert row.answered_minor == request.amount_minor
        assert "Ottu's inquiry shows a new child" in (row.detail or "")
    assert desk.differences() == []


UNNUMBERED = [child("refunded", number=None), child("refund_queued", number=None)]
UNCLEAR: list[tuple[str, list[Child], list[Child] | None]] = [
    ("another amount", [], [child("refunded", 5_001)]),
    ("two new ones", [], [child("refunded"), child("refunded", number=2)]),
    ("another kind", [], [child("paid")]),
    ("its kind and another", [], [child("refunded"), child("voided", number=2)]),
    ("one that is gone", [OLD], []),
    ("one that is gone, and a new one", [OLD], [child("refunded")]),
    ("not readable", [OLD], None),
    ("by count, another amount", [child("refunded", number=None)], [child("refunded", 4_000, None)]),
    ("by count, which of two?", [child("refund_queued", number=None)], UNNUMBERED),
    ("by count, one is gone", [child("refunded", number=None)], []),
    ("by count, another kind", [], [child("paid", number=None)]),
    ("by count, two new ones", [], [child("refunded", number=None)] * 2),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), [row[1:] for row in UNCLEAR], ids=[row[0] for row in UNCLEAR])
def test_any_other_difference_is_evidence_for_people(
    desk: Desk, closing: Closing, before: list[Child], after: list[Child] | None
) -> None:
    """The row stays unknown; what was read is written down once, for the card; nothing is sent again."""
    request = an_unknown(desk, *before)
    read = replace(now(desk), children=None if after is None else tuple(after))
    assert closing.by_children(request.id, read) is Found.UNCLEAR
    seen = desk.row(request)
    assert (seen.state, seen.version) == (State.UNKNOWN, request.version + 1)
    assert desk.last_event().kind == "reading"
    assert (closing.last_reading(seen) or {})["found"] == "unclear"
    assert closing.by_children(request.id, read) is Found.UNCLEAR
    assert desk.row(request) == seen
    assert not closing.may_send_again(seen)
    assert not closing.offers_resend(seen)


@pytest.mark.parametrize(
    ("age", "expected"), [(HALF_AN_HOUR_SECONDS - 5, Found.PROOF), (HALF_AN_HOUR_SECONDS + 5, Found.UNCLEAR)]
)
def test_a_card_read_too_long_before_the_send_is_no_baseline(
    desk: Desk, closing: Closing, age: float, expected: Found
) -> None:
    """Somebody else may have made an equal refund meanwhile."""
    read = replace(now(desk), read_at=age_seconds(desk, seconds=age))
    request = unanswered(desk, desk.claimed(read))
    assert closing.by_children(request.id, now(desk, child("refunded"))) is expected


def test_nothing_new_is_no_proof_either_where_the_card_is_too_old(desk: Desk, closing: Closing) -> None:
    read = replace(now(desk), read_at=age_seconds(desk, seconds=HALF_AN_HOUR_SECONDS + 5))
    request = sent(desk, read, asked_amount="full")
    assert closing.by_children(request.id, now(desk)) is Found.UNCLEAR
    assert not closing.may_send_again(desk.row(request))


def test_what_the_card_did_not_know_is_no_baseline(desk: Desk, closing: Closing) -> None:
    """ "Not checked": throttled when the card was made."""
    read = replace(now(desk), children=None, settled_minor=None)
    request = unanswered(desk, desk.claimed(read))
    assert request.left_minor is None
    for children in ((), (child("refunded"),)):
        assert closing.by_children(request.id, now(desk, *children)) is Found.UNCLEAR


def test_the_baseline_counts_from_the_first_send(desk: Desk, closing: Closing) -> None:
    """After a second send a new child may be the first one's: both are this request's."""
    request = an_unknown(desk, asked_amount="full")
    again = found(desk.execution.claim_again(request.id, request.version, "bot"))
    unanswered(desk, again)
    assert closing.by_children(request.id, now(desk, child("refunded", 20_000))) is Found.PROOF


def test_the_baseline_counts_from_the_first_send_that_may_have_reached_ottu(desk: Desk, closing: Closing) -> None:
    """One that was throttled took nothing: what was read before it may be too old by the time of the next one."""
    claimed = desk.claimed(replace(now(desk), read_at=age_seconds(desk, seconds=HALF_AN_HOUR_SECONDS - 1)))
    unanswered(desk, claimed, Ending.NOT_EXECUTED)
    time.sleep(1.1)
    request = unanswered(desk, found(desk.execution.claim(claimed.id)))
    assert closing.by_children(request.id, now(desk, child("refunded"))) is Found.UNCLEAR


@pytest.mark.parametrize(
    "changes",
    [{"session_id": "b" * 40}, {"order_no": "ORD124"}, {"currency": "USD"}, {"amount_minor": 19_999}],
    ids=["session", "order", "currency", "amount"],
)
@pytest.mark.parametrize("by_children", [True, False])
def test_what_is_of_another_transaction_proves_nothing_and_raises_an_alarm(
    desk: Desk, closing: Closing, changes: dict[str, Any], by_children: bool
) -> None:
    request = an_unknown(desk) if by_children else an_unlinked(desk)
    if by_children:
        seen = closing.by_children(request.id, now(desk, child("refunded"), **changes))
    else:
        seen = closing.by_state(request.id, now(desk, state="canceled", **changes))
    assert seen is Found.UNCLEAR
    assert desk.row(request).state is State.UNKNOWN
    assert "answered with another one" in next(e.facts["why"] for e in desk.store.events() if e.kind == "alarm")


def test_a_sum_that_has_changed_without_a_new_child_is_unclear(desk: Desk, closing: Closing) -> None:
    """Something was refunded that Ottu does not list: nothing may be sent again."""
    request = an_unknown(desk, asked_amount="full")
    read = replace(now(desk), refunded_minor=20_000)
    assert closing.by_children(request.id, read) is Found.UNCLEAR
    assert not closing.may_send_again(desk.row(request))


def test_a_reading_counts_for_as_long_as_there_can_be_no_other(desk: Desk, closing: Closing) -> None:
    """What people decide by must not be of last week."""
    request = an_unknown(desk)
    assert not closing.has_fresh_reading(request)
    closing.by_children(request.id, now(desk))
    assert closing.has_fresh_reading(desk.row(request))


def test_a_reading_from_the_future_is_not_fresh(tmp_path: Path) -> None:
    """The clock was ahead then; nobody knows how long ago that is."""
    hours = 1.0
    database = open_database(tmp_path / "bot.db")
    store = Store(database, KEY, clock=lambda: datetime.now(UTC) + timedelta(hours=hours))
    desk = open_desk(tmp_path, store=store)
    request = an_unknown(desk)
    closing = Closing(desk.service)
    closing.by_children(request.id, now(desk))
    assert closing.has_fresh_reading(desk.row(request))
    hours = 0.0
    assert not closing.has_fresh_reading(desk.row(request))
    database.close()


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.EXECUTING, State.PENDING])
def test_what_is_not_open_so_any_more_is_left_alone(desk: Desk, closing: Closing, state: State) -> None:
    request = desk.pending(now(desk))
    if state is not State.PENDING:
        request = found(desk.execution.claim(desk.approve(request, CEM).id))
    if state is State.SUCCEEDED:
        request = unanswered(desk, request, Ending.SUCCEEDED)
    assert closing.by_children(request.id, now(desk, child("refunded"))) is None
    assert closing.by_state(request.id, now(desk)) is None
    closing.unreadable(request.id)
    assert desk.row(request) == request


@pytest.mark.parametrize(
    ("then", "state"),
    [("refunded", State.SUCCEEDED), ("refund_rejected", State.FAILED), ("refund_queued", State.QUEUED)],
)
def test_a_queued_refund_is_looked_after(desk: Desk, closing: Closing, then: str, state: State) -> None:
    claimed = desk.claimed(now(desk))
    request = desk.execution.settle(claimed.id, 1, Outcome(Ending.QUEUED, "", 5_000, "REF-1"))
    closing.by_children(request.id, now(desk, child(then)))
    after = desk.row(request)
    assert after.state is state
    assert after.reference_number == "REF-1"
    assert after == request or state is not State.QUEUED


def test_a_queued_refund_is_looked_up_by_its_own_session_id(desk: Desk, closing: Closing) -> None:
    """Named by the answer: what it says is proof only where session, amount and currency are all the request's."""
    claimed = desk.claimed(now(desk))
    own = session(77)
    request = desk.execution.settle(claimed.id, 1, Outcome(Ending.QUEUED, "", 5_000, "REF-1", own))
    assert closing.queued_child(request) == own
    exact = replace(now(desk), session_id=own, state="refunded", amount_minor=5_000)
    for changes in (
        {"session_id": session(78)},
        {"session_id": None},
        {"amount_minor": 5_001},
        {"amount_minor": None},
        {"currency": "USD"},
        {"currency": None},
        {"state": None},
        {"state": "paid"},
        {"state": "refund_queued"},
    ):
        assert closing.by_queued_child(request.id, replace(exact, **changes)) is Found.UNCLEAR
        assert desk.row(request) == request
    assert closing.by_queued_child(request.id, exact) is Found.PROOF
    after = desk.row(request)
    assert (after.state, after.detail) == (State.SUCCEEDED, "Ottu says that the queued refund is refunded")
    assert closing.by_queued_child(request.id, exact) is None


def test_the_bank_may_reject_a_refund_that_an_inquiry_found_queued(desk: Desk, closing: Closing) -> None:
    """The inquiry named the child too."""
    request = an_unknown(desk)
    closing.by_children(request.id, now(desk, child("refund_queued")))
    assert closing.queued_child(desk.row(request)) == session(1)
    rejected = replace(now(desk), session_id=session(1), state="refund_rejected", amount_minor=5_000)
    assert closing.by_queued_child(request.id, rejected) is Found.PROOF
    assert desk.row(request).state is State.FAILED


def test_a_queued_refund_whose_child_nobody_named(desk: Desk, closing: Closing) -> None:
    claimed = desk.claimed(now(desk))
    assert closing.queued_child(claimed) is None
    request = desk.execution.settle(claimed.id, 1, Outcome(Ending.QUEUED, "", 5_000, "REF-1"))
    assert closing.queued_child(request) is None
    nameless = replace(now(desk), session_id=None, state="refunded", amount_minor=5_000)
    assert closing.by_queued_child(request.id, nameless) is Found.UNCLEAR


def test_what_is_unclear_of_a_queued_refund_changes_nothing(desk: Desk, closing: Closing) -> None:
    """The bank decides; evidence for people is for an unknown."""
    claimed = desk.claimed(now(desk))
    request = desk.execution.settle(claimed.id, 1, Outcome(Ending.QUEUED, "", 5_000, "REF-1"))
    assert closing.by_children(request.id, now(desk, child("refunded", 4_000))) is Found.UNCLEAR
    assert desk.row(request) == request


def test_the_bank_that_says_nothing_for_too_long(desk: Desk, closing: Closing) -> None:
    """After `queued_days`: unknown, which two people close."""
    claimed = desk.claimed(now(desk))
    request = desk.execution.settle(claimed.id, 1, Outcome(Ending.QUEUED, "", 5_000, "REF-1"))
    assert closing.overdue(request.id) is None
    old = {"at": age_seconds(desk, days=15), "id": request.id}
    desk.sql("UPDATE requests SET state_at = :at, version = version + 1 WHERE id = :id", **old)
    after = found(closing.overdue(request.id))
    assert (after.state, after.detail) == (State.UNKNOWN, "the bank has said nothing for 14 days")
    assert closing.overdue(request.id) is None
    assert closing.close(request.id, BOB, "failed", "the bank's list", MEMBERS, may_fail=True)


# --- cancel and expire: by the transaction's own state


@pytest.mark.parametrize(
    ("operation", "now_is", "expected"),
    [
        (Operation.CANCEL, "canceled", Found.PROOF),
        (Operation.EXPIRE, "expired", Found.PROOF),
        (Operation.CANCEL, "expired", Found.UNCLEAR),
        (Operation.EXPIRE, "canceled", Found.UNCLEAR),
        (Operation.CANCEL, "paid", Found.UNCLEAR),
        (Operation.CANCEL, None, Found.UNCLEAR),
        (Operation.CANCEL, "pending", Found.NOTHING_NEW),
        (Operation.EXPIRE, "pending", Found.NOTHING_NEW),
    ],
)
def test_an_unpaid_link_tells_by_its_state(
    desk: Desk, closing: Closing, operation: Operation, now_is: str | None, expected: Found
) -> None:
    """The target state is proof; the old one lets it be sent once more; any other is for people."""
    request = an_unlinked(desk, operation)
    assert closing.by_state(request.id, now(desk, state=now_is)) is expected
    after = desk.row(request)
    assert after.state is (State.SUCCEEDED if expected is Found.PROOF else State.UNKNOWN)
    assert closing.may_send_again(after) is (expected is Found.NOTHING_NEW)
    assert not closing.offers_resend(after)


def test_what_ottu_cannot_tell_is_said_on_the_card(desk: Desk, closing: Closing) -> None:
    request = an_unlinked(desk)
    closing.unreadable(request.id)
    after = desk.row(request)
    assert (closing.last_reading(after) or {})["found"] == "unreadable"
    assert f"card:{request.id}" in desk.jobs()
    assert not closing.may_send_again(after)


# --- once more, with the same key


@pytest.mark.parametrize(
    ("operation", "typed", "by_itself"),
    [
        (REFUND, "full", True),
        (REFUND, "20.000", True),
        (CAPTURE, "full", True),
        (VOID, None, True),
        (REFUND, "5.000", False),
        (CAPTURE, "5.000", False),
    ],
)
def test_only_what_limits_itself_is_sent_again_by_itself_and_once(
    desk: Desk, closing: Closing, operation: Operation, typed: str | None, by_itself: bool
) -> None:
    """A partial one could be done twice: only people may send that again."""
    request = an_unknown(desk, operation=operation, asked_amount=typed, members=MEMBERS)
    assert not closing.may_send_again(request)  # nothing was read yet
    assert not closing.offers_resend(request)
    assert closing.by_children(request.id, now(desk, **payment_of(operation))) is Found.NOTHING_NEW
    request = desk.row(request)
    assert closing.may_send_again(request) is by_itself
    assert closing.offers_resend(request)
    key = request.tracking_key
    request = found(desk.execution.claim_again(request.id, request.version, "bot"))
    assert (request.tracking_key, request.attempt, request.doubtful_attempt) == (key, 2, 1)
    request = unanswered(desk, request)
    assert not closing.may_send_again(request)
    assert not closing.offers_resend(request)  # what was read before the second send counts no more
    assert closing.by_children(request.id, now(desk, **payment_of(operation))) is Found.NOTHING_NEW
    assert not closing.may_send_again(desk.row(request))
    assert closing.offers_resend(desk.row(request))


@pytest.mark.parametrize("typed", ["full", "5.000"])
def test_a_refund_to_the_wallet_is_never_sent_again(desk: Desk, closing: Closing, typed: str) -> None:
    """Ottu's documentation: a second one credits twice, and cannot be edited."""
    request = an_unknown(desk, asked_amount=typed, destination="wallet")
    assert closing.by_children(request.id, now(desk)) is Found.NOTHING_NEW
    request = desk.row(request)
    assert not closing.may_send_again(request)
    assert not closing.offers_resend(request)
    with refused("no_resend"):
        closing.check_resend(request, CEM, MEMBERS)


def test_after_somebody_elses_operation_there_is_no_button(desk: Desk, closing: Closing) -> None:
    """What is on the card is no longer so: people look, and close it by hand."""
    request = an_unknown(desk)
    closing.by_children(request.id, now(desk))
    assert closing.offers_resend(desk.row(request))
    desk.work.keep_hook(None, request.session_id, request.order_no, "{}")
    assert not closing.offers_resend(desk.row(request))


def test_what_was_put_back_from_a_copy_is_never_sent_again(desk: Desk, closing: Closing) -> None:
    request = an_unknown(desk, asked_amount="full")
    closing.by_children(request.id, now(desk))
    desk.execution.mark_restored("a test")
    request = desk.row(request)
    assert closing.by_children(request.id, now(desk)) is Found.UNCLEAR
    request = desk.row(request)
    assert not closing.may_send_again(request)
    assert not closing.offers_resend(request)
    assert desk.execution.claim_again(request.id, request.version, "bot") is None


def test_what_was_put_back_before_it_was_read_is_not_sent_again(desk: Desk, closing: Closing) -> None:
    """It has no rule yet by which anybody could be asked."""
    request = desk.ask()
    desk.execution.mark_restored("a test")
    with refused("no_resend"):
        closing.check_resend(desk.row(request), CEM, MEMBERS)


def test_who_may_press_send_again(desk: Desk, closing: Closing) -> None:
    """Somebody who may approve, and did not ask for it."""
    request = an_unknown(desk)
    with refused("no_resend"):
        closing.check_resend(request, CEM, MEMBERS)
    closing.by_children(request.id, now(desk))
    request = desk.row(request)
    closing.check_resend(request, BOB, MEMBERS)
    closing.check_resend(request, CEM, MEMBERS)
    everyone: Members = {name: people | {ALICE, DENIZ} for name, people in MEMBERS.items()}
    with refused("own_request"):
        closing.check_resend(request, ALICE, everyone)
    for person in (DENIZ, OUT):
        with refused("not_allowed"):
            closing.check_resend(request, person, {"agents": frozenset({DENIZ}), "leads": frozenset()})


def test_a_second_send_is_not_begun_on_a_row_that_has_moved(desk: Desk, closing: Closing) -> None:
    request = an_unknown(desk, asked_amount="full")
    closing.by_children(request.id, now(desk))
    assert desk.execution.claim_again(request.id, request.version, "bot") is None
    assert desk.row(request).attempt == 1
