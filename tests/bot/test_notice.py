"""People are told what they need, once: who can decide, reminders, a repetition by mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from approvals.request import State
from tests.bot.world import ALICE, BOB, CEM, GEN, POLICY, World, a_world


async def test_the_same_amount_again_is_said_on_the_card_and_to_the_requester(world: World) -> None:
    await world.approved()
    first = await world.reaches(State.SUCCEEDED)
    second = await world.ask()
    assert f"{first.id}" in str(world.card(second.id).blocks)
    assert "The same amount was refunded before" in await world.told_something(ALICE, first.id)


async def test_another_amount_is_no_repetition(world: World) -> None:
    await world.approved()
    await world.reaches(State.SUCCEEDED)
    second = await world.ask("refund ORD123 4.000")
    assert "before:" not in str(world.card(second.id).blocks)


@pytest.mark.parametrize("how", ["mention", "dm"])
async def test_a_rule_may_call_those_who_can_decide(tmp_path: Path, how: str) -> None:
    policy = POLICY.replace(
        'approve = ["leads"]\napprovals = 1', f'approve = ["leads"]\napprovals = 1\nnotify = "{how}"'
    )
    async with a_world(tmp_path, policy=policy) as world:
        await world.ask(user=BOB)  # who can decide by the groups, but not this one

        def in_thread() -> str:
            return "".join(m.text for m in world.slack.messages(GEN) if m.thread_ts)

        if how == "dm":
            await world.told_something(CEM, "Waiting for a decision")
            assert "Waiting for a decision" not in world.told(BOB)
            assert in_thread() == ""
        else:
            await world.until(lambda: f"<@{CEM}>" in in_thread())
            assert f"<@{BOB}>" not in in_thread()


async def test_reminders_stand_in_the_thread_only_while_it_waits(world: World) -> None:
    await world.ask()
    assert world.results() == []
    world.hurry("remind")
    await world.until(lambda: [m for m in world.slack.messages(GEN) if "Still waiting" in m.text])
    assert all(m.thread_ts for m in world.slack.messages(GEN) if "Still waiting" in m.text)
    second = await world.ask("refund USD55 1.00")
    await world.press(BOB, "approve", world.card(second.id))
    await world.reaches(State.SUCCEEDED, second.id)
    world.hurry("remind")
    await world.quiet()
    assert not [m for m in world.slack.messages(GEN) if "Still waiting" in m.text and second.id in m.text]
