"""Waits that a wrong clock cannot shorten: besides the database's clock, this process's own must say that one is over.

A wait that this process has not seen begin begins anew when it first sees it: after a restart one waits longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Patience:
    """When waits began, by a clock that nobody can set."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._begun: dict[str, float] = {}

    def begin(self, key: str) -> None:
        """The wait of that name begins now, unless it has begun."""
        self._begun.setdefault(key, self.clock())

    def remaining_seconds(self, key: str, seconds: float) -> float:
        """How long the wait lasts yet; 0 once it is over."""
        self.begin(key)
        return max(0.0, self._begun[key] + seconds - self.clock())

    def keep_only(self, wanted: Callable[[str], bool]) -> None:
        """Forget the waits that nobody needs any more."""
        self._begun = {key: begun for key, begun in self._begun.items() if wanted(key)}
