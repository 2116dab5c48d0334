"""Attacks on the moment at which another policy begins to count."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from approvals.request import State
from bot.policies import look_at
from tests.bot.test_policy_reload import LEADS, policies, write
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
