"""Real processes are frozen, killed and stopped while money is under way: nothing goes out late, twice, or unseen.

A process is frozen at an exact point by an audit hook of Python's, in which it sends SIGSTOP to itself.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from approvals.request import Request, State
from bot.marker import SUFFIX
from sandbox.ottu_answers import signature
from tests.bot.test_restart import HERE, Process, a_process, begin, states
from tests.bot.world import ALICE, BOB, CEM, World, a_world, with_timing

OTTU_PORT = "the port of the local Ottu"
BRIEF = with_timing(deadline_seconds=0.6)  # so that the lease is 1.8 seconds
LEASE_IS_OVER_SECONDS = 20.0  # a loaded machine included
HOLD = """
import os, signal, sys

def hold(event, arguments):
    if event == os.environ["HOLD_AT"] and os.environ["HOLD_ABOUT"] in repr(arguments):
        if os.access(os.environ["HOLD_IF"], os.F_OK):
            os.unlink(os.environ["HOLD_IF"])
            os.kill(os.getpid(), signal.SIGSTOP)

sys.addaudithook(hold)
"""


def holding(world: World, event: str, about: str) -> dict[str, str]:
    """The environment in which a process freezes at that event, once, when `arm` has said so."""
    if about == OTTU_PORT:
        about = str(urlsplit(world.ottu_url).port)
    (world.folder / "hold").mkdir(exist_ok=True)
    (world.folder / "hold" / "sitecustomize.py").write_text(HOLD, encoding="utf-8")
    where = {"HOLD_AT": event, "HOLD_ABOUT": about, "HOLD_IF": str(world.folder / "armed")}
    return {"PYTHONPATH": f"{world.folder / 'hold'}:{HERE}", **where}


def arm(world: World) -> None:
    (world.folder / "armed").touch()


async def is_frozen(world: World, pid: int) -> None:
    await world.until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, 10)


async def freeze(world: World, process: Process) -> None:
    """Stop it where it stands, but not inside a transaction, in which it would hold up everybody."""
    connection = sqlite3.connect(world.folder / "bot.db", timeout=0, isolation_level=None)
    while True:
        process.tell(signal.SIGSTOP)
        await is_frozen(world, process.pid)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            process.tell(signal.SIGCONT)
            await asyncio.sleep(0.02)
        else:
            connection.close()  # which ends the transaction too
            return


@asynccontextmanager
async def two(
    folder: Path, mode: str = "http", hold: tuple[str, str] | None = None, **changes: Any
) -> AsyncIterator[tuple[World, Process, Process]]:
    """A world of two processes, of which the first is running. Over HTTP, people reach whichever began last."""
    async with a_world(folder, mode, started=False, **changes) as world:
        environment = holding(world, *hold) if hold else {}
        first, second = Process(world, **environment), Process(world)
        try:
            await first.start()
            yield world, first, second
        finally:
            await first.stop()
            await second.stop()


def is_recorded(world: World, request: Request) -> bool:
    """Has whoever sent it written down how it ended?"""
    rows = world.store.rows("SELECT ended_at FROM work_attempts WHERE request_id = :id", id=request.id)
    return bool(rows) and all(row["ended_at"] for row in rows)


async def moves(world: World, request: Request, state: State) -> Request:
    """Wait for the row alone: the card may be in the hands of the frozen process."""
    await world.until(lambda: world.request(request.id).state is state, LEASE_IS_OVER_SECONDS)
    return world.request(request.id)


def late_answers(world: World, request: Request) -> list[str]:
    return [event.facts["ending"] for event in world.store.events(request.id) if event.kind == "late_answer"]


# --- frozen (SIGSTOP), and continued when the lease is over (SIGCONT)


@pytest.mark.parametrize("at", ["the claim", "the connecting"])
async def test_a_process_that_was_frozen_before_it_sent_sends_nothing(tmp_path: Path, at: str) -> None:
    """The intent is on disk, and not a byte is out. The other process declares it unknown; that stands."""
    hold = ("os.rename", SUFFIX) if at == "the claim" else ("socket.connect", OTTU_PORT)
    async with two(tmp_path, hold=hold, policy=BRIEF) as (world, first, second):
        request = await world.ask()
        arm(world)
        await world.press(BOB, "approve")
        await is_frozen(world, first.pid)
        assert world.request().state is State.EXECUTING
        await second.start()
        unknown = await moves(world, request, State.UNKNOWN)
        assert "did not come back in time" in (unknown.detail or "")
        assert not is_recorded(world, request)
        first.tell(signal.SIGCONT)
        await world.until(lambda: is_recorded(world, request), 10)
        assert world.operations_sent() == []
        assert world.request() == unknown
        assert late_answers(world, request) == ["not_sent"]
        assert world.moved() == []
        world.check_record()


async def test_a_process_that_was_frozen_before_a_later_send_sends_nothing_and_proves_nothing(tmp_path: Path) -> None:
    """Nothing new was found, so that it was about to be sent once more. That it was not says nothing of the first."""
    policy = with_timing(deadline_seconds=0.6, settle_seconds=0.7, inquiry_gap_seconds=0.1)
    async with two(tmp_path, hold=("os.rename", SUFFIX), policy=policy) as (world, first, _):
        world.ottu.configure(throttle_scale=0.00005)
        world.ottu.fault("drop_before")
        request = await world.ask("refund ORD123 full")
        await world.press(BOB, "approve")
        await world.press(CEM, "approve")
        await moves(world, request, State.UNKNOWN)
        arm(world)
        await is_frozen(world, first.pid)
        sent = await moves(world, request, State.EXECUTING)
        assert sent.attempt == 2
        await asyncio.sleep(2)  # longer than a claim may be old
        first.tell(signal.SIGCONT)
        after = await moves(world, request, State.UNKNOWN)
        assert (after.attempt, after.doubtful_attempt, len(world.operations_sent())) == (2, 1, 1)
        assert "too much time had passed" in (after.detail or "")
        world.check_record()


LATE = {
    "ORD123": ({"kind": "slow"}, State.SUCCEEDED),
    "USD55": ({"kind": "failed"}, State.FAILED),
    "Q42": ({"kind": "queued"}, State.QUEUED),
    "JPY100": ({"kind": "drop_after"}, State.UNKNOWN),
    "CLOSED": ({"kind": "status", "status": 400, "when": "before"}, State.SUCCEEDED),
}


async def test_the_late_answer_of_a_process_that_was_frozen_is_taken_by_the_table(tmp_path: Path) -> None:
    """A definite one settles what is unknown. What two people have closed meanwhile stays, and an alarm is raised."""
    async with two(tmp_path, policy=with_timing(deadline_seconds=2.0)) as (world, first, second):
        world.ottu.create("CLOSED", "9.000", "KWD")
        asked = {order: await world.ask(f"refund {order} 5") for order in LATE}
        for order, (fault, _) in LATE.items():
            world.ottu.fault(**fault, match=order, seconds_before=2.5)  # type: ignore[arg-type]  # the faults' own fields
        await asyncio.gather(*(world.press(BOB, "approve", world.card(request.id)) for request in asked.values()))
        await world.until(lambda: len(world.operations_sent()) == len(LATE))
        await freeze(world, first)
        await second.start()
        for request in asked.values():
            await moves(world, request, State.UNKNOWN)
        by_hand = asked["CLOSED"]
        for user in (CEM, BOB):
            await world.type(user, f"close {by_hand.id} succeeded saw it in the dashboard")
        before = await moves(world, by_hand, State.SUCCEEDED)

        first.tell(signal.SIGCONT)
        for order, (_, state) in LATE.items():
            await world.until(lambda order=order: is_recorded(world, asked[order]), 10)  # type: ignore[misc]  # a default
            await world.reaches(state, asked[order].id)
        assert world.request(by_hand.id) == before
        assert late_answers(world, by_hand) == ["refused"]
        await world.until(lambda: any("A late answer says" in m.text for m in world.slack.messages("C02AUDIT")))
        assert len(world.operations_sent()) == len(LATE)
        assert sorted(order for _, order, _, _ in world.moved()) == ["JPY100", "ORD123"]
        world.check_record()


# --- killed beside a living one


async def test_what_a_killed_process_was_sending_is_unknown_to_the_living_one(tmp_path: Path) -> None:
    """At once, without a lease: what has ended sends nothing more. What it had not begun is done by the other."""
    policy = with_timing(deadline_seconds=20, parallel=1)
    async with two(tmp_path, policy=policy) as (world, first, second):
        world.ottu.fault("slow", match="ORD123", seconds_before=60)
        sending = await world.approved()
        await world.reaches(State.EXECUTING, sending.id)
        waiting = await world.approved("refund USD55 1.00")
        await world.until(world.operations_sent)
        first.tell(signal.SIGKILL)
        await first.ended()
        await second.start()
        lost = await world.reaches(State.UNKNOWN, sending.id)
        assert "ended while it waited for the answer" in (lost.detail or "")
        await world.reaches(State.SUCCEEDED, waiting.id, 10)
        assert len(world.operations_sent()) == 2
        world.check_record()


async def test_a_process_that_dies_while_another_lives_is_noticed(tmp_path: Path) -> None:
    """The living one looks by itself, not only when it starts."""
    async with two(tmp_path, policy=with_timing(deadline_seconds=8)) as (world, first, second):
        world.ottu.fault("slow", seconds_before=60)
        request = await world.approved()
        await world.until(world.operations_sent)
        await second.start()
        first.tell(signal.SIGKILL)
        await first.ended()
        lost = await world.reaches(State.UNKNOWN, request.id, 30)
        assert "ended while it waited for the answer" in (lost.detail or "")
        assert len(world.operations_sent()) == 1
        world.check_record()


@pytest.mark.parametrize("at", ["its start", "a send"])
async def test_a_crash_at_the_marker_is_no_restore(tmp_path: Path, at: str) -> None:
    """Killed between the intent's commit and the marker's, or at a start: the database is ahead of it, never behind."""
    async with two(tmp_path, hold=("os.rename", SUFFIX)) as (world, first, second):
        if at == "a send":
            await world.ask()
            arm(world)
            await world.press(BOB, "approve")
            await is_frozen(world, first.pid)
            assert world.request().state is State.EXECUTING
        else:
            await world.approved()
            await world.reaches(State.SUCCEEDED)
        first.tell(signal.SIGKILL)
        await first.ended()
        if at == "its start":
            arm(world)
            starting = await begin(world, **first.environment)
            await is_frozen(world, starting.pid)
            starting.kill()
            await starting.communicate()
        await second.start()
        request = await world.reaches(State.UNKNOWN if at == "a send" else State.SUCCEEDED)
        assert request.restored == 0
        assert not any(event.kind in {"restored", "paused"} for event in world.store.events())
        await world.approved("refund USD55 1.00")
        await world.until(lambda: ("refund", "USD55", "1.00", "USD") in world.moved())
        assert len(world.operations_sent()) == len(world.moved())


# --- two at once


async def test_two_processes_never_both_perform_a_request(tmp_path: Path) -> None:
    """Many are approved at once. Each is claimed once, by one of the two, and moves money once."""
    async with two(tmp_path, "socket", policy=with_timing(parallel=2)) as (world, _, second):
        await second.start()
        await world.slack.connected(2)
        requests = []
        for number in range(16):
            world.ottu.create(f"MANY{number}", "9.000", "KWD")
            requests.append(await world.ask(f"refund MANY{number} 1.000"))
        world.ottu.fault("slow", count=16, seconds_before=0.3)
        await asyncio.gather(*(world.press(BOB, "approve", world.card(request.id)) for request in requests))
        for request in requests:
            await world.reaches(State.SUCCEEDED, request.id, 20)
        assert Counter(world.moved()) == {("refund", f"MANY{number}", "1.000", "KWD"): 1 for number in range(16)}
        assert sorted(filter(None, world.keys_sent())) == sorted(r.tracking_key or "" for r in world.requests())
        assert [request.attempt for request in world.requests()] == [1] * 16
        attempts = world.store.rows("SELECT owner, count(*) AS n FROM work_attempts GROUP BY owner")
        assert len(attempts) == 2
        assert sum(row["n"] for row in attempts) == 16
        world.check_record()


# --- SIGTERM


async def test_a_stop_begins_nothing_more(tmp_path: Path) -> None:
    """What is under way is settled; what is approved and has not begun waits for the next start, and is sent then."""
    async with a_process(tmp_path, policy=with_timing(deadline_seconds=10, parallel=1)) as (world, process):
        world.ottu.fault("slow", match="ORD123", seconds_before=1.0)
        sending = await world.approved()
        await world.until(world.operations_sent)
        waiting = await world.approved("refund USD55 1.00")
        await world.until(lambda: world.request(waiting.id).state is State.APPROVED)
        process.tell(signal.SIGTERM)
        assert await process.ended() == 0
        assert world.request(sending.id).state is State.SUCCEEDED
        left = world.request(waiting.id)
        assert (left.state, left.attempt) == (State.APPROVED, 0)
        assert len(world.operations_sent()) == 1
        await process.start()
        await world.reaches(State.SUCCEEDED, waiting.id)
        assert len(world.operations_sent()) == 2


async def test_a_stop_waits_for_a_further_send_too(tmp_path: Path) -> None:
    """The one that the bot makes by itself, when a reading has found nothing new."""
    policy = with_timing(deadline_seconds=2.2, settle_seconds=2.3, inquiry_gap_seconds=0.1)
    async with a_process(tmp_path, policy=policy) as (world, process):
        world.ottu.configure(throttle_scale=0.00005)
        world.ottu.create("SMALL", "9.000", "KWD")
        world.ottu.fault("drop_before")
        world.ottu.fault("slow", seconds_before=1.4)
        request = await world.approved("refund SMALL full")
        await world.until(lambda: len(world.operations_sent()) == 2, 15)
        process.tell(signal.SIGTERM)
        assert await process.ended() == 0
        after = world.request(request.id)
        assert (after.state, after.attempt) == (State.SUCCEEDED, 2)
        assert world.moved() == [("refund", "SMALL", "9.000", "KWD")]


async def test_a_stop_and_a_start_lose_nothing(tmp_path: Path) -> None:
    """In every state that a request can wait in: none moves by it, none is sent by it, and each can go on."""
    async with a_process(tmp_path) as (world, process):
        world.ottu.create("WAITS", "9.000", "KWD")
        for kind, order in (("queued", "Q42"), ("drop_after", "USD55"), ("throttled", "JPY100")):
            world.ottu.fault(kind, match=order, **({"retry_after": "3600"} if kind == "throttled" else {}))
        made = {order: await world.approved(f"refund {order} 5") for order in ("Q42", "USD55", "JPY100")}
        for order, state in (("Q42", State.QUEUED), ("USD55", State.UNKNOWN), ("JPY100", State.APPROVED)):
            await world.until(lambda order=order: world.request(made[order].id).attempt == 1)  # type: ignore[misc]  # a default
            await world.reaches(state, made[order].id)
        pending = await world.ask()
        world.ottu.fault("throttled", endpoint="inquiry", match="WAITS", retry_after="3600")
        await world.type(ALICE, "refund WAITS 5.000")
        await world.told_something(ALICE, "It waits")
        before, keys = world.requests(), world.keys_sent()
        assert states(world) == ["approved", "checking", "pending", "queued", "unknown"]
        for _ in range(2):
            process.tell(signal.SIGTERM)
            assert await process.ended() == 0
            await process.start()
        assert world.requests() == before
        assert world.keys_sent() == keys
        await world.press(BOB, "approve", world.card(pending.id))
        await world.reaches(State.SUCCEEDED, pending.id)
        world.check_record()


# --- webhooks


async def test_a_webhook_that_was_acknowledged_outlives_the_process(tmp_path: Path) -> None:
    """It is on disk before the 200: killed right after the last answer, the next start decides each, once."""
    environment = {"OTTU_WEBHOOK_KEY": "hook-key"}
    async with a_process(tmp_path, "http", environment=environment) as (world, process):
        url = f"{world.slack.outbox.request_url.removesuffix('/slack/events')}/ottu/webhook"
        references = [f"of-nobody-{number}" for number in range(20)]
        async with httpx.AsyncClient(trust_env=False) as client:
            answers = await asyncio.gather(*(client.post(url, content=a_hook(name)) for name in references))
        process.tell(signal.SIGKILL)
        await process.ended()
        assert {answer.status_code for answer in answers} == {200}
        await process.start()
        alarms: Callable[[], list[Any]] = lambda: [e for e in world.store.events() if e.kind == "alarm"]  # noqa: E731 - read twice
        await world.until(lambda: len(alarms()) >= 20, 10)
        assert sorted(event.facts["reference_number"] for event in alarms()) == sorted(references)


def a_hook(reference: str) -> bytes:
    document: dict[str, object] = {
        "order_no": "ORD123",
        "amount": "1.000",
        "operation": "refund",
        "result": "success",
        "reference_number": reference,
        "source": "input",
    }
    return json.dumps({**document, "signature": signature(document, "hook-key")}).encode()
