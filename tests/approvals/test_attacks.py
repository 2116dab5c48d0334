"""Ways to take money twice, or to hide it, that were found in an earlier version: each stays closed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from approvals.closing import Closing, Found
from approvals.reading import Child
from approvals.request import Ending, Request, State

from .factories import BOB, CEM, MEMBERS, Desk, refused, session
from .hooked import NO_ANSWER, QUEUED, REFERENCE, SIGNED, a_hook, alarms, an_unknown, due_now, heard, read_now

ONE_NAME = "c" * 40
THEIRS = Child(ONE_NAME, "refund_queued", 2_000)  # somebody's refund, at the bank when the card was made
OURS = Child(session(1), "refunded", 5_000)
AT_THE_BANK = a_hook(ending=Ending.QUEUED, result="queued", child_state="refund_queued")


def unknown_beside(desk: Desk, *children: Child, **changes: Any) -> Request:
    """A refund that was not answered, on a transaction that had these children when its card was made."""
    claimed = desk.claimed(read_now(desk, refunded_minor=0, children=children), **changes)
    return desk.execution.settle(claimed.id, claimed.attempt, NO_ANSWER)


# --- what Ottu lists of a transaction

LISTED = [
    ("all bear one name", [THEIRS, replace(OURS, session_id=ONE_NAME)], Found.PROOF),
    ("a known one of another amount", [replace(THEIRS, amount_minor=7_000)], Found.UNCLEAR),
    ("a known one of another operation", [replace(THEIRS, state="voided")], Found.UNCLEAR),
    ("ours under the known one's name", [replace(OURS, session_id=ONE_NAME)], Found.UNCLEAR),
]


@pytest.mark.parametrize(("children", "expected"), [row[1:] for row in LISTED], ids=[row[0] for row in LISTED])
def test_nothing_hides_behind_a_known_name(
    desk: Desk, closing: Closing, children: list[Child], expected: Found
) -> None:
    """Overlooked, it would be "nothing new", and would be sent once more."""
    request = unknown_beside(desk, THEIRS)
    assert closing.by_children(request.id, read_now(desk, children=tuple(children))) is expected
    assert not closing.offers_resend(desk.row(request))


def test_what_the_bank_has_decided_since_is_no_difference(desk: Desk, closing: Closing) -> None:
    """Somebody's refund went from queued to rejected: it is the same one, and ours is not there."""
    request = unknown_beside(desk, THEIRS)
    rejected = replace(THEIRS, state="refund_rejected")
    assert closing.by_children(request.id, read_now(desk, refunded_minor=0, children=(rejected,))) is Found.UNCLEAR
    assert desk.row(request).state is State.UNKNOWN  # the sums are others than on the card: people look


# --- whose operation it was


def test_once_a_stranger_acted_the_button_is_gone(desk: Desk, closing: Closing) -> None:
    """Somebody may have mended it in Ottu's dashboard, with another figure."""
    request = an_unknown(desk)
    assert closing.by_children(request.id, read_now(desk)) is Found.NOTHING_NEW
    desk.execution.hooks.receive(a_hook(amount="6.000"))
    row = desk.row(request)
    assert (len(alarms(desk)), closing.offers_resend(row)) == (1, False)
    with refused("no_resend"):
        closing.check_resend(row, BOB, MEMBERS)


def test_to_have_read_a_reference_does_not_silence_its_alarm(desk: Desk) -> None:
    """The inquiry for the card may name an operation's reference before its webhook comes."""
    request = desk.pending(read_now(desk))
    desk.inquiries.note_reference(REFERENCE)
    assert heard(desk, request, a_hook(amount="20.000")).state is State.WITHDRAWN
    assert len(alarms(desk)) == 1


def test_a_webhook_without_a_reference_withdraws_once_and_tells_once(desk: Desk) -> None:
    hook = a_hook(reference_number=None, signed=("amount", "order_no", "result"), operation=None, child_state=None)
    request = desk.pending(read_now(desk))
    for _ in range(3):
        assert heard(desk, desk.row(request), hook).state is State.WITHDRAWN
    assert len(alarms(desk)) == 1


def test_the_word_done_without_the_childs_state_ends_no_queued_refund(desk: Desk) -> None:
    """Ottu signs `result` of a webhook, not `txn`: whoever cuts `txn` out makes "queued" look like "done"."""
    claimed = desk.claimed(read_now(desk))
    request = desk.execution.settle(claimed.id, 1, replace(QUEUED, reference_number=REFERENCE))
    assert heard(desk, request, a_hook(child_state=None, signed=SIGNED)) == request
    assert due_now(desk, f"queued:{request.id}")
    assert heard(desk, request, a_hook()).state is State.SUCCEEDED


# --- what was put back from a copy


def test_that_the_bank_decides_is_no_end_of_what_was_restored(desk: Desk, closing: Closing) -> None:
    """It is people's to close: neither a webhook nor a reading may queue it, and neither may break over it."""
    request = an_unknown(desk)
    desk.execution.mark_restored("it was copied")
    restored = desk.row(request)
    assert heard(desk, restored, AT_THE_BANK) == restored
    queued = replace(OURS, state="refund_queued")
    children = (*(read_now(desk).children or ()), queued)
    assert closing.by_children(request.id, read_now(desk, children=children)) is Found.UNCLEAR
    assert desk.row(request).state is State.UNKNOWN


@pytest.mark.parametrize("moved", ["by a webhook", "by a reading"])
def test_a_copy_may_have_forgotten_whose_refund_it_was(desk: Desk, closing: Closing, moved: str) -> None:
    """A later, equal request is not in the copy: its webhook, come again, or its child would prove the older one."""
    request = an_unknown(desk)
    desk.execution.mark_restored("it was copied")
    if moved == "by a webhook":
        after = heard(desk, desk.row(request), a_hook())
        assert "webhook_seen" in desk.kinds(request)
    else:
        children = (*(read_now(desk).children or ()), OURS)
        assert closing.by_children(request.id, read_now(desk, children=children)) is Found.UNCLEAR
        after = desk.row(request)
    assert after.state is State.UNKNOWN
    assert closing.close(request.id, BOB, "succeeded", "REF-1", MEMBERS, may_fail=True)
    assert closing.close(request.id, CEM, "succeeded", "REF-1", MEMBERS, may_fail=True)
    assert desk.row(request).state is State.SUCCEEDED


def test_a_queued_answer_to_what_was_restored_meanwhile_is_written_down(desk: Desk) -> None:
    """With the webhook that came first: neither may be refused by the database for ever."""
    claimed = desk.claimed(read_now(desk))
    desk.execution.hooks.receive(AT_THE_BANK)
    desk.execution.mark_restored("it was copied")
    assert desk.execution.settle(claimed.id, 1, QUEUED).state is State.UNKNOWN
    assert "late_answer" in desk.kinds(claimed)
    assert desk.differences() == []
