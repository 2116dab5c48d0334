"""Which trials are tried: every combination of operation, fault, key and line, every point of it, drawn by a seed."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.proofs.crash_lane import Lane
from tests.proofs.crash_points import Blow, Point
from tests.proofs.crash_trial import FAULTS, KEYS, LINES, REFUNDS, SCENARIOS, Trial, Tried

SEATS = 10  # of each process: most of a trial is waiting
# Of the kills: between claim and settlement; where nothing differs from the point before; all else.
SHARES = {"sending": 0.5, "reading": 0.1, "other": 0.4}
MOST_TRIALS = 1.5  # for each kill that is wanted: a point may be missed
BY_HAND = "closed by two people"
BY_WEBHOOK = "paid by the bank and told by webhook"


@dataclass
class Cell:
    """One combination of operation, fault, key and line, and the points that the processes of it pass."""

    trial: Trial  # without a strike
    starting: list[Point] = field(default_factory=list)
    living: list[Point] = field(default_factory=list)
    recovering: list[Point] = field(default_factory=list)  # after the first process was killed at `sent`
    sent: Point | None = None


def cells() -> list[Cell]:
    """Every combination; only a refund can be queued, and cancel is not looked up by inquiry."""
    combined = itertools.product(SCENARIOS, FAULTS, KEYS, LINES)
    return [
        Cell(Trial(scenario, fault, key, line=line))
        for scenario, fault, key, line in combined
        if not (fault == "queued" and scenario not in REFUNDS)
        and not (fault == "lost and unreadable" and scenario == "cancel")
    ]


class Proof:
    """Enumerates, draws and tries."""

    def __init__(self, lanes: list[Lane], seed: int) -> None:
        self.lanes = lanes
        self.chance = random.Random(seed)  # noqa: S311 - a draw that can be repeated, hides nothing
        self.failures: list[str] = []
        self.counted: Counter[str] = Counter()
        self.hit: set[tuple[Trial, str]] = set()

    # --- the points

    async def enumerate(self, chosen: list[Cell], *, recovering: bool) -> None:
        """Let each combination run undisturbed, then once killed after the send, and note the points.

        When the key is stored changes nothing that the bot does as long as it is alone: once for both is enough.
        """
        ways = {_way(cell.trial): cell for cell in chosen}
        first = list(ways.values())
        alone = [replace(cell.trial, tell=True) for cell in first]
        for cell, tried in zip(first, await self.try_all(alone), strict=True):
            points = [Point.read(text) for text in tried.points[0]]
            cell.starting, cell.living = points[: tried.began], points[tried.began :]
            cell.sent = _sent(cell.living)
        with_send = [cell for cell in first if cell.sent and recovering]
        killed = [replace(cell.trial, tell=True, strikes=(str(cell.sent),)) for cell in with_send]
        for cell, tried in zip(with_send, await self.try_all(killed), strict=True):
            if len(tried.points) > 1:
                cell.recovering = [Point.read(text) for text in tried.points[1]]
            else:
                self.failures.append(
                    f"no recovery was seen, because the blow missed: {cell.trial} --point '{cell.sent}'"
                )
        for cell in chosen:
            way = ways[_way(cell.trial)]
            cell.living, cell.recovering, cell.sent = way.living, way.recovering, way.sent
        for line in LINES:  # it begins in the same way in all that are of one line
            for cell in [cell for cell in first if cell.trial.line == line][1:]:
                cell.starting = []

    async def try_all(self, trials: list[Trial]) -> list[Tried]:
        """What came of each."""
        found: dict[int, Tried] = {}
        await self._seated(enumerate(trials), lambda number, tried: found.update({number: tried}))
        return [found[number] for number in range(len(trials))]

    # --- drawing

    def draw(self, chosen: list[Cell], *, pairs: bool, blow: Blow) -> Iterator[Trial]:
        """Trials without end, none twice until all were drawn: each kind of point of each combination as likely."""
        pools = {kind: self._pool(chosen, kind, blow) for kind in SHARES}
        while any(pools.values()):
            cell, strikes = pools[self._drawn_kind([kind for kind in pools if pools[kind]])].pop()
            if pairs and len(strikes) == 1:
                strikes = (*strikes, str(self._second(cell, strikes[0])))
            yield replace(cell.trial, strikes=strikes, blow=blow)

    def _pool(self, chosen: list[Cell], kind: str, blow: Blow) -> list[tuple[Cell, tuple[str, ...]]]:
        """The points of one kind, shuffled, in such order that each name of each combination comes before a second."""
        found: list[tuple[int, float, Cell, tuple[str, ...]]] = []
        for cell in chosen:
            firsts = [((str(point),), point) for point in (*cell.starting, *cell.living)]
            seconds = [((str(cell.sent), str(point)), point) for point in cell.recovering if blow == "kill"]
            times: Counter[tuple[int, str, str]] = Counter()
            both = [*firsts, *seconds]
            self.chance.shuffle(both)
            for strikes, point in both:
                if _kind(point) == kind:
                    times[len(strikes), point.name, point.when] += 1
                    rank = times[len(strikes), point.name, point.when]
                    found.append((rank, self.chance.random(), cell, strikes))
        found.sort(key=lambda one: one[:2], reverse=True)  # taken from the end
        return [(cell, strikes) for _, _, cell, strikes in found]

    def _second(self, cell: Cell, first: str) -> Point:
        """Where the second process is killed: where one that recovers was seen, else in what the first had still to do.

        The first time that it comes there: it counts anew, and may have less to do than the first.
        """
        points = [*cell.starting, *cell.living]
        names = [str(point) for point in points]
        at = names.index(first)
        is_sent = cell.sent is not None and at >= names.index(str(cell.sent))
        before_it = cell.recovering if is_sent and cell.recovering else points[at:]
        kind = self._drawn_kind(sorted({_kind(point) for point in before_it}))
        places = sorted({(point.name, point.when) for point in before_it if _kind(point) == kind})
        name, when = self.chance.choice(places)
        return Point(name, 1, when)

    def _drawn_kind(self, kinds: list[str]) -> str:
        return self.chance.choices(kinds, [SHARES[kind] for kind in kinds])[0]

    # --- trying

    async def try_until(self, wanted: int, trials: Iterator[Trial]) -> None:
        """Try until so many blows were struck."""

        def limited() -> Iterator[tuple[Trial, Trial]]:
            for count, trial in enumerate(trials):
                if self.counted["struck"] >= wanted or count >= wanted * MOST_TRIALS + 10:
                    return
                yield trial, trial

        await self._seated(limited(), self._judge)
        if self.counted["struck"] < wanted:
            self.failures.append(f"only {self.counted['struck']} blows of {wanted} were struck")

    def _judge(self, trial: Trial, tried: Tried) -> None:
        self.counted["trials"] += 1
        self.counted["struck"] += tried.struck
        self.counted["missed"] += not tried.struck
        self.counted["struck twice"] += tried.struck > 1
        self.counted[BY_HAND] += tried.by_people
        self.counted[BY_WEBHOOK] += tried.by_webhook
        self.counted[tried.ended.partition(":")[0]] += 1
        self.hit.update((replace(trial, strikes=()), strike) for strike in trial.strikes[: tried.struck])

    async def _seated(self, trials: Iterator[tuple[Any, Trial]], done: Callable[[Any, Tried], object]) -> None:
        """Try them all, so many at once as there are seats."""

        async def sit(lane: Lane) -> None:
            for key, trial in trials:
                tried = await lane.try_out(trial)
                for kind, words in tried.failures:
                    self.counted[kind] += 1
                    self.failures.append(
                        f"{kind}: {words}\n    python -m tests.proofs.crashes {trial}\n    {tried.folder}"
                    )
                done(key, tried)

        async with asyncio.TaskGroup() as group:
            for _ in range(SEATS):
                for lane in self.lanes:
                    group.create_task(sit(lane))


def _way(trial: Trial) -> Trial:
    return replace(trial, key="")


def _sent(points: list[Point]) -> Point | None:
    """Where the first request has just been written, its body after its headers."""
    sends = [one for one in points if one.is_the_send and one.number <= 2]
    return sends[-1] if sends else None


def _kind(point: Point) -> str:
    return "reading" if point.is_reading else "sending" if point.is_of_sending else "other"
