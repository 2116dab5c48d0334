"""Claim and settle: the intent is on disk before anything is sent, one key for ever, and no answer is not "no"."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from approvals.execution import backoff_seconds
from approvals.request import FINAL, OPEN, Ending, Operation, Outcome, Request, State
from approvals.store import later, seconds_between

from .factories import ALICE, BOB, CEM, Desk, a_reading, another, found, put_in, refused, session, terms_of

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


def answer(ending: Ending, **changes: Any) -> Outcome:
    """What was read of an answer: of the whole amount, with a reference where there would be one."""
    done = ending in {Ending.SUCCEEDED, Ending.QUEUED, Ending.DISAGREES}
    outcome = Outcome(ending, f"Ottu: {ending}", 5_000 if done else None, "REF1" if done else None)
    return replace(outcome, **changes)


def sent_again(desk: Desk) -> Request:
    """Under way for the second time, after a first that nobody can tell of."""
    first = desk.claimed()
    unknown = desk.execution.settle(first.id, 1, answer(Ending.UNKNOWN))
    return found(desk.execution.claim_again(first.id, unknown.version, CEM))


def alarms(desk: Desk) -> list[str]:
    return [event.facts["why"] for event in desk.store.events() if event.kind == "alarm"]


# --- the intent is committed first


def test_a_claim_is_on_disk_when_it_returns(desk: Desk) -> None:
    """Seen from a second connection, to which only what is committed shows: state, key, attempt, event, who does it."""
    approved = desk.approved()
    claimed = found(desk.execution.claim(approved.id))
    with another(desk) as other:
        row = other.row(approved)
        assert row == claimed
        assert row == replace(
            approved,
            state=State.EXECUTING,
            state_at=row.state_at,
            version=approved.version + 1,
            tracking_key=row.tracking_key,
            attempt=1,
        )
        assert row.tracking_key
        event = other.last_event()
        assert (event.kind, event.from_state, event.to_state) == ("executing", "approved", "executing")
        assert (event.facts["set"]["tracking_key"], event.facts["set"]["attempt"]) == (row.tracking_key, 1)
        (attempt,) = other.work.attempts_under_way()
        assert (attempt.request_id, attempt.attempt, attempt.owner) == (approved.id, 1, "host:1:1")


def test_no_database_transaction_is_open_after_a_claim(desk: Desk) -> None:
    """Nothing may be held while the network is waited for."""
    desk.claimed()
    assert not desk.store.database.conn.in_transaction
    with another(desk) as other:
        other.store.record("somebody else writes", BOB)


def test_a_claim_that_cannot_be_written_is_none(desk: Desk) -> None:
    approved = desk.approved()
    desk.sql("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
    with pytest.raises(sqlite3.IntegrityError, match="the disk is full"):
        desk.execution.claim(approved.id)
    assert desk.row(approved) == approved
    assert desk.work.attempts_under_way() == []


@pytest.mark.parametrize("state", sorted(set(State) - {State.APPROVED}))
def test_only_what_is_approved_is_claimed(desk: Desk, state: State) -> None:
    request = put_in(desk.store, state)
    assert desk.execution.claim(request.id) is None
    assert desk.row(request) == request
    assert desk.execution.claim("R-0404") is None


# --- once


def test_two_processes_claim_it_once(desk: Desk) -> None:
    approved = desk.approved()
    with another(desk) as other:
        assert other.execution.claim(approved.id) is not None
        assert desk.execution.claim(approved.id) is None
    assert desk.row(approved).attempt == 1


def test_two_processes_claim_it_once_at_the_same_moment(desk: Desk) -> None:
    """Each of many is claimed by exactly one of them, with its own key; none waits for ever."""
    requests = [put_in(desk.store, State.APPROVED, number) for number in range(1, 11)]
    start = threading.Barrier(2)
    claimed: dict[str, list[Request]] = {"host:2:2": [], "host:3:3": []}

    def claim_all(owner: str) -> None:
        with another(desk, owner) as other:
            start.wait(5)
            for request in requests:
                got = other.execution.claim(request.id)
                claimed[owner] += [got] if got else []

    threads = [threading.Thread(target=claim_all, args=(owner,)) for owner in claimed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(request.id for each in claimed.values() for request in each) == [request.id for request in requests]
    for owner, each in claimed.items():
        assert all((desk.row(request).tracking_key or "").startswith(f"key:{owner}") for request in each)
    assert desk.differences() == []


def test_the_key_is_the_same_in_every_attempt(desk: Desk) -> None:
    """After an attempt that was proven not sent, after one that was throttled, and after an unknown one."""
    claimed = desk.claimed()
    key = claimed.tracking_key
    for number, ending in enumerate([Ending.NOT_SENT, Ending.NOT_EXECUTED, Ending.NOT_SENT], start=1):
        assert claimed.tracking_key == key
        assert desk.execution.settle(claimed.id, number, answer(ending)).state is State.APPROVED
        claimed = found(desk.execution.claim(claimed.id))
    unknown = desk.execution.settle(claimed.id, 4, answer(Ending.UNKNOWN))
    again = found(desk.execution.claim_again(claimed.id, unknown.version, CEM))
    assert (again.attempt, again.tracking_key) == (5, key)


def test_two_requests_have_two_keys(desk: Desk) -> None:
    first = desk.claimed()
    second = desk.claimed(a_reading(session_id="b" * 40, order_no="ORD9"), reference="ORD9")
    assert first.tracking_key != second.tracking_key


def test_an_unknown_one_is_sent_again_only_as_it_was_seen(desk: Desk) -> None:
    first = desk.claimed()
    unknown = desk.execution.settle(first.id, 1, answer(Ending.UNKNOWN))
    assert desk.execution.claim_again(first.id, unknown.version - 1, CEM) is None
    assert desk.execution.claim_again("R-0404", 1, CEM) is None
    again = found(desk.execution.claim_again(first.id, unknown.version, CEM))
    assert again == replace(
        unknown, state=State.EXECUTING, state_at=again.state_at, version=unknown.version + 1, attempt=2
    )
    assert desk.last_event().actor == CEM
    assert desk.execution.claim_again(first.id, again.version, CEM) is None
    assert [attempt.attempt for attempt in desk.work.attempts_under_way()] == [2]


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
    assert bool(alarms(desk)) is (ending is Ending.DISAGREES)


@pytest.mark.parametrize("ending", Ending)
def test_what_an_answer_to_a_later_send_means(desk: Desk, ending: Ending) -> None:
    """A "no" to the second may be the answer to the first one's success."""
    again = sent_again(desk)
    settled = desk.execution.settle(again.id, 2, answer(ending))
    to = MEANS[ending][1]
    assert (settled.state, settled.version, settled.doubtful_attempt) == (to, again.version + 1, 1)
    assert settled.tracking_key == again.tracking_key
    assert bool(alarms(desk)) is (ending is Ending.DISAGREES)


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
    assert settled.detail == "could not reach Ottu 5 times; nothing was sent"


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


