"""The short form of the simulation; and that it is strong enough to see what it must see."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.proofs import mix
from tests.proofs.simulation import judge
from tests.proofs.themes import FROZEN, THEMES, Theme
from tests.proofs.wounds import WOUNDS

SEEDS = 60
MOST_SEEDS = 20  # so many worlds with a wound, at most, until one shows it: of each kind, a third does or more


@pytest.fixture(autouse=True)
def loud_again() -> Iterator[None]:
    """A world is judged without its log."""
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(1, SEEDS, 10))
def test_no_world_breaks_a_promise(first: int) -> None:
    judged = [judge(seed) for seed in range(first, first + 10)]
    assert {one.seed: one.failures for one in judged if one.failures} == {}


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_no_kind_of_world_breaks_a_promise(theme: Theme) -> None:
    judged = [judge(seed, theme=theme) for seed in range(1, 4)]
    assert {one.seed: one.failures for one in judged if one.failures} == {}


def test_a_seed_gives_the_same_world_again() -> None:
    """Else a failing seed could not be replayed; a process that is stopped within a transaction is no exception."""
    for theme in (None, FROZEN):
        assert judge(23, theme=theme).counts == judge(23, theme=theme).counts


@pytest.mark.parametrize("wound", WOUNDS)
def test_a_wound_is_seen(wound: str) -> None:
    """A broken assumption, and parts that do not do their work: a proof that finds nothing would be too weak."""
    theme, words = WOUNDS[wound]
    judged = (judge(seed, wound=wound, theme=theme) for seed in range(1, 1 + MOST_SEEDS))
    assert any(words in failure for one in judged for failure in one.failures)


def test_what_never_occurred_fails_a_survey() -> None:
    everything = Counter(mix.expected())
    assert mix.missing(everything, mix.SURVEY_SEEDS) == []
    del everything["contradicted"]
    assert mix.missing(everything, mix.SURVEY_SEEDS) == ["contradicted"]
    assert mix.missing(everything, mix.SURVEY_SEEDS - 1) == []
    assert mix.rarest(everything) == ("contradicted", 0)
