"""Attacks on the moment at which another policy begins to count."""

from __future__ import annotations

from pathlib import Path

from approvals.request import State
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
