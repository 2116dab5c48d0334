"""What the record must not say, though its chain holds: written by a mistake of ours, or by somebody with the key.

Each test writes through the store itself, with the database's triggers removed, so that hashes and rows agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from approvals.request import SEEN, Ending, Outcome, Request, State, as_row, digest
from approvals.store import Store

from .factories import (
    ALICE,
    BOB,
    CEM,
    LINKS,
    MEMBERS,
    Desk,
    a_submission,
    put_in,
    terms_of,
)
from .unknowns import an_unknown


@pytest.fixture
def forger(desk: Desk) -> Desk:
    """A desk whose database refuses nothing."""
    for row in desk.store.rows("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        desk.sql(f"DROP TRIGGER {row['name']}")
    desk.sql("PRAGMA ignore_check_constraints = ON")
    return desk


def judged(forger: Desk) -> list[str]:
    """What is said of the record; that the triggers are gone is another finding."""
    return [line for line in forger.differences() if not line.startswith("the database")]


def sent(desk: Desk) -> Request:
    return desk.claimed()


def pending(desk: Desk) -> Request:
    return desk.pending()


def queued(desk: Desk) -> Request:
    claimed = desk.claimed()
    return desk.execution.settle(claimed.id, claimed.attempt, Outcome(Ending.QUEUED, "", 5_000, "REF-Q"))


def over(desk: Desk) -> Request:
    return desk.service.reject(desk.pending().id, CEM, "no", MEMBERS)


def moved(to: State, *, actor: str = "bot", **more: Any) -> Callable[[Store, Request], object]:
    """A move by the store's own hand, which asks nobody whether it may be."""
    return lambda store, request: store.move(request, to, actor=actor, **more)


FORGERIES: dict[str, tuple[Callable[[Desk], Request], Callable[[Store, Request], object], str]] = {
    "a move that is none": (pending, moved(State.SUCCEEDED), "moves R-0001 from pending to succeeded"),
    "a move after the end": (over, moved(State.APPROVED), "moves R-0001, which has not begun, or has ended"),
    "an end in silence": (over, moved(State.REJECTED, kind="reading"), "moves R-0001, which has not begun, or has"),
    "a version left out": (
        lambda desk: replace_version(desk.pending(), desk.store),
        moved(State.REJECTED, actor=CEM),
        "makes version 4 of R-0001 after 2",
    ),
    "approved without an approval": (pending, moved(State.APPROVED), "to approved with 0 of 1 approvals"),
    "approved by who asked": (
        pending,
        moved(State.APPROVED, actor=ALICE, kind="approval", note={"digest": "x"}),
        f"{ALICE} decided on R-0001, which {ALICE} asked for",
    ),
    "approved by the bot": (
        pending,
        moved(State.APPROVED, kind="approval"),
        f"bot decided on R-0001, which {ALICE} asked for",
    ),
    "something else approved": (
        pending,
        moved(State.APPROVED, actor=CEM, kind="approval", note={"digest": "0" * 32}),
        "approves something else than what the card of R-0001 shows",
    ),
    "approved by who may not": (
        pending,
        moved(State.APPROVED, actor=BOB, kind="approval", note={"groups": ["agents"]}),
        f"is an approval of R-0001 by {BOB}, who may not by its rule",
    ),
    "approved twice by one": (
        lambda desk: desk.approve(desk.pending(asked_amount="16.000"), BOB),
        moved(State.APPROVED, actor=BOB, kind="approval"),
        f"is a second approval of R-0001 by {BOB}",
    ),
    "taken back and never given": (
        pending,
        moved(State.PENDING, actor=BOB, kind="approval_taken_back"),
        f"takes back an approval of R-0001 that {BOB} had not given",
    ),
    "rejected by who asked": (
        pending,
        moved(State.REJECTED, actor=ALICE),
        f"{ALICE} decided on R-0001, which {ALICE} asked for",
    ),
    "withdrawn by another": (pending, moved(State.WITHDRAWN, actor=BOB), f"{BOB} withdrew R-0001, which {ALICE}"),
    "settled by one person": (sent, moved(State.FAILED, actor=BOB), f"{BOB} moved R-0001 to failed, alone"),
    "closed by one person": (
        an_unknown,
        moved(State.FAILED, actor=BOB, note={"confirms": True}),
        "confirms a word on R-0001 that nobody had given",
    ),
    "sent again by who asked": (
        an_unknown,
        moved(State.EXECUTING, actor=ALICE, changes={"attempt": 2}),
        f"{ALICE} had R-0001 sent again, and asked for it",
    ),
    "another amount done": (
        sent,
        moved(State.SUCCEEDED, changes={"answered_minor": 50_000}),
        "succeeded with 50000, and 5000 was approved for R-0001",
    ),
    "another amount queued": (
        sent,
        moved(State.QUEUED, changes={"answered_minor": 4_999}),
        "queued with 4999, and 5000 was approved for R-0001",
    ),
    "another amount once the bank has decided": (
        queued,
        moved(State.SUCCEEDED, changes={"answered_minor": 4_999}),
        "succeeded with 4999, and 5000 was approved for R-0001",
    ),
    "other terms later": (
        pending,
        moved(State.WITHDRAWN, changes={"amount_minor": 9_000, "requester": BOB}),
        "sets requester, amount_minor of R-0001, which may not be set then",
    ),
    "another key": (
        sent,
        moved(State.UNKNOWN, changes={"tracking_key": "another"}),
        "sets tracking_key of R-0001, which may not be set then",
    ),
    "sent without a key": (
        lambda desk: desk.approved(),
        moved(State.EXECUTING, changes={"attempt": 1}),
        "sends R-0001 without a Tracking-Key",
    ),
    "an attempt left out": (
        lambda desk: desk.approved(),
        moved(State.EXECUTING, changes={"attempt": 2, "tracking_key": "k"}),
        "makes attempt 2 of R-0001 after 0",
    ),
    "restored in silence": (
        sent,
        moved(State.UNKNOWN, changes={"restored": 1}),
        "sets restored of R-0001, which may not be set then",
    ),
    "a state beside the move": (
        pending,
        moved(State.PENDING, actor=BOB, kind="approval", changes={"state": "approved"}),
        "sets a state of R-0001 without a move",
    ),
}


