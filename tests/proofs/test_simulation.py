"""The short form of the simulation; and that it is strong enough to see what it must see."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.proofs.postman import DEAF
from tests.proofs.simulated import LATE_MONEY
from tests.proofs.simulation import judge

SEEDS = 60
MOST_SEEDS = 60  # so many worlds with a wound, at most, until one shows it


@pytest.fixture(autouse=True)
def loud_again() -> Iterator[None]:
    """A world is judged without its log."""
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(1, SEEDS, 10))
def test_no_world_breaks_a_promise(first: int) -> None:
    judged = [judge(seed) for seed in range(first, first + 10)]
    assert {one.seed: one.failures for one in judged if one.failures} == {}


def test_a_seed_gives_the_same_world_again() -> None:
    """Else a failing seed could not be replayed."""
    assert judge(23).counts == judge(23).counts


@pytest.mark.parametrize(
    ("wound", "word", "first"), [(LATE_MONEY, "double movement", 20), (DEAF, "a forged webhook was taken", 10)]
)
def test_a_wound_is_seen(wound: str, word: str, first: int) -> None:
    """A broken assumption, and a part that does not do its work: a proof that finds nothing would be too weak."""
    seen = (failure for seed in range(first, first + MOST_SEEDS) for failure in judge(seed, wound=wound).failures)
    assert any(word in failure for failure in seen)
