"""The mutation gate itself: every change can be made, names tests that exist, and one that survives is reported."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.proofs.mutation import ROOT, Mutant, mutants, survives

FEWEST = 25
EVERY = mutants()


def test_there_are_enough_of_them_and_each_has_a_name_of_its_own() -> None:
    assert len({mutant.name for mutant in EVERY}) == len(EVERY) >= FEWEST


@pytest.mark.parametrize("mutant", EVERY, ids=lambda mutant: mutant.name)
def test_each_can_be_made_and_names_tests_that_are_there(mutant: Mutant, tmp_path: Path) -> None:
    """A change whose text has moved, or whose test has been renamed, would prove nothing."""
    target = tmp_path / mutant.file
    target.parent.mkdir(parents=True)
    target.write_text((ROOT / mutant.file).read_text(encoding="utf-8"), encoding="utf-8")
    mutant.apply(tmp_path)
    ast.parse(target.read_text(encoding="utf-8"))
    assert mutant.killed_by
    for test in mutant.killed_by:
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8") if name else (ROOT / path).exists()


def test_a_dangerous_change_is_noticed_and_a_harmless_one_reported() -> None:
    dangerous = next(mutant for mutant in EVERY if mutant.name == "every attempt has a new key")
    harmless = Mutant("nothing changes", dangerous.file, dangerous.old, f"({dangerous.old})", dangerous.killed_by)
    assert survives(dangerous) is None
    assert survives(harmless) == "nothing changes: no test failed"
