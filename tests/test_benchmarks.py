"""The benchmarks still run: on little, and without a look at the clock."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_benchmark_of_the_audit_makes_a_record_in_which_nothing_differs() -> None:
    ran = subprocess.run(
        [sys.executable, "benchmarks/verify.py", "700"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert re.findall(r"^verify: (\d+) events, (\d+) requests .* ratio \d", ran.stdout, re.MULTILINE) == [
        ("70", "10"),
        ("700", "100"),
    ]
