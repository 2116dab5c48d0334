"""What the database itself refuses: an approval by the requester, by one person twice, of something else; false events.

Raw SQL stands for a mistake in Python. Each statement is right in everything but the one thing under test.
"""

from __future__ import annotations

import pytest

from approvals.audit import GENESIS
from approvals.request import MOVES, Operation, State

from .factories import (
    ALICE,
    BOB,
    CEM,
    FAR_OFF,
    LONG_AGO,
    Desk,
    database_refuses,
    put_in,
    terms_of,
)
from .raw import insert, pending, update, yes


def test_nobody_approves_their_own_request(desk: Desk) -> None:
    with database_refuses("nobody approves their own request"):
        yes(desk, pending(desk), ALICE)


def test_an_approval_does_not_become_somebody_elses(desk: Desk) -> None:
    """Else one who may not approve could, by an UPDATE."""
    request = pending(desk, 2)
    yes(desk, request, BOB)
    for name, value in (
        ("person", ALICE),
        ("person", CEM),
        ("digest", "another"),
        ("given_at", LONG_AGO),
        ("id", 7),
        ("request_id", "R-0009"),
    ):
        with database_refuses("an approval can only be taken back"):
            desk.sql(f"UPDATE approvals SET {name} = :value", value=value)  # noqa: S608 - our own names
        with database_refuses("an approval can only be taken back"):
            text = f"UPDATE approvals SET {name} = :value, taken_back_at = :now"  # noqa: S608 - our own names
            desk.sql(text, value=value, now=LONG_AGO)


def test_one_person_counts_once(desk: Desk) -> None:
    request = pending(desk, 2)
    yes(desk, request, BOB)
    with database_refuses("UNIQUE.*person"):
        yes(desk, request, BOB)
    with database_refuses("not enough approvals"):
        update(desk, request, state="approved")


def test_an_approval_that_was_taken_back_can_be_given_again_and_stays_in_the_record(desk: Desk) -> None:
    request = pending(desk, 2)
    yes(desk, request, BOB)
    desk.sql("UPDATE approvals SET taken_back_at = :now", now=desk.store.now())
    with database_refuses("an approval can only be taken back"):
        desk.sql("UPDATE approvals SET taken_back_at = NULL")
    with database_refuses("an approval can only be taken back"):
        desk.sql("UPDATE approvals SET taken_back_at = :now", now=FAR_OFF)
    yes(desk, request, BOB)
    with database_refuses("an approval is never deleted"):
        desk.sql("DELETE FROM approvals")
    assert [approval.person for approval in desk.store.approvals(request.id)] == [BOB]
    assert len(desk.words()["approvals"]) == 2


def test_an_approval_is_not_replaced_by_another_persons(desk: Desk) -> None:
    request = pending(desk, 2)
    yes(desk, request, BOB)
    (row,) = desk.words()["approvals"]
    with database_refuses("an approval is never deleted"):
        insert(desk, "approvals", row | {"person": CEM}, how="REPLACE")


@pytest.mark.parametrize(("needed", "people"), [(1, []), (2, [BOB]), (3, [BOB, CEM])])
def test_a_quorum_is_reached_by_so_many_people(desk: Desk, needed: int, people: list[str]) -> None:
    request = pending(desk, needed)
    for person in people:
        yes(desk, request, person)
    with database_refuses("not enough approvals"):
        update(desk, request, state="approved")
    yes(desk, request, "U05LAST")
    update(desk, request, state="approved")
    update(desk, request, state="executing", tracking_key="key-1", attempt=1)
    assert desk.row(request).state is State.EXECUTING


def test_what_was_taken_back_does_not_count(desk: Desk) -> None:
    request = pending(desk, 2)
    for person in (BOB, CEM):
        yes(desk, request, person)
    desk.sql("UPDATE approvals SET taken_back_at = :now WHERE person = :who", now=desk.store.now(), who=CEM)
    with database_refuses("not enough approvals"):
        update(desk, request, state="approved")


