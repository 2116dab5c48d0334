"""Which request gets its card, by what was read: under which rule, within which limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from approvals.policy import Members
from approvals.reading import Reading
from approvals.request import Request, State
from approvals.store import later, seconds_between

from .factories import (
    ALICE,
    BOB,
    CANCEL,
    CAPTURE,
    CEM,
    HELD,
    LARGE,
    LONG_AGO,
    MEMBERS,
    POLICY_TEXT,
    REFUND,
    SESSION,
    UNPAID,
    Desk,
    Opener,
    a_reading,
    found,
    put_in,
    refused,
    session,
    terms_of,
)


def test_a_checked_request_gets_its_card_with_all_that_was_read(desk: Desk) -> None:
    asked = desk.ask()
    request = desk.check(asked)
    expected = replace(asked, **terms_of(asked), state=State.PENDING, version=2, state_at=request.state_at)
    assert request == desk.row(asked) == expected
    assert desk.kinds(request) == ["submitted", "pending"]
    assert {f"card:{request.id}", f"remind:{request.id}:0", f"remind:{request.id}:1"} <= desk.jobs()
    assert f"call:{request.id}" not in desk.jobs()
    assert [seconds_between(request.state_at, desk.job(f"remind:{request.id}:{n}").due_at) for n in (0, 1)] == [
        1800,
        14_400,
    ]


def test_a_rule_may_call_those_who_can_decide_at_once(opened: Opener) -> None:
    text = POLICY_TEXT.replace("approvals = 1\n", 'approvals = 1\nnotify = "dm"\n')
    desk = opened(text)
    request = desk.pending()
    assert desk.job(f"call:{request.id}").payload == {"request": request.id, "how": "dm"}
    assert desk.service.deciders(request, MEMBERS) == [BOB, CEM]


def test_those_who_can_still_decide_are_neither_the_requester_nor_who_has_approved(desk: Desk) -> None:
    request = desk.pending(asked_amount=LARGE, requester=BOB, origin="command:9")
    assert desk.service.deciders(request, MEMBERS) == [ALICE, CEM]
    assert desk.service.deciders(desk.approve(request, CEM), MEMBERS) == [ALICE]


def test_a_request_that_needs_no_approval_goes_on_by_itself(desk: Desk) -> None:
    request = desk.pending(UNPAID, operation=CANCEL, asked_amount=None)
    assert (request.state, request.approvals_needed, request.quorum_at is None) == (State.APPROVED, 0, False)
    assert {f"execute:{request.id}", f"lapse:{request.id}", f"card:{request.id}"} <= desk.jobs()


def test_an_unpaid_link_that_ottu_does_not_know_goes_by_its_order_number(desk: Desk) -> None:
    nothing = Reading(None, None, None, None, None, read_at=LONG_AGO)
    request = desk.pending(nothing, operation=CANCEL, asked_amount=None)
    assert (request.state, request.session_id, request.order_no) == (State.APPROVED, None, "ORD123")
    assert (request.currency, request.decimals, request.is_sandbox) == (None, None, None)
    by_session: dict[str, Any] = {"reference_kind": "session", "reference": "b" * 40}
    second = desk.pending(replace(UNPAID, session_id="b" * 40), operation=CANCEL, asked_amount=None, **by_session)
    assert second.state is State.REFUSED  # the same order number, which has an open request
    assert f"{request.id} is open" in (second.detail or "")


def test_an_unpaid_link_by_its_session_has_no_order_number_but_ottus(desk: Desk) -> None:
    nothing = replace(UNPAID, order_no=None)
    request = desk.pending(nothing, operation=CANCEL, asked_amount=None, reference_kind="session", reference=SESSION)
    assert (request.state, request.session_id, request.order_no) == (State.APPROVED, SESSION, None)


def test_the_same_order_number_of_another_transaction_is_no_obstacle(desk: Desk) -> None:
    """Both have sessions of their own: they can be told apart."""
    desk.pending(reference_kind="session", reference=SESSION)
    other = desk.pending(a_reading(session_id="b" * 40), reference_kind="session", reference="b" * 40, operation=REFUND)
    assert other.state is State.PENDING


def test_two_references_that_are_one_transaction_are_one_open_request(desk: Desk) -> None:
    """The second is refused, and names the first."""
    first = desk.ask(reference="ORD123")
    second = desk.ask(reference_kind="session", reference=SESSION, requester=BOB)
    desk.check(first)
    checked = desk.check(second)
    assert checked.state is State.REFUSED
    assert f"{first.id} is open for this transaction" in (checked.detail or "")
    assert desk.last_event().facts["why"] == "already_open"


@pytest.mark.parametrize(
    ("changes", "read", "why"),
    [
        ({}, a_reading(order_no="ORD124"), "disagreeing_read"),
        ({}, a_reading(session_id=None), "unreadable"),
        ({}, HELD, "wrong_state"),
        ({"asked_amount": "18.001"}, a_reading(), "too_much"),
        ({"asked_amount": "full"}, a_reading(children=None, settled_minor=None), "left_unknown"),
        ({"asked_currency": "USD"}, a_reading(), "wrong_currency"),
        ({"asked_amount": "1.0001"}, a_reading(), "amount"),
        ({}, a_reading(currency="XXX"), "currency"),
        ({"requester": CEM, "asked_amount": LARGE}, a_reading(), "not_allowed"),
        ({"reason": "x" * 501}, a_reading(), "rule"),
    ],
    ids=str,
)
def test_what_is_not_possible_is_refused_with_its_reason(
    desk: Desk, changes: dict[str, Any], read: Reading, why: str
) -> None:
    """Final, with a sentence for the requester, and no card."""
    asked = desk.ask(**changes)
    request = desk.check(asked, read)
    detail = request.detail
    assert detail
    assert request == replace(asked, state=State.REFUSED, version=2, state_at=request.state_at, detail=detail)
    assert desk.last_event().facts["why"] == why
    assert {f"notice:{request.id}:2"} <= desk.jobs()
    assert f"card:{request.id}" not in desk.jobs()


def test_a_block_for_one_currency_is_decided_when_the_currency_is_known(opened: Opener) -> None:
    block = '[[rules]]\nname = "no dollars"\noperations = ["refund"]\ncurrency = "USD"\nblock = "Not in USD."\n\n'
    desk = opened(POLICY_TEXT.replace("[[rules]]", block + "[[rules]]", 1))
    request = desk.pending(a_reading(currency="USD"), asked_amount="5")
    assert (request.state, request.detail) == (State.REFUSED, "Not in USD.")
    assert desk.last_event().facts["why"] == "blocked"


def test_where_no_rule_fits_it_is_refused(opened: Opener) -> None:
    text = POLICY_TEXT.replace('operations = ["refund", "capture", "void"]', 'operations = ["capture", "void"]')
    desk = opened(text)
    assert desk.pending(asked_amount="15.000").state is State.REFUSED  # not above 15.000
    assert desk.last_event().facts["why"] == "no_rule"


@pytest.mark.parametrize(
    "members",
    [
        {"agents": frozenset({ALICE}), "leads": frozenset({ALICE})},
        {"agents": frozenset({ALICE}), "leads": frozenset()},
        {"agents": frozenset({ALICE}), "leads": frozenset({CEM})},  # could be approved, but not closed by two
    ],
)
def test_a_request_that_could_not_be_decided_or_closed_is_refused(desk: Desk, members: Members) -> None:
    request = desk.check(desk.ask(), members=members)
    assert request.state is State.REFUSED
    assert "Ask an administrator to add people." in (request.detail or "")


def test_one_who_is_in_both_groups_may_ask_but_not_be_the_second_person(desk: Desk) -> None:
    """Bob is agent and lead. Alone with Cem among the approvers, his own request still needs Cem."""
    request = desk.pending(requester=BOB)
    with refused("self_approval"):
        desk.approve(request, BOB)
    assert desk.approve(request, CEM).state is State.APPROVED


def test_a_request_that_is_checked_already_is_left_alone(desk: Desk) -> None:
    request = desk.pending()
    before = desk.record()
    assert desk.service.check(request.id, a_reading(), MEMBERS) is None
    assert desk.service.check("R-0404", a_reading(), MEMBERS) is None
    assert desk.record() == before


def test_a_request_that_needs_two_keeps_the_rule_under_which_it_was_asked(opened: Opener) -> None:
    """The policy file may change while it waits: the rule of the card holds."""
    desk = opened(POLICY_TEXT)
    request = desk.pending(asked_amount=LARGE)
    laxer = POLICY_TEXT.replace("approvals = 2", "approvals = 1").replace('"leads", "agents"]', '"leads"]')
    desk = opened(laxer)
    assert desk.service.rule_of(request).approvals == 2
    assert desk.approve(request, BOB).state is State.PENDING
    assert desk.service.policy.rules[0].approvals == 1


# --- limits

DAILY = """
[[limits]]
name = "daily"
operations = ["refund"]
currency = "KWD"
per = "requester"
within = "24h"
total = "12.000"
"""


def other_refund(desk: Desk, number: int, amount: str, **changes: Any) -> Request:
    """A refund of a transaction of its own."""
    read = a_reading(session_id=changes.pop("session_id", session(number)), order_no=f"ORD{number}")
    return desk.pending(read, reference=f"ORD{number}", asked_amount=amount, **changes)


def test_a_limit_counts_the_persons_open_and_succeeded_requests(opened: Opener) -> None:
    desk = opened(POLICY_TEXT + DAILY)
    assert other_refund(desk, 1, "5.000").state is State.PENDING
    assert other_refund(desk, 2, "7.000").state is State.PENDING  # exactly the total
    third = other_refund(desk, 3, "0.001")
    assert third.state is State.REFUSED
    assert "Limit “daily” allows 12.000 KWD per person" in (third.detail or "")
    assert desk.last_event().facts["why"] == "limit"
    assert other_refund(desk, 4, "12.000", requester=BOB).state is State.PENDING  # another person


def test_a_limit_does_not_count_what_came_to_nothing(opened: Opener) -> None:
    desk = opened(POLICY_TEXT + DAILY)
    first = other_refund(desk, 1, "12.000")
    desk.service.withdraw(first.id, ALICE)
    assert other_refund(desk, 2, "12.000").state is State.PENDING


def test_a_limit_counts_what_succeeded_within_its_time(opened: Opener) -> None:
    """By when it succeeded: the money moved then, whenever it was asked for."""
    desk = opened(POLICY_TEXT + DAILY)
    for number, hours in ((7, 23), (8, 25)):
        ended_at = later(desk.store.now(), hours=-hours)
        claimed = found(desk.execution.claim(desk.approve(put_refund(desk, number), CEM).id))
        desk.store.move(claimed, State.SUCCEEDED, actor="bot", at=ended_at)
    assert other_refund(desk, 1, "7.001").state is State.REFUSED
    assert other_refund(desk, 2, "7.000").state is State.PENDING


def test_a_limit_counts_what_is_open_however_old_it_is(opened: Opener) -> None:
    """It may succeed at any moment."""
    desk = opened(POLICY_TEXT + DAILY)
    put_refund(desk, 7)
    assert other_refund(desk, 1, "7.001").state is State.REFUSED


def put_refund(desk: Desk, number: int) -> Request:
    """A refund of 5.000, asked by Alice long ago, which waits for its approval."""
    request = put_in(desk.store, State.CHECKING, number, operation=REFUND, asked_amount="5.000", created_at=LONG_AGO)
    terms = terms_of(request, session_id=session(number))
    return desk.store.move(request, State.PENDING, actor="bot", changes=terms)


def test_a_limit_may_be_for_one_transaction(opened: Opener) -> None:
    desk = opened(POLICY_TEXT + DAILY.replace('"requester"', '"transaction"'))
    first = other_refund(desk, 1, "10.000")
    claimed = found(desk.execution.claim(desk.approve(first, CEM).id))
    desk.store.move(claimed, State.SUCCEEDED, actor="bot")
    assert other_refund(desk, 1, "2.001").state is State.REFUSED
    assert other_refund(desk, 2, "10.000").state is State.PENDING


def test_a_limit_may_be_for_everybody_together(opened: Opener) -> None:
    desk = opened(POLICY_TEXT + DAILY.replace('"requester"', '"all"'))
    other_refund(desk, 1, "10.000")
    assert other_refund(desk, 2, "2.001", requester=BOB).state is State.REFUSED


def test_a_limit_adds_up_its_operations_and_counts_only_its_currency(opened: Opener) -> None:
    desk = opened(POLICY_TEXT + DAILY.replace('["refund"]', '["refund", "capture"]'))
    other_refund(desk, 1, "10.000")
    held = replace(HELD, session_id=session(2), order_no="ORD2")
    capture = desk.pending(held, operation=CAPTURE, reference="ORD2", asked_amount="2.001")
    assert capture.state is State.REFUSED
    dollars = a_reading(session_id=session(3), order_no="ORD3", currency="USD")
    assert desk.pending(dollars, reference="ORD3", asked_amount="20").state is State.PENDING
