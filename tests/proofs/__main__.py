"""All the long proofs, one after the other; their figures are printed, and written into docs/reliability.md.

python -m tests.proofs          under half an hour on two cores
python -m tests.proofs --long   hours

A row of the page is written as soon as its proof has ended; `--only crashes` runs one again.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.proofs import contention, crashes, model, mutation, simulation, surroundings
from tests.proofs.figures import Figures

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
TITLES = "| proof | tried and counted | failures | minutes | commit, seed, day |\n|---|---|---|---|---|"
Proof = Callable[[], Figures]


def short(seed: int) -> dict[str, Proof]:
    """Under half an hour on two cores."""
    return {
        "model": lambda: model.run(500, seed),
        "contention": lambda: contention.run(seed),
        "surroundings": surroundings.run,
        "simulation": lambda: simulation.run(10_000, seed),
        "crashes": lambda: crashes.run(2_000, seed),
        "freezes": lambda: crashes.freeze(120, seed),
        "mutation": mutation.run,
    }


def long(seed: int) -> dict[str, Proof]:
    """Hours. All but the mutation gate, which has one length only."""
    return {
        "model": lambda: model.run(3_000, seed),
        "contention": lambda: contention.run(seed, requests=1_000, refunds=90),
        "surroundings": lambda: surroundings.run(rounds=5),
        "simulation": lambda: simulation.run(100_000, seed),
        "crashes": lambda: crashes.run(10_000, seed, pairs=True),
        "freezes": lambda: crashes.freeze(1_000, seed),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs", description=__doc__)
    parser.add_argument("--long", action="store_true", help="three to sixteen times as much: hours")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="from which all chance follows")
    parser.add_argument(
        "--only", action="append", choices=list(short(0)), help="this proof; may be given several times"
    )
    arguments = parser.parse_args()
    form = "long" if arguments.long else "short"
    proofs = (long if arguments.long else short)(arguments.seed)
    if unknown := set(arguments.only or ()) - set(proofs):
        parser.error(f"the {form} form has no {', '.join(sorted(unknown))}")
    failed = False
    for name in arguments.only or proofs:
        before, figures, after = commit(), proofs[name](), commit()
        print(figures, flush=True)
        write(form, after if after == before else f"{before}..{after}", arguments.seed, figures)
        failed |= bool(figures.failures)
    return 1 if failed else 0


def write(form: str, revision: str, seed: int, figures: Figures, page: Path = PAGE) -> None:
    """Put one proof's figures into the table of its form, in the place of those that it had there before.

    Each has its own commit, seed and day, so that a long run which is broken off loses only what it was at.
    """
    begin, end = f"<!-- {form} -->\n", f"<!-- end of {form} -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    old, _, after = rest.partition(end)
    rows = {line.split("|")[1].strip(): line for line in old.splitlines() if line.startswith("|")}
    rows[figures.name] = row(revision, seed, figures)
    table = [TITLES, *(rows[name] for name in short(0) if name in rows)]
    page.write_text(before + begin + "\n".join(table) + "\n" + end + after, encoding="utf-8")


def row(revision: str, seed: int, figures: Figures) -> str:
    """One proof's figures, as a line of a Markdown table."""
    counted = ", ".join(f"{count:,} {what}" for what, count in figures.counted.items())
    run = f"{revision}, seed {seed}, {datetime.now(UTC):%Y-%m-%d}"
    return f"| {figures.name} | {counted} | {len(figures.failures)} | {figures.seconds / 60:.1f} | {run} |"


def commit() -> str:
    """The commit that was tried, and whether anything beside it was."""
    git = shutil.which("git")
    if git is None:
        return "unknown"

    def said(*words: str) -> str:
        return subprocess.run([git, *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - our own words

    changed = (
        " with changes" if said("status", "--porcelain", "--", "approvals", "bot", "ottu", "sandbox", "tests") else ""
    )
    return (said("rev-parse", "--short", "HEAD") or "unknown") + changed


if __name__ == "__main__":
    sys.exit(main())
