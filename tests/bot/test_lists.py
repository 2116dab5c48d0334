"""`/ottu pending`, `history` and `status`: private, whole, in pages, and with links to the cards."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from approvals.request import State
from tests.bot.world import ALICE, BOB, CEM, OTHER, OUT, World, a_world

LIMIT = "\n[timing]\ncommands_per_minute = 1000\n"


def _listed(text: str) -> list[str]:
    """The requests that a list names, in its order."""
    return re.findall(r"(?:^\S+ |\|)(R-[0-9A-Z]+)[> ]", text, re.MULTILINE)


async def test_a_hundred_open_requests_are_shown_whole_in_their_order(tmp_path: Path) -> None:
    """Five pages at the one response_url, which takes no more; all of it private, newest first."""
    async with a_world(tmp_path, policy=World.policy + LIMIT) as world:
        world.ottu.fault("throttled", endpoint="inquiry", count=1000, retry_after="3600")
        await asyncio.gather(*(world.type(ALICE, f"refund WAITS{number} 1.000") for number in range(100)))
        await world.until(lambda: len(world.requests()) == 100, 20)
        await world.quiet()
        before = len(world.private(BOB))
        await world.type(BOB, "pending", channel=OTHER)
        await world.told_something(BOB, "page 5 of 5")
        pages = [m.text for m in world.private(BOB)[before:] if "Open requests" in m.text]
        assert [re.findall(r"page (\d) of 5", page) for page in pages] == [["1"], ["2"], ["3"], ["4"], ["5"]]
        newest_first = sorted(world.requests(), key=lambda request: request.created_at, reverse=True)
        shown = _listed("\n".join(pages))
        assert sorted(shown) == sorted(request.id for request in newest_first)
        times = {request.id: request.created_at for request in newest_first}
        assert [times[name] for name in shown] == [request.created_at for request in newest_first]
        assert world.slack.direct_messages(BOB) == []
        assert "page 1" not in world.told(ALICE)


async def test_a_page_that_slack_did_not_take_keeps_its_place(tmp_path: Path) -> None:
    async with a_world(tmp_path, policy=World.policy + LIMIT) as world:
        world.ottu.fault("throttled", endpoint="inquiry", count=1000, retry_after="3600")
        await asyncio.gather(*(world.type(ALICE, f"refund WAITS{number} 1.000") for number in range(45)))
        await world.until(lambda: len(world.requests()) == 45, 20)
        await world.quiet()
        world.slack.fault("response_url", "500")
        await world.type(BOB, "pending")
        await world.told_something(BOB, "page 3 of 3")
        assert "page 1 of 3" in world.slack.direct_messages(BOB)[0].text
        assert sorted(_listed(world.told(BOB))) == sorted(request.id for request in world.requests())


async def test_lists_and_details_link_to_the_card_from_anywhere_and_are_private(world: World) -> None:
    request = await world.ask()
    await world.until(lambda: (card := world.running.work.card(request.id)) and card.permalink)
    card = world.running.work.card(request.id)
    assert card is not None
    for text in ("pending", "history ORD123", f"history {request.session_id}"):
        before = len(world.private(CEM))
        await world.type(CEM, text, channel="D03CEM" if text == "pending" else OTHER)
        await world.until(lambda before=before: len(world.private(CEM)) == before + 2)  # type: ignore[misc]  # a default
        (told,) = [message.text for message in world.private(CEM)[before:] if "(1)" in message.text]
        assert f"<{card.permalink}|{request.id}>" in told
        assert "5.000 KWD" in told
    assert request.id not in world.told(ALICE).replace("Got it", "")


@pytest.mark.parametrize("text", ["pending", "history ORD123", "status ORD123"])
async def test_whoever_may_not_read_learns_nothing(world: World, text: str) -> None:
    request = await world.ask()
    await world.type(OUT, text)
    await world.told_something(OUT, "You may not do this")
    assert request.id not in world.told(OUT)
    assert world.refused_attempts() == ["no_power"]


async def test_nothing_to_list_is_said(world: World) -> None:
    await world.type(CEM, "pending")
    await world.told_something(CEM, "Nothing is open")
    await world.type(CEM, "history ORD123")
    await world.told_something(CEM, "No request for ORD123 so far")


async def test_a_reference_in_a_list_is_text_and_calls_nobody(world: World) -> None:
    """Slack sends `&lt;!channel&gt;` for what a person typed; it is shown as that again."""
    await world.type(CEM, "history *&lt;!channel&gt;*")
    told = await world.told_something(CEM, "No request for")
    assert "<!channel>" not in told
    assert "&lt;!channel&gt;" in told


async def test_what_is_decided_leaves_the_open_ones_and_stays_in_the_history(world: World) -> None:
    request = await world.approved()
    await world.reaches(State.SUCCEEDED)
    await world.type(CEM, "pending")
    await world.told_something(CEM, "Nothing is open")
    await world.type(CEM, "history ORD123")
    told = await world.told_something(CEM, "Requests for ORD123")
    assert _listed(told) == [request.id]
    assert "✅" in told
    assert f"<@{ALICE}>, approved by <@{BOB}>" in told
