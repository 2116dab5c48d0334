"""Attacks on the moment at which another policy begins to count."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from approvals.audit import ChainKey
from approvals.policy_in_force import record_refused
from approvals.request import State
from approvals.sqlite import open_database
from approvals.store import Store
from approvals.work import Work
from bot.policies import look_at
from tests.bot.test_policy_reload import LEADS, alarms, policies, write
from tests.bot.world import BOB, CEM, OUT, POLICY, a_world


async def test_nobody_decides_by_the_groups_of_a_policy_that_is_over(tmp_path: Path) -> None:
    """Slack takes long to say who is in a group; meanwhile the file names others: those count, not the old ones."""
    old = POLICY.replace(LEADS, f'leads = ["{OUT}", "{CEM}", "S01SLOW"]')
    async with a_world(tmp_path, policy=old) as world:
        world.slack.state.groups["S01SLOW"] = [CEM]
        request = await world.ask()
        world.running.people.clock = lambda now=world.running.people.clock: now() + 1000  # type: ignore[misc]  # a default
        world.slack.fault("usergroups.users.list", "hang_after", times=1, seconds=4)
        await world.press(OUT, "approve")
        await world.until(lambda: world.running.worker.running["inbox"])
        write(world, POLICY)
        await world.until(lambda: policies(world))
        assert world.running.worker.running["inbox"]  # it is still asked of Slack
        await world.told_something(OUT, "You may not approve")
        assert world.nothing_done(request.id)
        await world.press(BOB, "approve")
        await world.reaches(State.SUCCEEDED)


def test_a_pipe_a_device_and_a_folder_are_no_policy_file(tmp_path: Path) -> None:
    """Whoever opens a pipe waits for its writer. Nor is a device or a folder a policy file."""
    pipe = tmp_path / "policy.toml"
    os.mkfifo(pipe)
    for place in (pipe, Path("/dev/zero"), tmp_path):
        found = look_at(place)
        assert (found.content, found.hash, bool(found.unreadable)) == (b"", None, True)


FLIP = """
import os, sys
while True:
    os.mkfifo("pipe")
    os.rename("pipe", "policy.toml")
    open("file", "w").write("x")
    os.rename("file", "policy.toml")
"""
LOOK = """
import pathlib, bot.policies
print({bot.policies.look_at(pathlib.Path(sys.argv[1])).content for _ in range(30_000)})
"""


def test_no_look_waits_for_a_pipe_that_comes_in_between(tmp_path: Path) -> None:
    """The file is a pipe and a file by turns, thousands of times in a second: the whole bot would stand still."""
    flipping = subprocess.Popen([sys.executable, "-c", FLIP], cwd=tmp_path)  # noqa: S603  our own words
    try:
        looked = subprocess.run(  # noqa: S603  our own words
            [sys.executable, "-c", f"import sys{LOOK}", tmp_path / "policy.toml"], timeout=30, check=True
        )
    finally:
        flipping.kill()
        flipping.wait()
    assert looked.returncode == 0


async def test_a_file_that_flaps_between_bad_ones_floods_neither_the_channel_nor_the_record(tmp_path: Path) -> None:
    """A few are told at once; then one in a while. A good one counts at once, whatever was before."""
    async with a_world(tmp_path) as world:
        policies_, ahead = world.running.policies, [0.0]
        policies_.clock = lambda clock=policies_.clock: clock() + ahead[0]  # type: ignore[misc]  # a default

        async def look() -> None:
            for _ in range(2):
                await policies_.look(world.store, world.running.work, world.running.people)

        for number in range(12):
            write(world, f"nonsense {number}")
            await look()
        assert len(policies(world)) == 5
        write(world, POLICY + "\n# mended")
        await look()
        assert policies(world)[-1].kind == "policy_adopted"
        write(world, "nonsense again")
        await look()
        assert len(policies(world)) == 6
        ahead[0] = 301.0
        await world.until(lambda: len(policies(world)) == 7)  # it is still so, and told now
        await world.quiet()
        assert len(alarms(world)) == 6


def test_the_same_mistake_of_another_day_is_told_again(tmp_path: Path) -> None:
    """The file was put back meanwhile, which is no event; two processes that see one mistake tell it once."""
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    store = Store(open_database(tmp_path / "bot.db"), ChainKey(b""), lambda: now[0])
    work = Work(store, "host:1:1")
    for seconds, told in ((0, 1), (30, 1), (3600, 2), (30, 2)):
        now[0] += timedelta(seconds=seconds)
        record_refused(store, work, "it is gone", None)
        assert len(store.events_of_kind("alarm")) == len(store.events_of_kind("policy_refused")) == told
    store.database.close()
