"""What a comparison of the channels with the record finds: plain records, and the sentence that each is told in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# What a difference can be: one word for programs. `docs/audit.md` explains each.
KINDS = ("missing", "differs", "foreign", "doubled", "unrecorded", "edited", "behind", "misplaced")
MOST_SHOWN = 200  # characters of what a message shows that go into one line of a report


@dataclass(frozen=True)
class Reach:
    """How far back a channel's history could be read. Times are Slack's: seconds since 1970."""

    channel: str
    name: str = ""
    messages: int = 0
    oldest: float | None = None
    unreadable: str = ""  # Slack's word for why, or ours


@dataclass(frozen=True)
class Terms:
    """How to compare. `until`: what happened later need not be in the messages; seconds since 1970."""

    until: float
    alarms_to: str = ""  # the channel in which alarms are told
    with_metadata: bool = True  # False: an export that keeps none
    whole: bool = False  # True: nothing was removed by retention, so that what is not there is missing


@dataclass(frozen=True)
class Difference:
    """One thing in which the channel and the record differ."""

    what: str  # one of KINDS, or `wording`, which is none
    thing: str  # card, result, head, alarm
    sentence: str
    request: str | None = None
    fact: str | None = None
    shown: str | None = None
    recorded: str | None = None
    channel: str | None = None
    ts: str | None = None


@dataclass(frozen=True)
class Beyond:
    """What could not be looked at, and why."""

    thing: str
    request: str | None
    channel: str
    why: str


@dataclass
class Findings:
    """All that a comparison found. Only `differences` speak against the channel or the record."""

    counts: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    beyond: list[Beyond] = field(default_factory=list)
    wording: list[Difference] = field(default_factory=list)  # every fact agrees, the words do not
    reaches: Mapping[str, Reach] = field(default_factory=dict)

    def count(self, thing: str) -> None:
        self.counts[thing] = self.counts.get(thing, 0) + 1


def short(value: object) -> str:
    """A value for one line of a report: sets and tuples as lists, nothing that moves a cursor, not long."""
    if isinstance(value, frozenset | tuple | set | list):
        value = (
            ", ".join(map(str, sorted(value, key=str) if isinstance(value, frozenset | set) else value)) or "nothing"
        )
    text = "".join(character if character.isprintable() else "\ufffd" for character in str(value))
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"
