"""Rows of "What an answer means" that the other tests leave out, and what people are told beside them.

Above all the right column: the answer to a later send with the same key, where an earlier one may have reached Ottu.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from approvals.request import Request, State
from bot.marker import SUFFIX
from sandbox.serving import serve
from tests.bot.world import ALICE, AUDIT, BOB, CEM, GEN, World, a_world, with_timing

AGAIN = with_timing(deadline_seconds=0.8, settle_seconds=0.9, inquiry_gap_seconds=0.1)
HMAC_KEY = "the-key-of-the-webhooks"


def alarms(world: World) -> list[str]:
    return [message.text for message in world.slack.messages(AUDIT) if "Alarm" in message.text]


@asynccontextmanager
async def lost_once(folder: Path, orders: list[str], **changes: Any) -> AsyncIterator[tuple[World, list[Request]]]:
    """Full refunds whose first send got no answer and moved nothing; the bot is about to send each once more."""
    async with a_world(folder, policy=AGAIN, **changes) as world:
        world.ottu.configure(throttle_scale=0.00005)
        requests = []
        for order in orders:
            world.ottu.create(order, "9.000", "KWD")
            world.ottu.fault("drop_before", match=order)
            requests.append(await world.ask(f"refund {order} full"))
        yield world, requests


def sends(world: World, request: Request) -> int:
    return sum(body.get("session_id") == request.session_id for body in world.operations_sent())


async def sent_twice(world: World, request: Request) -> None:
    """Wait until the second send has been made, and its end is written down."""

    def ended() -> bool:
        rows = world.store.rows("SELECT ended_at FROM work_attempts WHERE request_id = :id", id=request.id)
        return len(rows) == 2 and all(row["ended_at"] for row in rows)

    await world.until(ended, 15)


# --- a later send with the same key

NO_PROOF = [
    {"kind": "status", "status": 403, "when": "before", "body": {"detail": "You may not."}},
    {"kind": "status", "status": 405, "when": "before", "body": {"detail": "Not allowed."}},
    {"kind": "status", "status": 422, "when": "before", "body": {"detail": "Not this one."}},
    {"kind": "rejected"},
    {"kind": "status", "status": 301, "when": "before"},
    {"kind": "status", "status": 408, "when": "before"},
    {"kind": "status", "status": 502, "when": "before"},
    {"kind": "garbage", "when": "before"},
    {"kind": "slow", "seconds_before": 3},
]


async def test_no_other_answer_to_a_later_send_is_proof(tmp_path: Path) -> None:
    """Each "no" may be the answer to the first one's success; no answer is none. Nothing is sent a third time."""
    orders = [f"ROW{number}" for number in range(len(NO_PROOF))]
    async with lost_once(tmp_path, orders) as (world, requests):
        for request, fault in zip(requests, NO_PROOF, strict=True):
            world.ottu.fault(**fault, match=request.order_no)  # type: ignore[arg-type]  # the faults' own fields
            await world.press(BOB, "approve", world.card(request.id))
        for request in requests:
            await sent_twice(world, request)
            after = world.request(request.id)
            assert (after.state, after.attempt, after.doubtful_attempt) == (State.UNKNOWN, 2, 1)
            assert sends(world, request) == 2


async def test_success_and_queued_are_proof_of_a_later_send_too(tmp_path: Path) -> None:
    """And one that moved the money, and whose answer disagrees or is lost, is found by the reading that follows."""
    async with lost_once(tmp_path, ["DONE", "BANK", "LOST", "OTHER"]) as (world, requests):
        done, bank, lost, other = requests
        world.ottu.fault("queued", match="BANK")
        world.ottu.fault("drop_after", match="LOST")
        world.ottu.fault("disagree", match="OTHER", changes={"amount": "8.000"})
        for request in requests:
            await world.press(BOB, "approve", world.card(request.id))
        await world.reaches(State.QUEUED, bank.id, 15)
        for request in (done, lost, other):
            await world.reaches(State.SUCCEEDED, request.id, 15)
        assert {sends(world, request) for request in requests} == {2}
        assert sorted(order for _, order, _, _ in world.moved()) == ["DONE", "LOST", "OTHER"]
        assert len([text for text in alarms(world) if f"Ottu's answer to {other.id} disagrees" in text]) == 1
        world.check_record()


async def test_credentials_refused_at_a_later_send_prove_nothing_and_stop_executions(tmp_path: Path) -> None:
    async with lost_once(tmp_path, ["FULL"]) as (world, (request,)):
        world.ottu.fault("unauthorized", match="FULL")
        world.ottu.fault("unauthorized", endpoint="retrieve", count=50, match="0" * 40)
        await world.press(BOB, "approve")
        await sent_twice(world, request)
        assert world.request().state is State.UNKNOWN
        assert world.running.tasks.execution.stopped() == "Ottu refused the credentials"


