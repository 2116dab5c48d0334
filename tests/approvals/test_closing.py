"""Closing an unknown: what a reading proves, what may be sent once more, and what two people may say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.closing import Closing, Found, new_children
from approvals.policy import Members
from approvals.reading import Child, Reading
from approvals.request import Ending, Operation, Outcome, Request, State

from .factories import (
    ALICE,
    BOB,
    CEM,
    DENIZ,
    MEMBERS,
    OUT,
    Desk,
    a_reading,
    a_request,
    age_seconds,
    database_refuses,
    found,
    refused,
    session,
)

REFUND, CAPTURE, VOID = Operation.REFUND, Operation.CAPTURE, Operation.VOID
HALF_AN_HOUR_SECONDS = 1800.0


@pytest.fixture
def closing(desk: Desk) -> Closing:
    return Closing(desk.service)


def child(state: str, minor: int = 5_000, number: int | None = 1) -> Child:
    """A child of that state; `number` None: Ottu did not say its session id."""
    return Child(None if number is None else session(number), state, minor)


def now(desk: Desk, *children: Child, **changes: Any) -> Reading:
    """What Ottu shows at this moment."""
    return a_reading(children=children, refunded_minor=None, read_at=desk.store.now(), **changes)


def unanswered(desk: Desk, request: Request, ending: Ending = Ending.UNKNOWN) -> Request:
    return desk.execution.settle(request.id, request.attempt, Outcome(ending, "no answer"))


def an_unknown(desk: Desk, *children: Child, operation: Operation = REFUND, **changes: Any) -> Request:
    """Sent and not answered; `children` were there when the card was made. Of 20.000, 5.000 are asked, or all."""
    held = {} if operation is REFUND else {"state": "authorized", "settled_minor": 0}
    changes.setdefault("asked_amount", None if operation is VOID else "5.000")
    return sent(desk, now(desk, *children, **held), operation=operation, **changes)


def sent(desk: Desk, read: Reading, **changes: Any) -> Request:
    """Asked by Alice, approved by as many as the rule wants, sent, and not answered."""
    request = desk.pending(read, **changes)
    request = desk.approve(request, *(CEM, BOB)[: request.approvals_needed])
    return unanswered(desk, found(desk.execution.claim(request.id)))


def an_unlinked(desk: Desk, operation: Operation = Operation.CANCEL, state: str = "pending") -> Request:
    """An internal operation, which needs no approval, not answered."""
    read = now(desk, state=state)
    request = desk.check(desk.ask(operation=operation, asked_amount=None), read)
    return unanswered(desk, found(desk.execution.claim(request.id)))


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


UNCLEAR: list[tuple[str, list[Child], list[Child] | None]] = [
    ("another amount", [], [child("refunded", 5_001)]),
    ("two new ones", [], [child("refunded"), child("refunded", number=2)]),
    ("another kind", [], [child("paid")]),
    ("its kind and another", [], [child("refunded"), child("voided", number=2)]),
    ("one that is gone", [OLD], []),
    ("one that is gone, and a new one", [OLD], [child("refunded")]),
    ("not readable", [OLD], None),
    ("by count, another amount", [child("refunded", number=None)], [child("refunded", 4_000, None)]),
    ("by count, which of two?", [child("refund_queued", number=None)], [child(state, number=None) for state in ("refunded", "refund_queued")]),
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


# --- the same, for all children that there can be

AMOUNTS = st.sampled_from([1_000, 5_000])
REFUND_STATES = st.sampled_from(["refunded", "refund_queued", "refund_rejected"])
STATES = {REFUND: REFUND_STATES, CAPTURE: st.just("paid"), VOID: st.just("voided")}


@st.composite
def histories(draw: st.DrawFn, *, numbered: bool) -> tuple[Request, list[Child], list[Child]]:
    """A request; the children when its card was made; and the same later, some of them decided by the bank."""
    operation = draw(st.sampled_from([REFUND, CAPTURE, VOID]))
    states = draw(st.lists(st.tuples(st.sampled_from(["paid", "voided"]) | REFUND_STATES, AMOUNTS), max_size=6))
    before = [child(state, minor, 100 + n if numbered else None) for n, (state, minor) in enumerate(states)]
    after = [replace(one, state=draw(REFUND_STATES)) if one.state == "refund_queued" else one for one in before]
    text = " ".join(f"{one.state}:{one.amount_minor}:{one.session_id or ''}" for one in before)
    return a_request(operation=operation, amount_minor=5_000, children=text), before, after


def shown(children: list[Child]) -> Reading:
    return a_reading(children=tuple(children))


@given(history=histories(numbered=True) | histories(numbered=False), data=st.data())
def test_what_was_there_before_is_never_new(
    history: tuple[Request, list[Child], list[Child]], data: st.DataObject
) -> None:
    """In whatever order Ottu lists it, and whatever the bank has decided of it."""
    request, _, after = history
    assert new_children(request, shown(data.draw(st.permutations(after)))) == []


@given(history=histories(numbered=True), data=st.data())
def test_by_session_id_the_new_one_is_found_among_all_others(
    history: tuple[Request, list[Child], list[Child]], data: st.DataObject
) -> None:
    request, _, after = history
    new = child(data.draw(STATES[request.operation]), data.draw(AMOUNTS), 1)
    assert new_children(request, shown(data.draw(st.permutations([*after, new])))) == [new]


@given(history=histories(numbered=False), data=st.data())
def test_by_count_it_is_the_new_one_or_it_cannot_be_told(
    history: tuple[Request, list[Child], list[Child]], data: st.DataObject
) -> None:
    """An older one in another state is never taken for it."""
    request, _, after = history
    new = child(data.draw(STATES[request.operation]), data.draw(AMOUNTS), None)
    assert new_children(request, shown(data.draw(st.permutations([*after, new])))) in ([new], None)


@given(history=histories(numbered=True) | histories(numbered=False), data=st.data())
def test_one_that_vanishes_makes_it_all_unclear(
    history: tuple[Request, list[Child], list[Child]], data: st.DataObject
) -> None:
    request, _, after = history
    if after:
        del after[data.draw(st.integers(0, len(after) - 1))]
        assert new_children(request, shown(after)) is None


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
    assert closing.by_children(request.id, now(desk)) is Found.NOTHING_NEW
    request = desk.row(request)
    assert closing.may_send_again(request) is by_itself
    assert closing.offers_resend(request)
    key = request.tracking_key
    request = found(desk.execution.claim_again(request.id, request.version, "bot"))
    assert (request.tracking_key, request.attempt, request.doubtful_attempt) == (key, 2, 1)
    request = unanswered(desk, request)
    assert not closing.may_send_again(request)
    assert not closing.offers_resend(request)  # what was read before the second send counts no more
    assert closing.by_children(request.id, now(desk)) is Found.NOTHING_NEW
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


def test_what_was_put_back_from_a_copy_is_never_sent_again(desk: Desk, closing: Closing) -> None:
    request = an_unknown(desk, asked_amount="full")
    closing.by_children(request.id, now(desk))
    desk.execution.mark_restored("a test")
    request = desk.row(request)
    assert closing.by_children(request.id, now(desk)) is Found.NOTHING_NEW
    request = desk.row(request)
    assert not closing.may_send_again(request)
    assert not closing.offers_resend(request)
    assert desk.execution.claim_again(request.id, request.version, "bot") is None


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


# --- by two people

AGENT = "U05ERIN"  # may ask, and may not approve
PEOPLE: Members = {"agents": frozenset({ALICE, DENIZ, AGENT}), "leads": frozenset({BOB, CEM})}


def says(closing: Closing, request: Request, person: str, outcome: str = "succeeded", **more: Any) -> str:
    what: dict[str, Any] = {"evidence": f"seen by {person}", "members": PEOPLE, "may_fail": True} | more
    evidence, members = what.pop("evidence"), what.pop("members")
    return closing.close(request.id, person, outcome, evidence, members, **what)


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
@pytest.mark.parametrize("pair", [(BOB, CEM), (DENIZ, CEM), (CEM, DENIZ)])
def test_two_people_close_it_one_of_whom_may_approve(
    desk: Desk, closing: Closing, pair: tuple[str, str], outcome: str
) -> None:
    request = an_unknown(desk)
    assert "Another person must say the same" in says(closing, request, pair[0], outcome)
    noted = desk.row(request)
    assert (noted.state, noted.version) == (State.UNKNOWN, request.version + 1)
    assert says(closing, request, pair[1], outcome) == f"{request.id} is closed as {outcome}."
    after = desk.row(request)
    assert (after.state, after.detail) == (State(outcome), f"closed by two people: seen by {pair[0]}")
    assert desk.last_event().facts["by"] == list(pair)
    assert desk.last_event().facts["evidence"] == [f"seen by {pair[0]}", f"seen by {pair[1]}"]
    assert desk.differences() == []


def test_a_queued_one_is_closed_by_hand_too(desk: Desk, closing: Closing) -> None:
    claimed = desk.claimed(now(desk))
    request = desk.execution.settle(claimed.id, 1, Outcome(Ending.QUEUED, "", 5_000, "REF-1"))
    says(closing, request, BOB)
    says(closing, request, CEM)
    assert desk.row(request).state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("person", "kind"), [(ALICE, "own_request"), (OUT, "not_allowed")], ids=["who asked", "an outsider"]
)
@pytest.mark.parametrize("is_first", [True, False])
def test_who_may_not_close_it(desk: Desk, closing: Closing, person: str, kind: str, is_first: bool) -> None:
    """Neither as the first nor as the second; the requester not even where they may approve."""
    request = an_unknown(desk)
    if not is_first:
        says(closing, request, BOB)
    members = {name: people | {ALICE} for name, people in PEOPLE.items()}
    with refused(kind):
        says(closing, request, person, members=members)
    assert desk.row(request).state is State.UNKNOWN


def test_nobody_confirms_themselves(desk: Desk, closing: Closing) -> None:
    request = an_unknown(desk)
    says(closing, request, BOB)
    with refused("twice"):
        says(closing, request, BOB)


def test_two_who_may_only_ask_are_not_enough(desk: Desk, closing: Closing) -> None:
    """And the word of the first stands, for one who may approve."""
    request = an_unknown(desk)
    says(closing, request, DENIZ)
    with refused("not_allowed"):
        says(closing, request, AGENT)
    says(closing, request, CEM)
    assert desk.row(request).state is State.SUCCEEDED


def test_who_may_is_todays(desk: Desk, closing: Closing) -> None:
    """The one who may approve was one of them when proposing; now neither is."""
    request = an_unknown(desk)
    says(closing, request, CEM)
    with refused("not_allowed"):
        says(closing, request, DENIZ, members={"agents": PEOPLE["agents"], "leads": frozenset()})


def test_under_a_rule_without_approvals_two_who_may_ask_are_enough(desk: Desk, closing: Closing) -> None:
    request = an_unlinked(desk)
    says(closing, request, DENIZ)
    with refused("own_request"):
        says(closing, request, ALICE)
    says(closing, request, AGENT)
    assert desk.row(request).state is State.SUCCEEDED


def test_what_was_restored_before_it_had_a_rule_is_closed_by_those_who_may_pause(desk: Desk, closing: Closing) -> None:
    request = desk.ask()
    desk.execution.mark_restored("a test")
    with refused("not_allowed"):
        says(closing, request, OUT)
    says(closing, request, BOB)
    says(closing, request, CEM)
    assert desk.row(request).state is State.SUCCEEDED


def test_another_outcome_replaces_the_word_that_stands(desk: Desk, closing: Closing) -> None:
    """One says succeeded, the other failed: nothing is closed, until two say the same."""
    request = an_unknown(desk)
    says(closing, request, BOB, "succeeded")
    assert "you say that" in says(closing, request, CEM, "failed")
    assert (found_proposal(closing, desk, request)) == (CEM, "failed")
    assert "closed as failed" in says(closing, request, BOB, "failed")
    assert desk.row(request).state is State.FAILED


def found_proposal(closing: Closing, desk: Desk, request: Request) -> tuple[str, str] | None:
    proposal = closing.proposal(desk.row(request))
    return (proposal.proposed_by, proposal.outcome) if proposal else None


def test_a_word_is_void_once_the_row_has_moved(desk: Desk, closing: Closing) -> None:
    """Somebody confirms what they see: with a new reading on the card, that is something else."""
    request = an_unknown(desk)
    says(closing, request, BOB)
    closing.by_children(request.id, now(desk, child("refunded"), child("refunded", number=2)))
    assert found_proposal(closing, desk, request) is None
    assert "Another person must say the same" in says(closing, request, CEM)
    assert desk.row(request).state is State.UNKNOWN
    assert found_proposal(closing, desk, request) == (CEM, "succeeded")


@pytest.mark.parametrize("is_second", [False, True])
def test_failed_is_too_early_while_it_may_still_be_under_way(desk: Desk, closing: Closing, is_second: bool) -> None:
    request = an_unknown(desk)
    if is_second:
        says(closing, request, BOB, "failed")
    with refused("too_early"):
        says(closing, request, CEM, "failed", may_fail=False)
    says(closing, request, CEM, "succeeded", may_fail=False)  # that it has happened can be seen at any time


@pytest.mark.parametrize("evidence", ["", "  \n "])
def test_a_word_without_evidence_is_none(desk: Desk, closing: Closing, evidence: str) -> None:
    request = an_unknown(desk)
    with refused("no_evidence"):
        says(closing, request, BOB, evidence=evidence)


def test_only_an_open_doubt_is_closed(desk: Desk, closing: Closing) -> None:
    for request in (desk.pending(), an_unknown_of(desk, 2), an_unknown_of(desk, 3)):
        if request.reference == "ORD3":
            says(closing, request, BOB)
            says(closing, request, CEM)
        if request.reference == "ORD2":
            request = found(desk.execution.claim_again(request.id, request.version, "bot"))
        with refused("moved_on"):
            says(closing, request, CEM)


def an_unknown_of(desk: Desk, number: int) -> Request:
    """The same on another transaction."""
    read = now(desk, order_no=f"ORD{number}", session_id=session(number))
    return unanswered(desk, desk.claimed(read, reference=f"ORD{number}"))


# --- what the database itself refuses

PROPOSE = (
    "INSERT INTO closings (request_id, version, outcome, evidence, proposed_by, proposed_at, confirmed_by)"
    " VALUES (:id, :version, :outcome, :evidence, :person, :now, :confirmed_by)"
)


def propose(desk: Desk, request: Request, **changes: object) -> None:
    values: dict[str, object] = {"id": request.id, "version": request.version, "outcome": "succeeded"}
    values |= {"evidence": "seen", "person": BOB, "now": desk.store.now(), "confirmed_by": None}
    desk.sql(PROPOSE, **values | changes)


def test_the_database_refuses_a_wrong_proposal(desk: Desk) -> None:
    request = an_unknown(desk)
    somebody_else = "made by somebody else than the requester"
    for changes, sentence in (
        ({"person": ALICE}, somebody_else),
        ({"confirmed_by": CEM}, somebody_else),
        ({"version": request.version - 1}, somebody_else),
        ({"outcome": "queued"}, "CHECK"),
        ({"evidence": ""}, "CHECK"),
        ({"person": ""}, "CHECK"),
    ):
        with database_refuses(sentence):
            propose(desk, request, **changes)
    propose(desk, request)


def test_the_database_refuses_a_wrong_confirmation(desk: Desk, closing: Closing) -> None:
    request = an_unknown(desk)
    propose(desk, request)
    confirm = "UPDATE closings SET confirmed_by = :person, confirmed_at = 'now'"
    with database_refuses("CHECK"):
        desk.sql(confirm, person=BOB)
    for text, person in ((confirm, ALICE), (confirm, None), (confirm + ", evidence = 'other'", CEM)):
        with database_refuses("confirmed once, by a third person"):
            desk.sql(text, person=person)
    desk.sql(confirm, person=CEM)
    with database_refuses("confirmed once, by a third person"):
        desk.sql(confirm, person=DENIZ)
    with database_refuses("never deleted"):
        desk.sql("DELETE FROM closings")
    closing.unreadable(request.id)
    with database_refuses("made by somebody else than the requester"):
        propose(desk, request)


@pytest.mark.parametrize("column", ["id", "request_id", "version", "outcome", "evidence", "proposed_by", "proposed_at"])
def test_a_word_given_is_never_altered(desk: Desk, column: str) -> None:
    propose(desk, an_unknown(desk))
    value = {"id": 9, "version": 99, "outcome": "failed"}.get(column, "R-2346")
    with database_refuses("confirmed once, by a third person"):
        desk.sql(f"UPDATE closings SET {column} = :value", value=value)  # noqa: S608 - our own names


def test_a_word_on_a_row_that_has_moved_cannot_be_confirmed(desk: Desk, closing: Closing) -> None:
    request = an_unknown(desk)
    propose(desk, request)
    closing.unreadable(request.id)
    with database_refuses("confirmed once, by a third person"):
        desk.sql("UPDATE closings SET confirmed_by = :person, confirmed_at = 'now'", person=CEM)
