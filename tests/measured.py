"""Programs that a test starts: `make coverage` measures them too, where it says something of ours."""

from __future__ import annotations

import os

COVERAGE = "COVERAGE_"  # so begins what coverage tells a program by its environment


def measured() -> dict[str, str]:
    """What goes into the environment of a program that has one of its own; nothing where nothing is measured."""
    return {name: value for name, value in os.environ.items() if name.startswith(COVERAGE)}


def unmeasured() -> dict[str, str]:
    """This process's environment for a program that is to count for nothing: changed on purpose, or watched."""
    return {name: value for name, value in os.environ.items() if not name.startswith(COVERAGE)}
