"""Once a day the head of the record goes to the audit channel: whoever rewrites the database cannot rewrite that."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from approvals.store import later
from bot.audit import verify_record
from bot.settings import AuditSettings
from sandbox.slack_records import Message
from tests.bot.test_processes import two
from tests.bot.world import AUDIT, POLICY, World, a_world


def heads(world: World) -> list[Message]:
    return [m for m in world.slack.messages(AUDIT) if m.metadata and m.metadata["event_type"] == "ottu_head"]


def jobs(world: World) -> list[tuple[str, str]]:
    """What waits: the key, and when it is due."""
    rows = world.store.rows("SELECT key, due_at FROM work_jobs WHERE kind = 'head' AND done_at IS NULL ORDER BY due_at")
    return [(row["key"], row["due_at"]) for row in rows]


def today(world: World) -> tuple[str, str]:
    """The job of this day, due when it is over."""
    now = world.store.now()
    return f"head:{now[:10]}", later(f"{now[:10]}T00:00:00.000Z", days=1)


def a_day_passes(world: World) -> None:
    """What was put down for today was put down for yesterday."""
    begun = f"{world.store.now()[:10]}T00:00:00.000Z"
    world.store.database.execute(
        "UPDATE work_jobs SET key = :key, due_at = :due, payload = :payload WHERE kind = 'head' AND done_at IS NULL",
        {"key": f"head:{later(begun, days=-1)[:10]}", "due": begun, "payload": json.dumps({"since": begun})},
    )
    if world.bot is not None:
        world.bot.work.on_change()


async def test_the_head_is_told_when_the_day_is_over_and_proves_what_was(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    await world.ask()
    await world.quiet()
    assert jobs(world) == [today(world)]
    assert heads(world) == []
    seq, head = world.store.head()
    a_day_passes(world)
    (message,) = await world.until(lambda: heads(world))
    assert (message.metadata or {})["event_payload"] == {"seq": seq, "head": head}
    assert f"record {seq}:{head[:8]}" in message.text
    assert head in message.text
    await world.until(lambda: jobs(world) == [today(world)])
    await world.stop()
    assert verify_record(AuditSettings(world.folder / "bot.db", world.folder, b""), anchors=[f"{seq}:{head}"]) == 0
    capsys.readouterr()


async def test_a_restart_neither_loses_nor_doubles_it(world: World) -> None:
    """Nor does a bot that was away when the day ended."""
    await world.stop()
    await world.start()
    assert jobs(world) == [today(world)]
    await world.stop()
    a_day_passes(world)
    await world.start()
    await world.until(lambda: heads(world))
    await world.stop()
    await world.start()
    await world.quiet()
    assert len(heads(world)) == 1
    assert jobs(world) == [today(world)]


@pytest.mark.parametrize("kind", ["500", "drop_after"])
async def test_what_slack_did_not_take_is_told_again_and_what_it_took_is_not(world: World, kind: str) -> None:
    """With the last, the message is there and the answer is lost."""
    world.slack.fault("chat.postMessage", kind)
    a_day_passes(world)
    await world.until(lambda: world.slack.state.faults == [] and heads(world))
    await world.until(lambda: jobs(world) == [today(world)])
    assert len(heads(world)) == 1


async def test_two_processes_on_one_database_tell_it_once(tmp_path: Path) -> None:
    async with two(tmp_path) as (world, _, second):
        await second.start()
        assert jobs(world) == [today(world)]
        a_day_passes(world)
        await world.until(lambda: heads(world))
        await world.until(lambda: jobs(world) == [today(world)])
        await asyncio.sleep(0.3)
        assert len(heads(world)) == 1


async def test_without_an_audit_channel_nothing_is_told(tmp_path: Path) -> None:
    """Neither from the start, nor once the channel is taken out of the policy."""
    async with a_world(tmp_path) as world:
        await world.stop()
        world.policy = POLICY.replace(f'audit = "{AUDIT}"\n', "")
        a_day_passes(world)
        await world.start()
        await world.until(lambda: jobs(world) == [])
        await world.quiet()
        assert not any("record" in message.text for message in world.slack.state.messages)
