"""Which child of a transaction is new: for all children that there can be."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from approvals.children import KINDS, new_children
from approvals.reading import Child, Reading
from approvals.request import Request

from .factories import (
    a_reading,
    a_request,
)
from .unknowns import CAPTURE, REFUND, VOID, child

AMOUNTS = st.sampled_from([1_000, 5_000])
REFUND_STATES = st.sampled_from(["refunded", "refund_queued", "refund_rejected"])
STATES = {REFUND: REFUND_STATES, CAPTURE: st.just("paid"), VOID: st.just("voided")}


@st.composite
def histories(draw: st.DrawFn, *, numbered: bool) -> tuple[Request, list[Child], list[Child]]:
    """A request; the children when its card was made; and the same later, some of them decided by the bank."""
    operation = draw(st.sampled_from([REFUND, CAPTURE, VOID]))
    states = draw(st.lists(st.tuples(st.sampled_from(["paid", "voided"]) | REFUND_STATES, AMOUNTS), max_size=6))
    before = [child(state, minor, 100 + n if numbered else None) for n, (state, minor) in enumerate(states)]
    after = [replace(one, state=draw(REFUND_STATES)) if one.state == "refund_queued" else one for one in before]
    text = " ".join(f"{one.state}:{one.amount_minor}:{one.session_id or ''}" for one in before)
    return a_request(operation=operation, amount_minor=5_000, children=text), before, after


def shown(children: list[Child]) -> Reading:
    return a_reading(children=tuple(children))


@given(history=histories(numbered=True) | histories(numbered=False), data=st.data())
def test_what_was_there_before_is_never_new(
    history: tuple[Request, list[Child], list[Child]], data: st.DataObject
) -> None:
    """In whatever order Ottu lists it, and whatever the bank has decided of it."""
    request, _, after = history
    assert new_children(request, shown(data.draw(st.permutations(after)))) == []


@given(history=histories(numbered=True), data=st.data())
def test_by_session_id_the_new_one_is_found_among_all_others(
    history: tuple[Request, list[Child], list[Child]], data: st.DataObject
) -> None:
    request, _, after = history
    new = child(data.draw(STATES[request.operation]), data.draw(AMOUNTS), 1)
    assert new_children(request, shown(data.draw(st.permutations([*after, new])))) == [new]


@given(history=histories(numbered=False), data=st.data())
def test_by_count_it_is_the_new_one_or_it_cannot_be_told(
    history: tuple[Request, list[Child], list[Child]], data: st.DataObject
) -> None:
    """An older one in another state is never taken for it."""
    request, _, after = history
    new = child(data.draw(STATES[request.operation]), data.draw(AMOUNTS), None)
    assert new_children(request, shown(data.draw(st.permutations([*after, new])))) in ([new], None)


@given(history=histories(numbered=True), data=st.data())
def test_one_whose_amount_or_kind_has_changed_makes_it_all_unclear(
    history: tuple[Request, list[Child], list[Child]], data: st.DataObject
) -> None:
    """It has the name of an older one, and is something else."""
    request, _, after = history
    if after:
        place = data.draw(st.integers(0, len(after) - 1))
        after[place] = replace(after[place], amount_minor=after[place].amount_minor + 1)
        assert new_children(request, shown(after)) is None


@given(history=histories(numbered=True), data=st.data())
def test_a_name_that_is_given_twice_names_nothing(
    history: tuple[Request, list[Child], list[Child]], data: st.DataObject
) -> None:
    """Then they are counted: an equal one more is new, or it cannot be told."""
    request, _, after = history
    wanted = [one for one in after if one.state in KINDS[request.operation]]
    if wanted:
        twin = data.draw(st.sampled_from(wanted))
        assert new_children(request, shown([*after, twin])) in ([twin], None)


@given(history=histories(numbered=True) | histories(numbered=False), data=st.data())
def test_one_that_vanishes_makes_it_all_unclear(
    history: tuple[Request, list[Child], list[Child]], data: st.DataObject
) -> None:
    request, _, after = history
    if after:
        del after[data.draw(st.integers(0, len(after) - 1))]
        assert new_children(request, shown(after)) is None
