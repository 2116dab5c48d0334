"""Claim: the intent is on disk before anything is sent, once, with one key for ever."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace

import pytest

from approvals.request import Ending, Request, State

from .answers import answer
from .factories import BOB, CEM, Desk, a_reading, another, found, put_in

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
