"""The page of figures: a run replaces its own block, and leaves everything else as it was."""

from __future__ import annotations

import re
from pathlib import Path

from tests.proofs import __main__ as proofs
from tests.proofs.figures import Figures

MODEL = Figures("model", 7, 90.0, {"examples": 1_000, "broken promises": 0})
CRASHES = Figures("crashes", 7, 30.0, {}, ["seed 3"])


def test_each_proof_replaces_its_own_figures_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- short -->\nold\n<!-- end of short -->\n<!-- long -->\n<!-- end of long -->\nafter\n")
    for revision, figures in (("a", CRASHES), ("a", MODEL), ("b", CRASHES)):
        proofs.write("short", revision, 7, figures, page)
    before, _, rest = page.read_text().partition("<!-- short -->\n")
    table, _, after = rest.partition("<!-- end of short -->")
    assert (before, after) == ("before\n", "\n<!-- long -->\n<!-- end of long -->\nafter\n")
    model, crashes = table.removeprefix(proofs.TITLES + "\n").splitlines()
    assert re.fullmatch(
        r"\| model \| 1,000 examples, 0 broken promises \| 0 \| 1\.5 \| a, seed 7, 20\d\d-\d\d-\d\d \|", model
    )
    assert re.fullmatch(r"\| crashes \|  \| 1 \| 0\.5 \| b, seed 7, 20\d\d-\d\d-\d\d \|", crashes)


def test_the_page_that_ships_has_a_place_for_both_forms() -> None:
    text = proofs.PAGE.read_text(encoding="utf-8")
    for form in ("short", "long"):
        assert text.count(f"<!-- {form} -->\n") == text.count(f"<!-- end of {form} -->\n") == 1


def test_a_proof_says_what_it_counted_and_how_to_replay_what_it_found() -> None:
    assert str(CRASHES) == "crashes:  (seed 7, 30 s)\n  FAILED seed 3"
