"""The budget of inquiries: Ottu allows few, so each is written down before it is sent, and its answer is shared."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approvals.inquiries import MOST, MOST_A_MINUTE, RESERVED, Inquiries, Stored
from approvals.request import Ending, Outcome, State
from approvals.store import later, seconds_between

from .factories import SESSION, Desk, a_reading, age_seconds, another
from .hooked import a_hook

GAP_SECONDS = 1860.0  # the tests' policy: Ottu allows one in 30 minutes


@pytest.fixture
def inquiries(desk: Desk) -> Inquiries:
    return desk.inquiries


def sent(
    desk: Desk, seconds_ago: float, outcome: str = "answered", reference: str = "ORD123", session_id: str | None = None
) -> None:
    """One that was sent that long ago."""
    desk.sql(
        "INSERT INTO work_inquiries (reference_kind, reference, session_id, sent_at, outcome, answer)"
        " VALUES ('order', :reference, :session_id, :sent_at, :outcome, '{}')",
        reference=reference,
        session_id=session_id,
        sent_at=age_seconds(desk, seconds=seconds_ago),
        outcome=outcome,
    )


def wait(inquiries: Inquiries, most: int = MOST, session_id: str | None = None) -> int:
    """How long until the next one for ORD123, in whole seconds (some of the clock's have passed)."""
    return round(inquiries.wait_seconds("order", "ORD123", session_id, most=most) + 0.4)


def test_the_numbers_are_ottus() -> None:
    """Three for a transaction, of which two are kept for an unknown outcome; 30 a minute over all."""
    assert (MOST, RESERVED, MOST_A_MINUTE) == (3, 2, 30)


def test_an_inquiry_is_on_disk_before_it_is_sent(desk: Desk) -> None:
    """A process that ends while it waits for the answer has used one up all the same."""
    number = desk.inquiries.begin("order", "ORD123", None, most=MOST)
    with another(desk) as other:
        (row,) = other.store.rows("SELECT * FROM work_inquiries")
        assert other.inquiries.begin("order", "ORD123", None, most=MOST) is None
    assert (row["id"], row["reference"], row["outcome"], row["answer"]) == (number, "ORD123", "sent", None)


@pytest.mark.parametrize(
    ("ago", "seconds"),
    [
        ([], 0),
        ([GAP_SECONDS + 1], 0),
        ([600], 1260),  # the gap
        ([4000, 2000], 0),
        ([4000, 600], 1260),
        ([80_000, 4000, 2000], 6400),  # three in a day: until the first of them is a day old
        ([90_000, 80_000, 4000, 2000], 6400),  # what is older than a day does not count
        ([70_000, 60_000, 50_000, 40_000], 26_400),
    ],
)
def test_a_transaction_has_three_in_a_day_with_a_gap(desk: Desk, ago: list[float], seconds: int) -> None:
    for seconds_ago in ago:
        sent(desk, seconds_ago)
    assert wait(desk.inquiries) == seconds
    assert (desk.inquiries.begin("order", "ORD123", None, most=MOST) is None) is (seconds > 0)


def test_the_reserve_is_kept_for_an_unknown(desk: Desk) -> None:
    """One for the card, and no more; the two of the reserve are there when they are needed."""
    sent(desk, 10_000)
    assert wait(desk.inquiries, MOST - RESERVED) == 76_400
    assert wait(desk.inquiries) == 0


def test_none_is_none(desk: Desk) -> None:
    assert wait(desk.inquiries, 0) == 86_400
    assert desk.inquiries.begin("order", "ORD123", None, most=0) is None


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [
        ("sent", True),  # nobody knows what became of it
        ("answered", True),
        ("no_answer", True),
        ("refused", True),
        ("no_attempt", True),
        ("throttled", False),
        ("not_sent", False),
    ],
)
def test_what_ottu_throttled_or_never_saw_does_not_count(desk: Desk, outcome: str, counts: bool) -> None:
    for seconds_ago in (30_000, 20_000, 10_000):
        sent(desk, seconds_ago, outcome)
    assert wait(desk.inquiries) == (56_400 if counts else 0)


@pytest.mark.parametrize(("outcome", "seconds"), [("throttled", 500), ("not_sent", 0), ("no_answer", 1760)])
def test_what_was_throttled_is_tried_again_after_ten_minutes(desk: Desk, outcome: str, seconds: int) -> None:
    """Ottu refuses all in a payment's first ten minutes."""
    sent(desk, 100, outcome)
    assert wait(desk.inquiries) == seconds


