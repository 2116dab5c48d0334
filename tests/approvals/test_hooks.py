"""Operation webhooks: what a signed one proves, what it only prompts, what is done about somebody else's operation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from approvals.closing import Closing, Found
from approvals.hooks import PAYMENT_STATES, Hook
from approvals.reading import Reading
from approvals.request import Ending, Operation, Outcome, Request, State
from approvals.store import later

from .factories import ALICE, CEM, SESSION, Desk, a_reading, age_seconds, session

REFERENCE = "REF-1"
SIGNED = ("amount", "order_no", "reference_number", "result")
NO_ANSWER = Outcome(Ending.UNKNOWN, "no answer")
QUEUED = Outcome(Ending.QUEUED, "the bank decides", 5_000, "REF-QUEUED")
HELD = {"state": "authorized", "settled_minor": 0, "refunded_minor": 0, "children": ()}


def a_hook(**changes: Any) -> Hook:
    """The webhook of that refund of 5.000 of ORD123, done: all is signed that Ottu signs of an operation."""
    return replace(
        Hook(
            signed=SIGNED,
            ending=Ending.SUCCEEDED,
            order_no="ORD123",
            session_id=SESSION,
            operation="refund",
            amount="5.000",
            currency="KWD",
            result="success",
            state=None,
            child_state="refunded",
            reference_number=REFERENCE,
            source="input",
        ),
        **changes,
    )


REJECTED = a_hook(ending=Ending.FAILED, result="rejected", child_state="refund_rejected")
CAPTURED = a_hook(operation="capture", child_state="paid", signed=(*SIGNED, "state"), state="paid")


def unsigned(*names: str) -> tuple[str, ...]:
    return tuple(name for name in SIGNED if name not in names)


def an_unknown(desk: Desk, **changes: Any) -> Request:
    """A refund that was sent, and of which nothing was heard."""
    claimed = desk.claimed(read_now(desk), **changes)
    return desk.execution.settle(claimed.id, claimed.attempt, NO_ANSWER)


def read_now(desk: Desk, **changes: Any) -> Reading:
    return a_reading(read_at=desk.store.now(), **changes)


def heard(desk: Desk, request: Request, hook: Hook) -> Request:
    """The row after the webhook, of which nothing but a move may have changed it."""
    desk.execution.hooks.receive(hook)
    after = desk.row(request)
    assert after.state is not request.state or after == request
    assert desk.differences() == []
    return after


def alarms(desk: Desk) -> list[dict[str, Any]]:
    return [event.facts for event in desk.store.events() if event.kind == "alarm"]


def due_now(desk: Desk, key: str) -> bool:
    job = desk.work.find(key)
    return job is not None and key in desk.jobs() and job.due_at <= desk.store.now()


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


# --- queued: the bank decides


@pytest.mark.parametrize(
    ("hook", "state", "detail"),
    [(a_hook(), State.SUCCEEDED, None), (REJECTED, State.FAILED, "the bank rejected it")],
)
def test_the_banks_decision_settles_a_queued_refund(desk: Desk, hook: Hook, state: State, detail: str | None) -> None:
    claimed = desk.claimed()
    request = desk.execution.settle(claimed.id, 1, QUEUED)
    after = heard(desk, request, replace(hook, reference_number="REF-QUEUED"))
    assert (after.state, after.detail, after.reference_number) == (state, detail, "REF-QUEUED")


def test_a_decision_with_another_reference_is_somebody_elses(desk: Desk) -> None:
    claimed = desk.claimed()
    request = desk.execution.settle(claimed.id, 1, QUEUED)
    assert heard(desk, request, a_hook()) == request
    assert len(alarms(desk)) == 1


def test_a_queued_refund_without_a_reference_takes_the_first_that_proves(desk: Desk) -> None:
    claimed = desk.claimed()
    request = desk.execution.settle(claimed.id, 1, replace(QUEUED, reference_number=None))
    assert heard(desk, request, a_hook(signed=())) == request
    assert due_now(desk, f"queued:{request.id}")
    assert heard(desk, request, a_hook()).state is State.SUCCEEDED


# --- again, and against


@pytest.mark.parametrize("hook", [a_hook(), REJECTED], ids=["done", "rejected"])
def test_the_same_once_more_is_harmless(desk: Desk, hook: Hook) -> None:
    after = heard(desk, an_unknown(desk), hook)
    events = desk.kinds()
    for _ in range(3):
        assert heard(desk, after, hook) == after
    assert desk.kinds() == events


@pytest.mark.parametrize(
    ("first", "then", "says"),
    [
        (a_hook(), REJECTED, "A webhook says failed of {}, which is succeeded."),
        (REJECTED, a_hook(), "A webhook says succeeded of {}, which is failed."),
    ],
)
def test_a_proof_against_a_final_state_changes_nothing_and_raises_an_alarm(
    desk: Desk, first: Hook, then: Hook, says: str
) -> None:
    after = heard(desk, an_unknown(desk), first)
    assert heard(desk, after, then) == after
    (alarm,) = alarms(desk)
    assert alarm["why"] == says.format(after.id)
    assert desk.last_event().request_id == after.id
    assert "alarm:" in " ".join(desk.jobs())


@pytest.mark.parametrize("ended", [Ending.REFUSED, Ending.SUCCEEDED])
def test_an_alarm_names_the_request_that_ended_otherwise(desk: Desk, ended: Ending) -> None:
    """Its reference was never heard of: it may be that request's, or somebody else's. People must look."""
    claimed = desk.claimed()
    after = desk.execution.settle(claimed.id, 1, Outcome(ended, "so"))
    hook = a_hook() if ended is Ending.REFUSED else a_hook(ending=Ending.FAILED, result="failed", child_state=None)
    assert heard(desk, after, hook) == after
    (alarm,) = alarms(desk)
    assert f"of what may be {after.id}, which is {after.state}" in alarm["why"]


def test_the_bank_may_be_told_late_that_it_has_the_refund(desk: Desk) -> None:
    """Closed by people as succeeded while the bank decides: `queued` does not contradict that."""
    claimed = desk.claimed()
    after = desk.execution.settle(claimed.id, 1, Outcome(Ending.SUCCEEDED, "", 5_000, REFERENCE))
    hook = a_hook(ending=Ending.QUEUED, result="queued", child_state="refund_queued")
    assert heard(desk, after, hook) == after
    assert alarms(desk) == []


# --- an operation that nobody asked for

DISAGREES = {
    "another operation": {"operation": "capture", "child_state": "paid"},
    "another kind of child": {"child_state": "paid"},
    "another transaction": {"session_id": "b" * 40},
    "another order": {"order_no": "ORD124"},
    "another amount": {"amount": "5.001"},
    "an amount that the currency has not": {"amount": "5.0001"},
    "another currency": {"currency": "USD"},
}


@pytest.mark.parametrize("changes", DISAGREES.values(), ids=DISAGREES)
def test_what_disagrees_is_not_ours(desk: Desk, changes: dict[str, Any]) -> None:
    """It moves nothing, raises one alarm, and is no answer to ours, which may still come."""
    request = an_unknown(desk)
    assert heard(desk, request, a_hook(**changes, reference_number="REF-2")) == request
    assert len(alarms(desk)) == 1
    assert heard(desk, request, a_hook()).state is State.SUCCEEDED


def test_an_alarm_tells_amount_transaction_source_and_time_once(desk: Desk) -> None:
    for _ in range(2):
        desk.execution.hooks.receive(a_hook(order_no="ORD9", session_id=session(9), source="pg"))
    (event,) = [event for event in desk.store.events() if event.kind == "alarm"]
    assert event.facts == {
        "why": "An operation that nobody asked this bot for.",
        "operation": "refund",
        "amount": "5.000",
        "currency": "KWD",
        "order_no": "ORD9",
        "session_id": session(9),
        "result": "success",
        "reference_number": REFERENCE,
        "source": "pg",
    }
    assert event.at <= desk.store.now()
    assert desk.work.find(f"alarm:{event.seq}") is not None


@pytest.mark.parametrize("state", [State.CHECKING, State.PENDING, State.APPROVED])
@pytest.mark.parametrize("named", [{"order_no": None}, {"session_id": None}, {}])
def test_it_stops_what_has_not_been_sent(desk: Desk, state: State, named: dict[str, Any]) -> None:
    """What people saw on the card is no longer so: withdrawn, with the reason, and its requester is told."""
    reference: dict[str, Any] = {"reference_kind": "order", "reference": "ORD123"}
    if state is State.CHECKING and named.get("order_no", "") is None:
        reference = {"reference_kind": "session", "reference": SESSION}
    request = desk.ask(**reference)
    if state is not State.CHECKING:
        request = desk.check(request)
    if state is State.APPROVED:
        request = desk.approve(request, CEM)
    after = heard(desk, request, a_hook(amount="1.000", **named))
    assert after.state is State.WITHDRAWN
    assert "somebody else acted on this transaction" in (after.detail or "")
    assert f"notice:{request.id}:{after.version}" in desk.jobs()
    assert desk.execution.claim(request.id) is None
    assert len(alarms(desk)) == 1


def test_it_leaves_other_transactions_alone(desk: Desk) -> None:
    request = desk.pending()
    assert heard(desk, request, a_hook(order_no="ORD9", session_id=session(9))) == request


def test_a_withdrawal_by_who_asked_needs_no_notice(desk: Desk) -> None:
    request = desk.service.withdraw(desk.pending().id, ALICE)
    assert f"notice:{request.id}:{request.version}" not in desk.jobs()


@pytest.mark.parametrize("amount", ["5.000", "1.000"])
def test_after_it_a_reading_proves_nothing_more(desk: Desk, amount: str) -> None:
    """A new child may be the one that somebody else's operation made."""
    closing = Closing(desk.service)
    request = desk.claimed(read_now(desk))
    desk.execution.hooks.receive(a_hook(amount="1.000", reference_number="REF-2"))
    request = desk.execution.settle(request.id, 1, NO_ANSWER)
    new = a_reading().children or ()
    read = read_now(desk, children=(*new, replace(new[0], session_id=session(1), amount_minor=int(amount[0]) * 1000)))
    assert closing.by_children(request.id, read) is Found.UNCLEAR
    assert closing.by_children(request.id, read_now(desk)) is Found.UNCLEAR
    assert desk.row(request).state is State.UNKNOWN


def test_what_somebody_did_before_the_card_was_read_does_not_matter(desk: Desk) -> None:
    desk.execution.hooks.receive(a_hook(amount="1.000", reference_number="REF-2"))
    desk.sql("UPDATE work_webhooks SET received_at = :at", at=age_seconds(desk, minutes=1))
    request = an_unknown(desk)
    assert desk.work.others_acted(SESSION, None, later(desk.store.now(), minutes=-2))
    assert Closing(desk.service).by_children(request.id, read_now(desk)) is Found.NOTHING_NEW


def test_a_webhook_outlives_its_way_through_the_inbox() -> None:
    """It is written down as JSON before it is decided."""
    for hook in (a_hook(), a_hook(signed=(), operation=None, order_no="طلب-٧"), REJECTED):
        assert Hook.from_json(hook.as_json()) == hook
