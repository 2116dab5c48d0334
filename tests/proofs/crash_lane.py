"""A process that tries what it is told, several trials at once: `python -m tests.proofs.crash_lane SEATS FOLDER`.

Reads one trial a line (JSON) from standard input, and writes what came of it, in whatever order they end.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ottu.client import _certificates
from tests.measured import unmeasured
from tests.proofs.crash_oracles import broken
from tests.proofs.crash_play import STUCK, Play
from tests.proofs.crash_trial import Stage, Trial, Tried, a_stage
from tests.proofs.nursery import Nursery

LINE_BYTES = 1 << 24  # a whole life's points


async def serve(nursery: Nursery, seats: int, folder: Path) -> None:
    """Try what comes in until standard input ends."""
    trials: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    reading = asyncio.create_task(_read(trials, seats))
    async with asyncio.TaskGroup() as group:
        for seat in range(seats):
            group.create_task(_sit(nursery, folder / str(seat), trials))
    await reading


async def _read(trials: asyncio.Queue[dict[str, Any] | None], seats: int) -> None:
    stream = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), sys.stdin)
    async for line in stream:
        trials.put_nowait(json.loads(line))
    for _ in range(seats):
        trials.put_nowait(None)


async def _sit(nursery: Nursery, folder: Path, trials: asyncio.Queue[dict[str, Any] | None]) -> None:
    async with a_stage(folder, nursery) as stage:
        while (said := await trials.get()) is not None:
            number = said.pop("number")
            tried = await tried_out(stage, Trial(**{**said, "strikes": tuple(said["strikes"])}))
            print(json.dumps({"number": number, **asdict(tried)}), flush=True)


async def tried_out(stage: Stage, trial: Trial) -> Tried:
    """One trial, with all that is wrong after it; its folder is kept where something is."""
    play = Play(stage, trial)
    try:
        await play.run()
    except Exception as error:
        play.tried.failures.append((STUCK, f"{type(error).__name__}: {error}"))
    play.tried.failures.extend(broken(play))
    if not play.tried.failures:
        shutil.rmtree(play.world.folder)
    return play.tried


@asynccontextmanager
async def a_lane(seats: int, folder: Path, tree: Path) -> AsyncIterator[Lane]:
    """Start such a process, with the code of `tree`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.proofs.crash_lane",
        str(seats),
        str(folder),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=tree,
        env=unmeasured(),
        limit=LINE_BYTES,
    )
    lane = Lane(process)
    hearing = asyncio.create_task(lane.hear())
    try:
        yield lane
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await hearing


class Lane:
    """The other end of it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[int, asyncio.Future[Tried]] = {}
        self._count = 0

    async def try_out(self, trial: Trial) -> Tried:
        """Have it tried there."""
        self._count += 1
        future: asyncio.Future[Tried] = asyncio.get_running_loop().create_future()
        self._waiting[self._count] = future
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"number": self._count, **asdict(trial)}).encode() + b"\n")
        await self._process.stdin.drain()
        return await future

    async def hear(self) -> None:
        """Hand out what comes back."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            said["failures"] = [(kind, words) for kind, words in said["failures"]]
            self._waiting.pop(said.pop("number")).set_result(Tried(**said))
        for future in self._waiting.values():
            future.set_exception(RuntimeError("the lane has ended"))


def main() -> None:
    _certificates()  # loaded once, for all that are forked
    nursery = Nursery()
    seats, folder = int(sys.argv[1]), Path(sys.argv[2])
    for seat in range(seats):
        (folder / str(seat)).mkdir(parents=True)
    try:
        asyncio.run(serve(nursery, seats, folder))
    finally:
        nursery.close()


if __name__ == "__main__":
    main()
