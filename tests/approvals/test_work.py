"""What waits to be done: a job's life from its key to its end, and the bookkeeping of cards, attempts and facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from approvals.store import later, seconds_between
from approvals.work import Attempt, Card, Job, KnownReference, Work

from .factories import FAR_OFF, LONG_AGO, SESSION, Desk, age_seconds, another


@pytest.fixture
def work(desk: Desk) -> Work:
    return desk.work


def taken(work: Work, *kinds: str) -> Job:
    """The one job that is due."""
    (job,) = work.take(kinds or ["a"], 10)
    return job


def keys(jobs: list[Job]) -> list[str]:
    return [job.key for job in jobs]


# --- jobs


def test_a_job_is_taken_as_it_was_put_there(work: Work) -> None:
    assert work.add("key", "a", {"request": "R-2345", "said": "‘ü’"})
    job = taken(work)
    assert job == Job(job.id, "key", "a", {"request": "R-2345", "said": "‘ü’"}, job.created_at, job.created_at, 1)
    assert work.find("key") == job
    assert work.find("other") is None


def test_a_payload_is_one_job_for_ever(work: Work) -> None:
    """Slack sends the same payload again: also when it has been done."""
    assert work.add("key", "a", {"number": 1})
    assert not work.add("key", "a", {"number": 2})
    job = taken(work)
    assert not work.add("key", "a", {"number": 3})
    work.finish(job)
    assert not work.add("key", "a", {"number": 4})
    assert work.take(["a"], 10) == []
    assert job.payload == {"number": 1}


def test_a_job_is_taken_once(work: Work, desk: Desk) -> None:
    work.add("key", "a", {})
    with another(desk) as other:
        assert keys(other.work.take(["a"], 10)) == ["key"]
        assert work.take(["a"], 10) == []
        assert other.work.take(["a"], 10) == []


def test_jobs_are_taken_when_they_are_due_the_longest_due_first(work: Work) -> None:
    now = work.store.now()
    for key, due_at in (("late", later(now, seconds=-1)), ("early", LONG_AGO), ("not yet", later(now, seconds=60))):
        work.add(key, "a", {}, due_at=due_at)
    work.add("another kind", "b", {}, due_at=LONG_AGO)
    work.add("of now", "a", {})
    assert keys(work.take(["a"], 2)) == ["early", "late"]
    assert keys(work.take(["a"], 2)) == ["of now"]
    assert work.take(["a"], 0) == []
    assert work.take(["a"], -1) == []
    assert work.take([], 2) == []
    assert keys(work.take(["a", "b"], 9)) == ["another kind"]


def test_jobs_of_the_same_time_are_taken_in_the_order_they_came(work: Work) -> None:
    for number in range(5):
        work.add(f"key {number}", "a", {}, due_at=LONG_AGO)
    assert keys(work.take(["a"], 9)) == [f"key {number}" for number in range(5)]


def test_a_job_that_is_put_back_is_due_later_and_counts_its_tries(work: Work) -> None:
    work.add("key", "a", {})
    work.put_back(taken(work), seconds=0)
    job = taken(work)
    assert job.tries == 2
    work.put_back(job, seconds=60)
    assert work.take(["a"], 10) == []
    due = work.find("key")
    assert due is not None
    assert 59 < seconds_between(work.store.now(), due.due_at) <= 60


def test_a_job_that_was_armed_meanwhile_is_not_put_off(work: Work) -> None:
    work.arm("key", "a", {})
    job = taken(work)
    work.arm("key", "a", {})
    work.put_back(job, seconds=60)
    assert taken(work).tries == 1


def test_a_job_that_was_given_to_another_process_is_no_longer_ones_own(desk: Desk) -> None:
    """A process that was frozen comes back, and says that it is done, or not yet."""
    desk.work.add("key", "a", {})
    job = taken(desk.work)
    with another(desk) as other:
        other.work.give_back("host:1:1", taken_before=other.store.now())
        assert taken(other.work).key == "key"
        desk.work.finish(job)
        desk.work.put_back(job, seconds=0)
        assert desk.work.owners() == ["host:2:2"]
        assert other.work.take(["a"], 10) == []
        assert other.work.counts() == {"a": 1}


def test_arming_makes_a_new_job_or_moves_its_time(work: Work) -> None:
    work.arm("key", "a", {"number": 1}, due_at=FAR_OFF)
    assert work.take(["a"], 10) == []
    work.arm("key", "a", {"number": 2})
    assert taken(work).payload == {"number": 1}


def test_ensuring_leaves_alone_what_waits_and_has_done_again_what_does_not(work: Work) -> None:
    """So a job that was put off because Slack said so is not brought forward by the next change."""
    work.ensure("key", "a", {"number": 1}, due_at=FAR_OFF)
    work.ensure("key", "a", {"number": 2})
    assert work.take(["a"], 10) == []
    work.arm("key", "a", {})
    job = taken(work)
    work.ensure("key", "a", {})  # under way: once more afterwards
    work.ensure("key", "a", {}, due_at=FAR_OFF)
    work.finish(job)
    again = taken(work)
    work.finish(again)
    assert work.take(["a"], 10) == []
    work.ensure("key", "a", {})  # done: once more
    assert taken(work).payload == {"number": 1}


def test_facts_are_found_by_how_their_names_begin(work: Work) -> None:
    """A sign of SQL's patterns in it is no pattern."""
    for name in ("home:U1", "home:U2", "homes", "home%", "other:U1"):
        work.set_fact(name, {"name": name})
    assert work.facts("home:") == {"U1": {"name": "home:U1"}, "U2": {"name": "home:U2"}}
    assert work.facts("home%") == {"": {"name": "home%"}}