def test_checking_does_not_go_round_the_quorum(desk: Desk) -> None:
    request = put_in(desk.store, State.CHECKING, operation=Operation.REFUND)
    with database_refuses("not enough approvals"):
        update(desk, request, **terms_of(request), state="approved")


def test_an_approval_is_for_what_was_seen(desk: Desk) -> None:
    request = pending(desk)
    with database_refuses("an approval is given while pending, to what was seen"):
        yes(desk, request, CEM, digest="0" * 32)


def test_an_approval_is_not_born_taken_back(desk: Desk) -> None:
    with database_refuses("an approval is given while pending"):
        yes(desk, pending(desk), CEM, taken_back_at=LONG_AGO)


@pytest.mark.parametrize("state", sorted(set(State) - {State.PENDING}))
def test_an_approval_is_given_and_taken_back_while_pending_only(desk: Desk, state: State) -> None:
    request = put_in(desk.store, State.PENDING)
    with database_refuses("an approval is given while pending"):
        yes(desk, put_in(desk.store, state, 2), CEM)
    if state not in MOVES[State.PENDING]:
        return
    yes(desk, request, CEM)
    update(desk, request, state=state.value)
    with database_refuses("an approval can only be taken back, while pending"):
        desk.sql("UPDATE approvals SET taken_back_at = :now", now=desk.store.now())


def test_an_approval_is_of_a_request_that_is_there(desk: Desk) -> None:
    with database_refuses("an approval is given while pending"):
        insert(desk, "approvals", {"request_id": "R-0404", "person": CEM, "digest": "", "given_at": LONG_AGO})


# --- events


def event_row(desk: Desk, **changes: object) -> dict[str, object]:
    seq, head = desk.store.head()
    row: dict[str, object] = {"seq": seq + 1, "at": LONG_AGO, "kind": "made_up", "actor": BOB, "data": "{}"}
    return row | {"key_id": "", "prev": head, "hash": "f" * 64} | changes


def test_an_event_is_never_changed_or_removed(desk: Desk) -> None:
    put_in(desk.store, State.PENDING)
    for name in ("seq", "at", "request_id", "kind", "actor", "from_state", "to_state", "version", "data", "hash"):
        with database_refuses("an event never changes"):
            desk.sql(f"UPDATE events SET {name} = {name}")  # noqa: S608 - our own names
    with database_refuses("an event is never deleted"):
        desk.sql("DELETE FROM events WHERE seq = 2")


@pytest.mark.parametrize(
    "changes", [{"seq": 4}, {"seq": 1}, {"seq": 2}, {"prev": GENESIS}, {"prev": "e" * 64}], ids=str
)
def test_an_event_follows_the_last_one(desk: Desk, changes: dict[str, object]) -> None:
    put_in(desk.store, State.PENDING)
    with database_refuses("an event follows the last one"):
        insert(desk, "events", event_row(desk, **changes))
    insert(desk, "events", event_row(desk))


def test_the_first_event_follows_nothing(desk: Desk) -> None:
    with database_refuses("an event follows the last one"):
        insert(desk, "events", event_row(desk, prev="e" * 64))
    assert desk.store.head() == (0, GENESIS)


@pytest.mark.parametrize(
    ("changes", "sentence"), [({"data": "{"}, "CHECK"), ({"hash": "f"}, "CHECK"), ({"request_id": "R-0404"}, "FOREIGN")]
)
def test_an_event_is_whole(desk: Desk, changes: dict[str, object], sentence: str) -> None:
    with database_refuses(sentence):
        insert(desk, "events", event_row(desk, **changes))


def test_an_event_is_not_pushed_out_by_one_with_its_hash(desk: Desk) -> None:
    put_in(desk.store, State.PENDING)
    row = event_row(desk, hash=next(desk.store.events()).hash)
    with database_refuses("an event is never deleted"):
        insert(desk, "events", row, how="INSERT OR REPLACE")
