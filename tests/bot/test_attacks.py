"""Ways to take money twice, or to show what is not so, that were found in an earlier version: each stays closed.

By a copy of the database, by two people's word, by what somebody else writes in Slack, by many slow questions.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from approvals.request import State
from bot import processes
from bot.acquaintance import CannotStart
from bot.backup import backup, restore
from bot.marker import SUFFIX
from sandbox.slack_records import Message
from tests.bot.test_attacks_on_unknown import CALM
from tests.bot.test_restored import copied_before_the_send, put_back, run
from tests.bot.test_unknown import closed_by_two, doubting, looked, unanswered
from tests.bot.world import ALICE, BOB, CEM, GEN, World

ROGUE = "U66ROGUE"  # another app of the workspace, or a person with a token
MOVED = [("refund", "ORD123", "5.000", "KWD")]


# --- copies of the database


def elsewhere() -> str:
    """A process of another machine."""
    return "another-host:1:1000.00"


def beside() -> str:
    """A process that lives on this machine."""
    return processes.name_of(psutil.Process(os.getppid()))


@pytest.mark.parametrize("owner", [elsewhere, beside])
async def test_a_hot_copy_is_a_restore_whoever_it_says_uses_it(world: World, tmp_path: Path, owner: Any) -> None:
    """Made while the bot ran: it names that process, which may be alive, or on a machine of which nothing is known."""
    await copied_before_the_send(world, tmp_path / "copy.db")
    with (world.folder / "bot.db").open("rb"):  # the original stays in use, so that nothing else is this very file
        put_back(world, tmp_path / "copy.db")
        says_who_uses_it(world, owner())
        await world.start()
    assert (await world.reaches(State.UNKNOWN)).restored == 1
    await world.resume(CEM)
    world.hurry("execute", "close")
    await world.quiet()
    assert world.moved() == MOVED


def says_who_uses_it(world: World, owner: str) -> None:
    """In the copy; and no marker, as on a machine where it was never used."""
    connection = sqlite3.connect(world.folder / "bot.db")
    connection.execute("UPDATE work_facts SET name = ? WHERE name LIKE 'process:%'", [f"process:{owner}"])
    connection.commit()
    connection.close()
    for marker in world.folder.glob(f"*{SUFFIX}"):
        marker.unlink()


async def test_nothing_is_adopted_while_the_bot_runs(world: World) -> None:
    """Also without a source: a request that is under way would become unknown under the hands of who sends it."""
    world.ottu.fault("queued", seconds_before=0.5)
    await world.approved()
    await world.until(lambda: world.request().state is State.EXECUTING)
    with pytest.raises(CannotStart, match="the bot is running on this database"):
        restore(world.settings, None, sure=True)
    assert (await world.reaches(State.QUEUED)).restored == 0


async def test_a_damaged_database_can_be_replaced_and_is_kept_aside(world: World, tmp_path: Path) -> None:
    await world.ask()
    await world.quiet()
    backup(world.settings, tmp_path / "copy.db")
    await world.stop()
    for name in ("bot.db-wal", "bot.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "bot.db").write_bytes(b"garbage" * 1000)
    assert restore(world.settings, tmp_path / "copy.db", sure=True) == 0
    assert (tmp_path / "bot.db.before-restore-1").read_bytes() == b"garbage" * 1000
    await world.start()
    assert (await world.reaches(State.UNKNOWN)).restored == 1


# --- the chain of events


async def test_a_chain_without_keys_does_not_verify_where_a_key_is_set(world: World) -> None:
    """Who has only the database could write all of it anew. Until when there was none, the operator says."""
    await world.ask()
    await world.quiet()
    last = world.store.head()[0]
    await world.stop()
    world.environment["AUDIT_KEY"] = "a key that came later, of many characters"
    status, said = await run(world, "audit", "verify")
    assert (status, f"events 1 to {last}: were written without a key" in said) == (1, True)
    status, said = await run(world, "audit", "verify", "--unkeyed-until", str(last))
    assert (status, "0 differences" in said) == (0, True)


# --- closed by hand


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
async def test_two_peoples_word_is_shown_as_their_word(tmp_path: Path, outcome: str) -> None:
    """Nothing was proven, and nothing need have moved: neither "Refunded", nor what would be left, nor "no money"."""
    async with doubting(tmp_path, policy=CALM) as world:
        request = await unanswered(world, "refund ORD123 5.000")
        await looked(world, request, "nothing_new")
        await closed_by_two(world, request, outcome)
        await world.until(lambda: len(world.results_of(request.id)) == 2)
        result = world.results_of(request.id)[-1].text
        for shown in (result, world.card_text()):
            assert f"Closed by hand as {outcome} by <@{CEM}> and <@{BOB}>: looked in the dashboard" in shown
            assert not any(word in shown for word in ("Refunded 5", "No money was moved"))
        assert "Left to refund" not in result
        assert world.moved() == []


# --- what somebody else writes in Slack


def posted_by(world: World, event_type: str) -> list[Message]:
    """The bot's own cards, or results."""
    own = [m for m in world.slack.messages(GEN) if m.user == world.slack.state.bot_user]
    return [m for m in own if m.metadata and m.metadata["event_type"] == event_type]


