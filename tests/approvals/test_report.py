"""The figures of a month against records whose numbers are known."""

from __future__ import annotations

from collections import Counter

import pytest

from approvals.alarms import raise_alarm
from approvals.closing import Closing
from approvals.doubts import Send, Way, spells
from approvals.month import Month
from approvals.report import ApprovalTimes, Figures, Kind, RefusedKind, read_figures
from approvals.request import Ending, Operation, Refusal, Request, State

from .answers import answer
from .diary import Diary
from .factories import ALICE, BOB, CEM, MEMBERS, VOID, Desk, found
from .hooked import a_hook
from .hooked import an_unknown as an_unheard
from .rich_month import write_rich_month
from .unknowns import an_unknown, child, now, unanswered

MARCH = Month(2025, 3)
KWD, USD, JPY = Kind("refund", "KWD", False), Kind("refund", "USD", False), Kind("refund", "JPY", False)


@pytest.fixture
def diary(desk: Desk) -> Diary:
    return Diary(desk.store, str(MARCH))


def figures_of(desk: Desk, month: Month = MARCH) -> Figures:
    """Read from a record that agrees with itself."""
    assert desk.differences() == []
    return read_figures(desk.store, month)


def this_month(desk: Desk) -> Figures:
    """The month of what was made by the services a moment ago."""
    return figures_of(desk, Month.parse(desk.store.now()[:7]))


# --- the month


