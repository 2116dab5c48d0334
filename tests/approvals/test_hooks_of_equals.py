"""Webhooks where equal requests follow each other on one transaction: the word on one is no proof of another."""

from __future__ import annotations

from approvals.closing import Closing
from approvals.hooks import Hook
from approvals.request import Ending, Outcome, Request, State

from .factories import BOB, CEM, MEMBERS, Desk
from .hooked import NO_ANSWER, QUEUED, a_hook, alarms, an_unknown, heard, read_now, unsigned

YES = a_hook()
NO = a_hook(ending=Ending.FAILED, result="rejected", child_state="refund_rejected", reference_number="REF-NO")


def called(desk: Desk, request: Request, outcome: str) -> Request:
    """Two people say so."""
    for person in (BOB, CEM):
        Closing(desk.service).close(request.id, person, outcome, "looked", MEMBERS, may_fail=True)
    return desk.row(request)


def proves_nothing(desk: Desk, hook: Hook) -> None:
    """An equal request follows, is sent and lost, and stays unknown."""
    following = an_unknown(desk)
    assert heard(desk, following, hook) == following


def test_a_name_is_that_of_one_send_alone(desk: Desk) -> None:
    """The first was sent twice; that one of them was done is told. The no to the other send is no no to the next."""
    first = an_unknown(desk)
    assert desk.execution.claim_again(first.id, first.version, "bot") is not None
    desk.execution.settle(first.id, 2, NO_ANSWER)
    assert heard(desk, desk.row(first), YES).state is State.SUCCEEDED
    proves_nothing(desk, NO)


def test_what_was_at_the_bank_and_was_called_failed_may_be_told_as_done(desk: Desk) -> None:
    first = desk.claimed(read_now(desk))
    called(desk, desk.execution.settle(first.id, 1, Outcome(Ending.QUEUED, "the bank decides")), "failed")
    proves_nothing(desk, YES)
    assert len(alarms(desk)) == 1


def test_what_was_executing_in_a_copy_that_was_put_back_may_be_told_as_done(desk: Desk) -> None:
    first = desk.claimed(read_now(desk))
    desk.execution.mark_restored("a test")
    desk.execution.give_up(first.id, 1, "it is gone")
    called(desk, desk.row(first), "failed")
    desk.execution.resume(CEM)
    proves_nothing(desk, YES)


def test_what_was_pending_in_a_copy_that_was_put_back_may_be_told_as_done(desk: Desk) -> None:
    """It was sent after the copy was made."""
    first = desk.pending(read_now(desk))
    desk.execution.mark_restored("a test")
    called(desk, desk.row(first), "succeeded")
    desk.execution.resume(CEM)
    proves_nothing(desk, YES)


def test_a_no_that_fits_two_names_neither(desk: Desk) -> None:
    """Else the yes to the other one, which people called failed, would be taken for the third's."""
    refused = desk.claimed(read_now(desk))
    desk.execution.settle(refused.id, 1, Outcome(Ending.FAILED, "no", 5_000))
    second = called(desk, an_unknown(desk), "failed")
    assert heard(desk, second, NO) == second
    proves_nothing(desk, YES)
    assert [second.id in alarm["why"] for alarm in alarms(desk)] == [True]


def test_a_word_without_an_amount_names_neither_of_two(desk: Desk) -> None:
    for amount in ("5.000", "3.000"):
        request = desk.claimed(read_now(desk), asked_amount=amount)
        desk.execution.settle(request.id, 1, Outcome(Ending.SUCCEEDED, "", request.amount_minor))
    desk.execution.hooks.receive(a_hook(amount=None, signed=unsigned("amount")))
    third = an_unknown(desk, asked_amount="3.000")
    assert heard(desk, third, a_hook(amount="3.000", reference_number="REF-3")) == third


def test_the_own_webhook_of_one_that_executes_stays_its_own(desk: Desk) -> None:
    """It comes before the answer, where an equal one was called failed; the bank's decision has the same reference."""
    called(desk, an_unknown(desk), "failed")
    second = desk.claimed(read_now(desk))
    reference = QUEUED.reference_number
    queued = a_hook(ending=Ending.QUEUED, result="queued", child_state="refund_queued", reference_number=reference)
    assert heard(desk, second, queued) == second
    second = desk.execution.settle(second.id, 1, QUEUED)
    assert heard(desk, second, a_hook(reference_number=reference)).state is State.SUCCEEDED
    assert alarms(desk) == []