def replace_version(request: Request, store: Store) -> Request:
    """The row as if one more event had been."""
    store.database.execute("UPDATE requests SET version = version + 1")
    return replace(request, version=request.version + 1)


@pytest.mark.parametrize("name", FORGERIES)
def test_what_may_not_be_is_found_though_chain_and_rows_agree(forger: Desk, name: str) -> None:
    before, forge, finding = FORGERIES[name]
    request = before(forger)
    forge(forger.store, request)
    assert any(line.startswith("event ") and finding in line for line in forger.differences()), forger.differences()


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"rule_text": "no rule"}, "takes R-0001 under a rule that cannot be read, or that blocks it"),
        ({"approvals_needed": 0}, "takes R-0001 under a rule with another approvals_needed than its text says"),
        ({"rule_hash": "0" * 64}, "takes R-0001 under a rule with another rule_hash than its text says"),
        ({"rule_name": "mine"}, "takes R-0001 under a rule with another rule_name than its text says"),
        (
            {
                "rule_name": LINKS.name,
                "rule_text": LINKS.text,
                "rule_hash": LINKS.hash,
                "approvals_needed": LINKS.approvals,
            },
            "takes R-0001 under the rule “unpaid links”, which does not cover it",
        ),
    ],
)
def test_a_rule_that_is_not_the_one_in_force_is_found(forger: Desk, changes: dict[str, Any], finding: str) -> None:
    request = forger.ask()
    forger.store.move(request, State.PENDING, actor="bot", changes=terms_of(request, **changes))
    assert f"event 2: {finding}" in forger.differences()


def test_a_digest_of_other_terms_is_found(forger: Desk) -> None:
    """The button would carry what nobody saw."""
    request = forger.ask()
    seen = {**as_row(request), **terms_of(request, amount_minor=1)}
    other = digest({name: seen[name] for name in SEEN})
    forger.store.move(request, State.PENDING, actor="bot", changes={**terms_of(request), "digest": other})
    assert judged(forger) == ["event 2: gives R-0001 a digest that is not of its terms"]


def test_one_that_is_never_sent_again_was_not_sent_again(forger: Desk) -> None:
    """What was put back from a copy, and a refund to the wallet, which would be credited twice."""
    unknown = an_unknown(forger)
    forger.execution.mark_restored("a test")
    forger.store.move(forger.row(unknown), State.EXECUTING, actor="bot", changes={"attempt": 2})
    assert f"event {forger.last_event().seq}: sends R-0001 again, which may not be" in forger.differences()


def test_two_people_close_it_and_neither_asked_for_it(forger: Desk) -> None:
    """Each pair that is none, written as a closing would write it."""
    for number, (first, second, groups) in enumerate(
        [
            (ALICE, BOB, None),
            (BOB, ALICE, None),
            (BOB, BOB, None),
            (BOB, CEM, [["agents"], ["nobody"]]),
            (BOB, CEM, [["leads"]]),
        ],
        start=1,
    ):
        request = put_in(forger.store, State.UNKNOWN, number)
        said = {"outcome": "failed", "evidence": "looked"}
        proposed = forger.store.move(request, State.UNKNOWN, actor=first, kind="close_proposed", note=said)
        note = {"confirms": True} | ({} if groups is None else {"groups": groups})
        forger.store.move(proposed, State.FAILED, actor=second, note=note)
    found_lines = [line.partition(": ")[2] for line in forger.differences() if line.startswith("event")]
    assert found_lines == [
        f"{ALICE} decided on R-0001, which {ALICE} asked for",
        f"{ALICE} decided on R-0002, which {ALICE} asked for",
        "closes R-0003 as failed without two people who say so",
        "closes R-0004 by two people of whom its rule wants others",
        "closes R-0005 by two people of whom its rule wants others",
    ]


def test_a_request_begins_once_and_by_who_asked(forger: Desk) -> None:
    request = over(forger)
    forger.store.record("submitted", BOB, request_id=request.id, to_state=State.CHECKING, version=1, data={"set": {}})
    assert judged(forger) == [f"event 4: moves {request.id}, which has not begun, or has ended"]
    other = forger.service._new(a_submission(origin="another", reference="ORD9"))
    forger.store.insert(other, BOB)
    assert f"event 5: {other.id} was submitted by {BOB} for {ALICE}" in forger.differences()


def test_what_people_did_in_which_group_is_in_the_record(desk: Desk) -> None:
    """Else nobody could check afterwards that they were those whom the rule lets decide."""
    desk.approved()
    assert found_event(desk, "approval")["groups"] == ["leads"]


def found_event(desk: Desk, kind: str) -> dict[str, Any]:
    return next(event.facts for event in desk.store.events() if event.kind == kind)


def test_what_is_said_of_a_request_after_its_end_changes_nothing(desk: Desk) -> None:
    """It is compared at its end, and not held in memory any longer."""
    desk.store.record("late_answer", "bot", request_id=over(desk).id)
    assert desk.differences() == []