# --- stops


def test_a_pause_stops_the_executions_of_every_process_and_nothing_else(desk: Desk) -> None:
    approved = desk.approved()
    unknown = put_in(desk.store, State.UNKNOWN, 8)
    desk.execution.pause(CEM, "the bank is closed")
    with another(desk) as other:
        assert other.execution.is_paused()
        assert other.execution.stopped() == f"paused by @{CEM}"
        assert other.execution.claim(approved.id) is None
        assert other.execution.claim_again(unknown.id, unknown.version, CEM) is None
        with refused("paused"):
            other.execution.pause(BOB, "")
        asked = other.ask(reference="ORD9", requester=BOB)
        assert other.check(asked, a_reading(session_id="b" * 40, order_no="ORD9")).state is State.PENDING
        other.execution.resume(BOB)
        with refused("not_paused"):
            other.execution.resume(BOB)
    assert desk.execution.stopped() is None
    assert not desk.execution.is_paused()
    assert found(desk.execution.claim(approved.id)).state is State.EXECUTING
    told = [(event.kind, event.actor, event.facts) for event in desk.store.events() if event.request_id is None]
    assert told == [("paused", CEM, {"reason": "the bank is closed"}), ("resumed", BOB, {})]


def test_refused_credentials_stop_executions_until_they_are_accepted(desk: Desk) -> None:
    claimed = desk.claimed()
    waiting = put_in(desk.store, State.APPROVED, 8)
    assert desk.execution.settle(claimed.id, 1, answer(Ending.UNAUTHORIZED)).state is State.FAILED
    assert desk.execution.stopped() == "Ottu refused the credentials"
    assert desk.execution.claim(waiting.id) is None
    assert "probe" in desk.jobs()
    desk.execution.accept_credentials()
    assert desk.execution.stopped() is None
    assert desk.last_event().kind == "credentials_accepted"
    desk.execution.accept_credentials()
    assert desk.kinds().count("credentials_accepted") == 1
    assert desk.execution.claim(waiting.id) is not None