def test_arming_what_is_done_has_it_done_again(work: Work) -> None:
    work.arm("key", "a", {})
    work.finish(taken(work))
    assert work.take(["a"], 10) == []
    work.arm("key", "a", {})
    assert taken(work).tries == 1  # its tries begin anew


def test_arming_what_is_being_done_has_it_done_once_more_afterwards(work: Work) -> None:
    """The card is being updated while the row moves: what was read before is old."""
    work.arm("key", "a", {})
    job = taken(work)
    work.arm("key", "a", {})
    work.arm("key", "a", {})
    assert work.take(["a"], 10) == []  # not by two at the same time
    work.finish(job)
    again = taken(work)
    work.finish(again)
    assert work.take(["a"], 10) == []


def test_a_timer_can_lose_its_reason(work: Work) -> None:
    work.arm("key", "a", {})
    work.cancel("key")
    assert work.take(["a"], 10) == []
    work.cancel("no such key")
    work.arm("key", "a", {})
    assert keys(work.take(["a"], 10)) == ["key"]


def test_the_next_job_of_each_kind_is_the_earliest_that_nobody_has_taken(work: Work) -> None:
    assert work.next_due() == {}
    work.add("far", "a", {}, due_at=FAR_OFF)
    work.add("now", "a", {}, due_at=LONG_AGO)
    work.add("another", "b", {}, due_at=FAR_OFF)
    assert work.next_due() == {"a": LONG_AGO, "b": FAR_OFF}
    work.finish(taken(work))
    assert work.next_due() == {"a": FAR_OFF, "b": FAR_OFF}


def test_what_waits_is_counted_by_kind(work: Work) -> None:
    for key, kind in (("1", "a"), ("2", "a"), ("3", "b")):
        work.add(key, kind, {})
    work.finish(taken(work, "b"))
    work.take(["a"], 1)
    assert work.counts() == {"a": 2}


def test_the_jobs_of_a_process_that_is_gone_are_due_again(desk: Desk) -> None:
    for key in ("a", "b", "not due"):
        desk.work.add(key, "a", {}, due_at=FAR_OFF if key == "not due" else None)
    with another(desk) as gone:
        first, second = gone.work.take(["a"], 2)
        desk.work.arm(first.key, "a", {})
        gone.work.finish(second)
        assert desk.work.owners() == ["host:2:2"]
        desk.work.give_back("host:2:2", taken_before=LONG_AGO)  # it has taken them since: it is alive
        assert desk.work.take(["a"], 10) == []
        desk.work.give_back("host:9:9", taken_before=FAR_OFF)  # somebody else
        assert desk.work.take(["a"], 10) == []
        desk.sql("UPDATE work_jobs SET taken_at = :far", far=FAR_OFF)  # by a clock that was ahead
        desk.work.give_back("host:2:2", taken_before=desk.store.now())
        assert desk.work.take(["a"], 10) == []
        desk.work.give_back("host:2:2", taken_before=None)
    again = desk.work.take(["a"], 10)
    assert again == [replace(first, tries=1, due_at=again[0].due_at)]
    desk.work.finish(again[0])
    assert desk.work.take(["a"], 10) == []
    assert desk.work.owners() == []