async def test_a_foreign_message_is_not_taken_for_our_card(world: World) -> None:
    """With our metadata, while the card is being posted and Slack fails: it would never come, its buttons neither."""
    world.ottu.fault("slow", endpoint="inquiry", seconds_before=0.3)
    world.slack.fault("chat.postMessage", "500")
    await world.type(ALICE, "refund ORD123 5.000")
    await world.until(world.requests)
    request = world.request()
    foreign(world, "ottu_request", {"request": request.id})
    (card,) = await world.until(lambda: posted_by(world, "ottu_request"), hurry=("card",))
    await world.press(BOB, "approve", card)
    await world.until(world.moved)


async def test_a_foreign_message_is_not_taken_for_our_result(world: World) -> None:
    """It would hide that money was moved."""
    request = await world.ask()
    card = world.card()
    seq = world.store.head()[0]
    for number in range(seq, seq + 20):
        foreign(world, "ottu_result", {"request": request.id, "seq": number}, card.ts)
    world.slack.fault("chat.postMessage", "500")
    await world.press(BOB, "approve")
    (result,) = await world.until(lambda: posted_by(world, "ottu_result"), hurry=("notice",))
    assert "Refunded 5.000 KWD" in result.text


def foreign(world: World, event_type: str, payload: dict[str, Any], thread_ts: str | None = None) -> None:
    metadata = {"event_type": event_type, "event_payload": payload}
    world.slack.state.post(GEN, ROGUE, "hello", metadata=metadata, thread_ts=thread_ts)


def marked_up(part: Any) -> Iterator[dict[str, Any]]:
    """Every text with mark-up in there."""
    if isinstance(part, dict):
        if part.get("type") == "mrkdwn":
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from marked_up(item)


async def test_what_was_typed_calls_nobody_links_nothing_and_reorders_nothing(world: World) -> None:
    """Slack finds names and addresses in plain text too, unless it is told to take it verbatim."""
    session = world.ottu.create("ORD\u202e321", "9.000", "KWD").session_id
    request = await world.ask(f"refund {session} 1.000 @channel <!channel> see https://evil.example x@U03CEM")
    card = world.card(request.id)
    texts = list(marked_up(card.blocks))
    assert [text for text in texts if text.get("verbatim") is not True] == []
    assert "<!channel>" not in world.card_text()
    assert "<@U03CEM>" not in world.card_text()
    assert card.blocks[0]["text"]["text"] == "⏳ Refund 1.000 KWD · ORD321"
    assert "\u202e" not in card.text


# --- being slow


async def test_slow_inquiries_hold_up_no_click(world: World) -> None:
    """Sixteen people ask about transactions of which Ottu is slow to tell."""
    request = await world.ask()
    for number in range(16):
        world.ottu.create(f"SLOW{number}", "1.000", "KWD")
        world.ottu.fault("slow", endpoint="inquiry", seconds_before=5, match=f"SLOW{number}")
        await world.type(ALICE, f"inquiry SLOW{number}")
    begun = time.monotonic()
    await world.press(BOB, "approve")
    await world.until(lambda: world.request(request.id).state is not State.PENDING)
    assert time.monotonic() - begun < 2