@pytest.mark.parametrize("retry_after_seconds", [30.0, 5000.0])
def test_what_was_throttled_is_tried_again_when_ottu_asks(desk: Desk, retry_after_seconds: float) -> None:
    number = desk.inquiries.begin("order", "ORD123", None, most=MOST)
    assert number is not None
    desk.inquiries.end(number, "throttled", retry_after_seconds=retry_after_seconds)
    seconds = desk.inquiries.wait_seconds("order", "ORD123", None, most=MOST)
    assert retry_after_seconds - 5 < seconds <= retry_after_seconds


def test_a_short_gap_is_not_made_longer_by_a_throttle(desk: Desk) -> None:
    sent(desk, 1, "throttled")
    quick = Inquiries(desk.store, lambda: 2.0)
    assert quick.wait_seconds("order", "ORD123", None, most=MOST) < 2


def test_other_transactions_have_their_own(desk: Desk) -> None:
    for seconds_ago in (30_000, 20_000, 600):
        sent(desk, seconds_ago, reference="ORD9", session_id="b" * 40)
    assert wait(desk.inquiries) == 0
    assert wait(desk.inquiries, session_id=SESSION) == 0


def test_a_transaction_is_the_same_by_order_and_by_session(desk: Desk) -> None:
    sent(desk, 600, reference="the merchant's number", session_id=SESSION)
    assert wait(desk.inquiries, session_id=SESSION) == 1260
    assert wait(desk.inquiries) == 0  # nobody knows yet that it is the same


def test_thirty_in_a_minute_over_all(desk: Desk) -> None:
    for number in range(MOST_A_MINUTE):
        assert wait(desk.inquiries) == 0
        sent(desk, 40 - number, "throttled", f"ORD{number}")
    assert wait(desk.inquiries) == 20
    assert desk.inquiries.begin("order", "ORD123", None, most=MOST) is None


@given(ago=st.lists(st.integers(0, 200_000), max_size=6), most=st.integers(1, MOST))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_day_has_more_than_allowed_and_no_wait_is_for_nothing(desk: Desk, ago: list[int], most: int) -> None:
    """After the wait the next one may be sent: the budget then has room, and the gap is over."""
    desk.sql("DELETE FROM work_inquiries")
    for seconds_ago in ago:
        sent(desk, seconds_ago)
    seconds = desk.inquiries.wait_seconds("order", "ORD123", None, most=most)
    at_that_time = [each + seconds for each in ago]
    assert len([each for each in at_that_time if each < 86_399]) < most
    assert all(each >= GAP_SECONDS - 1 for each in at_that_time)
    if seconds > 0:
        assert len([each for each in ago if each < 86_401]) >= most or min(ago) <= GAP_SECONDS


def test_one_of_a_clock_that_was_ahead_holds_up_nothing(desk: Desk) -> None:
    sent(desk, -86_400 * 30)
    assert wait(desk.inquiries) == 0
    assert desk.inquiries.latest("order", "ORD123", None) is None


# --- answers are shared


def test_an_answer_is_kept_with_its_time_and_its_session(desk: Desk) -> None:
    number = desk.inquiries.begin("order", "ORD123", None, most=MOST)
    assert number is not None
    desk.inquiries.end(number, "answered", {"session_id": SESSION, "state": "paid"})
    (row,) = desk.store.rows("SELECT * FROM work_inquiries")
    assert (row["outcome"], row["session_id"]) == ("answered", SESSION)
    stored = Stored(row["sent_at"], {"session_id": SESSION, "state": "paid"})
    assert desk.inquiries.latest("order", "ORD123", None) == stored
    assert desk.inquiries.latest("session", SESSION, SESSION) == stored
    assert desk.inquiries.fresh("session", SESSION, SESSION) == stored
    assert desk.inquiries.latest("order", "ORD9", None) is None
    assert desk.inquiries.fresh("order", "ORD9", None) is None
    assert desk.store.session_of_order("ORD123") == SESSION


def test_what_was_not_answered_has_no_answer_and_keeps_its_session(desk: Desk) -> None:
    number = desk.inquiries.begin("session", SESSION, SESSION, most=MOST)
    assert number is not None
    desk.inquiries.end(number, "throttled")
    assert desk.inquiries.latest("session", SESSION, SESSION) is None
    assert desk.store.rows("SELECT session_id FROM work_inquiries") == [{"session_id": SESSION}]


def test_the_newest_answer_counts_and_none_of_yesterday(desk: Desk) -> None:
    sent(desk, 90_000)
    assert desk.inquiries.latest("order", "ORD123", None) is None
    for seconds_ago in (9000, 7000):
        sent(desk, seconds_ago)
    latest = desk.inquiries.latest("order", "ORD123", None)
    assert latest is not None
    assert 7000 <= seconds_between(latest.sent_at, desk.store.now()) < 7010


