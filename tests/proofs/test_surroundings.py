"""The short form of the proof against hostile surroundings: each scenario once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proofs.surroundings import SCENARIOS, Scenario
from tests.proofs.troubles import Unavailable


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_nothing_is_half_done_and_nothing_lost(scenario: Scenario, tmp_path: Path) -> None:
    """What each protects is said where it stands."""
    try:
        await scenario(tmp_path)
    except Unavailable as why:
        pytest.skip(str(why))
