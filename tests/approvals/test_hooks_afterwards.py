"""Operation webhooks of what has been decided, of what contradicts it, and of what nobody asked this bot for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from approvals.closing import Closing, Found
from approvals.hooks import Hook
from approvals.request import Ending, Outcome, State
from approvals.store import later

from .factories import ALICE, CEM, SESSION, Desk, a_reading, age_seconds, session
from .hooked import (
    NO_ANSWER,
    QUEUED,
    REFERENCE,
    REJECTED,
    a_hook,
    alarms,
    an_unknown,
    due_now,
    heard,
    read_now,
)

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


def test_a_banks_yes_that_stands_in_no_signed_field_is_looked_up(desk: Desk) -> None:
    """`success` beside a queued refund may mean that the gateway took it; only the child's state tells."""
    claimed = desk.claimed()
    request = desk.execution.settle(claimed.id, 1, QUEUED)
    hook = a_hook(reference_number="REF-QUEUED", child_state=None)
    assert heard(desk, request, hook) == request
    assert due_now(desk, f"queued:{request.id}")


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


def test_the_own_reference_beside_another_amount_changes_nothing(desk: Desk) -> None:
    claimed = desk.claimed()
    request = desk.execution.settle(claimed.id, 1, QUEUED)
    assert heard(desk, request, replace(REJECTED, reference_number="REF-QUEUED", amount="4.000")) == request


def test_that_it_is_queued_tells_a_queued_one_its_reference_and_nothing_else(desk: Desk) -> None:
    """No move, no second notice; its child is still known by name. The bank's word comes by that reference alone."""
    child = session(77)
    claimed = desk.claimed()
    queued = replace(QUEUED, reference_number=None, child_session_id=child)
    request = desk.execution.settle(claimed.id, 1, queued)
    told = a_hook(ending=Ending.QUEUED, result="queued", child_state="refund_queued")
    assert heard(desk, request, told) == request
    assert Closing(desk.service).queued_child(request) == child
    assert heard(desk, request, a_hook(reference_number="REF-THEIRS")) == request
    after = heard(desk, request, a_hook())
    assert (after.state, after.reference_number) == (State.SUCCEEDED, told.reference_number)


def test_what_was_put_back_from_a_copy_is_not_queued_by_its_own_reference(desk: Desk) -> None:
    """Whether the bank has it still, only people can look up: the bot looks after it no more."""
    claimed = desk.claimed()
    desk.execution.settle(claimed.id, 1, QUEUED)
    desk.execution.mark_restored("a test")
    request = desk.row(claimed)
    hook = a_hook(ending=Ending.QUEUED, result="queued", child_state="refund_queued", reference_number="REF-QUEUED")
    assert heard(desk, request, hook) == request


def test_somebody_elses_equal_refund_beside_a_settled_one_is_told_once(desk: Desk) -> None:
    """Repeated, it prompts no look at what is settled."""
    claimed = desk.claimed()
    request = desk.execution.settle(claimed.id, 1, Outcome(Ending.SUCCEEDED, "", 5_000, "REF-OURS"))
    for _ in range(2):
        assert heard(desk, request, a_hook(reference_number="REF-THEIRS")) == request
    assert len(alarms(desk)) == 1
    assert [event for event in desk.store.events(request.id) if event.kind == "webhook_seen"] == []


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


def test_one_without_a_reference_is_told_once_whatever_is_not_signed(desk: Desk) -> None:
    """The same signed fields with other unsigned ones would be an alarm each time."""
    hook = a_hook(reference_number=None, signed=("amount", "order_no", "result"))
    for source in ("input", "pg", None):
        desk.execution.hooks.receive(replace(hook, source=source, session_id=session(9)))
    assert len(alarms(desk)) == 1
    desk.execution.hooks.receive(replace(hook, amount="6.000"))
    assert len(alarms(desk)) == 2


def test_a_signed_order_number_speaks_of_no_other_transaction(desk: Desk) -> None:
    """Whatever session id, which is not signed, stands beside it."""
    request = desk.pending()
    assert heard(desk, request, a_hook(order_no="ORD9", session_id=SESSION)) == request


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
