"""A process that was frozen while it brought a card to Slack: what it does when it goes on leaves no stale card."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from approvals.closing import Closing
from approvals.request import Request
from approvals.work import Job, Work
from bot.delivery import CardStanding, Delivery
from tests.approvals.factories import CEM, Desk, another, open_desk


class SlowSlack(AsyncWebClient):
    """Each call waits until it is let through."""

    def __init__(self) -> None:
        super().__init__("xoxb-1")
        self.calls: list[str] = []
        self.through = asyncio.Event()

    async def api_call(self, api_method: str, **_: Any) -> Any:
        self.calls.append(api_method)
        await self.through.wait()
        return {"ok": True, "ts": f"{len(self.calls)}.1", "messages": []}


def a_delivery(desk: Desk, client: SlowSlack) -> Delivery:
    standing = CardStanding(desk.execution, Closing(desk.service), desk.inquiries)
    return Delivery(client, desk.store, desk.work, host="h", standing=standing)


def take_card(work: Work) -> Job:
    [job] = work.take(["card"], 1)
    return job


async def frozen_in(delivery: Delivery, job: Job, method: str, client: SlowSlack) -> asyncio.Task[None]:
    """The job as it stands at that call."""
    task = asyncio.create_task(delivery.card(job))
    while client.calls[-1:] != [method]:  # noqa: ASYNC110 - it is there at the next turn
        await asyncio.sleep(0)
    return task


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = open_desk(tmp_path)
    yield desk
    desk.store.database.close()


def a_pending(desk: Desk) -> Request:
    return desk.check(desk.ask())


async def test_a_card_that_was_posted_late_is_brought_to_its_row(desk: Desk) -> None:
    """Else the card would say for ever that it waits, with buttons, though all is done."""
    request = a_pending(desk)
    slow = SlowSlack()
    task = await frozen_in(a_delivery(desk, slow), job := take_card(desk.work), "chat.postMessage", slow)
    with another(desk) as other:
        desk.work.give_back(desk.work.owner, taken_before=desk.store.now())
        other.approve(request, CEM)
        swift = SlowSlack()
        swift.through.set()
        second = take_card(other.work)
        await a_delivery(other, swift).card(second)
        other.work.finish(second)
        slow.through.set()
        await task
        desk.work.finish(job)
    assert desk.work.counts()["card"] == 1


async def test_whoever_has_lost_the_job_posts_no_card(desk: Desk) -> None:
    """It would forget where the card stands; where it then ended, nobody would look for it any more."""
    request = a_pending(desk)
    desk.work.card_begins(request.id, request.channel)
    slow = SlowSlack()
    task = await frozen_in(a_delivery(desk, slow), take_card(desk.work), "conversations.history", slow)
    with another(desk) as other:
        desk.work.give_back(desk.work.owner, taken_before=desk.store.now())
        take_card(other.work)
        desk.work.card_shown(request.id, ts="5.5", version=request.version)
    slow.through.set()
    await task
    assert slow.calls == ["conversations.history"]
    card = desk.work.card(request.id)
    assert card is not None
    assert card.ts == "5.5"


async def test_a_card_that_was_posted_late_is_taken_over_wholly_or_not_at_all(desk: Desk) -> None:
    """The database fails in between: the card that the others posted stays the card, and is as its row."""
    request = a_pending(desk)
    slow = SlowSlack()
    task = await frozen_in(a_delivery(desk, slow), take_card(desk.work), "chat.postMessage", slow)
    with another(desk) as other:
        desk.work.give_back(desk.work.owner, taken_before=None)
        swift = SlowSlack()
        swift.through.set()
        first, _ = take_card(other.work), other.approve(request, CEM)
        await a_delivery(other, swift).card(first)
        other.work.finish(first)
        second = take_card(other.work)
        await a_delivery(other, swift).card(second)
        other.work.finish(second)
        shown = other.work.card(request.id)
    desk.store.database.execute("CREATE TRIGGER fails BEFORE UPDATE ON work_jobs BEGIN SELECT RAISE(ABORT, 'so'); END")
    slow.through.set()
    with pytest.raises(sqlite3.IntegrityError):
        await task
    assert desk.work.card(request.id) == shown
