"""The use cases: who decides, who takes back, what time does, and what follows. A refusal writes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from approvals.following import NOTICED
from approvals.reading import Child
from approvals.request import Operation, Refusal, State
from approvals.store import later

from .factories import (
    ALICE,
    BOB,
    CAPTURE,
    CEM,
    FAR_OFF,
    HELD,
    LARGE,
    LONG_AGO,
    MEMBERS,
    MONEY,
    OUT,
    REFUND,
    VOID,
    Desk,
    a_reading,
    found,
    put_in,
    refused,
    session,
)

# --- deciding


def test_a_second_person_approves_and_it_is_to_be_executed(desk: Desk) -> None:
    request = desk.pending()
    approved = desk.approve(request, CEM)
    quorum_at = approved.quorum_at
    assert approved == replace(
        request, state=State.APPROVED, version=3, state_at=approved.state_at, quorum_at=quorum_at
    )
    event = desk.last_event()
    assert (event.kind, event.actor, event.facts["digest"]) == ("approval", CEM, request.digest)
    (approval,) = desk.store.approvals(request.id)
    assert (approval.person, approval.digest, approval.given_at) == (CEM, request.digest, event.at)
    assert {f"execute:{request.id}", f"lapse:{request.id}"} <= desk.jobs()
    assert desk.job(f"lapse:{request.id}").due_at == later(quorum_at or "", seconds=3600)


@pytest.mark.parametrize("operation", [REFUND, CAPTURE, VOID])
def test_nobody_approves_or_rejects_their_own_request(desk: Desk, operation: Operation) -> None:
    """Though Bob may approve what others ask for."""
    read = a_reading() if operation is REFUND else HELD
    amount = None if operation is VOID else "5.000"
    request = desk.pending(read, operation=operation, asked_amount=amount, requester=BOB)
    before = desk.record()
    with refused("self_approval"):
        desk.approve(request, BOB)
    with refused("own_request"):
        desk.service.reject(request.id, BOB, "no", MEMBERS)
    assert desk.record() == before


def test_two_approvals_are_two_people(desk: Desk) -> None:
    """Bob is in both groups that may approve, and counts once."""
    request = desk.pending(asked_amount=LARGE)
    assert request.approvals_needed == 2
    first = desk.approve(request, BOB)
    assert (first.state, first.version) == (State.PENDING, 3)
    with refused("twice") as info:
        desk.approve(first, BOB)
    assert str(info.value) == f"You have approved {request.id} already. 1 more needed."
    assert desk.approve(first, CEM).state is State.APPROVED
    assert [approval.person for approval in desk.store.approvals(request.id)] == [BOB, CEM]


@pytest.mark.parametrize("person", [OUT, "U04NEW"])
def test_an_outsiders_approval_does_not_count(desk: Desk, person: str) -> None:
    request = desk.pending()
    with refused("not_allowed") as info:
        desk.approve(request, person)
    assert str(info.value) == f"You may not approve {request.id}: the rule “money” lets leads decide."
    with refused("not_allowed"):
        desk.service.reject(request.id, person, "no", MEMBERS)


def test_an_empty_group_is_nobody(desk: Desk) -> None:
    request = desk.pending()
    for members in ({}, {"leads": frozenset[str]()}):
        with refused("not_allowed"):
            desk.approve(request, CEM, members=members)


def test_approvals_count_as_the_group_was_at_the_click(desk: Desk) -> None:
    """Who has left the group since has approved; who is new in it may."""
    request = desk.approve(desk.pending(asked_amount=LARGE), CEM)
    new = {"agents": frozenset({ALICE}), "leads": frozenset({"U04NEW"})}
    assert desk.approve(request, "U04NEW", members=new).state is State.APPROVED


@pytest.mark.parametrize("digest", ["", "0" * 32])
def test_a_button_of_an_older_card_does_not_count(desk: Desk, digest: str) -> None:
    request = desk.pending()
    with refused("stale"):
        desk.service.approve(request.id, CEM, digest, MEMBERS)
    assert desk.row(request) == request


def test_what_may_not_be_decided_is_said_before_what_is_stale(desk: Desk) -> None:
    """A requester learns that it is theirs, whatever button they press."""
    request = desk.pending()
    with refused("self_approval"):
        desk.service.approve(request.id, ALICE, "0" * 32, MEMBERS)


def test_an_approval_can_be_taken_back_and_given_again(desk: Desk) -> None:
    request = desk.approve(desk.pending(asked_amount=LARGE), CEM)
    taken_back = desk.service.unapprove(request.id, CEM)
    assert taken_back == replace(request, version=request.version + 1)
    assert desk.store.approvals(request.id) == []
    assert desk.last_event().kind == "approval_taken_back"
    with refused("nothing"):
        desk.service.unapprove(request.id, CEM)
    assert desk.approve(taken_back, BOB).state is State.PENDING
    assert desk.approve(taken_back, CEM).state is State.APPROVED


def test_an_approver_says_no_and_why(desk: Desk) -> None:
    request = desk.pending()
    for reason in ("", "  \n"):
        with refused("no_reason"):
            desk.service.reject(request.id, CEM, reason, MEMBERS)
    rejected = desk.service.reject(request.id, CEM, " already refunded ", MEMBERS)
    assert (rejected.state, rejected.detail) == (State.REJECTED, "already refunded")
    assert desk.last_event().actor == CEM


@pytest.mark.parametrize("state", [State.CHECKING, State.PENDING, State.APPROVED])
def test_the_requester_takes_it_back_as_long_as_nothing_was_sent(desk: Desk, state: State) -> None:
    request = put_in(desk.store, state)
    for person in (CEM, OUT):
        with refused("not_yours"):
            desk.service.withdraw(request.id, person)
    assert desk.service.withdraw(request.id, ALICE).state is State.WITHDRAWN
    assert desk.last_event().actor == ALICE


@pytest.mark.parametrize("state", sorted(set(State) - {State.CHECKING, State.PENDING, State.APPROVED}))
def test_what_was_sent_or_is_over_is_not_taken_back(desk: Desk, state: State) -> None:
    request = put_in(desk.store, state)
    with refused("too_late") as info:
        desk.service.withdraw(request.id, ALICE)
    assert str(info.value).startswith(f"R-0001 is {state} ")
    assert desk.row(request) == request


def test_one_that_waits_for_its_next_attempt_is_taken_back_at_once(desk: Desk) -> None:
    claimed = desk.claimed()
    desk.store.move(claimed, State.APPROVED, actor="bot")  # proven not sent
    assert f"execute:{claimed.id}" in desk.jobs()
    assert desk.service.withdraw(claimed.id, ALICE).state is State.WITHDRAWN
    assert f"execute:{claimed.id}" not in desk.jobs()


@pytest.mark.parametrize("state", sorted(set(State) - {State.PENDING}))
def test_decisions_are_possible_while_pending_only(desk: Desk, state: State) -> None:
    request = put_in(desk.store, state)
    service = desk.service
    with refused("moved_on"):
        service.approve(request.id, CEM, request.digest or "", MEMBERS)
    with refused("moved_on"):
        service.unapprove(request.id, CEM)
    with refused("moved_on"):
        service.reject(request.id, CEM, "no", MEMBERS)
    assert desk.row(request) == request


def test_a_request_that_is_not_there_is_not_decided(desk: Desk) -> None:
    with refused("no_request") as info:
        desk.service.withdraw("R-0404", ALICE)
    assert str(info.value) == "There is no request R-0404. /ottu pending shows those that wait."


def test_who_was_first_is_named_to_whom_comes_late(desk: Desk) -> None:
    approved = desk.approved()
    assert desk.service.standing(approved) == f"{approved.id} is approved by @{CEM} since {approved.state_at}."
    claimed = found(desk.execution.claim(approved.id))
    assert desk.service.standing(claimed) == f"{claimed.id} is executing (approved by @{CEM}) since {claimed.state_at}."
    automatic = put_in(desk.store, State.APPROVED, 8)
    assert desk.service.standing(automatic) == f"R-0008 is approved since {automatic.state_at}."


# --- time


@pytest.mark.parametrize("state", [State.CHECKING, State.PENDING])
def test_what_nobody_decides_in_time_expires(desk: Desk, state: State) -> None:
    early, late = put_in(desk.store, state, 1), put_in(desk.store, state, 2, expires_at=LONG_AGO)
    assert desk.service.expire(early.id) is None
    assert found(desk.service.expire(late.id)).state is State.EXPIRED
    assert desk.row(early) == early
    assert desk.service.expire(late.id) is None
    assert desk.service.expire("R-0404") is None


def test_what_should_have_expired_is_not_decided_any_more(desk: Desk) -> None:
    """Its timer may be late: after a stop, or while much is to be done."""
    request = put_in(desk.store, State.PENDING, expires_at=LONG_AGO)
    with refused("expired"):
        desk.service.approve(request.id, CEM, request.digest or "", MEMBERS)
    with refused("expired"):
        desk.service.unapprove(request.id, CEM)
    with refused("expired"):
        desk.service.reject(request.id, CEM, "no", MEMBERS)


@pytest.mark.parametrize("state", sorted(set(State) - {State.CHECKING, State.PENDING}))
def test_what_is_decided_does_not_expire(desk: Desk, state: State) -> None:
    request = put_in(desk.store, state, expires_at=LONG_AGO)
    assert desk.service.expire(request.id) is None
    assert desk.row(request) == request


def test_what_is_not_started_in_time_lapses_counted_from_the_quorum(desk: Desk) -> None:
    """A failed attempt or a restart does not begin the time anew."""
    request = put_in(desk.store, State.PENDING)
    hours_ago = later(desk.store.now(), hours=-1)
    approved = desk.store.move(request, State.APPROVED, actor="bot", changes={"quorum_at": hours_ago})
    early = put_in(desk.store, State.APPROVED, 2)  # no quorum was written: it counts from the move
    assert desk.service.lapse(early.id) is None
    assert desk.execution.claim(approved.id) is None  # nothing is sent that late, though its timer has not rung
    lapsed = found(desk.service.lapse(approved.id))
    assert (lapsed.state, lapsed.attempt, lapsed.tracking_key) == (State.LAPSED, 0, None)
    assert desk.service.lapse(lapsed.id) is None
    assert desk.service.lapse("R-0404") is None


# --- what follows from a move


@pytest.mark.parametrize("state", sorted(State))
def test_people_are_told_of_every_end_and_of_what_only_they_can_end(state: State) -> None:
    silent = {State.CHECKING, State.PENDING, State.APPROVED, State.EXECUTING, State.WITHDRAWN}
    assert (state in NOTICED) is (state not in silent)


def test_a_change_wakes_whoever_works(desk: Desk) -> None:
    woken: list[bool] = []
    desk.work.on_change = lambda: woken.append(True)
    desk.ask()
    assert woken


def test_a_repetition_is_pointed_out(desk: Desk) -> None:
    """The same operation, of the same amount and transaction, that has succeeded before."""
    first = put_in(desk.store, State.SUCCEEDED, 1)
    again = put_in(desk.store, State.PENDING, 2, reference="ORD1", created_at=FAR_OFF)
    assert desk.service.done_before(again) is None  # of another transaction
    assert desk.service.done_before(replace(again, session_id=session(1))) == first
    assert desk.service.done_before(replace(again, session_id=session(1), amount_minor=1)) is None
    assert desk.service.done_before(replace(again, session_id=session(1), operation=VOID)) is None
    assert desk.service.done_before(first) is None


def test_a_refused_attempt_is_part_of_the_record(desk: Desk) -> None:
    request = desk.pending()
    refusal = Refusal("You asked for it yourself.", kind="self_approval")
    desk.service.refused_attempt(ALICE, "approve", refusal, request.id)
    event = desk.last_event()
    assert (event.kind, event.actor, event.request_id) == ("refused_attempt", ALICE, request.id)
    assert event.facts == {"wanted": "approve", "why": "self_approval"}
    desk.service.refused_attempt(OUT, "approve", refusal, "R-0404")
    assert desk.last_event().request_id is None
    assert desk.last_event().facts == {"wanted": "approve", "why": "self_approval", "named": "R-0404"}
    desk.service.refused_attempt(OUT, "refund", refusal)
    assert desk.last_event().facts == {"wanted": "refund", "why": "self_approval"}
    assert desk.differences() == []


def test_what_was_read_is_kept_as_the_baseline_of_a_later_comparison(desk: Desk) -> None:
    children = (Child(None, "paid", 6_000), Child("b" * 40, "refunded", 1_000))
    read = a_reading(state="authorized", children=children, refunded_minor=1_000)
    request = desk.pending(read)
    assert request.children == f"paid:6000: refunded:1000:{'b' * 40}"
    assert (request.taken_minor, request.refunded_minor, request.left_minor) == (6_000, 1_000, 5_000)
    desk.service.withdraw(request.id, ALICE)
    unread = desk.pending(a_reading(children=None, settled_minor=None, is_sandbox=None))
    assert (unread.children, unread.left_minor, unread.is_sandbox) == (None, None, None)
    assert MONEY.name == unread.rule_name
