"""Operation webhooks: what a signed one proves of an unknown outcome, and what it only prompts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from approvals.closing import Closing
from approvals.hooks import PAYMENT_STATES, Hook
from approvals.request import Ending, Operation, Outcome, State

from .factories import BOB, CEM, MEMBERS, Desk
from .hooked import (
    CAPTURED,
    HELD,
    NO_ANSWER,
    REFERENCE,
    REJECTED,
    SIGNED,
    a_hook,
    alarms,
    an_unknown,
    due_now,
    heard,
    read_now,
    unsigned,
)

# --- proof


@pytest.mark.parametrize(
    ("hook", "state"),
    [
        (a_hook(), State.SUCCEEDED),
        (a_hook(ending=Ending.QUEUED, result="queued", child_state="refund_queued"), State.QUEUED),
        (REJECTED, State.FAILED),
        (a_hook(session_id=None, child_state=None, currency=None, source=None), State.SUCCEEDED),
        (a_hook(operation=None), State.SUCCEEDED),  # the child says that it is a refund
        (a_hook(signed=(*SIGNED, "currency_code", "customer_email"), amount="5.0"), State.SUCCEEDED),
    ],
)
def test_what_is_signed_and_agrees_closes_an_unknown(desk: Desk, hook: Hook, state: State) -> None:
    request = an_unknown(desk)
    after = heard(desk, request, hook)
    assert (after.state, after.reference_number, after.answered_minor) == (state, REFERENCE, 5_000)
    event = desk.last_event()
    assert (event.facts["by"], event.facts["reference_number"], event.actor) == ("webhook", REFERENCE, "bot")
    assert f"notice:{request.id}:{after.version}" in desk.jobs()
    assert alarms(desk) == []


def test_a_capture_is_proven_also_where_the_payments_state_is_signed(desk: Desk) -> None:
    """Of a capture alone `paid` is the right word."""
    request = desk.claimed(read_now(desk, **HELD), operation=Operation.CAPTURE)
    request = desk.execution.settle(request.id, 1, NO_ANSWER)
    assert heard(desk, request, CAPTURED).state is State.SUCCEEDED


def test_a_void_needs_no_signed_amount(desk: Desk) -> None:
    """It is always in full; but an amount that is said must be the whole."""
    request = desk.claimed(read_now(desk, **HELD), operation=Operation.VOID, asked_amount=None)
    request = desk.execution.settle(request.id, 1, NO_ANSWER)
    hook = a_hook(operation="void", child_state="voided", amount="20.000", signed=unsigned("amount"))
    assert heard(desk, request, replace(hook, amount="19.999", reference_number="REF-2")).state is State.UNKNOWN
    assert heard(desk, desk.row(request), hook).state is State.SUCCEEDED


# --- no proof: it prompts a read

NO_PROOF = {
    "the order number is not signed": {"signed": unsigned("order_no")},
    "the reference is not signed": {"signed": unsigned("reference_number")},
    "the result is not signed": {"signed": unsigned("result"), "result": None},
    "the amount is not signed": {"signed": unsigned("amount")},
    "it says no order number": {"signed": unsigned("order_no"), "order_no": None},
    "it says no reference": {"signed": unsigned("reference_number"), "reference_number": None},
    "it says no amount": {"signed": unsigned("amount"), "amount": None},
    "nothing is signed": {"signed": ()},
    "nothing says which operation it was": {"operation": None, "child_state": None},
    "its fields contradict each other": {"ending": Ending.UNKNOWN},
    **{
        f"a payment's state is signed ({state})": {"signed": (*SIGNED, "state"), "state": state}
        for state in sorted(PAYMENT_STATES)
    },
}


@pytest.mark.parametrize("changes", NO_PROOF.values(), ids=NO_PROOF)
def test_whatever_is_missing_it_is_no_proof_and_prompts_a_read(desk: Desk, changes: dict[str, Any]) -> None:
    request = an_unknown(desk)
    assert not due_now(desk, f"close:{request.id}")
    assert heard(desk, request, a_hook(**changes)) == request
    assert due_now(desk, f"close:{request.id}")
    assert desk.last_event().kind == "webhook_seen"
    assert alarms(desk) == []
    assert heard(desk, request, a_hook(reference_number="REF-2")).state is State.SUCCEEDED  # the proof may still come


@pytest.mark.parametrize("state", sorted(PAYMENT_STATES - {"paid"}))
def test_of_a_capture_only_paid_may_be_signed(desk: Desk, state: str) -> None:
    request = desk.claimed(read_now(desk, **HELD), operation=Operation.CAPTURE)
    request = desk.execution.settle(request.id, 1, NO_ANSWER)
    assert heard(desk, request, replace(CAPTURED, state=state)) == request


@pytest.mark.parametrize("source", ["card", "payment"])
def test_a_reference_known_from_elsewhere_proves_nothing(desk: Desk, source: str) -> None:
    """A signed webhook of the payment itself, into which somebody has written an operation: none of that is signed."""
    if source == "card":
        desk.inquiries.note_reference(REFERENCE)
    else:
        desk.work.note_reference(REFERENCE, None, "payment")
    request = an_unknown(desk)
    assert heard(desk, request, a_hook()) == request
    assert due_now(desk, f"close:{request.id}")
    assert alarms(desk) == []


def test_a_reference_of_another_operation_proves_nothing(desk: Desk) -> None:
    """The dashboard's refund, made before ours of the same amount, told once more with other unsigned words."""
    desk.execution.hooks.receive(a_hook())
    request = an_unknown(desk)
    assert heard(desk, request, a_hook(source="pg")) == request
    assert len(alarms(desk)) == 1