def test_giving_back_wakes_the_worker(work: Work) -> None:
    woken: list[str] = []
    work.on_change = lambda: woken.append("woken")
    work.add("key", "a", {})
    work.arm("key", "a", {})
    work.give_back("host:9:9", taken_before=FAR_OFF)
    assert len(woken) == 3


def test_what_a_clock_that_was_ahead_put_off_is_due_when_it_is_right_again(desk: Desk) -> None:
    """A click is no younger for it."""
    for key, kind in (("old", "a"), ("new", "a"), ("timer", "b"), ("honest", "a")):
        desk.work.add(key, kind, {}, due_at=FAR_OFF)
    then = age_seconds(desk, seconds=300)
    desk.sql("UPDATE work_jobs SET created_at = :far WHERE key IN ('new', 'timer')", far=FAR_OFF)
    desk.sql("UPDATE work_jobs SET created_at = :then, taken_at = :far WHERE key = 'old'", then=then, far=FAR_OFF)
    desk.work.pull_in(except_kinds=["b"])
    jobs = {job.key: job for job in desk.work.take(["a", "b"], 10)}
    assert jobs.keys() == {"old", "new"}
    assert jobs["old"].created_at == then
    assert jobs["new"].created_at <= desk.store.now()


def test_a_click_of_a_clock_that_was_ahead_grows_no_younger(desk: Desk) -> None:
    desk.work.add("key", "click", {}, due_at=FAR_OFF)
    desk.sql("UPDATE work_jobs SET created_at = :far", far=FAR_OFF)
    desk.work.pull_in(except_kinds=["b"])
    assert [job.created_at for job in desk.work.take(["click"], 1)] == [FAR_OFF]


def test_an_inquiry_of_a_clock_that_was_ahead_is_forgotten(desk: Desk) -> None:
    """Else it would pass for a new one when the time comes that it names."""
    assert desk.inquiries.begin("session", SESSION, SESSION, most=3) is not None
    desk.work.pull_in(except_kinds=["b"])
    assert len(desk.store.rows("SELECT 1 FROM work_inquiries")) == 1
    desk.sql("UPDATE work_inquiries SET sent_at = :far", far=FAR_OFF)
    desk.work.pull_in(except_kinds=["b"])
    assert desk.store.rows("SELECT 1 FROM work_inquiries") == []


def test_what_is_long_done_is_forgotten(desk: Desk) -> None:
    work = desk.work
    for key in ("long done", "done", "not done"):
        work.add(key, "a", {})
    for job in work.take(["a"], 2):
        work.finish(job)
    eight_days_ago = age_seconds(desk, days=8)
    desk.sql("UPDATE work_jobs SET done_at = :then WHERE key = 'long done'", then=eight_days_ago)
    desk.sql("UPDATE work_jobs SET created_at = :then", then=eight_days_ago)
    work.forget_done()
    assert work.find("long done") is None
    assert work.find("done") is not None
    assert work.find("not done") is not None


def test_a_job_is_committed_with_the_step_that_asks_for_it_or_not_at_all(desk: Desk) -> None:
    with another(desk) as other, desk.store.transaction():
        desk.work.add("key", "a", {})
        assert other.work.find("key") is None
    assert desk.work.find("key") is not None


# --- processes


def test_a_process_is_known_by_what_it_holds_sends_or_has_said(desk: Desk) -> None:
    """Else a database that was put back from a copy could not be told from one whose processes are alive."""
    with another(desk, "host:2:2") as second, another(desk, "host:3:3") as third:
        second.work.add("key", "a", {})
        second.work.take(["a"], 1)
        third.work.attempt_begins("R-2345", 1)
        desk.work.register("/srv/bot.db")
        desk.work.register("/srv/bot.db")
        third.work.register("/srv/copy.db")
        assert desk.work.processes_of("/srv/bot.db") == ["host:1:1"]
        assert desk.work.processes_of(desk.store.path) == []
        third.work.forget_process("host:3:3")
        assert desk.work.all_owners() == ["host:1:1", "host:2:2", "host:3:3"]
        third.work.attempt_ends("R-2345", 1)
        assert desk.work.all_owners() == ["host:1:1", "host:2:2"]
        desk.work.forget_process("host:1:1")
        assert desk.work.all_owners() == ["host:2:2"]


# --- cards