async def test_a_later_send_that_found_no_connection_is_unknown(tmp_path: Path) -> None:
    """It was not sent; but the first one may have been. It is not "approved again", and not sent by itself."""
    async with a_world(tmp_path, policy=AGAIN, started=False) as world:
        world.ottu.configure(throttle_scale=0.00005)
        async with serve(world.ottu.app) as url:
            world.environment["OTTU_BASE_URL"] = url
            await world.start()
            world.ottu.fault("drop_before")
            request = await world.approved()
            await world.until(lambda: "Nothing new was found" in world.card_text(), 15)
        await world.press(BOB, "resend")
        await sent_twice(world, request)
        after = await world.reaches(State.UNKNOWN)
        assert (after.attempt, after.doubtful_attempt) == (2, 1)
        assert len(world.operations_sent()) == 1


# --- what people are told


async def test_an_answer_that_disagrees_raises_an_alarm(world: World) -> None:
    world.ottu.fault("disagree", changes={"amount": "50.000"})
    request = await world.approved()
    await world.reaches(State.UNKNOWN, request.id)
    await world.until(lambda: [text for text in alarms(world) if f"answer to {request.id} disagrees" in text])


async def test_refused_credentials_are_told_in_the_audit_channel_and_on_the_next_card(world: World) -> None:
    """Once, however many requests meet them."""
    waiting = await world.ask("refund USD55 9.99", CEM)
    world.ottu.fault("unauthorized")
    world.ottu.fault("unauthorized", endpoint="retrieve", count=50, match="0" * 40)
    first = await world.approved()
    await world.reaches(State.FAILED, first.id)
    await world.until(lambda: alarms(world))
    assert "Ottu refused the bot's credentials (401)" in alarms(world)[0]
    await world.press(BOB, "approve", world.card(waiting.id))
    await world.reaches(State.APPROVED, waiting.id)
    await world.until(lambda: "waits: Ottu refused the credentials" in world.card_text(waiting.id))
    assert len(alarms(world)) == 1


async def test_a_webhook_that_contradicts_a_final_state_moves_nothing_and_raises_an_alarm(tmp_path: Path) -> None:
    """Ottu refused readably, and then tells that it was done."""
    async with a_world(tmp_path, environment={"OTTU_WEBHOOK_KEY": HMAC_KEY}) as world:
        url = f"{world.running.address}/ottu/webhook"
        world.ottu.configure(webhook_url=url, webhook_key=HMAC_KEY, webhook_delay_seconds=0.3)
        world.ottu.fault("status", status=400, when="after", body={"detail": "No."})
        await world.approved()
        failed = await world.reaches(State.FAILED)
        await world.until(lambda: alarms(world))
        assert failed.id in alarms(world)[0]
        assert world.request() == failed
        assert len(world.operations_sent()) == 1
        world.check_record()


async def test_everybody_sees_that_executions_are_paused_and_that_they_go_on(world: World) -> None:
    """In the channel, once each, with who and why; a reason pings nobody."""
    await world.type(CEM, "pause the gateway <!channel> is moved")
    await world.until(lambda: [m for m in world.slack.messages(GEN) if f"<@{CEM}> has paused executions" in m.text])
    await world.type(CEM, "resume")
    await world.until(lambda: [m for m in world.slack.messages(GEN) if f"<@{CEM}> has resumed executions" in m.text])
    await world.quiet()
    told = [m.text for m in world.slack.messages(GEN) if "executions" in m.text]
    assert len(told) == 2
    assert "the gateway" in told[0]
    assert "<!channel>" not in told[0]


# --- the time to decide, and the time to start


@pytest.mark.parametrize("waits_for", ["a decision", "its start"])
async def test_what_was_not_decided_or_not_started_in_time_ends_and_is_announced(
    tmp_path: Path, waits_for: str
) -> None:
    """The card and a reply say so, to whoever asked; nothing is sent, and nothing is asked again by itself."""
    async with a_world(tmp_path, policy=with_timing(expires_after="1s", lapse_after="1s")) as world:
        if waits_for == "its start":
            await world.type(CEM, "pause")
            await world.told_something(CEM, "Paused")
        request = await world.ask()
        if waits_for == "its start":
            await world.press(BOB, "approve")
        await world.reaches(State.LAPSED if waits_for == "its start" else State.EXPIRED, request.id)
        (result,) = await world.until(lambda: world.results_of(request.id))
        assert f"<@{ALICE}>" in result.text
        assert "Nothing was sent; ask again if it is still wanted" in world.card_text()
        if waits_for == "its start":
            await world.resume(CEM)
        world.hurry("execute", "remind")
        await world.quiet()
        assert world.operations_sent() == []
        assert len(world.requests()) == len(world.cards()) == 1


# --- a database that was put back


async def test_who_resumes_a_restored_database_reads_what_it_says_first(world: World) -> None:
    """Also where nothing would be sent: the first word is answered with why, the second one counts."""
    request = await world.ask()
    await world.quiet()
    await world.stop()
    for marker in world.folder.glob(f"*{SUFFIX}"):
        marker.unlink()
    await world.start()
    await world.reaches(State.UNKNOWN, request.id)
    await world.type(CEM, "resume")
    told = await world.told_something(CEM, "again within a minute")
    assert "put back from a copy" in told
    assert "never sent again" in told
    assert world.running.tasks.execution.is_paused()
    await world.type(CEM, "resume")
    await world.told_something(CEM, "Resumed")
    assert world.operations_sent() == []
    assert [message.channel for message in world.cards()] == [GEN]
