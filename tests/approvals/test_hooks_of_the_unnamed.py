"""Requests that ended without a reference number: a later word may be theirs, or of somebody else's operation."""

from __future__ import annotations

from dataclasses import replace

from approvals.closing import Closing, Found
from approvals.request import Ending, Outcome, Request, State

from .factories import BOB, CEM, MEMBERS, Desk, refused
from .hooked import NO_ANSWER, QUEUED, SIGNED, a_hook, alarms, an_unknown, read_now
from .unknowns import child, now

DONE = Outcome(Ending.SUCCEEDED, "", 5_000)  # Ottu named no reference number


def unnamed(desk: Desk) -> Request:
    claimed = desk.claimed(read_now(desk))
    return desk.execution.settle(claimed.id, 1, DONE)


def receive(desk: Desk, *references: str) -> None:
    for reference in references:
        desk.execution.hooks.receive(a_hook(reference_number=reference))


def seen(desk: Desk) -> list[object]:
    """The reference numbers of the words that are in the record."""
    return [e.facts["reference_number"] for e in desk.store.events() if e.kind == "webhook_seen"]


def test_a_word_on_one_that_ended_is_in_the_record_and_spoils_what_was_read_before(desk: Desk) -> None:
    first = unnamed(desk)
    pending = desk.pending(now(desk, child("refunded")))
    receive(desk, "THEIRS")
    assert desk.work.reference("THEIRS").request_id == first.id  # type: ignore[union-attr]  # it is there
    assert seen(desk) == ["THEIRS"]
    assert desk.row(pending).state is State.PENDING  # it may be the late word on the first
    claimed = desk.execution.claim(desk.approve(pending, CEM).id)
    assert claimed is not None
    following = desk.execution.settle(claimed.id, 1, NO_ANSWER)
    read = now(desk, child("refunded"), child("refunded", number=2))
    assert Closing(desk.service).by_children(following.id, read) is Found.UNCLEAR
    assert desk.differences() == []


def test_more_words_than_requests_raise_an_alarm(desk: Desk) -> None:
    """Two refunds were asked for; a third one was made by somebody else."""
    for _ in range(2):
        unnamed(desk)
    receive(desk, "ONE", "TWO", "ONE")
    assert alarms(desk) == []
    assert seen(desk) == ["ONE", "TWO"]
    receive(desk, "THREE")
    assert [alarm["reference_number"] for alarm in alarms(desk)] == ["THREE"]
    receive(desk, "TWO", "FOUR")
    assert [alarm["reference_number"] for alarm in alarms(desk)] == ["THREE", "FOUR"]


def test_a_word_that_is_no_proof_is_no_name(desk: Desk) -> None:
    """What is signed is the state of a payment; else the late word on the first would be the proof of the next."""
    first = unnamed(desk)
    for number, state in enumerate(("paid", "created")):
        desk.execution.hooks.receive(
            a_hook(reference_number=f"PAYMENT-{number}", state=state, signed=(*SIGNED, "state"))
        )
    assert not desk.work.has_reference(first.id)
    following = an_unknown(desk)
    receive(desk, "FIRST")
    assert desk.row(following).state is State.UNKNOWN


def test_the_word_that_is_one_names_it_also_after_one_that_is_none(desk: Desk) -> None:
    first = unnamed(desk)
    desk.execution.hooks.receive(a_hook(reference_number="PAYMENT", state="paid", signed=(*SIGNED, "state")))
    receive(desk, "FIRST")
    assert desk.work.has_reference(first.id)
    following = an_unknown(desk)
    receive(desk, "SECOND")
    assert desk.row(following).state is State.SUCCEEDED


DECIDED = a_hook(reference_number=QUEUED.reference_number, child_state=None)


