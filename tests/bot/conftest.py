"""Fixtures of the tests that drive the whole bot."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from approvals.alarms import raise_alarm
from bot.log import QUIET
from tests.bot.channels import begun
from tests.bot.world import AUDIT, BOB, World, a_world


@pytest.fixture(autouse=True)
def quiet_libraries() -> None:
    """As `bot.log.set_up` has it: libraries log whole payloads, odd ones among them."""
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)


PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack's SDK takes them from the environment; the local Slack is not behind one."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """The bot, running in Socket Mode."""
    async with a_world(tmp_path) as world:
        yield world


@pytest.fixture(params=["socket", "http"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """The bot, running, once in each connection mode."""
    async with a_world(tmp_path, request.param) as world:
        yield world


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[World]:
    """A refund that is done, one that is rejected and one that waits; an alarm; the day's head; nobody writing."""
    async with a_world(tmp_path) as world:
        begun(world)
        await world.approved("refund ORD123 5.000")
        await world.until(world.results)
        rejected = await world.ask("refund USD55 9.00")
        await world.type(BOB, f"reject {rejected.id} duplicate of ticket 7")
        await world.until(lambda: len(world.results()) == 2)
        await world.ask("refund JPY100 700")
        raise_alarm(world.store, world.running.work, "Somebody else acted.", {"amount": "3.000 KWD"})
        await world.until(lambda: any("Alarm" in message.text for message in world.slack.messages(AUDIT)))
        await world.quiet()
        yield world
