"""The whole bot in virtual time against a scripted Ottu, with everything that can go wrong: thousands of worlds.

python -m tests.proofs.simulation --seeds 1000        # the figures
python -m tests.proofs.simulation --seed 17 --trace   # one world again, step by step
"""

from __future__ import annotations

import argparse
import gc
import logging
import multiprocessing
import os
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain

from tests.proofs import mix
from tests.proofs.figures import Figures
from tests.proofs.simulated import Simulation
from tests.proofs.themes import Theme, theme_named

CHUNK = 25
WORST_SHOWN = 20
PROCESSES = 3  # at most


@dataclass
class Judged:
    """What came of one seed."""

    seed: int
    failures: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def judge(
    seed: int, processes: int = PROCESSES, *, trace: bool = False, wound: str = "", theme: Theme | None = None
) -> Judged:
    """Run one world and judge it. A mistake of the simulation itself counts as a failure, too.

    `theme`: what the world is rich in; None takes what the seed says.
    """
    logging.disable()
    world = Simulation(seed, processes, say=print if trace else None, wound=wound, theme=theme)
    try:
        world.run()
    except Exception:
        world.failures.append(traceback.format_exc())
    return Judged(seed, world.failures, world.counts)


def _collect_rarely() -> None:
    """Each world looks for its garbage once, at its end; to do so all the time takes a twentieth of the whole."""
    gc.freeze()
    gc.set_threshold(50_000)


def _judge(arguments: tuple[int, int]) -> Judged:
    return judge(*arguments)


def survey(seeds: int, seed: int, processes: int = PROCESSES) -> tuple[Figures, Counter[str]]:
    """Many worlds, over all cores: the figures, and how often each thing occurred."""
    began_at = time.monotonic()
    work = [(number, processes) for number in range(seed, seed + seeds)]
    counts: Counter[str] = Counter()
    failures: list[str] = []
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), initializer=_collect_rarely) as pool:
        for judged in pool.imap_unordered(_judge, work, CHUNK):
            counts.update(judged.counts)
            if judged.failures:
                replay = f"python -m tests.proofs.simulation --seed {judged.seed} --processes {processes} --trace"
                failures.append(f"seed {judged.seed}: {judged.failures[0]}  ({replay})")
    failures += [f"never occurred: {what}" for what in mix.missing(counts, seeds)]
    what, times = mix.rarest(counts)
    counted = {
        "seeds": seeds,
        f"times what was rarest ({what})": times,
        "processes started": counts["started"],
        "crashes": sum(n for what, n in counts.items() if what.startswith("crash")),
        "freezes": sum(n for what, n in counts.items() if what.startswith("freeze")),
        "operations that reached Ottu": sum(n for what, n in counts.items() if what.startswith("ottu operation")),
        "sent again": counts["sent again"],
        "unknown outcomes": counts["state: unknown"],
        "movements of money": counts["money: success"],
        "double movements": sum("double movement" in failure for failure in failures),
    }
    return Figures("simulation", seed, time.monotonic() - began_at, counted, sorted(failures)), counts


def run(seeds: int, seed: int, processes: int = PROCESSES) -> Figures:
    """`seeds` worlds, from that seed on; each has 1 to `processes` processes."""
    return survey(seeds, seed, processes)[0]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, help="so many worlds, beginning with --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--theme", help="what one world is rich in, whatever its seed says")
    parser.add_argument("--trace", action="store_true", help="show what happens, step by step")
    given = parser.parse_args()
    if given.seeds is None:
        theme = theme_named(given.theme) if given.theme else None
        judged = judge(given.seed, given.processes, trace=given.trace, theme=theme)
        print(*chain(judged.failures or ["no promise was broken"]), sep="\n")
        raise SystemExit(bool(judged.failures))
    figures, counts = survey(given.seeds, given.seed, given.processes)
    print(*(f"{number:8,} {what}" for what, number in sorted(counts.items())), sep="\n")
    print(figures)
    raise SystemExit(bool(figures.failures))


if __name__ == "__main__":
    main()
