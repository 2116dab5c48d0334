"""The chain of events: what an audit finds when something was altered, cut out, added or made up.

The tests tamper as somebody with the database file would: they remove the triggers first.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.audit import GENESIS, UNKEYED, Chain, ChainKey, Event, hashed
from approvals.request import Ending, Outcome, State
from approvals.store import Store
from approvals.verify import differences

from .factories import ALICE, BOB, CEM, KEY, MEMBERS, Desk, a_reading, open_desk, put_in, refused
from .raw import without_triggers


def tampering(desk: Desk, *statements: str) -> None:
    """Raw SQL without any trigger in the way, and without foreign keys."""
    desk.sql("PRAGMA foreign_keys = OFF")
    with without_triggers(desk.store.database.conn):
        for statement in statements:
            desk.sql(statement)


def found_by_audit(desk: Desk, key: ChainKey = KEY) -> list[str]:
    return list(differences(Store(desk.store.database, key)))


def found_in_chain(events: list[Event], key: ChainKey) -> list[str]:
    chain = Chain(key)
    return [*(difference for event in events for difference in chain.differences(event)), *chain.end()]


@pytest.fixture
def told(desk: Desk) -> Desk:
    """A desk with a life behind it: two approvals, one taken back, an execution, a refusal; 8 events."""
    request = desk.pending(asked_amount="16.000")  # 1 submitted, 2 pending
    request = desk.approve(request, BOB)  # 3
    desk.service.unapprove(request.id, BOB)  # 4
    desk.approve(request, BOB, CEM)  # 5, 6
    desk.execution.claim(request.id)  # 7
    desk.execution.settle(request.id, 1, Outcome(Ending.SUCCEEDED, "", 16_000, "REF1"))  # 8
    return desk


# --- all is well


def test_a_record_that_nobody_touched_has_no_differences(told: Desk) -> None:
    assert told.kinds() == [
        "submitted",
        "pending",
        "approval",
        "approval_taken_back",
        "approval",
        "approval",
        "executing",
        "succeeded",
    ]
    assert found_by_audit(told) == []


def test_an_empty_record_has_no_differences(desk: Desk) -> None:
    assert found_by_audit(desk) == []


@pytest.mark.parametrize("state", sorted(State))
def test_every_state_is_made_by_its_events(desk: Desk, state: State) -> None:
    put_in(desk.store, state)
    assert found_by_audit(desk) == []


def test_each_event_follows_the_one_before(told: Desk) -> None:
    """The hash is what the documentation says: over all fields of the event, the previous hash among them."""
    prev = GENESIS
    for number, event in enumerate(told.store.events(), start=1):
        assert (event.seq, event.prev, event.key_id) == (number, prev, KEY.id)
        fields = [event.seq, event.at, event.request_id, event.kind, event.actor, event.from_state, event.to_state]
        fields += [event.version, event.data, event.key_id, event.prev]
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
        assert event.hash == hmac.new(KEY.secret, text, hashlib.sha256).hexdigest()
        assert ChainKey().hash(hashed(event)) == hashlib.sha256(text).hexdigest()
        prev = event.hash
    assert told.store.head() == (number, prev)


def test_every_move_has_exactly_one_event_that_names_its_version(told: Desk) -> None:
    (request,) = told.store.select("1")
    events = list(told.store.events(request.id))
    assert [event.version for event in events] == list(range(1, request.version + 1))
    assert events[-1].to_state == request.state.value
    assert all(after.from_state == before.to_state for before, after in pairwise(events))


# --- something was done to it


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE events SET data = replace(data, '16000', '99000') WHERE seq = 2", "event 2: was altered"),
        ("UPDATE events SET actor = 'U09DAVE' WHERE seq = 6", "event 6: was altered"),
        ("UPDATE events SET at = '2020-01-01T00:00:00.000Z' WHERE seq = 1", "event 1: was altered"),
        ("UPDATE events SET kind = 'reading' WHERE seq = 4", "event 4: was altered"),
        ("UPDATE events SET version = 9 WHERE seq = 4", "event 4: was altered"),
        ("UPDATE events SET request_id = NULL WHERE seq = 7", "event 7: was altered"),
        ("UPDATE events SET to_state = 'failed' WHERE seq = 8", "event 8: was altered"),
        ("UPDATE events SET from_state = 'unknown' WHERE seq = 8", "event 8: was altered"),
        ("UPDATE events SET prev = hash WHERE seq = 5", "event 5: does not follow the one before"),
        ("UPDATE events SET key_id = 'another' WHERE seq = 5", "event 5: was written with another key (another)"),
        ("DELETE FROM events WHERE seq = 4", "event 5: does not follow the one before"),
        ("DELETE FROM events WHERE seq = 4", "event 5: stands where event 4 should"),
        ("DELETE FROM events WHERE seq = 1", "event 2: stands where event 1 should"),
        (
            "UPDATE requests SET amount_minor = 99000",
            "R-0001: the row differs from its events in amount_minor (99000; event 2 says 16000)",
        ),
        (
            "UPDATE requests SET detail = 'x', misses = 2",
            "R-0001: the row differs from its events in detail (x; event 8 says nothing), misses (2; event 1 says 0)",
        ),
        (
            "UPDATE requests SET reference_number = NULL",
            "R-0001: the row differs from its events in reference_number (nothing; event 8 says REF1)",
        ),
        ("DELETE FROM requests", "R-0001: has events and no row (event 8)"),
        (
            "UPDATE approvals SET person = 'U09DAVE' WHERE id = 3",
            "R-0001: row 3 of approvals differs from its events in person (U09DAVE; event 6 says U03CEM)",
        ),
        ("DELETE FROM approvals WHERE id = 1", "R-0001: row 1 of approvals is missing (event 4)"),
        (
            "UPDATE approvals SET taken_back_at = '2020-01-01T00:00:00.000Z' WHERE id = 3",
            "R-0001: row 3 of approvals differs from its events in"
            " taken_back_at (2020-01-01T00:00:00.000Z; event 6 says nothing)",
        ),
        ("UPDATE approvals SET id = 9 WHERE id = 3", "R-0001: row 9 of approvals was written by no event"),
    ],
)
def test_what_was_altered_or_cut_out_is_found(told: Desk, statement: str, finding: str) -> None:
    tampering(told, statement)
    assert finding in found_by_audit(told)


def test_the_end_that_was_cut_off_is_found_by_the_row(told: Desk) -> None:
    """Where the last events are cut, the rows say more than the events; and the head is told in the audit channel."""
    tampering(told, "DELETE FROM events WHERE seq = 8")
    (finding,) = found_by_audit(told)
    assert finding.startswith(
        "R-0001: the row differs from its events in answered_minor (16000; no event says nothing), "
    )
    assert "state (succeeded; event 7 says executing)" in finding


def test_a_row_without_events_is_found(told: Desk) -> None:
    columns = ", ".join(
        {"id": "'R-0666'", "origin": "'x'", "tracking_key": "NULL", "state": "'checking'"}.get(name, name)
        for name in told.store.select("1")[0].__dict__
    )
    tampering(told, f"INSERT INTO requests SELECT {columns} FROM requests")  # noqa: S608 - our own names
    assert found_by_audit(told) == ["R-0666: the row was written by no event"]


def test_an_approval_without_an_event_is_found(told: Desk) -> None:
    tampering(
        told,
        "INSERT INTO approvals (request_id, person, digest, given_at) VALUES ('R-0001', 'U09DAVE', '', '')",
    )
    assert found_by_audit(told) == ["R-0001: row 4 of approvals was written by no event"]


def test_an_approval_that_is_there_twice_is_found(told: Desk) -> None:
    """The one that was taken back, copied."""
    tampering(
        told,
        "INSERT INTO approvals (request_id, person, digest, given_at, taken_back_at)"
        " SELECT request_id, person, digest, given_at, taken_back_at FROM approvals WHERE id = 1",
    )
    assert found_by_audit(told) == ["R-0001: row 4 of approvals was written by no event"]


def test_events_that_make_no_sense_are_findings_and_no_crash(desk: Desk) -> None:
    """Somebody with the key (or a mistake of ours) wrote that an approval was taken back that nobody gave."""
    request = desk.pending()
    desk.store.record("approval_taken_back", BOB, request_id=request.id)
    desk.store.record("failed", BOB, request_id=request.id, version=3, data={"confirms": True})
    for version in (4, 5):
        nonsense = {"set": {"version": "four", "state": ["a", "list"]}}
        desk.store.record("failed", BOB, request_id=request.id, version=version, data=nonsense)
    desk.store.record("failed", BOB, data={"set": {}})
    found = found_by_audit(desk)
    assert found[0] == f"event 3: changes {request.id} without a version"
    assert f"event 4: confirms a word on {request.id} that nobody had given" in found
    assert f"event 6: says of {request.id} what makes no sense" in found
    assert "event 7: moves a request without naming it" in found


# --- keys


def test_with_a_key_nobody_who_has_only_the_database_can_write_an_event(told: Desk) -> None:
    """They can compute a hash without the key, but not one with it."""
    forger = Store(told.store.database, ChainKey())
    forger.record("made_up", CEM)
    assert found_by_audit(told) == ["event 9: was written without a key"]


def test_with_a_key_nobody_can_rewrite_the_whole_chain(told: Desk) -> None:
    """Rewritten without a key from the first event on, it is no chain of this key."""
    tampering(told)
    forged, prev = [], GENESIS
    for event in told.store.events():
        new = replace(event, key_id=KEY.id, prev=prev, actor=CEM if event.actor == BOB else event.actor)
        prev = ChainKey(b"guessed").hash(hashed(new))
        forged.append(replace(new, hash=prev))
    assert found_in_chain(forged, KEY) == [f"event {event.seq}: was altered" for event in forged]


def test_with_a_key_a_chain_that_was_written_anew_without_one_is_no_chain(told: Desk) -> None:
    """A hash without a key can be computed by whoever has the database, over the whole of it."""
    forged, prev = [], GENESIS
    for event in told.store.events():
        new = replace(event, key_id=UNKEYED, prev=prev)
        prev = ChainKey().hash(hashed(new))
        forged.append(replace(new, hash=prev))
    assert found_in_chain(forged, KEY) == ["events 1 to 8: were written without a key"]
    assert found_in_chain(forged, ChainKey()) == []


def test_after_a_keyed_event_none_may_be_unkeyed_whatever_is_said_of_the_beginning(told: Desk) -> None:
    """Neither a tail nor one in the middle; not even for whoever verifies without the key."""
    Store(told.store.database, ChainKey()).record("made_up", CEM)
    told.store.record("goes_on", CEM)
    assert list(differences(told.store, unkeyed_until=1_000)) == ["event 9: was written without a key"]
    assert "event 9: was written without a key" in found_by_audit(told, ChainKey())


def test_another_key_cannot_verify(told: Desk) -> None:
    other = ChainKey(b"another secret")
    assert found_by_audit(told, other) == [f"events 1 to 8: were written with another key ({KEY.id})"]
    assert found_by_audit(told, ChainKey())[0] == f"events 1 to 8: were written with another key ({KEY.id})"


def test_a_key_may_be_given_later(tmp_path: Path) -> None:
    """What was written before stays unkeyed; until when, only those know who gave the key."""
    desk = open_desk(tmp_path, key=ChainKey())
    desk.ask()
    assert {event.key_id for event in desk.store.events()} == {UNKEYED}
    desk.store.database.close()
    keyed = open_desk(tmp_path)
    keyed.store.record("first_with_the_key", "bot")
    assert list(differences(keyed.store, unkeyed_until=1)) == []
    assert found_by_audit(keyed) == ["event 1: was written without a key"]  # unless it is said how many there were
    keyed.store.database.close()


def test_a_key_is_told_by_its_id_and_shown_by_nothing() -> None:
    assert ChainKey().id == UNKEYED == ""
    assert len({ChainKey(secret).id for secret in (b"a", b"b", b"")}) == 3
    assert "secret" not in repr(ChainKey(b"secret"))
    assert repr(ChainKey(b"secret")) == f"ChainKey(id={ChainKey(b'secret').id!r})"


# --- refusals are part of it


def test_the_chain_goes_on_over_refused_attempts_and_several_requests(desk: Desk) -> None:
    first = desk.pending()
    second = desk.pending(a_reading(session_id="b" * 40, order_no="ORD9"), reference="ORD9", requester=BOB)
    with refused("self_approval") as info:
        desk.service.approve(first.id, ALICE, first.digest or "", MEMBERS)
    desk.service.refused_attempt(ALICE, "approve", info.value, first.id)
    desk.approve(second, CEM)
    assert desk.kinds() == ["submitted", "pending", "submitted", "pending", "refused_attempt", "approval"]
    assert desk.kinds(first) == ["submitted", "pending", "refused_attempt"]
    assert found_by_audit(desk) == []


def test_an_approval_that_was_taken_back_is_told_from_the_others(desk: Desk) -> None:
    """Of two requests, by two people, and not in the order in which they were given."""
    first = desk.approve(desk.pending(asked_amount="16.000"), BOB)
    read = a_reading(session_id="b" * 40, order_no="ORD9")
    desk.approve(desk.pending(read, reference="ORD9", asked_amount="17.000"), CEM)
    desk.service.unapprove(first.id, BOB)
    assert found_by_audit(desk) == []


# --- any chain, any change

TEXT = st.text(max_size=8)


def chain(actors: list[str]) -> list[Event]:
    events: list[Event] = []
    for seq, actor in enumerate(actors, start=1):
        prev = events[-1].hash if events else GENESIS
        event = Event(seq, "at", None, "kind", actor, None, None, None, "{}", KEY.id, prev, "")
        events.append(replace(event, hash=KEY.hash(hashed(event))))
    return events


@given(actors=st.lists(TEXT, min_size=2, max_size=6), data=st.data())
def test_any_change_before_the_end_of_any_chain_is_found(actors: list[str], data: st.DataObject) -> None:
    """Altered, removed, repeated or put elsewhere."""
    events = chain(actors)
    assert found_in_chain(events, KEY) == []
    place = data.draw(st.integers(0, len(events) - 2))
    how = data.draw(st.sampled_from(["alter", "remove", "repeat", "swap"]))
    if how == "alter":
        events[place] = replace(events[place], actor=events[place].actor + "x")
    elif how == "remove":
        del events[place]
    elif how == "repeat":
        events.insert(place, events[place])
    else:
        events[place], events[place + 1] = events[place + 1], events[place]
    assert found_in_chain(events, KEY)
