"""What a world is rich in. Chance alone makes some troubles so rare that thousands of worlds would not prove much.

A theme turns up the weights of what belongs together, and leaves the rest to chance. `share` says how often chance
takes it; a test may ask for it by name, so that what it must see does not depend on luck.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

# How an operation may go; what comes of the money stands in the second word.
WAYS = {
    "ok": 40,
    "slow": 8,
    "gateway timeout, moves later": 6,
    "drop before": 4,
    "drop after": 6,
    "502 before": 3,
    "502 after": 4,
    "garbage after": 3,
    "drips": 2,
    "refused": 4,
    "failed": 3,
    "failed, unheard": 2,
    "401": 1,
    "429": 4,
    "queued": 10,
    "queued, unheard": 3,
    "disagrees": 2,
    "mixed": 2,
    "redirect": 1,
    "look-up failed": 2,
    "408 before": 1,
}
# The same in a bad hour: mostly nobody hears what came of it.
BAD_HOUR = {
    "ok": 10,
    "slow": 20,
    "gateway timeout, moves later": 25,
    "drop before": 20,
    "502 before": 10,
    "drop after": 10,
    "look-up failed": 5,
}
UNHEARD = {"drop after": 6, "502 after": 3, "garbage after": 2, "drips": 2, "gateway timeout, moves later": 3}
TROUBLES = {"clock": 1, "slack down": 1, "401": 1, "ottu down": 1, "stop": 1}
PAID, HELD, UNPAID = "paid", "authorized", "pending"


@dataclass(frozen=True)
class Hit:
    """So often, at the points whose names begin so, that happens."""

    kind: str
    where: str
    rate: float


@dataclass(frozen=True)
class Terms:
    """What the policy of a world says; durations as in its file."""

    expires_after: str = "24h"
    lapse_after: str = "1h"
    queued_days: int = 14
    within: str = "24h"
    total_minor: int = 70_000


@dataclass(frozen=True)
class Theme:
    """The weights of one kind of world. Rates are from 0 to 1; of several numbers in a row, chance takes one."""

    name: str
    share: int
    terms: Terms = Terms()
    processes: int | None = None  # None: by chance
    hits: tuple[Hit, ...] = ()
    # The gateway and the bank.
    ways: tuple[Mapping[str, int], ...] = (WAYS, WAYS, WAYS, BAD_HOUR, BAD_HOUR)
    key_stored: tuple[str, ...] = ("start", "success", "never")
    caps: float = 0.7  # does it refuse more than is left?
    lag_seconds: float = 0.0  # so late an inquiry lists a child; only where one request is made, and keys are kept
    rejected: float = 0.33  # by the bank, of what is queued
    bank_seconds: tuple[tuple[float, float], ...] = ((60, 20_000),)
    states: Mapping[str, int] = field(default_factory=lambda: {PAID: 6, HELD: 3, UNPAID: 1})
    payments: tuple[int, ...] = (1, 1, 2)
    payment_minor: int = 20_000
    ages_seconds: tuple[float, ...] = (60, 4_000, 4_000, 50_000, 50_000)
    no_connection: float = 0.05  # for an operation
    # The webhooks.
    loss: tuple[float, ...] = (0.1, 0.5, 1.0)
    delays: tuple[str, ...] = ("at once", "soon", "late")
    repeated: float = 0.2
    relabelled: float = 0.12
    forged: float = 0.12
    # The people.
    asks: tuple[int, ...] = (1, 2, 2, 3, 3)
    ask_gap_seconds: tuple[float, ...] = (0, 1, 30, 600)
    amounts: tuple[str, ...] = ("5.000",) * 4 + ("full", "full", "left", "16.000", "60.000")
    act_seconds: float = 40.0  # so often, on the average, somebody does something
    lasts_seconds: tuple[float, ...] = (900, 3_600, 6_000)
    mistaken: float = 0.04
    pauses: float = 0.015
    resumes: float = 0.3
    withdraws: float = 0.01
    dashboard: float = 0.25
    patient: float = 0.15  # nobody decides in the end: what waits for people expires, or stays visible
    speaks: float = 0.25  # of an unknown, at a look at its card
    # What befalls everybody, and one process.
    faults: tuple[int, ...] = (0, 1, 2, 3, 5)
    stops_seconds: tuple[float, ...] = (3, 7, 30, 100, 400, 2_000)  # how long something is frozen or asleep
    looks_after: int = 20  # so many times as rarely as in reality a process looks what others left behind
    trouble_seconds: float = 1_500.0  # so often, on the average
    troubles: Mapping[str, int] = field(default_factory=lambda: dict(TROUBLES))
    outage_seconds: tuple[float, ...] = (20, 200, 900)
    goes_on_seconds: float = 1_000.0  # so long it goes on when nothing is open any more


ANYTHING = Theme("anything", 28)
FROZEN = Theme(
    "frozen senders",
    11,
    faults=(0, 1),
    stops_seconds=(3, 7, 7, 30, 30, 50, 400, 2_000),
    payments=(2, 3),
    asks=(3, 4),
    pauses=0.003,
    lasts_seconds=(1_800,),
    trouble_seconds=6_000.0,
    amounts=("5.000", "5.000", "full", "left"),
    states={PAID: 6, HELD: 3},
    no_connection=0.02,
    hits=(
        Hit("freeze", "operation, connected", 0.6),
        Hit("freeze", "operation, headers written", 0.15),
        Hit("freeze", "operation, request written", 0.1),
        Hit("freeze", "reading", 0.02),
        Hit("machine sleeps", "marker", 0.15),
        Hit("freeze", "disk, uncommitted", 0.01),
        Hit("crash", "operation, request written", 0.1),
        Hit("crash", "slack chat.update, answered", 0.05),
        Hit("crash", "slack chat.postMessage, answered", 0.03),
        Hit("crash", "operation", 0.04),
        Hit("crash", "marker", 0.03),
        Hit("locked", "disk", 0.01),
        Hit("full", "disk", 0.01),
    ),
)
FORGERS = Theme(
    "forgers",
    7,
    faults=(0, 1, 2),
    loss=(0.0, 0.3),
    repeated=0.5,
    relabelled=0.8,
    forged=1.0,
    ways=(UNHEARD, BAD_HOUR, WAYS),
    asks=(3, 4),
    payments=(2, 3),
    pauses=0.003,
    amounts=("5.000", "5.000", "full", "left"),
    states={PAID: 6, HELD: 3},
    lasts_seconds=(1_800,),
    trouble_seconds=6_000.0,
)
SLOW_GATEWAY = Theme(
    "slow gateway",
    4,
    processes=3,
    faults=(0, 1),
    looks_after=3,
    lasts_seconds=(1_800,),
    ways=({"slow": 4, "gateway timeout, moves later": 1},),
    key_stored=("success", "never"),
    caps=0.0,
    states={PAID: 2, HELD: 2},
    payments=(2, 3),
    asks=(3, 4),
    ask_gap_seconds=(0, 1, 30, 100),
    amounts=("full",),
    ages_seconds=(50_000,),
    loss=(1.0,),
    dashboard=0.0,
    pauses=0.0,
    speaks=0.02,
    patient=1.0,
    trouble_seconds=6_000.0,
)
UNPAID_LINKS = Theme(
    "unpaid links",
    4,
    states={UNPAID: 1},
    ages_seconds=(50_000,),
    ways=({"slow": 3, "gateway timeout, moves later": 3, "ok": 2, "drop before": 3, "refused": 1, "502 after": 1},),
    payments=(2, 3),
    asks=(2, 3, 4),
    faults=(0, 1, 2),
    pauses=0.003,
    lasts_seconds=(1_800,),
    trouble_seconds=6_000.0,
)
KNOWN_KEYS = Theme(
    "known keys",
    8,
    key_stored=("start", "success"),
    lag_seconds=60_000.0,
    ways=({"drop after": 4, "failed, unheard": 7, "queued, unheard": 1, "slow": 1},),
    faults=(0, 1, 2),
    speaks=0.02,
    patient=0.9,
    pauses=0.003,
    trouble_seconds=6_000.0,
    states={PAID: 3, HELD: 2},
    ages_seconds=(50_000,),
    loss=(1.0,),
    asks=(1,),
    amounts=("full", "full", "5.000"),
    dashboard=0.0,
)
BANK = Theme(
    "bank",
    9,
    terms=Terms(queued_days=1),
    ways=({"queued": 6, "queued, unheard": 4, "ok": 1},),
    rejected=0.5,
    bank_seconds=((60, 20_000), (88_000, 120_000)),
    amounts=("5.000", "5.000", "full"),
    payments=(2,),
    asks=(2, 3),
    pauses=0.003,
    relabelled=0.4,
    states={PAID: 1},
    loss=(0.0, 0.5, 1.0),
)
MISTAKEN = Theme(
    "mistaken people",
    7,
    ways=({"drop after": 1},),
    states={PAID: 1},
    ages_seconds=(50_000,),
    loss=(0.0,),
    delays=("very late",),
    act_seconds=500.0,
    lasts_seconds=(6_000, 9_000),
    mistaken=1.0,
    patient=0.0,
    dashboard=0.0,
    trouble_seconds=6_000.0,
    goes_on_seconds=25_000.0,
)
IDLE = Theme(
    "idle",
    8,
    terms=Terms(expires_after="15m", lapse_after="4m"),
    pauses=0.15,
    resumes=0.03,
    withdraws=0.1,
    act_seconds=60.0,
    troubles={"clock": 1, "401": 3, "ottu down": 4},
    trouble_seconds=500.0,
    outage_seconds=(400, 1_500, 3_000),
    asks=(2, 3, 4),
    ask_gap_seconds=(30, 600, 900),
)
NO_LINE = Theme("no line", 4, no_connection=0.97, act_seconds=40.0, trouble_seconds=6_000.0, lasts_seconds=(3_600,))
COMMON = ("ok", "slow", "gateway timeout, moves later", "drop before", "drop after", "queued")
ANSWERS = Theme(
    "answers",
    14,
    relabelled=0.4,
    forged=0.3,
    ways=({way: 1 if way in COMMON else 5 for way in WAYS},),
    payments=(3,),
    states={PAID: 5, HELD: 2},
    asks=(5, 6),
    amounts=("5.000", "5.000", "left"),
    pauses=0.003,
    trouble_seconds=6_000.0,
    lasts_seconds=(1_800,),
)
LIMIT = Theme(
    "limit",
    3,
    terms=Terms(within="3h", total_minor=25_000, queued_days=1),
    states={PAID: 1},
    payment_minor=200_000,
    ways=({"ok": 6, "slow": 1, "queued": 2, "drop after": 1, "refused": 1},),
    amounts=("8.000", "10.000", "13.000", "14.000"),
    asks=(7, 8),
    ask_gap_seconds=(600, 2_000, 5_000),
    act_seconds=100.0,
    lasts_seconds=(25_000,),
    pauses=0.003,
    trouble_seconds=8_000.0,
)
TWINS = Theme(
    "twins",
    6,
    ways=({"drop after": 4, "drop before": 4, "queued, unheard": 1, "gateway timeout, moves later": 1},),
    states={PAID: 1},
    payment_minor=60_000,
    payments=(1,),
    ages_seconds=(50_000,),
    asks=(3, 4),
    ask_gap_seconds=(1_500, 3_000, 4_000),
    amounts=("5.000",),
    loss=(0.0, 0.2),
    delays=("at once", "late", "very late"),
    dashboard=0.0,
    speaks=0.05,
    pauses=0.003,
    lasts_seconds=(12_000,),
    trouble_seconds=8_000.0,
)
THEMES = (
    ANYTHING,
    FROZEN,
    FORGERS,
    SLOW_GATEWAY,
    UNPAID_LINKS,
    KNOWN_KEYS,
    BANK,
    MISTAKEN,
    IDLE,
    NO_LINE,
    ANSWERS,
    LIMIT,
    TWINS,
)


def theme_of(seed: int) -> Theme:
    """The theme that chance takes for a seed."""
    chance = random.Random(f"theme {seed}")  # noqa: S311 - the same again is what is wanted
    return chance.choices(THEMES, [theme.share for theme in THEMES])[0]


def theme_named(name: str) -> Theme:
    """Raises KeyError."""
    return {theme.name: theme for theme in THEMES}[name]
