"""Who may ask for what, and how often: a refusal writes nothing."""

from __future__ import annotations

import time
from typing import Any

import pytest

from approvals.policy import Members
from approvals.policy_in_force import InForce
from approvals.request import FINAL, State
from approvals.service import Service
from approvals.store import later, seconds_between

from .factories import (
    ALICE,
    BOB,
    CEM,
    DELETE,
    MEMBERS,
    OUT,
    POLICY,
    POLICY_TEXT,
    SESSION,
    Desk,
    Opener,
    a_submission,
    put_in,
    refused,
)


def test_a_request_is_on_disk_in_checking_before_it_is_acknowledged(desk: Desk) -> None:
    request = desk.ask(origin="command:1")
    submission = a_submission(origin="command:1")
    assert {name: getattr(request, name) for name in submission.__dict__} == submission.__dict__
    assert (request.id, request.state, request.version, request.attempt) == ("R-0001", State.CHECKING, 1, 0)
    assert seconds_between(request.created_at, request.expires_at) == 86_400
    assert desk.row(request) == request
    assert desk.kinds(request) == ["submitted"]
    assert desk.jobs() == {"check:R-0001", "expire:R-0001"}
    assert desk.job("expire:R-0001").due_at == request.expires_at


def test_the_same_payload_again_is_the_same_request(desk: Desk) -> None:
    """Slack sends again what was acknowledged too late."""
    first = desk.ask(origin="command:1")
    before = desk.record()
    assert desk.ask(origin="command:1", reference="ORD999", requester=OUT) == first
    assert desk.record() == before


@pytest.mark.parametrize(
    ("changes", "members", "kind", "says"),
    [
        ({"requester": OUT}, MEMBERS, "not_allowed", "The policy lets agents, leads ask."),
        ({}, {}, "not_allowed", "You may not ask to refund here."),  # empty groups are nobody
        ({}, {"agents": frozenset(), "leads": frozenset({CEM})}, "not_allowed", "lets agents, leads ask"),
        ({"operation": DELETE}, MEMBERS, "blocked", "Delete is done by the platform team."),
    ],
)
def test_asking_is_refused_at_once(desk: Desk, changes: dict[str, Any], members: Members, kind: str, says: str) -> None:
    before = desk.record()
    with refused(kind) as info:
        desk.ask(members=members, **changes)
    assert says in str(info.value)
    assert desk.record() == before


def test_an_operation_that_no_rule_lists_is_refused(opened: Opener) -> None:
    text = POLICY_TEXT.replace('operations = ["delete"]', 'operations = ["expire"]')
    desk = opened(text)
    with refused("no_rule"):
        desk.ask(operation=DELETE)


def test_where_a_rule_lets_nobody_ask_the_refusal_says_so(opened: Opener) -> None:
    """A block for one currency is decided when the currency is known; beside it nothing lets anybody ask."""
    block = '\n[[rules]]\nname = "no dollars"\noperations = ["delete"]\ncurrency = "USD"\nblock = "Not in USD."\n'
    text = POLICY_TEXT.replace('\n[[rules]]\nname = "never', block + '\n[[rules]]\nname = "never')
    desk = opened(text)
    with refused("not_allowed") as info:
        desk.ask(operation=DELETE)
    assert "The policy lets nobody ask." in str(info.value)


def test_more_requests_than_so_many_in_a_minute_are_refused(opened: Opener) -> None:
    """For each person apart; and those of the minute before count no longer."""
    desk = opened(POLICY_TEXT + "\n[timing]\ncommands_per_minute = 2\n")
    put_in(desk.store, State.FAILED, 8, created_at=later(desk.store.now(), seconds=-61))
    for number in (1, 2):
        desk.ask(reference=f"ORD{number}")
    with refused("too_many") as info:
        desk.ask(reference="ORD3")
    said = "That is more than 2 requests in a minute, so this one was not taken. Go on in 60 seconds."
    assert str(info.value) == said
    desk.ask(reference="ORD3", requester=BOB)


def test_the_answer_says_when_to_go_on(opened: Opener) -> None:
    """When the first of the minute is a minute old, to the second; and then it is taken."""
    desk = opened(POLICY_TEXT + "\n[timing]\ncommands_per_minute = 2\n")
    for number, ago in ((1, 58.5), (2, 10)):
        put_in(desk.store, State.FAILED, number, created_at=later(desk.store.now(), seconds=-ago))
    with refused("too_many") as info:
        desk.ask(reference="ORD3")
    assert str(info.value).endswith("Go on in 2 seconds.")
    time.sleep(1.6)
    desk.ask(reference="ORD3")


@pytest.mark.parametrize("state", sorted(set(State) - FINAL))
def test_a_reference_has_one_open_request_and_the_second_names_it(desk: Desk, state: State) -> None:
    first = put_in(desk.store, state, 8)
    with refused("already_open") as info:
        desk.ask(reference="ORD8", requester=BOB)
    assert str(info.value).startswith(f"R-0008 is open for this transaction (cancel, {state}, asked by @{ALICE}).")
    assert desk.row(first) == first


def test_a_session_id_is_compared_with_what_an_open_request_has_read(desk: Desk) -> None:
    first = desk.pending()
    for kind, reference in (("session", SESSION), ("order", "ORD123")):
        with refused("already_open"):
            desk.ask(reference_kind=kind, reference=reference)
    desk.service.withdraw(first.id, ALICE)
    desk.ask(reference_kind="session", reference=SESSION)


def test_a_number_that_is_taken_is_not_given_again(desk: Desk) -> None:
    taken = iter(["R-0008", "R-0008", "R-0008", "R-00009"])
    lengths: list[int] = []
    put_in(desk.store, State.FAILED, 8)

    def new_id(length: int) -> str:
        lengths.append(length)
        return next(taken)

    service = Service(desk.store, desk.work, InForce(POLICY), new_id)
    assert service.submit(a_submission(), MEMBERS).id == "R-00009"
    assert lengths == [4, 4, 5, 6]  # longer when it gets crowded


def test_where_no_number_is_free_nothing_is_accepted(desk: Desk) -> None:
    put_in(desk.store, State.FAILED, 8)
    service = Service(desk.store, desk.work, InForce(POLICY), lambda _: "R-0008")
    with refused("no_id"):
        service.submit(a_submission(), MEMBERS)