def test_that_the_bank_has_decided_is_not_believed_of_one_that_was_queued_for_too_long(desk: Desk) -> None:
    """What would say that it is not the word that it was queued is not signed."""
    claimed = desk.claimed(read_now(desk))
    queued = desk.execution.settle(claimed.id, 1, QUEUED)
    desk.execution.hooks.receive(DECIDED)
    assert desk.row(queued).state is State.QUEUED
    desk.sql("UPDATE requests SET state_at = '2020-01-01T00:00:00.000Z', version = version + 1")
    assert Closing(desk.service).overdue(queued.id) is not None
    desk.execution.hooks.receive(DECIDED)
    assert desk.row(queued).state is State.UNKNOWN
    desk.execution.hooks.receive(a_hook(reference_number=QUEUED.reference_number))
    assert desk.row(queued).state is State.SUCCEEDED


def test_a_word_that_contradicts_what_people_said_raises_an_alarm_whatever_is_not_signed(desk: Desk) -> None:
    """Whoever relays it could leave out the field that would say that it is not the old word of the queue."""
    claimed = desk.claimed(read_now(desk))
    queued = desk.execution.settle(claimed.id, 1, QUEUED)
    for person in (BOB, CEM):
        Closing(desk.service).close(queued.id, person, "failed", "looked", MEMBERS, may_fail=True)
    for source in ("input", "another", None):
        desk.execution.hooks.receive(replace(DECIDED, source=source))
    assert desk.row(queued).state is State.FAILED
    assert len(alarms(desk)) == 1


def test_a_word_that_is_told_again_beside_other_unsigned_fields_changes_nothing_more(desk: Desk) -> None:
    """One that was caught on its way could else keep the button away for ever, and fill the record."""
    unnamed(desk)
    following = desk.execution.settle(desk.claimed(now(desk, child("refunded"))).id, 1, NO_ANSWER)
    receive(desk, "REF-1")
    closing = Closing(desk.service)
    assert closing.by_children(following.id, now(desk, child("refunded"))) is Found.NOTHING_NEW
    for number in range(3):
        desk.execution.hooks.receive(a_hook(reference_number="REF-1", source=f"{number}", session_id=None))
    assert seen(desk) == ["REF-1"]
    assert closing.offers_resend(desk.row(following))
    assert desk.execution.claim_again(following.id, desk.row(following).version, CEM) is not None
    desk.execution.settle(following.id, 2, NO_ANSWER)
    assert closing.by_children(following.id, now(desk, child("refunded"))) is Found.NOTHING_NEW
    receive(desk, "REF-1")  # it may be about that send
    assert seen(desk) == ["REF-1", "REF-1"]
    assert not closing.offers_resend(desk.row(following))


def test_one_that_was_sent_twice_stays_so_while_the_bank_decides(desk: Desk) -> None:
    first = an_unknown(desk)
    assert desk.execution.claim_again(first.id, first.version, "bot") is not None
    desk.execution.settle(first.id, 2, QUEUED)
    desk.sql("UPDATE requests SET state_at = '2020-01-01T00:00:00.000Z', version = version + 1")
    overdue = Closing(desk.service).overdue(first.id)
    assert overdue is not None
    assert (overdue.attempt, overdue.doubtful_attempt) == (2, 1)


def test_a_webhook_after_the_reading_takes_its_button_away(desk: Desk) -> None:
    """An equal one before has no name: the word may be of either, so what was read before it decides nothing more."""
    unnamed(desk)
    closing = Closing(desk.service)
    following = desk.claimed(now(desk, child("refunded")))
    following = desk.execution.settle(following.id, 1, NO_ANSWER)
    assert closing.by_children(following.id, now(desk, child("refunded"))) is Found.NOTHING_NEW
    assert closing.offers_resend(desk.row(following))
    desk.work.card_begins(following.id, "C01GEN")
    desk.work.card_shown(following.id, ts="1.0", version=desk.row(following).version)
    receive(desk, "ONE")
    row = desk.row(following)
    assert not closing.offers_resend(row)
    assert not closing.has_fresh_reading(row)
    with refused("no_resend"):
        closing.check_resend(row, CEM, MEMBERS)
    card = desk.work.card(following.id)
    assert card is not None
    assert card.shown_version == 0
    assert f"card:{following.id}" in desk.jobs()
