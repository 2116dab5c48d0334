"""People are told what they need, once: who can decide, reminders, a repetition by mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from approvals.request import State
from sandbox.slack_records import Message
from tests.bot.world import ALICE, BOB, CEM, GEN, OUT, POLICY, World, a_world, with_timing


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


def replies(world: World, text: str) -> list[Message]:
    """What stands below cards."""
    return [m for m in world.slack.messages(GEN) if m.thread_ts and m.thread_ts != m.ts and text in m.text]


async def test_without_notify_nobody_is_called(world: World) -> None:
    """The default: the card alone, which mentions only who asked."""
    await world.ask()
    await world.quiet()
    assert replies(world, "") == []
    assert [world.private(user) for user in (BOB, CEM, OUT)] == [[], [], []]


async def test_a_reminder_names_only_those_who_can_still_decide(world: World) -> None:
    """Neither who asked, nor who has approved, nor who is in no group; nobody is written to directly."""
    request = await world.ask("refund ORD123 16.000")  # leads and agents may approve it
    await world.press(BOB, "approve")
    await world.until(lambda: world.store.approvals(request.id))
    world.hurry("remind")
    await world.until(lambda: len(replies(world, "Still waiting")) == 2)
    for reminder in replies(world, "Still waiting"):
        assert reminder.thread_ts == world.card().ts
        assert f"<@{CEM}>" in reminder.text
        assert not any(f"<@{user}>" in reminder.text for user in (ALICE, BOB, OUT))
    assert [world.private(user) for user in (BOB, CEM, OUT)] == [[], [], []]


async def test_a_request_that_nobody_decided_says_so_to_its_requester(tmp_path: Path) -> None:
    """In the card's thread, where the requester is mentioned: on the card, once, and to nobody else."""
    async with a_world(tmp_path, policy=with_timing(expires_after="1s", remind_after=[])) as world:
        request = await world.ask()
        await world.reaches(State.EXPIRED)
        (end,) = await world.until(lambda: replies(world, "Expired"))
        assert "Nobody decided in time; nothing was sent. Ask again if it is still wanted." in end.text
        assert f"<@{ALICE}> asked" in end.text
        assert end.thread_ts == world.card().ts
        assert "Expired" in world.card().text
        world.hurry("remind")
        await world.quiet()
        assert len(world.results_of(request.id)) == 1
        assert not any(f"<@{user}>" in end.text for user in (BOB, CEM))
        assert [world.private(user) for user in (BOB, CEM, OUT)] == [[], [], []]


@pytest.mark.parametrize("how", ["approve", "reject", "refuse", "unknown", "fail"])
async def test_the_requester_is_told_how_it_ended(world: World, how: str) -> None:
    """Mentioned in the thread; privately as well where it was refused or is unknown. The others: what they typed."""
    typed: dict[str, list[str]] = {}
    if how == "refuse":
        await world.type(ALICE, "refund ORD123 99.000")
        await world.told_something(ALICE, "🚫 Refused: refund ORD123 99.000")
    else:
        request = await world.ask()
        if how == "reject":
            await world.type(BOB, f"reject {request.id} already refunded")
            typed = {BOB: ["🔎 One moment.", f"❌ {request.id} is rejected. Nothing was sent."]}
        else:
            if how in {"unknown", "fail"}:
                world.ottu.fault({"unknown": "drop_after", "fail": "failed"}[how])
            await world.press(BOB, "approve")
        (end,) = await world.until(world.results)
        assert f"<@{ALICE}> asked, <@{BOB}> {'rejected' if how == 'reject' else 'approved'}" in end.text
    await world.quiet()
    direct = [message.text for message in world.slack.direct_messages(ALICE)]
    assert len(direct) == (1 if how == "unknown" else 0)
    for user in (BOB, CEM, OUT):
        assert [message.text for message in world.private(user)] == typed.get(user, [])
    assert len(world.results()) == (0 if how == "refuse" else 1)


async def test_who_withdraws_hears_nothing_more(world: World) -> None:
    """They know: the card says so to the others."""
    await world.ask()
    await world.press(ALICE, "withdraw")
    await world.reaches(State.WITHDRAWN)
    await world.quiet()
    assert replies(world, "") == []
    assert world.slack.direct_messages(ALICE) == []