@pytest.mark.parametrize("text", ["2026-13", "2026-0", "2026-1", "26-11", "2026-11-01", "", "٢٠٢٦-١١", "2026-11\n"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Month.parse(text)


def test_a_month_ends_where_the_next_begins() -> None:
    december = Month.parse("2026-12")
    assert (december.start, december.end) == ("2026-12-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z")
    assert (len(december.days), len(Month.parse("2028-02").days)) == (31, 29)


# --- what was asked, and what moved


def test_amounts_of_different_currencies_and_of_the_sandbox_stay_apart(desk: Desk, diary: Diary) -> None:
    """In minor units, whatever the decimals of the currency; what Ottu answered counts."""
    diary.done("03 10:00:00", "03 10:05:00", 5_250)
    diary.done("03 11:00:00", "04 10:05:00", 1)
    diary.done("05 10:00:00", "05 10:05:00", 999, "USD")
    diary.done("05 11:00:00", "05 11:05:00", 700, "JPY")
    diary.done("06 10:00:00", "06 10:05:00", 80_000, terms={"is_sandbox": 1})
    figures = figures_of(desk)
    moved = {kind: (one.count, one.amount_minor) for kind, one in figures.moved.items()}
    assert moved == {KWD: (2, 5_251), USD: (1, 999), JPY: (1, 700), Kind("refund", "KWD", True): (1, 80_000)}
    assert figures.moved[KWD].by_day == {"2025-03-03": 5_250, "2025-03-04": 1}
    assert {kind: dict(one.states) for kind, one in figures.asked.items()} == {
        KWD: {State.SUCCEEDED: 2},
        USD: {State.SUCCEEDED: 1},
        JPY: {State.SUCCEEDED: 1},
        Kind("refund", "KWD", True): {State.SUCCEEDED: 1},
    }


def test_a_request_counts_where_it_was_asked_and_its_money_where_it_moved(desk: Desk, diary: Diary) -> None:
    """The first and the last millisecond of a month are in it, the next is not."""
    diary.done("2025-02-28T23:59:59.999Z", "01 00:00:03", 1_000)
    diary.asked("2025-03-01T00:00:00.000Z")
    diary.asked("2025-03-31T23:59:59.999Z")
    diary.done("31 23:00:00", "2025-04-01T00:00:00.000Z", 3_000)
    diary.asked("2025-04-01T00:00:00.000Z")
    figures = figures_of(desk)
    assert figures.requests == 3
    assert {day: sum(states.values()) for day, states in figures.asked_by_day.items()} == {
        "2025-03-01": 1,
        "2025-03-31": 2,
    }
    assert figures.moved[KWD].amount_minor == 1_000
    assert figures.approval_times.seconds == (2.001,)
    assert figures_of(desk, MARCH.next).moved[KWD].amount_minor == 3_000


def test_a_void_moves_what_was_held_and_a_cancel_moves_nothing(desk: Desk, diary: Diary) -> None:
    diary.done("03 10:00:00", "03 10:05:00", 18_000, operation=VOID)
    request = diary.pending("04 10:00:00", operation=Operation.CANCEL)
    sent = diary.sent(diary.moved(request, State.APPROVED, "04 10:00:02"), "04 10:00:02")
    diary.answered(sent, State.SUCCEEDED, "04 10:00:03")
    figures = figures_of(desk)
    assert {kind: one.amount_minor for kind, one in figures.moved.items()} == {Kind("void", "KWD", False): 18_000}
    assert figures.asked[Kind("cancel", "", False)].states == {State.SUCCEEDED: 1}
    assert len(figures.approval_times.seconds) == 1  # a cancel needs nobody


# --- people and times


def test_the_time_to_approval_runs_from_the_card_to_the_quorum(desk: Desk, diary: Diary) -> None:
    for minutes in range(1, 21):
        diary.done(f"03 10:{minutes:02}:00", f"03 10:{minutes + minutes:02}:01")
    times = figures_of(desk).approval_times
    assert times.seconds == tuple(60.0 * minutes for minutes in range(1, 21))  # the card came a second after the asking
    assert (times.median_seconds, times.percentile_95_seconds) == (630.0, 1_140.0)
    assert (times.between(0, 60), times.between(60, 180)) == (0, 2)


@pytest.mark.parametrize(("seconds", "median", "most"), [((), None, None), ((7.0,), 7.0, 7.0), ((1.0, 3.0), 2.0, 3.0)])
def test_few_times_are_no_trouble(seconds: tuple[float, ...], median: float | None, most: float | None) -> None:
    times = ApprovalTimes(seconds)
    assert (times.median_seconds, times.percentile_95_seconds) == (median, most)


def test_each_person_is_credited_with_what_they_did(desk: Desk) -> None:
    """Made by the services: asked, approved, taken back, rejected, withdrawn, refused; the bot is nobody."""
    first = desk.pending(origin="1", asked_amount="16.000")  # needs two
    first = desk.approve(first, CEM)
    desk.service.unapprove(first.id, CEM)
    desk.service.reject(first.id, BOB, "no", MEMBERS)
    second = desk.pending(origin="2")
    with pytest.raises(Refusal) as refusal:
        desk.approve(second, ALICE)
    desk.service.refused_attempt(ALICE, "approve", refusal.value, second.id)
    desk.service.withdraw(second.id, ALICE)
    figures = this_month(desk)
    alice, bob, cem = (figures.persons[who] for who in (ALICE, BOB, CEM))
    assert set(figures.persons) == {ALICE, BOB, CEM}
    assert (alice.asked, alice.withdrawn, alice.refused) == (Counter({State.REJECTED: 1, State.WITHDRAWN: 1}), 1, 1)
    assert (bob.rejected, cem.approved, cem.taken_back) == (1, 1, 1)
    assert figures.refused == {RefusedKind("self_approval", ALICE, "approve"): 1}


# --- outcomes in doubt, ended by the services in each way


def spell_of(desk: Desk, request: Request, state: State = State.UNKNOWN) -> object:
    (spell,) = spells(desk.row(request), desk.store.events(request.id), state)
    return spell.way, spell.ended_as, spell.people, spell.evidence


def test_an_unknown_that_a_webhook_closes(desk: Desk) -> None:
    request = an_unheard(desk)
    desk.execution.hooks.receive(a_hook())
    assert spell_of(desk, request) == (Way.WEBHOOK, State.SUCCEEDED, (), ())
    assert this_month(desk).unknown[0].reference_number == "REF-1"


def test_an_unknown_that_a_reading_closes(desk: Desk, closing: Closing) -> None:
    request = an_unknown(desk)
    closing.by_children(request.id, now(desk, child("refunded")))
    said = ("Ottu's inquiry shows a new child: refunded",)
    assert spell_of(desk, request) == (Way.READING, State.SUCCEEDED, (), said)


def test_an_unknown_that_one_more_send_closes(desk: Desk) -> None:
    request = an_unknown(desk)
    again = found(desk.execution.claim_again(request.id, request.version, CEM))
    desk.execution.settle(request.id, again.attempt, answer(Ending.SUCCEEDED))
    (spell,) = this_month(desk).unknown
    assert (spell.way, spell.ended_as, [send.actor for send in spell.sends]) == (Way.SENT_AGAIN, State.SUCCEEDED, [CEM])


def test_another_send_that_nobody_answers_is_the_same_unknown(desk: Desk) -> None:
    request = an_unknown(desk)
    again = found(desk.execution.claim_again(request.id, request.version, "bot"))
    desk.execution.settle(request.id, again.attempt, answer(Ending.UNKNOWN))
    (spell,) = this_month(desk).unknown
    assert (spell.ended_at, spell.way, len(spell.sends)) == (None, None, 1)


def test_an_unknown_that_the_late_answer_closes(desk: Desk) -> None:
    request = an_unknown(desk)
    desk.execution.settle(request.id, request.attempt, answer(Ending.SUCCEEDED))
    (spell,) = this_month(desk).unknown
    assert (spell.way, spell.ended_as) == (Way.LATE_ANSWER, State.SUCCEEDED)


def test_an_unknown_that_two_people_close(desk: Desk, closing: Closing) -> None:
    """Who they were and what each had seen; until the second has spoken, who proposed."""
    request = an_unknown(desk)
    closing.close(request.id, CEM, "failed", "dashboard, 10:00", MEMBERS, may_fail=True)
    (spell,) = this_month(desk).unknown
    assert (spell.ended_at, spell.proposed_by) == (None, CEM)
    closing.close(request.id, BOB, "failed", "bank statement", MEMBERS, may_fail=True)
    said = (CEM, BOB), ("dashboard, 10:00", "bank statement")
    assert spell_of(desk, request) == (Way.TWO_PEOPLE, State.FAILED, *said)
    figures = this_month(desk)
    assert (figures.persons[CEM].closed, figures.persons[BOB].closed) == (1, 1)


def test_of_an_unknown_it_is_told_who_had_approved(desk: Desk) -> None:
    """Whoever took it back had not."""
    request = desk.approve(desk.pending(asked_amount="16.000"), BOB)  # two are needed
    desk.service.unapprove(request.id, BOB)
    desk.approve(request, CEM, BOB)
    claimed = found(desk.execution.claim(request.id))
    unanswered(desk, claimed)
    (spell,) = this_month(desk).unknown
    assert spell.approvers == (CEM, BOB)


def test_what_is_only_written_down_beside_it_takes_no_proposal_back(desk: Desk, closing: Closing) -> None:
    """An alarm or a refused attempt moves no row, so that the second person is still the one who is waited for."""
    request = an_unknown(desk)
    closing.close(request.id, CEM, "failed", "dashboard, 10:00", MEMBERS, may_fail=True)
    raise_alarm(desk.store, desk.work, "Somebody must look.", {}, request.id)
    (spell,) = this_month(desk).unknown
    assert (spell.ended_at, spell.proposed_by) == (None, CEM)


def test_a_queued_one_that_is_put_back_from_a_copy(desk: Desk) -> None:
    claimed = desk.claimed()
    desk.execution.settle(claimed.id, 1, answer(Ending.QUEUED))
    desk.execution.mark_restored("an older copy")
    figures = this_month(desk)
    assert [(spell.way, spell.ended_as) for spell in figures.queued] == [(Way.RESTORED, State.UNKNOWN)]
    assert [(spell.way, spell.ended_at) for spell in figures.unknown] == [(None, None)]
    assert (figures.alarms, [stop.kind for stop in figures.stops]) == (1, ["alarm"])


def test_a_doubt_is_told_in_every_month_that_it_lasts_in(desk: Desk, diary: Diary) -> None:
    unknown = diary.unknown("2025-02-27T10:00:00.000Z", "2025-02-27T10:05:00.000Z")
    diary.answered(diary.sent(unknown, "2025-04-02T10:00:00.000Z"), State.FAILED, "2025-04-02T10:00:01.000Z")
    lasted = {month: len(figures_of(desk, Month(2025, month)).unknown) for month in range(1, 6)}
    assert lasted == {1: 0, 2: 1, 3: 1, 4: 1, 5: 0}
    (spell,) = figures_of(desk).unknown
    assert spell.sends == (Send("2025-04-02T10:00:00.000Z", "bot"),)


def test_a_month_without_anything_is_empty(desk: Desk, diary: Diary) -> None:
    assert figures_of(desk).is_empty
    diary.refused("03 10:00:00", "outsider", "U0GUEST")
    assert not figures_of(desk).is_empty
    assert figures_of(desk, MARCH.next).is_empty


def test_the_rich_month_has_something_of_everything(desk: Desk) -> None:
    """What the page's tests show is worth looking at."""
    write_rich_month(desk.store, str(MARCH))
    figures = figures_of(desk)
    assert {spell.way for spell in figures.unknown} == {
        Way.WEBHOOK,
        Way.READING,
        Way.SENT_AGAIN,
        Way.TWO_PEOPLE,
        None,
    }
    assert (figures.refused_attempts, figures.alarms, len(figures.stops), len(figures.queued)) == (7, 1, 3, 1)
