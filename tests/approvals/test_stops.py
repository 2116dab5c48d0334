"""What stops executions: people, refused credentials, a database that was put back from a copy."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from approvals.request import FINAL, OPEN, Ending, Operation, State

from .answers import alarms, answer
from .factories import ALICE, BOB, CEM, Desk, a_reading, another, found, put_in, refused, session, terms_of

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
    under_way = put_in(desk.store, State.EXECUTING, 9)
    desk.execution.settle(under_way.id, 1, answer(Ending.UNAUTHORIZED))
    assert len(alarms(desk)) == 1  # told once
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
    assert desk.execution.why_restored() is None
    desk.execution.mark_restored("it was copied")
    assert desk.execution.stopped() == "paused by the bot"
    assert desk.execution.why_restored() == "it was copied"
    desk.execution.resume(CEM)
    assert desk.execution.why_restored() is None


def test_a_pause_that_somebody_made_stays_theirs(desk: Desk) -> None:
    desk.execution.pause(CEM, "the bank is closed")
    desk.execution.mark_restored("it was copied")
    assert desk.execution.stopped() == f"paused by @{CEM}"
    assert desk.execution.why_restored() == "it was copied"


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
