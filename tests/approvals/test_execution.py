"""Settle: what an answer means by the first attempt and by a later one. No answer is not “no”."""

from __future__ import annotations

from dataclasses import replace

import pytest

from approvals.execution import backoff_seconds
from approvals.request import FINAL, Ending, Outcome, State
from approvals.store import later, seconds_between

from .answers import alarms, answer, sent_again
from .factories import Desk, a_reading, another, found, put_in

# What an answer means, from the design: by the first attempt, and by a later one with the same key.
MEANS: dict[Ending, tuple[State, State]] = {
    Ending.NOT_SENT: (State.APPROVED, State.UNKNOWN),
    Ending.NOT_EXECUTED: (State.APPROVED, State.UNKNOWN),
    Ending.SUCCEEDED: (State.SUCCEEDED, State.SUCCEEDED),
    Ending.QUEUED: (State.QUEUED, State.QUEUED),
    Ending.FAILED: (State.FAILED, State.UNKNOWN),
    Ending.REFUSED: (State.FAILED, State.UNKNOWN),
    Ending.UNAUTHORIZED: (State.FAILED, State.UNKNOWN),
    Ending.DISAGREES: (State.UNKNOWN, State.UNKNOWN),
    Ending.UNKNOWN: (State.UNKNOWN, State.UNKNOWN),
}


# --- what an answer means


@pytest.mark.parametrize("ending", Ending)
def test_what_an_answer_to_the_only_attempt_means(desk: Desk, ending: Ending) -> None:
    claimed = desk.claimed()
    outcome = answer(ending, retry_after_seconds=7.5 if ending is Ending.NOT_EXECUTED else None)
    settled = desk.execution.settle(claimed.id, 1, outcome)
    to = MEANS[ending][0]
    done = to in {State.SUCCEEDED, State.QUEUED}
    assert settled == desk.row(claimed)
    assert settled == replace(
        claimed,
        state=to,
        state_at=settled.state_at,
        version=claimed.version + 1,
        detail=outcome.detail,
        answered_minor=5_000 if done else None,
        reference_number="REF1" if done else None,
        doubtful_attempt=1 if to is State.UNKNOWN else None,
        misses=1 if ending is Ending.NOT_SENT else 0,
    )
    event = next(event for event in desk.store.events(claimed.id) if event.version == settled.version)
    assert (event.kind, event.facts["ending"], event.facts["attempt"]) == (to.value, ending.value, 1)
    waits = {Ending.NOT_SENT: 2.0, Ending.NOT_EXECUTED: 7.5}
    assert event.facts.get("again_in_seconds") == waits.get(ending)
    assert desk.work.attempts_under_way() == []
    assert bool(alarms(desk)) is (ending in {Ending.DISAGREES, Ending.UNAUTHORIZED})


@pytest.mark.parametrize("ending", Ending)
def test_what_an_answer_to_a_later_send_means(desk: Desk, ending: Ending) -> None:
    """A "no" to the second may be the answer to the first one's success."""
    again = sent_again(desk)
    settled = desk.execution.settle(again.id, 2, answer(ending))
    to = MEANS[ending][1]
    assert (settled.state, settled.version, settled.doubtful_attempt) == (to, again.version + 1, 1)
    assert settled.tracking_key == again.tracking_key
    assert bool(alarms(desk)) is (ending in {Ending.DISAGREES, Ending.UNAUTHORIZED})


@pytest.mark.parametrize("ending", Ending)
def test_what_was_proven_not_sent_does_not_count_as_another_attempt(desk: Desk, ending: Ending) -> None:
    """ "First" is: no other attempt can have reached Ottu."""
    claimed = desk.claimed()
    desk.execution.settle(claimed.id, 1, answer(Ending.NOT_SENT))
    desk.execution.claim(claimed.id)
    assert desk.execution.settle(claimed.id, 2, answer(ending)).state is MEANS[ending][0]


@pytest.mark.parametrize("ending", Ending)
def test_a_late_answer_to_the_only_attempt_is_still_proof(desk: Desk, ending: Ending) -> None:
    """Given up, because its process did not come back; then it does. Never again `approved`: it may be sent."""
    claimed = desk.claimed()
    unknown = found(desk.execution.give_up(claimed.id, 1, "its process does not answer", ended=False))
    settled = desk.execution.settle(claimed.id, 1, answer(ending))
    to = MEANS[ending][0]
    assert settled.state is (State.UNKNOWN if to is State.APPROVED else to)
    if settled.state is State.UNKNOWN:
        assert settled == unknown
        assert desk.last_event().kind == "late_answer"
        assert desk.last_event().facts["ending"] == ending.value


