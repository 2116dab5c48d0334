"""Sending, apart from the bot: what is approved, and nothing else, or nothing at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

import ottu
from approvals.request import Ending, State
from bot.perform import outcome_of_error, send
from tests.bot.world import World


@pytest.mark.parametrize("missing", ["amount_minor", "currency"])
async def test_a_refund_without_an_amount_is_not_sent(world: World, missing: str) -> None:
    """Ottu takes everything where no amount is named: a mistake of ours must not become a full refund."""
    await world.approved()
    request = await world.reaches(State.SUCCEEDED)
    sent = len(world.operations_sent())
    changed = replace(request, **{missing: None})  # type: ignore[arg-type]  # either field takes None
    outcome = await send(world.running.ottu, changed, ottu.awake_seconds())
    assert (outcome.ending, "ValueError" in outcome.detail) == (Ending.UNKNOWN, True)
    assert len(world.operations_sent()) == sent


def test_an_error_of_a_new_kind_proves_nothing() -> None:
    """Whatever the gateway's client learns to raise: until it is told what that proves, it is no refusal."""
    assert outcome_of_error(ottu.OttuError("something new")).ending is Ending.UNKNOWN
