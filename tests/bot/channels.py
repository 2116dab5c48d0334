"""`audit channel` over the worlds of the tests: what it finds, as a program that reads its JSON sees it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bot.channel_audit import Options, audit_channel
from bot.settings import AuditSettings, ChannelAuditSettings
from sandbox.slack_records import Message
from tests.bot.world import ALICE, AUDIT, GEN, World

Json = dict[str, Any]


@dataclass(frozen=True)
class Audited:
    """What one run of `audit channel` said."""

    status: int
    found: Json

    def told(self) -> list[tuple[str, str, str | None]]:
        """Each difference: what, of which thing, in which fact."""
        return sorted(((d["what"], d["thing"], d["fact"]) for d in self.found["differences"]), key=str)

    def beyond(self) -> set[tuple[str, str]]:
        return {(one["thing"], one["why"]) for one in self.found["beyond_reach"]}


def settings_of(world: World) -> ChannelAuditSettings:
    (world.folder / "policy.toml").write_text(world.policy, encoding="utf-8")
    return ChannelAuditSettings(
        AuditSettings(world.folder / "bot.db", world.folder, b""),
        world.folder / "policy.toml",
        world.slack.api_url,
        SecretStr(world.slack.state.bot_token),
    )


async def audited(
    world: World, *, export: Path | None = None, state: Path | None = None, whole: bool = False, fresh: float = 0.0
) -> Audited:
    """Run it, as another process would, beside the bot."""
    options = Options(export, state, whole, fresh, as_json=True)
    said = io.StringIO()

    def run() -> int:
        with contextlib.redirect_stdout(said):
            return audit_channel(settings_of(world), options)

    status = await asyncio.to_thread(run)
    return Audited(status, json.loads(said.getvalue()))


def begun(world: World) -> None:
    """What people said before the bot came: the histories reach further back than the record."""
    for channel in (GEN, AUDIT):
        world.slack.say(ALICE, channel, "Welcome.")


def card_of(world: World, order: str) -> Message:
    return next(card for card in world.cards() if order in json.dumps(card.blocks))
