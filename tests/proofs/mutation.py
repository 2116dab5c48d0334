"""The mutation gate: dangerous changes to the program, each of which the named tests must notice.

    python -m tests.proofs.mutation [name …]

Each change of `mutants.toml` is applied alone to a copy of the tree. The tests must pass in the copy before any change,
and fail after it; a change that survives fails the run. This is what makes the zeros of the other proofs believable.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.measured import unmeasured
from tests.proofs.figures import Figures

ROOT = Path(__file__).parents[2]
MUTANTS = Path(__file__).with_name("mutants.toml")
COPIED = ("approvals", "bot", "ottu", "sandbox", "tests", "docs", "app_manifest.yml", "policy.example.toml")
COPIED_TOO = (".env.example", "README.md", "pyproject.toml", "Makefile")
TEST_SECONDS = 240.0
PASSED, FAILED = 0, 1  # pytest's exit status; any other means that it could not run


@dataclass(frozen=True)
class Mutant:
    """One change, and the tests of which at least one must fail for it."""

    name: str
    file: str
    old: str
    new: str
    killed_by: tuple[str, ...]

    def apply(self, tree: Path) -> None:
        """Raises ValueError where the text to be changed does not stand in the file exactly once."""
        path = tree / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: its text stands {text.count(self.old)} times in {self.file}")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


def mutants() -> list[Mutant]:
    listed = tomllib.loads(MUTANTS.read_text(encoding="utf-8"))["mutants"]
    return [Mutant(**{**one, "killed_by": tuple(one["killed_by"])}) for one in listed]


def copy_tree(target: Path) -> Path:
    """The program and its tests, as they are now."""
    for name in (*COPIED, *COPIED_TOO):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target / name)
    return target


def pytest(tree: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run tests in a copy of the tree, until the first that fails. One that hangs has failed, too."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=line", *tests]
    environment = unmeasured() | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(  # noqa: S603 - our own tests
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=TEST_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, FAILED, "it did not end", "")


def survives(mutant: Mutant) -> str | None:
    """Why the change counts as unnoticed; None where a test failed for it."""
    with tempfile.TemporaryDirectory(prefix="ottu-bot-mutant-") as folder:
        tree = copy_tree(Path(folder))
        mutant.apply(tree)
        done = pytest(tree, mutant.killed_by)
    if done.returncode == FAILED:
        return None
    if done.returncode == PASSED:
        return f"{mutant.name}: no test failed"
    return f"{mutant.name}: the tests could not run (status {done.returncode}): {done.stdout[-300:]}"


def run(names: Sequence[str] = (), processes: int = 2) -> Figures:
    """All mutants, or those named. The tests that are to notice them must first pass as the program is."""
    begun = time.monotonic()
    chosen = [mutant for mutant in mutants() if not names or mutant.name in names]
    tests = sorted({test for mutant in chosen for test in mutant.killed_by})
    with tempfile.TemporaryDirectory(prefix="ottu-bot-unchanged-") as folder:
        unchanged = pytest(copy_tree(Path(folder)), tests)
    if unchanged.returncode != PASSED:
        problem = f"the tests fail without any change: {unchanged.stdout[-500:]}"
        return Figures("mutation", 0, time.monotonic() - begun, {"mutants": len(chosen)}, [problem])
    with ThreadPoolExecutor(processes) as pool:
        survivors = [why for why in pool.map(survives, chosen) if why]
    counted = {"mutants": len(chosen), "survivors": len(survivors)}
    return Figures("mutation", 0, time.monotonic() - begun, counted, survivors)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.mutation", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these")
    figures = run(parser.parse_args().names)
    print(figures)
    return 1 if figures.failures else 0


if __name__ == "__main__":
    sys.exit(main())