# --- a database that was put back from a copy


def test_what_is_open_in_a_restored_database_is_unknown_and_never_sent_again(desk: Desk) -> None:
    """What the copy takes for unsent may have been sent long ago."""
    before = [put_in(desk.store, state, number) for number, state in enumerate(State, start=1)]
    assert desk.execution.mark_restored("it was copied") == len(OPEN)
    for request in before:
        row = desk.row(request)
        if request.state in FINAL:
            assert row == request
            continue
        assert row == replace(
            request,
            state=State.UNKNOWN,
            state_at=row.state_at,
            version=request.version + 1,
            restored=1,
            detail="the database was put back from a copy",
        )
        assert desk.execution.claim(row.id) is None
        desk.execution.resume(BOB)
        assert desk.execution.claim_again(row.id, row.version, CEM) is None
        desk.execution.pause(BOB, "")
        assert f"close:{row.id}" not in desk.jobs()
    assert alarms(desk) == ["This database was put back from a copy: it was copied. Executions are paused."]
    assert desk.differences() == []


def test_a_restored_database_is_paused_by_the_bot(desk: Desk) -> None:
    desk.execution.mark_restored("it was copied")
    assert desk.execution.stopped() == "paused by the bot"


def test_a_pause_that_somebody_made_stays_theirs(desk: Desk) -> None:
    desk.execution.pause(CEM, "the bank is closed")
    desk.execution.mark_restored("it was copied")
    assert desk.execution.stopped() == f"paused by @{CEM}"


@pytest.mark.parametrize(("ending", "state"), [(Ending.SUCCEEDED, State.SUCCEEDED), (Ending.QUEUED, State.UNKNOWN)])
def test_an_answer_to_what_was_restored_is_proof_or_is_kept_for_people(
    desk: Desk, ending: Ending, state: State
) -> None:
    claimed = desk.claimed()
    desk.execution.mark_restored("it was copied")
    assert desk.execution.settle(claimed.id, 1, answer(ending)).state is state
    assert ("late_answer" in desk.kinds(claimed)) is (state is State.UNKNOWN)


# --- several transactions at once


def test_executions_of_several_transactions_do_not_touch_each_other(desk: Desk) -> None:
    requests = []
    for number in (1, 2, 3):
        request = put_in(desk.store, State.CHECKING, number, operation=Operation.REFUND, asked_amount="5.000")
        pending = desk.store.move(
            request, State.PENDING, actor="bot", changes=terms_of(request, session_id=session(number))
        )
        requests.append(found(desk.execution.claim(desk.approve(pending, CEM).id)))
    endings = [Ending.SUCCEEDED, Ending.FAILED, Ending.UNKNOWN]
    for request, ending in zip(requests, endings, strict=True):
        desk.execution.settle(request.id, 1, answer(ending, reference_number=None))
    assert [desk.row(request).state for request in requests] == [State.SUCCEEDED, State.FAILED, State.UNKNOWN]
    assert all(a.tracking_key != b.tracking_key for a, b in combinations(requests, 2))
    assert {request.requester for request in requests} == {ALICE}