@pytest.mark.parametrize("ending", Ending)
def test_an_answer_to_the_first_send_while_the_second_is_under_way(desk: Desk, ending: Ending) -> None:
    """Only success is proof; anything else leaves the row to the attempt under way."""
    again = sent_again(desk)
    settled = desk.execution.settle(again.id, 1, answer(ending))
    if ending in {Ending.SUCCEEDED, Ending.QUEUED}:
        assert settled.state is MEANS[ending][0]
        return
    assert settled == again
    assert desk.kinds()[-1] == "late_answer"
    assert desk.last_event().facts["attempt"] == 1
    assert [attempt.attempt for attempt in desk.work.attempts_under_way()] == [2]


@pytest.mark.parametrize("ending", Ending)
def test_an_answer_to_the_first_send_after_the_second_is_unknown_too(desk: Desk, ending: Ending) -> None:
    again = sent_again(desk)
    unknown = desk.execution.settle(again.id, 2, answer(Ending.UNKNOWN))
    settled = desk.execution.settle(again.id, 1, answer(ending))
    proof = ending in {Ending.SUCCEEDED, Ending.QUEUED}
    assert settled.state is (MEANS[ending][0] if proof else State.UNKNOWN)
    assert proof or settled == unknown


@pytest.mark.parametrize("state", sorted(FINAL | {State.QUEUED} - {State.REFUSED}))
@pytest.mark.parametrize("ending", [Ending.SUCCEEDED, Ending.QUEUED, Ending.REFUSED, Ending.UNKNOWN, Ending.NOT_SENT])
def test_an_answer_never_moves_what_is_over(desk: Desk, state: State, ending: Ending) -> None:
    """A contradiction changes nothing, and people are told."""
    request = put_in(desk.store, state)
    assert desk.execution.settle(request.id, request.attempt, answer(ending)) == request == desk.row(request)
    assert desk.kinds()[-1] == "late_answer"
    says_done = ending in {Ending.SUCCEEDED, Ending.QUEUED}
    says_not_done = ending is Ending.REFUSED
    if state is State.QUEUED:
        assert alarms(desk) == []
    elif state is State.SUCCEEDED:
        not_done = "A late answer says that R-0001 was not done, which is succeeded."
        assert alarms(desk) == ([not_done] if says_not_done else [])
    else:
        done = f"A late answer says that R-0001 was done, which is {state}."
        assert alarms(desk) == ([done] if says_done else [])


def test_the_no_to_one_of_two_sends_does_not_contradict_a_success(desk: Desk) -> None:
    again = sent_again(desk)
    desk.execution.settle(again.id, 2, answer(Ending.SUCCEEDED))
    desk.execution.settle(again.id, 1, answer(Ending.REFUSED))
    assert alarms(desk) == []


def test_an_alarm_is_in_the_record_and_told(desk: Desk) -> None:
    claimed = desk.claimed()
    desk.execution.settle(claimed.id, 1, answer(Ending.DISAGREES, answered_minor=50_000))
    event = desk.last_event()
    assert (event.kind, event.actor, event.request_id) == ("alarm", "bot", claimed.id)
    assert event.facts == {
        "why": f"Ottu's answer to {claimed.id} disagrees.",
        "ending": "disagrees",
        "detail": "Ottu: disagrees",
        "answered_minor": 50_000,
        "reference_number": "REF1",
    }
    assert desk.job(f"alarm:{event.seq}").payload == {"seq": event.seq}


def test_what_could_not_be_sent_five_times_has_failed(desk: Desk) -> None:
    """Each time a later one, at most so often; what was throttled between does not count."""
    claimed = desk.claimed()
    waits = []
    for attempt in range(1, 6):
        if attempt == 3:
            desk.execution.settle(claimed.id, attempt, answer(Ending.NOT_EXECUTED, retry_after_seconds=0.0))
            desk.execution.claim(claimed.id)
        settled = desk.execution.settle(claimed.id, attempt + (attempt > 2), answer(Ending.NOT_SENT))
        assert settled.misses == attempt
        if attempt < 5:
            assert settled.state is State.APPROVED
            waits.append(desk.last_event().facts["again_in_seconds"])
            desk.execution.claim(claimed.id)
    assert waits == [2, 4, 8, 16]
    assert settled.state is State.FAILED
    assert (settled.detail or "").startswith("could not reach Ottu 5 times; nothing was sent (")


