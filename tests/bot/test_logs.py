"""The log of the real process over a whole journey: one JSON line an event, and nothing that is nobody's business."""

from __future__ import annotations

import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from approvals.request import Request, State
from bot.log import JsonLines
from sandbox.ottu_answers import INITIATOR, PG_PARAMS
from sandbox.ottu_book import PAYER
from tests.bot.test_restart import MODES, Process, a_process
from tests.bot.test_webhooks import HMAC_KEY, a_document, signed
from tests.bot.world import ALICE, BOB, KEY, World

REASON = "broken-on-arrival-77"
MOVES = ["submitted", "pending", "approval", "executing", "succeeded"]
COUNTRY = {"customer_address_country", "customer_address_postal_code"}  # `KW` is in the currency's name
PERSONAL = [
    *(text for name, text in PAYER.items() if name not in COUNTRY),
    *(str(value) for name, value in INITIATOR.items() if name != "id"),
    *PG_PARAMS.values(),
]
CARD_NUMBER = "4111111111111111"
TYPED = [REASON, "ORD-nowhere", CARD_NUMBER, "refnud", "not-today-please"]
PAYLOAD = ["response_url", "trigger_id", "api_app_id", "hooks.slack", "customer_", "signature", "x-slack", "Api-Key"]


async def _journey(world: World, process: Process) -> Request:
    """All that a day brings: a refund, a no, an unknown, refused attempts, trouble at Slack, forged calls."""
    done = await world.approved(f"refund ORD123 5.000 {REASON}")
    await world.reaches(State.SUCCEEDED, done.id)
    world.ottu.fault("status", status=400, body={"detail": f"No card of {PAYER['customer_email']} any more."})
    failed = await world.approved("refund USD55 1.00")
    await world.reaches(State.FAILED, failed.id)
    world.ottu.fault("drop_after", match="JPY100")
    unknown = await world.approved("refund JPY100 10")
    await world.reaches(State.UNKNOWN, unknown.id)
    asked = await world.ask("void AUTH7")
    await world.press(ALICE, "approve", world.card(asked.id))
    await world.until(lambda: world.refused_attempts() == ["self_approval"])
    world.slack.fault("views.open", "500")
    await world.press(BOB, "reject", world.card(asked.id))
    await world.told_something(BOB, "The form did not open")
    world.slack.fault("users.info", "500")
    world.slack.fault("chat.update", "ratelimited")
    world.slack.fault("chat.postMessage", "500")
    await world.type(BOB, f"reject {asked.id} not-today-please")
    await world.until(lambda: world.results_of(asked.id), 20, hurry=("command", "card", "notice"))
    for text in ("refnud ORD123 5.000", f"refund ORD123 {CARD_NUMBER}", "refund ORD-nowhere 5.000"):
        await world.type(ALICE, text)
    await world.until(lambda: world.requests()[-1].state is State.REFUSED)
    await _forged(world, process)
    return done


async def _forged(world: World, process: Process) -> None:
    """Calls from nobody, and a webhook of somebody else's refund."""
    web = str(next(line["web"] for line in process.log if line["event"] == "started"))
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.post(f"{web}/ottu/webhook", content=signed(a_document(), "another key"))
        await client.post(f"{web}/ottu/webhook", content=signed(a_document()))
        forged = {"X-Slack-Signature": "v0=abc", "X-Slack-Request-Timestamp": "1"}
        await client.post(f"{web}/slack/events", content=f"text={REASON}&token=t", headers=forged)
    await world.until(lambda: any(event.kind == "alarm" for event in world.store.events()))


@MODES
async def test_a_day_in_the_log(tmp_path: Path, mode: str) -> None:
    """Each move is a line with its request; trouble is louder; no secret, nothing personal, no payload, no reason."""
    async with a_process(tmp_path, mode, environment={"OTTU_WEBHOOK_KEY": HMAC_KEY}) as (world, process):
        done = await _journey(world, process)
        events = list(world.store.events())
        process.tell(signal.SIGTERM)
        assert await process.ended() == 0
        state = world.slack.state
    lines = process.log
    assert all(line.keys() >= {"at", "level", "logger", "event"} for line in lines)
    recorded = [line for line in lines if line["logger"] == "bot.record"]
    assert [(line["seq"], line["event"], line["request"]) for line in recorded] == [
        (event.seq, event.kind, event.request_id) for event in events if event.seq >= recorded[0]["seq"]
    ]
    assert [line["event"] for line in recorded if line["request"] == done.id] == MOVES
    louder = {line["event"] for line in lines if line["level"] != "info"}
    assert louder == {"unknown", "alarm", "webhook_refused", "form_not_opened"}
    text = json.dumps(lines, ensure_ascii=False)
    for word in [KEY, HMAC_KEY, state.bot_token, state.app_token, state.signing_secret, *PERSONAL, *TYPED, *PAYLOAD]:
        assert word not in text, word


@pytest.mark.parametrize("logger", ["asyncio", "slack_bolt.AsyncApp", "uvicorn.error", "root"])
def test_of_what_a_library_says_the_place_alone_is_kept(logger: str) -> None:
    """It may quote what it choked on: a payload, a header, an answer."""
    line = _formatted(logger, f"could not read {PAYER['customer_email']}")
    assert line["event"] == "library"
    assert line["said_at"] == "test_logs:7"
    assert line["error"] == "ValueError"
    assert PAYER["customer_email"] not in json.dumps(line)


def _formatted(logger: str, message: str) -> dict[str, Any]:
    try:
        int(message)
    except ValueError:
        record = logging.LogRecord(logger, logging.ERROR, __file__, 7, message, None, sys.exc_info())
    return dict(json.loads(JsonLines([]).format(record)))
