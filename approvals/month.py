"""One calendar month in UTC: where it begins and ends, as the record stores times."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass

_WRITTEN = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class Month:
    """A month of the years 2000 to 2099, in UTC."""

    year: int
    number: int  # 1 to 12

    @classmethod
    def parse(cls, text: str) -> Month:
        """`2026-11`. Raises ValueError for all else."""
        match = _WRITTEN.fullmatch(text)
        if match is None:
            raise ValueError(text)
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.year}-{self.number:02}"

    @property
    def name(self) -> str:
        """`November 2026`."""
        return f"{calendar.month_name[self.number]} {self.year}"

    @property
    def next(self) -> Month:
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    @property
    def start(self) -> str:
        """The stored time at which it begins."""
        return f"{self}-01T00:00:00.000Z"

    @property
    def end(self) -> str:
        """The stored time at which the next one begins, which is not in it."""
        return self.next.start

    @property
    def days(self) -> tuple[str, ...]:
        """Its days as stored times begin: `2026-11-01` …"""
        return tuple(f"{self}-{day:02}" for day in range(1, calendar.monthrange(self.year, self.number)[1] + 1))
