"""What a proof reports: its figures, and what it found wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figures:
    """One proof, run to its end. Every one in `failures` says how to replay it; none means that the proof holds."""

    name: str  # "simulation"
    seed: int  # from which all that was drawn by chance follows
    seconds: float
    counted: Mapping[str, int]  # what was tried, and what must be 0: {"seeds": 10_000, "double movements": 0}
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {what}" for what, count in self.counted.items())
        lines = [f"{self.name}: {counts} (seed {self.seed}, {self.seconds:.0f} s)"]
        return "\n".join([*lines, *(f"  FAILED {failure}" for failure in self.failures)])