def test_a_reference_of_another_request_proves_nothing(desk: Desk) -> None:
    """Last week's refund of the same amount is no proof of today's."""
    first = desk.claimed()
    answer = Outcome(Ending.SUCCEEDED, "", 5_000, REFERENCE)
    first = desk.execution.settle(first.id, 1, answer)
    second = an_unknown(desk)
    assert heard(desk, second, a_hook()) == second
    assert desk.row(first) == first
    assert alarms(desk) == []


UNNAMED = Outcome(Ending.SUCCEEDED, "", 5_000)
DENIED = Outcome(Ending.REFUSED, "no")


@pytest.mark.parametrize("hook", [a_hook(), REJECTED, a_hook(ending=Ending.QUEUED, child_state="refund_queued")])
@pytest.mark.parametrize("answer", [NO_ANSWER, Outcome(Ending.QUEUED, "the bank decides", 5_000)])
def test_a_first_word_that_may_be_of_an_earlier_equal_request_proves_nothing(
    desk: Desk, hook: Hook, answer: Outcome
) -> None:
    """Last week's refund was proven by a reading, which names no reference; its webhook comes only now."""
    first = desk.claimed()
    desk.execution.settle(first.id, 1, UNNAMED)
    second = desk.claimed(read_now(desk))
    second = desk.execution.settle(second.id, 1, answer)
    assert heard(desk, second, hook) == second
    kind = "close" if second.state is State.UNKNOWN else "queued"
    assert due_now(desk, f"{kind}:{second.id}")
    assert alarms(desk) == []


def test_that_two_people_called_an_earlier_equal_request_failed_makes_its_webhook_no_proof_of_another(
    desk: Desk,
) -> None:
    """They may have been wrong."""
    first = an_unknown(desk)
    for person in (BOB, CEM):
        Closing(desk.service).close(first.id, person, "failed", "looked", MEMBERS, may_fail=True)
    assert desk.row(first).state is State.FAILED
    second = an_unknown(desk)
    for _ in range(2):
        assert heard(desk, second, a_hook()) == second
    assert due_now(desk, f"close:{second.id}")
    assert [alarm["why"] for alarm in alarms(desk)] == [
        f"A webhook says succeeded of what may be {first.id}, which is failed."
    ]


def test_a_webhook_that_fits_what_people_called_succeeded_may_be_of_what_people_called_failed(desk: Desk) -> None:
    """They may have been wrong both times; whoever reads the alarm looks once more."""
    called = []
    for outcome in ("succeeded", "failed"):
        request = an_unknown(desk)
        for person in (BOB, CEM):
            Closing(desk.service).close(request.id, person, outcome, "looked", MEMBERS, may_fail=True)
        called.append(desk.row(request))
    for _ in range(2):
        desk.execution.hooks.receive(a_hook())
        assert [desk.row(request) for request in called] == called
    assert len(alarms(desk)) == 1