def test_a_cards_life(work: Work) -> None:
    assert work.card("R-2345") is None
    work.card_begins("R-2345", "C01GEN")
    begun = work.card("R-2345")
    assert begun is not None
    assert begun == Card("R-2345", "C01GEN", None, None, 0, begun.posting_at)
    assert begun.posting_at is not None
    work.card_not_posted("R-2345")
    assert work.card("R-2345") == replace(begun, posting_at=None)
    work.card_begins("R-2345", "C01GEN")
    work.card_shown("R-2345", ts="1.1", version=2)
    work.card_link("R-2345", "https://slack.example/p1")
    shown = Card("R-2345", "C01GEN", "1.1", "https://slack.example/p1", 2, None)
    assert work.card("R-2345") == shown
    work.card_outdated("R-2345")
    assert work.card("R-2345") == replace(shown, shown_version=0)


def test_a_card_that_is_gone_is_posted_anew_without_what_was_known_of_the_old_one(work: Work) -> None:
    work.card_begins("R-2345", "C01GEN")
    work.card_shown("R-2345", ts="1.1", version=2)
    work.card_link("R-2345", "https://slack.example/p1")
    work.card_begins("R-2345", "C01GEN")
    card = work.card("R-2345")
    assert card is not None
    assert (card.ts, card.permalink, card.posting_at is None) == (None, None, False)


# --- attempts, references, webhooks, facts


def test_an_attempt_is_under_way_until_its_end_is_written(work: Work) -> None:
    work.attempt_begins("R-2345", 1)
    work.attempt_ends("R-2345", 1)
    work.attempt_begins("R-2345", 2)
    (attempt,) = work.attempts_under_way()
    assert attempt == Attempt("R-2345", 2, "host:1:1", attempt.started_at, None)


def test_a_reference_belongs_to_whom_it_was_first_seen_with(work: Work) -> None:
    """A webhook proves nothing by a reference that was known before."""
    assert work.reference("REF1") is None
    work.note_reference("REF1", None, "read")
    first = work.reference("REF1")
    assert first is not None
    assert first == KnownReference("REF1", first.known_at, None, "read")
    work.note_reference("REF1", "R-2345", "answer")
    assert work.reference("REF1") == first
    assert not work.has_reference("R-2345")
    work.note_reference("REF2", "R-2345", "answer")
    assert work.has_reference("R-2345")


def test_webhooks_are_kept_in_order_until_they_are_dropped(work: Work) -> None:
    for hook in ("first", "second"):
        work.keep_hook("R-2345", SESSION, "ORD123", hook)
    kept = work.kept_hooks("R-2345")
    assert [hook for _, hook in kept] == ["first", "second"]
    work.drop_hook(kept[0][0])
    assert work.kept_hooks("R-2345") == kept[1:]
    assert work.kept_hooks("R-9999") == []


@pytest.mark.parametrize(
    ("request_id", "session_id", "order_no", "since", "acted"),
    [
        (None, SESSION, None, LONG_AGO, True),
        (None, None, "ORD123", LONG_AGO, True),
        (None, SESSION, "ORD123", FAR_OFF, False),  # before that time
        ("R-2345", SESSION, "ORD123", LONG_AGO, False),  # of a request of ours
        (None, "b" * 40, "ORD9", LONG_AGO, False),
        (None, None, None, LONG_AGO, False),
    ],
)
def test_others_have_acted_where_a_webhook_of_nobodys_request_tells_so(
    work: Work, request_id: str | None, session_id: str | None, order_no: str | None, since: str, acted: bool
) -> None:
    work.keep_hook(request_id, session_id, order_no, "hook")
    assert work.others_acted(SESSION, "ORD123", since) is acted


def test_a_fact_is_there_until_it_is_removed(work: Work) -> None:
    assert work.fact("paused") is None
    work.set_fact("paused", {"by": "U01ALICE"})
    work.set_fact("paused", {"by": "U02BOB"})
    assert work.fact("paused") == {"by": "U02BOB"}
    work.set_fact("paused", None)
    work.set_fact("paused", None)
    assert work.fact("paused") is None


def test_bookkeeping_may_vanish_without_changing_the_record(desk: Desk) -> None:
    desk.claimed()
    record = desk.store.select("1"), list(desk.store.events()), desk.words()
    tables = desk.store.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'work~_%' ESCAPE '~'")
    assert len(tables) >= 7
    for table in tables:
        desk.sql(f"DELETE FROM {table['name']}")  # noqa: S608 - our own names
    assert (desk.store.select("1"), list(desk.store.events()), desk.words()) == record
    assert desk.differences() == []
