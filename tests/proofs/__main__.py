"""All the long proofs, one after the other; their figures are printed, and written into docs/reliability.md.

python -m tests.proofs          under half an hour on two cores
python -m tests.proofs --long   hours
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.proofs import contention, crashes, model, mutation, simulation, surroundings
from tests.proofs.figures import Figures

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"


def short(seed: int) -> Iterator[Figures]:
    """Under half an hour on two cores."""
    yield model.run(1_000, seed)
    yield contention.run(seed)
    yield surroundings.run()
    yield simulation.run(10_000, seed)
    yield crashes.run(2_000, seed)
    yield crashes.freeze(60, seed)
    yield mutation.run()


def long(seed: int) -> Iterator[Figures]:
    """Hours."""
    yield model.run(20_000, seed)
    yield contention.run(seed, requests=2_000, refunds=200)
    yield surroundings.run(rounds=20)
    yield simulation.run(100_000, seed)
    yield crashes.run(10_000, seed, pairs=True)
    yield crashes.freeze(1_000, seed)
    yield mutation.run()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs", description=__doc__)
    parser.add_argument("--long", action="store_true", help="ten times as much: hours")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="from which all chance follows")
    arguments = parser.parse_args()
    figures = []
    for one in (long if arguments.long else short)(arguments.seed):
        print(one, flush=True)
        figures.append(one)
    write("long" if arguments.long else "short", arguments.seed, figures)
    return 1 if any(one.failures for one in figures) else 0


def write(form: str, seed: int, figures: Sequence[Figures], page: Path = PAGE) -> None:
    """Put the figures between the two marks of their form in the page."""
    begin, end = f"<!-- {form} -->\n", f"<!-- end of {form} -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(before + begin + table(seed, figures) + end + after, encoding="utf-8")


def table(seed: int, figures: Sequence[Figures]) -> str:
    """The figures as Markdown, with the commit, the seed and the day."""
    seconds = sum(one.seconds for one in figures)
    lines = [
        f"Commit {commit()}, seed {seed}, {datetime.now(UTC):%Y-%m-%d}, {seconds / 60:.0f} minutes in all.",
        "",
        "| proof | tried and counted | failures | minutes |",
        "|---|---|---|---|",
    ]
    for one in figures:
        counted = ", ".join(f"{count:,} {what}" for what, count in one.counted.items())
        lines.append(f"| {one.name} | {counted} | {len(one.failures)} | {one.seconds / 60:.1f} |")
    return "\n".join(lines) + "\n"


def commit() -> str:
    """The commit that was tried, and whether anything beside it was."""
    git = shutil.which("git")
    if git is None:
        return "unknown"

    def said(*words: str) -> str:
        return subprocess.run([git, *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - our own words

    changed = " with changes" if said("status", "--porcelain", "--", "approvals", "bot", "ottu", "sandbox") else ""
    return (said("rev-parse", "--short", "HEAD") or "unknown") + changed


if __name__ == "__main__":
    sys.exit(main())