def test_of_an_earlier_equal_request_that_ottu_refused_nothing_but_a_no_can_come(desk: Desk) -> None:
    first = desk.claimed()
    desk.execution.settle(first.id, 1, DENIED)
    second = an_unknown(desk)
    assert heard(desk, second, REJECTED) == second
    assert heard(desk, second, a_hook(reference_number="REF-2")).state is State.SUCCEEDED


def test_an_earlier_equal_request_whose_reference_is_known_is_no_hindrance(desk: Desk) -> None:
    first = desk.claimed()
    desk.execution.settle(first.id, 1, UNNAMED)
    desk.execution.hooks.receive(a_hook())
    second = an_unknown(desk)
    assert heard(desk, second, a_hook(reference_number="REF-2")).state is State.SUCCEEDED


def test_a_no_is_no_proof_where_two_sends_may_have_reached_ottu(desk: Desk) -> None:
    """It may be the second one's, because the first one has done it."""
    request = an_unknown(desk)
    again = desk.execution.claim_again(request.id, request.version, "bot")
    assert again is not None
    request = desk.execution.settle(request.id, 2, NO_ANSWER)
    assert heard(desk, request, REJECTED) == request
    assert due_now(desk, f"close:{request.id}")
    assert heard(desk, request, a_hook(reference_number="REF-2")).state is State.SUCCEEDED


# --- while it executes


def test_what_comes_while_executing_is_kept_and_used_at_unknown(desk: Desk) -> None:
    request = desk.claimed()
    assert heard(desk, request, a_hook()) == request
    assert desk.execution.settle(request.id, 1, NO_ANSWER).state is State.SUCCEEDED
    assert desk.row(request).reference_number == REFERENCE
    assert desk.work.kept_hooks(request.id) == []
    assert desk.kinds(request)[-2:] == ["unknown", "succeeded"]


def test_what_was_kept_is_used_too_where_the_process_is_gone(desk: Desk) -> None:
    request = desk.claimed()
    heard(desk, request, a_hook())
    desk.execution.give_up(request.id, 1, "the process is gone")
    assert desk.row(request).state is State.SUCCEEDED


def test_beside_the_answer_it_changes_nothing(desk: Desk) -> None:
    """Each operation has both: its answer and, before or after it, its webhook with the same reference."""
    request = desk.claimed()
    heard(desk, request, a_hook())
    after = desk.execution.settle(request.id, 1, Outcome(Ending.SUCCEEDED, "", 5_000, REFERENCE))
    assert (after.state, after.reference_number) == (State.SUCCEEDED, REFERENCE)
    assert heard(desk, after, a_hook()) == after
    assert alarms(desk) == []


@pytest.mark.parametrize(
    ("answer", "hook"),
    [
        (Outcome(Ending.SUCCEEDED, "", 5_000), a_hook()),
        (Outcome(Ending.REFUSED, "no"), a_hook(ending=Ending.FAILED, result="failed", child_state=None)),
        (Outcome(Ending.FAILED, "no", 5_000, REFERENCE), a_hook(ending=Ending.FAILED, result="failed")),
    ],
)
@pytest.mark.parametrize("is_early", [True, False])
def test_an_answer_without_a_reference_learns_it_from_the_webhook(
    desk: Desk, answer: Outcome, hook: Hook, is_early: bool
) -> None:
    """It is the request's own, and nobody is alarmed; the next one with a reference of its own is not."""
    request = desk.claimed()
    if is_early:
        heard(desk, request, hook)
    after = desk.execution.settle(request.id, 1, answer)
    assert heard(desk, after, hook) == after
    assert alarms(desk) == []
    heard(desk, after, replace(hook, reference_number="REF-2"))
    assert len(alarms(desk)) == 1


def test_what_was_throttled_and_yet_was_done_is_not_sent_again(desk: Desk) -> None:
    """Ottu said 429, and then tells of the refund: whoever did it, the request must not go out any more."""
    request = desk.claimed()
    heard(desk, request, a_hook())
    desk.execution.settle(request.id, 1, Outcome(Ending.NOT_EXECUTED, "slow down"))
    assert desk.row(request).state is State.WITHDRAWN
    assert len(alarms(desk)) == 1
