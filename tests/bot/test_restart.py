"""The real process is ended in every state, and started again: nothing is lost, and nothing is sent twice."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from approvals.request import State
from sandbox.ottu_book import PAYER
from tests.bot.world import ALICE, BOB, CEM, KEY, POLICY, World, a_world, with_timing
from tests.measured import measured

HERE = Path(__file__).parents[2]
MODES = pytest.mark.parametrize("mode", ["socket", "http"])


class Process:
    """`python -m bot run`, against the local Slack and Ottu of a world. `through`: what the program is started by."""

    def __init__(self, world: World, *, through: Sequence[str] = (), **environment: str) -> None:
        self.world = world
        self.through = through
        self.environment = environment
        self.log: list[dict[str, Any]] = []
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and wait until it is in touch with Slack."""
        self.log = []
        self._process = await begin(self.world, through=self.through, **self.environment)
        self._reading = asyncio.create_task(self._read())
        await self.world.until(lambda: self._said("started"), 30)  # a second, on a machine with nothing else to do
        if self.world.mode == "socket":
            await self.world.slack.connected()
        else:
            self.world.slack.outbox.request_url = f"{self._said('started')['web']}/slack/events"
        await self.world.until(lambda: self._said("slack_known"))

    def _said(self, event: str) -> dict[str, Any]:
        return next((line for line in self.log if line["event"] == event), {})

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.log.append(json.loads(line) if line.startswith(b"{") else {"event": "", "line": line.decode()})

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def tell(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for the end: the exit status. Nothing that it logged is a secret or personal."""
        assert self._process is not None
        assert self._reading is not None
        status = await self._process.wait()
        await self._reading
        self._process = None
        everything = json.dumps(self.log, ensure_ascii=False)
        state = self.world.slack.state
        for secret in (KEY, state.bot_token, state.app_token, state.signing_secret, PAYER["customer_email"]):
            assert secret not in everything
        return status

    async def kill(self) -> None:
        """As a power cut ends it."""
        self.tell(signal.SIGKILL)
        await self.ended()
        await self.world.until(lambda: not self.world.slack.outbox.sockets)

    async def stop(self) -> None:
        if self._process is not None:
            self.tell(signal.SIGKILL)
            await self.ended()


async def begin(world: World, *, through: Sequence[str] = (), **environment: str) -> asyncio.subprocess.Process:
    """Start the program as an operator does; only the environment tells it anything."""
    (world.folder / "policy.toml").write_text(world.policy, encoding="utf-8")
    return await asyncio.create_subprocess_exec(
        *through,
        sys.executable,
        "-m",
        "bot",
        "run",
        env={**measured(), **world.variables, "PYTHONPATH": str(HERE), **environment},
        cwd=world.folder,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def a_process(
    folder: Path, mode: str = "socket", through: Sequence[str] = (), **changes: Any
) -> AsyncIterator[tuple[World, Process]]:
    """A world in which the bot is a process of its own, and running."""
    async with a_world(folder, mode, started=False, **changes) as world:
        process = Process(world, through=through)
        try:
            await process.start()
            yield world, process
        finally:
            await process.stop()


# --- SIGKILL


@MODES
async def test_killed_in_every_state_each_request_carries_on(tmp_path: Path, mode: str) -> None:
    """Checking, pending, approved while paused, executing, queued, unknown: all at once, then a power cut."""
    async with a_process(tmp_path, mode, policy=with_timing(inquiry_gap_seconds=0.2)) as (world, process):
        world.ottu.create("WAITS", "9.000", "KWD")
        world.ottu.fault("queued", match="Q42")
        queued = await world.approved("refund Q42 5.000")
        world.ottu.fault("drop_after", match="USD55")
        unknown = await world.approved("refund USD55 5.00")
        await world.reaches(State.QUEUED, queued.id)
        await world.reaches(State.UNKNOWN, unknown.id)
        pending = await world.ask("void AUTH7")
        approved = await world.ask("refund ORD123 5.000")
        world.ottu.fault("slow", match="JPY100", seconds_before=60)
        executing = await world.approved("refund JPY100 5")
        await world.reaches(State.EXECUTING, executing.id)
        await world.until(lambda: len(world.operations_sent()) == 3)
        await world.type(CEM, "pause")
        await world.told_something(CEM, "Paused")
        await world.press(BOB, "approve", world.card(approved.id))
        await world.reaches(State.APPROVED, approved.id)
        world.ottu.fault("throttled", endpoint="inquiry", match="WAITS", retry_after="1")
        await world.type(ALICE, "refund WAITS 5.000")
        await world.told_something(ALICE, "It waits")
        checking = world.requests()[-1]
        before = world.keys_sent()
        assert states(world) == ["approved", "checking", "executing", "pending", "queued", "unknown"]

        await process.kill()
        await process.start()

        lost = await world.reaches(State.UNKNOWN, executing.id)
        assert "ended while it waited for the answer" in (lost.detail or "")
        assert "Outcome unknown" in world.card_text(executing.id)
        (result,) = await world.until(lambda: world.results_of(executing.id))
        assert "Outcome unknown" in result.text
        await world.until(lambda: any(executing.id in m.text for m in world.slack.direct_messages(ALICE)))
        assert world.keys_sent() == before
        assert world.request(approved.id).state is State.APPROVED  # the pause holds as well

        await world.type(CEM, "resume")
        await world.type(CEM, "resume")
        await world.reaches(State.SUCCEEDED, approved.id)
        await world.press(BOB, "approve", world.card(pending.id))
        await world.reaches(State.SUCCEEDED, pending.id)
        await world.until(lambda: world.card(checking.id), hurry=("check",))
        await world.press(BOB, "approve", world.card(checking.id))
        await world.reaches(State.SUCCEEDED, checking.id)
        assert states(world) == ["queued", "succeeded", "succeeded", "succeeded", "unknown", "unknown"]
        keys = world.keys_sent()
        assert len(keys) == len(set(keys)) == 6
        assert sorted(order for _, order, _, _ in world.moved()) == ["AUTH7", "ORD123", "USD55", "WAITS"]
        for request in world.requests():
            await world.until(lambda request=request: len(world.results_of(request.id)) == 1)  # type: ignore[misc]  # a default
        world.check_record()


def states(world: World) -> list[str]:
    return sorted(request.state.value for request in world.requests())


async def test_app_home_is_followed_after_a_kill(tmp_path: Path) -> None:
    """Whoever opened it before sees what happens afterwards, and what they press there counts."""
    async with a_process(tmp_path) as (world, process):
        await world.slack.open_home(BOB)
        await world.sees_home(BOB, "Nothing waits for you")
        await process.kill()
        await process.start()
        request = await world.ask()
        await world.sees_home(BOB, f"decision:{request.id}")
        await world.press_home(BOB, "approve", request.id)
        await world.reaches(State.SUCCEEDED)
        await world.sees_home(BOB, f"{request.id}> · Done")


@MODES
async def test_a_click_while_the_bot_is_down_is_refused_by_slack(tmp_path: Path, mode: str) -> None:
    """The person sees that it failed, and nothing of it happens later; pressed again, it counts."""
    async with a_process(tmp_path, mode) as (world, process):
        await world.ask()
        await process.kill()
        ack = await world.press(BOB, "approve")
        assert ack.error == "dispatch_failed"
        command = await world.type(ALICE, "refund USD55 1.00")
        assert command.error == "dispatch_failed"
        await process.start()
        assert world.request().state is State.PENDING
        await world.press(BOB, "approve")
        await world.reaches(State.SUCCEEDED)
        assert len(world.requests()) == 1


@MODES
async def test_what_was_acknowledged_right_before_the_kill_is_decided_after_it(tmp_path: Path, mode: str) -> None:
    """A command and a click: Slack could not say who they are before the process died, so that nothing was decided."""
    async with a_process(tmp_path, mode) as (world, process):
        asked = await world.ask()
        world.slack.fault("users.info", "hang", times=1000, seconds=60)
        click = await world.press(BOB, "approve")
        command = await world.type(CEM, "refund USD55 1.00")
        assert click.ok
        assert command.ok
        assert world.store.approvals(asked.id) == []
        await process.kill()
        assert [request.state for request in world.requests()] == [State.PENDING]
        world.slack.state.faults.clear()
        await process.start()
        await world.reaches(State.SUCCEEDED, asked.id, hurry=("command", "click"))
        assert [approval.person for approval in world.store.approvals(asked.id)] == [BOB]
        await world.until(lambda: len(world.cards()) == 2)
        assert [request.requester for request in world.requests()] == [ALICE, CEM]
        assert world.moved() == [("refund", "ORD123", "5.000", "KWD")]


# --- SIGTERM and SIGINT


@pytest.mark.parametrize(
    ("mode", "number"), [("socket", signal.SIGTERM), ("http", signal.SIGTERM), ("socket", signal.SIGINT)]
)
async def test_an_idle_bot_ends_at_once_with_status_0(tmp_path: Path, mode: str, number: signal.Signals) -> None:
    async with a_process(tmp_path, mode) as (world, process):
        await world.ask()
        begun = time.monotonic()
        process.tell(number)
        assert await process.ended() == 0
        assert time.monotonic() - begun < 5  # nothing is waited for: a second, on a machine with nothing else to do


@MODES
async def test_a_stop_waits_for_the_answer_that_is_under_way(tmp_path: Path, mode: str) -> None:
    """What Ottu answers within the deadline is settled as ever; Slack learns of it at the next start."""
    async with a_process(tmp_path, mode, policy=with_timing(deadline_seconds=5)) as (world, process):
        world.ottu.fault("slow", seconds_before=0.6)
        request = await world.approved()
        await world.until(world.operations_sent)
        waiting = await world.ask("refund USD55 1.00")
        process.tell(signal.SIGTERM)
        assert await process.ended() == 0
        assert world.request(request.id).state is State.SUCCEEDED
        assert world.moved() == [("refund", "ORD123", "5.000", "KWD")]
        await process.start()
        await world.reaches(State.SUCCEEDED, request.id)
        await world.until(lambda: len(world.results_of(request.id)) == 1)
        assert len(world.operations_sent()) == 1
        assert world.request(waiting.id).state is State.PENDING


async def test_a_stop_parks_as_unknown_what_is_not_answered_in_time(tmp_path: Path) -> None:
    """It ends soon after the deadline; the row says unknown before the process is gone."""
    async with a_process(tmp_path, policy=with_timing(deadline_seconds=0.6)) as (world, process):
        world.ottu.fault("slow", seconds_before=60)
        await world.approved()
        await world.until(world.operations_sent)
        begun = time.monotonic()
        process.tell(signal.SIGTERM)
        assert await process.ended() == 0
        assert time.monotonic() - begun < 3
        assert world.request().state is State.UNKNOWN
        await process.start()
        await world.reaches(State.UNKNOWN)
        await world.until(lambda: any("Outcome unknown" in m.text for m in world.slack.direct_messages(ALICE)))
        assert len(world.operations_sent()) == 1


# --- a start that is refused: one line, status 2


async def refused_start(world: World, **environment: str) -> str:
    """Start the program, which must refuse: the one line that it says."""
    process = await begin(world, **environment)
    async with asyncio.timeout(20):  # a second or two, on a machine with nothing else to do
        _, said = await process.communicate()
    lines = said.decode().splitlines()
    assert process.returncode == 2, lines
    (line,) = [line for line in lines if not line.startswith("{")]  # the log's own lines are JSON
    assert line.startswith("ottu-bot: ")
    return line.removeprefix("ottu-bot: ")


async def test_a_database_belongs_to_one_account(tmp_path: Path) -> None:
    """A bot that is pointed at another merchant must not carry on there with what was approved for the first."""
    async with a_process(tmp_path) as (world, process):
        await world.ask()
        await process.kill()
        other = "http://127.0.0.1:9"
        line = await refused_start(world, OTTU_BASE_URL=other)
        assert world.ottu_url in line
        assert other in line
        assert "use another file" in line
        await process.start()
        await world.press(BOB, "approve")
        await world.reaches(State.SUCCEEDED)


BAD_SETTINGS = [
    ({"SLACK_BOT_TOKEN": "xoxp-wrong-kind"}, "SLACK_BOT_TOKEN"),
    ({"OTTU_BASE_URL": "http://merchant.ottu.net"}, "OTTU_BASE_URL"),
    ({"OTTU_API_KEYS": "misspelt"}, "OTTU_API_KEYS"),
    ({"POLICY_FILE": "/nowhere/policy.toml"}, "POLICY_FILE"),
]
BAD_POLICIES = [
    ("approvals = 1\n", "approvals = 0\n", "approvals"),
    ("[[rules]]", "[[rules", "not TOML"),
    (f'leads = ["{BOB}", "{CEM}"]', "leads = []", "large refunds"),
]


async def test_bad_settings_stop_the_start(tmp_path: Path) -> None:
    async with a_world(tmp_path, started=False) as world:
        starts = [refused_start(world, **environment) for environment, _ in BAD_SETTINGS]
        for line, (environment, name) in zip(await asyncio.gather(*starts), BAD_SETTINGS, strict=True):
            assert name in line
            assert not any(value in line for value in environment.values() if "wrong" in value)


async def test_bad_policies_stop_the_start(tmp_path: Path) -> None:
    async with a_world(tmp_path, started=False) as world:
        starts = []
        for number, (old, new, _) in enumerate(BAD_POLICIES):
            assert old in POLICY
            path = tmp_path / f"policy{number}.toml"
            path.write_text(POLICY.replace(old, new, 1), encoding="utf-8")
            database = f"sqlite:///{tmp_path / f'{number}.db'}"
            starts.append(refused_start(world, POLICY_FILE=str(path), DATABASE_URL=database))
        for line, (_, _, says) in zip(await asyncio.gather(*starts), BAD_POLICIES, strict=True):
            assert says in line