@pytest.mark.parametrize(("seconds_ago", "is_fresh"), [(1800, True), (1900, False)])
def test_an_answer_is_fresh_as_long_as_ottu_would_not_give_another(
    desk: Desk, seconds_ago: float, is_fresh: bool
) -> None:
    sent(desk, seconds_ago)
    assert (desk.inquiries.fresh("order", "ORD123", None) is not None) is is_fresh


def test_an_answer_is_stale_when_something_of_ours_was_sent_since(desk: Desk) -> None:
    """It was true before the refund."""
    approved = desk.approved()
    number = desk.inquiries.begin("order", "ORD123", None, most=MOST)
    assert number is not None
    desk.inquiries.end(number, "answered", {"session_id": SESSION})
    assert desk.inquiries.fresh("order", "ORD123", None) is not None
    desk.execution.claim(approved.id)
    assert desk.inquiries.fresh("order", "ORD123", None) is None
    assert desk.inquiries.fresh("session", SESSION, SESSION) is None
    assert desk.inquiries.latest("order", "ORD123", None) is not None  # still shown, with its time


def test_what_is_sent_to_another_transaction_does_not_matter(desk: Desk) -> None:
    sent(desk, 60, session_id=SESSION)
    desk.claimed(a_reading(session_id="b" * 40, order_no="ORD9"), reference="ORD9")
    assert desk.inquiries.fresh("order", "ORD123", SESSION) is not None


def asked_and_answered(desk: Desk) -> None:
    number = desk.inquiries.begin("session", SESSION, SESSION, most=MOST)
    assert number is not None
    desk.inquiries.end(number, "answered", {"session_id": SESSION, "order_no": "ORD123"})


def is_fresh(desk: Desk) -> bool:
    return desk.inquiries.fresh("session", SESSION, SESSION) is not None


DONE = Outcome(Ending.SUCCEEDED, "", 5_000, "REF1")


def test_what_had_ended_before_the_question_does_not_matter(desk: Desk) -> None:
    desk.execution.settle(desk.claimed().id, 1, DONE)
    asked_and_answered(desk)
    assert is_fresh(desk)


@pytest.mark.parametrize("ending", [Ending.UNKNOWN, Ending.QUEUED, Ending.SUCCEEDED])
def test_an_answer_to_what_was_asked_while_something_of_ours_was_under_way_is_stale(desk: Desk, ending: Ending) -> None:
    """It may show it or not, and does not say which."""
    request = desk.claimed()
    asked_and_answered(desk)
    assert not is_fresh(desk)
    desk.execution.settle(request.id, 1, Outcome(ending, "", 5_000))
    assert not is_fresh(desk)


def test_an_answer_is_stale_when_the_bank_has_decided_since(desk: Desk) -> None:
    request = desk.claimed()
    desk.execution.settle(request.id, 1, Outcome(Ending.QUEUED, "", 5_000, "REF1"))
    asked_and_answered(desk)
    desk.execution.hooks.receive(a_hook(reference_number="REF1"))
    assert desk.row(request).state is State.SUCCEEDED
    assert not is_fresh(desk)


def test_an_answer_is_stale_when_somebody_else_has_acted_since(desk: Desk) -> None:
    asked_and_answered(desk)
    desk.execution.hooks.receive(a_hook())
    assert not is_fresh(desk)


def test_an_answer_is_stale_by_the_order_of_the_record_whatever_the_clock_said(desk: Desk) -> None:
    """It was ten minutes ahead at the question."""
    asked_and_answered(desk)
    desk.sql("UPDATE work_inquiries SET sent_at = :ahead", ahead=later(desk.store.now(), minutes=10))
    assert not is_fresh(desk)  # nobody knows how old it is
    desk.execution.settle(desk.claimed().id, 1, DONE)
    desk.sql("UPDATE work_inquiries SET sent_at = :now", now=desk.store.now())  # ten minutes later
    assert not is_fresh(desk)


@pytest.mark.parametrize(
    ("outcomes", "unpaid"),
    [
        ([], False),
        ([("no_attempt", 60)], True),
        ([("answered", 60)], False),
        ([("no_attempt", 1900)], False),  # that was before the gap: it may have been paid since
        ([("no_attempt", 120), ("answered", 60)], False),
    ],
)
def test_that_nobody_had_tried_to_pay_is_remembered_for_the_gap(
    desk: Desk, outcomes: list[tuple[str, float]], unpaid: bool
) -> None:
    for outcome, seconds_ago in outcomes:
        sent(desk, seconds_ago, outcome)
    assert desk.inquiries.was_unpaid("ORD123") is unpaid


def test_a_reference_that_was_read_is_known(desk: Desk) -> None:
    """A webhook with it proves nothing of what is sent later."""
    desk.inquiries.note_reference("REF1")
    desk.inquiries.note_reference("REF1")
    known = desk.work.reference("REF1")
    assert known is not None
    assert (known.request_id, known.source) == (None, "read")
