"""The bot is killed at every point where it touches disk or network, and started again: money moves once.

Real processes, forked from one that has everything imported, against the local Slack and the local Ottu with its own
ledger. `python -m tests.proofs.crashes --kills 2000 --seed 1`; a failure says how to replay it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.proofs.crash_lane import a_lane
from tests.proofs.crash_oracles import ALL_KINDS
from tests.proofs.crash_plan import BY_HAND, BY_WEBHOOK, SEATS, Cell, Proof, cells
from tests.proofs.crash_points import Blow
from tests.proofs.crash_trial import FAULTS, KEYS, LINES, SCENARIOS, Trial, Tried
from tests.proofs.figures import Figures
from tests.proofs.memory import MEMORY

TREE = Path(__file__).parents[2]
KILLS_OF_A_CELL = 7  # with fewer kills, not every combination is visited


def run(
    kills: int, seed: int, *, pairs: bool = False, processes: int = 2, tree: Path = TREE, only: Sequence[Trial] = ()
) -> Figures:
    """Kill the bot so many times.

    `pairs`: a second time in the same trial, mostly while it recovers. `tree`: the code to be tried, with this proof in
    it. `only`: these combinations; else all, or as many by chance as so few kills are worth.
    """
    return asyncio.run(_run(kills, seed, pairs, "kill", processes, tree, only))


def freeze(freezes: int, seed: int, *, processes: int = 2, tree: Path = TREE, only: Sequence[Trial] = ()) -> Figures:
    """Freeze the bot so many times beyond its lease, while another process takes over, and thaw it."""
    return asyncio.run(_run(freezes, seed, False, "freeze", processes, tree, only))


async def _run(
    blows: int, seed: int, pairs: bool, blow: Blow, processes: int, tree: Path, only: Sequence[Trial]
) -> Figures:
    begun = time.monotonic()
    async with _proof(seed, processes, tree) as proof:
        every = [Cell(trial) for trial in only] or cells()
        count = len(only) or min(len(every), max(3, blows // KILLS_OF_A_CELL))
        chosen = proof.chance.sample(every, count)
        await proof.enumerate(chosen, recovering=blow == "kill")
        await proof.try_until(blows, proof.draw(chosen, pairs=pairs, blow=blow))
    points = sum(len(cell.starting) + len(cell.living) + len(cell.recovering) for cell in chosen)
    counted = {
        "kills" if blow == "kill" else "freezes": proof.counted["struck"],
        "trials": proof.counted["trials"],
        "missed": proof.counted["missed"],
        **({"struck twice": proof.counted["struck twice"]} if pairs else {}),
        "combinations": count,
        "points": points,
        "of them hit": len(proof.hit),
        **{state: proof.counted[state] for state in ("succeeded", "failed", "queued", "refused", BY_HAND, BY_WEBHOOK)},
        **{kind: proof.counted[kind] for kind in ALL_KINDS},
    }
    name = "crashes" if blow == "kill" else "freezes"
    return Figures(name, seed, time.monotonic() - begun, counted, proof.failures)


@asynccontextmanager
async def _proof(seed: int, processes: int, tree: Path) -> AsyncIterator[Proof]:
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="crashes-", dir=MEMORY))
        proof = Proof([], seed)

        def clear() -> None:
            if not proof.failures or tree != TREE:  # else the databases and logs of what failed are kept
                shutil.rmtree(folder)

        stack.callback(clear)
        for number in range(processes):
            proof.lanes.append(await stack.enter_async_context(a_lane(SEATS, folder / str(number), tree)))
        yield proof


def try_one(trial: Trial, *, tree: Path = TREE) -> tuple[Tried, list[str]]:
    """Try one again: what came of it, and what was wrong."""

    async def trying() -> tuple[Tried, list[str]]:
        async with _proof(0, 1, tree) as proof:
            (tried,) = await proof.try_all([trial])
            return tried, proof.failures

    return asyncio.run(trying())


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.proofs.crashes", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--kills", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--pairs", action="store_true", help="a second kill in each trial")
    parser.add_argument("--freeze", action="store_true", help="freeze beyond the lease instead of killing")
    parser.add_argument("--processes", type=int, default=2)
    replaying = parser.add_argument_group("to replay one trial")
    replaying.add_argument("--point", action="append", default=[], help="where the first process is struck, the next …")
    replaying.add_argument("--scenario", choices=SCENARIOS, default="partial refund")
    replaying.add_argument("--fault", choices=FAULTS, default="ok")
    replaying.add_argument("--key", choices=KEYS, default="begin")
    replaying.add_argument("--line", choices=LINES, default="socket")
    options = parser.parse_args(words)
    blow: Blow = "freeze" if options.freeze else "kill"
    if options.point:
        trial = Trial(options.scenario, options.fault, options.key, tuple(options.point), blow, line=options.line)
        tried, failures = try_one(trial)
        print(f"struck {tried.struck} times; {tried.ended}")
        print("\n".join(failures) or "nothing is wrong")
        return 1 if failures else 0
    if options.freeze:
        figures = freeze(options.kills, options.seed, processes=options.processes)
    else:
        figures = run(options.kills, options.seed, pairs=options.pairs, processes=options.processes)
    print(figures)
    return 1 if figures.failures else 0


if __name__ == "__main__":
    sys.exit(main())
