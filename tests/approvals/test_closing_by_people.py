"""Closing an unknown by the word of two people, and what the database itself refuses of it."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.closing import Closing
from approvals.policy import Members
from approvals.request import Ending, Outcome, Request, State

from .factories import (
    ALICE,
    BOB,
    CEM,
    DENIZ,
    OUT,
    Desk,
    database_refuses,
    found,
    refused,
    session,
)
from .unknowns import an_unknown, an_unlinked, child, now, unanswered

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
