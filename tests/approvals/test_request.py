"""What a request is: the states and moves of the design, what an ending proves, and what the digest covers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.request import (
    AFTER_ANOTHER,
    AFTER_FIRST,
    FINAL,
    MOVES,
    OPEN,
    SEEN,
    Ending,
    Operation,
    Request,
    State,
    as_row,
    digest,
)

from .factories import CHANGING, a_request, terms_of

CARD = replace(a_request(), **terms_of(a_request()))
ROW = as_row(CARD)

# The table "States" of the design, written down a second time.
TABLE = """
checking  → pending approved refused withdrawn expired
pending   → approved rejected withdrawn expired
approved  → executing withdrawn lapsed failed
executing → succeeded failed queued unknown approved
queued    → succeeded failed unknown
unknown   → succeeded failed queued executing
"""


def test_the_moves_are_those_of_the_design() -> None:
    written = {line.split()[0]: set(line.split()[2:]) for line in TABLE.strip().splitlines()}
    assert {state.value: {to.value for to in following} for state, following in MOVES.items() if following} == written


def test_every_state_is_open_or_final() -> None:
    assert set(State) == OPEN | FINAL
    assert not OPEN & FINAL
    assert {state.value for state in FINAL} == {
        "refused",
        "rejected",
        "withdrawn",
        "expired",
        "lapsed",
        "succeeded",
        "failed",
    }


@pytest.mark.parametrize("state", State)
def test_a_request_is_open_in_every_state_that_is_not_final(state: State) -> None:
    assert a_request(state=state).is_open is (state not in FINAL)


@pytest.mark.parametrize("table", [AFTER_FIRST, AFTER_ANOTHER])
def test_every_ending_leads_somewhere_that_an_execution_may_go(table: dict[Ending, State]) -> None:
    assert set(table) == set(Ending)
    assert set(table.values()) <= MOVES[State.EXECUTING]


def test_after_another_attempt_no_ending_but_success_proves_anything() -> None:
    """The "no" of a second send may be the answer to the first one's success."""
    assert {ending for ending, state in AFTER_ANOTHER.items() if state is not State.UNKNOWN} == {
        Ending.SUCCEEDED,
        Ending.QUEUED,
    }


def test_money_moves_by_refund_capture_and_void_alone() -> None:
    assert {operation.value for operation in Operation if operation.moves_money} == {"refund", "capture", "void"}


# --- the digest

A_FACT = st.one_of(st.none(), st.integers(), st.text(max_size=40))


@pytest.mark.parametrize("name", SEEN)
@given(fact=A_FACT)
def test_the_digest_covers_each_thing_that_a_person_saw(name: str, fact: object) -> None:
    """Any one of them different, and the button is of another card."""
    assert (digest({**ROW, name: fact}) == CARD.digest) is (ROW[name] == fact)


@pytest.mark.parametrize(
    "name", ["operation", "session_id", "amount_minor", "currency", "destination", "left_minor", "refunded_minor"]
)
def test_the_digest_covers_the_terms_and_the_figures(name: str) -> None:
    """What must be in the list, whatever else is."""
    assert name in SEEN


@pytest.mark.parametrize("name", sorted(CHANGING))
def test_the_digest_does_not_change_with_what_happens_to_the_request(name: str) -> None:
    """Somebody else's approval must not make the button stale."""
    assert digest({**ROW, name: "something else"}) == CARD.digest


def test_the_digest_tells_apart_what_only_looks_alike_when_joined() -> None:
    assert digest({**ROW, "order_no": "ORD", "session_id": "12"}) != digest(
        {**ROW, "order_no": "ORD1", "session_id": "2"}
    )
    assert digest({**ROW, "amount_minor": None}) != digest({**ROW, "amount_minor": "null"})


# --- what else follows from a row


@pytest.mark.parametrize(
    ("operation", "amount_minor", "left_minor", "full"),
    [
        (Operation.REFUND, 18_000, 18_000, True),
        (Operation.REFUND, 17_999, 18_000, False),
        (Operation.REFUND, 18_000, None, None),  # not checked: counts as repeatable
        (Operation.CAPTURE, 20_000, 20_000, True),
        (Operation.CAPTURE, 1, 20_000, False),
        (Operation.VOID, 20_000, None, True),
        (Operation.CANCEL, None, None, None),
    ],
)
def test_full_is_all_that_is_left_however_it_was_typed(
    operation: Operation, amount_minor: int | None, left_minor: int | None, full: bool | None
) -> None:
    request = replace(CARD, operation=operation, amount_minor=amount_minor, left_minor=left_minor)
    assert request.is_full is full
    assert request.is_self_limiting is bool(full)
    assert not replace(request, destination="wallet").is_self_limiting  # a wallet would be credited twice


@pytest.mark.parametrize(
    ("request_", "left_after_minor"),
    [
        (CARD, 13_000),
        (replace(CARD, left_minor=None), None),
        (replace(CARD, amount_minor=None), None),
    ],
)
def test_what_is_left_after_it_is_known_only_where_it_was_checked(
    request_: Request, left_after_minor: int | None
) -> None:
    assert request_.left_after_minor == left_after_minor


def test_a_row_holds_plain_values() -> None:
    assert ROW["operation"] == "refund"
    assert type(ROW["operation"]) is str
    assert type(ROW["state"]) is str
    assert Request(**ROW | {"operation": Operation.REFUND, "state": State.CHECKING}) == CARD  # type: ignore[arg-type]