def test_the_wait_grows_to_a_minute_or_is_what_ottu_asks() -> None:
    none, said = Outcome(Ending.NOT_SENT), Outcome(Ending.NOT_EXECUTED, retry_after_seconds=0.5)
    assert [backoff_seconds(misses, none) for misses in range(7)] == [2, 4, 8, 16, 32, 60, 60]
    assert backoff_seconds(5, said) == 0.5


def test_a_settled_reference_is_known_as_the_requests_own(desk: Desk) -> None:
    claimed = desk.claimed()
    desk.execution.settle(claimed.id, 1, answer(Ending.SUCCEEDED))
    known = desk.work.reference("REF1")
    assert known is not None
    assert (known.request_id, known.source) == (claimed.id, "answer")


def test_an_answer_without_a_sentence_leaves_none(desk: Desk) -> None:
    claimed = desk.claimed()
    assert desk.execution.settle(claimed.id, 1, Outcome(Ending.SUCCEEDED)).detail is None
    assert desk.work.reference("REF1") is None


def test_an_attempt_of_nothing_is_a_mistake_of_ours(desk: Desk) -> None:
    with pytest.raises(LookupError):
        desk.execution.settle("R-0404", 1, answer(Ending.SUCCEEDED))


# --- what follows


def test_an_unknown_one_is_looked_at_after_the_window_and_a_queued_one_now_and_then(desk: Desk) -> None:
    timing = desk.policy.timing
    first = desk.claimed()
    unknown = desk.execution.settle(first.id, 1, answer(Ending.UNKNOWN))
    close = desk.job(f"close:{first.id}")
    assert seconds_between(unknown.state_at, close.due_at) == timing.settle_seconds
    second = desk.claimed(a_reading(session_id="b" * 40, order_no="ORD9"), reference="ORD9")
    queued = desk.execution.settle(second.id, 1, answer(Ending.QUEUED))
    assert seconds_between(queued.state_at, desk.job(f"queued:{second.id}").due_at) == timing.inquiry_gap_seconds
    assert desk.job(f"overdue:{second.id}").due_at == later(queued.state_at, days=timing.queued_days)


def test_what_goes_back_to_approved_keeps_its_time_to_start(desk: Desk) -> None:
    claimed = desk.claimed()
    due_at = desk.job(f"lapse:{claimed.id}").due_at
    settled = desk.execution.settle(claimed.id, 1, answer(Ending.NOT_SENT))
    assert settled.quorum_at == claimed.quorum_at
    assert desk.job(f"lapse:{claimed.id}").due_at == due_at


def test_who_is_gone_leaves_an_unknown_outcome(desk: Desk) -> None:
    claimed = desk.claimed()
    assert desk.execution.give_up(claimed.id, 2, "another attempt") is None
    assert desk.execution.give_up("R-0404", 1, "no such request") is None
    unknown = found(desk.execution.give_up(claimed.id, 1, "its process ended"))
    assert unknown == replace(
        claimed,
        state=State.UNKNOWN,
        state_at=unknown.state_at,
        version=claimed.version + 1,
        detail="its process ended",
        doubtful_attempt=1,
    )
    assert desk.work.attempts_under_way() == []
    assert desk.execution.give_up(claimed.id, 1, "its process ended") is None


def test_who_only_does_not_answer_is_still_under_way(desk: Desk) -> None:
    """It may be frozen with the request half sent: nobody calls it failed before it is gone."""
    claimed = desk.claimed()
    assert found(desk.execution.give_up(claimed.id, 1, "it does not answer", ended=False)).state is State.UNKNOWN
    assert [attempt.attempt for attempt in desk.work.attempts_under_way()] == [1]


def test_what_was_not_sent_is_tried_again_also_where_another_process_took_the_job_meanwhile(desk: Desk) -> None:
    """It saw that the request was being sent, and so had nothing to do; the time to wait counts from the answer."""
    claimed = desk.claimed()
    (job,) = desk.work.take(["execute"], 1)
    with another(desk) as other:
        other.work.give_back(desk.work.owner, taken_before=other.store.now())
        (taken,) = other.work.take(["execute"], 1)
        other.work.finish(taken)
    desk.execution.settle(claimed.id, 1, answer(Ending.NOT_EXECUTED, retry_after_seconds=7.5))
    desk.work.put_back(job, seconds=7.5)
    again = desk.work.find(f"execute:{claimed.id}")
    assert again is not None
    assert again.key in desk.jobs()
    assert 7 < seconds_between(desk.store.now(), again.due_at) <= 7.5
