"""A whole world for a test: the real bot on real sockets, a local Slack, a local Ottu, and a real database."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from approvals.audit import ChainKey
from approvals.request import Request, State
from approvals.sqlite import open_database
from approvals.store import Store
from approvals.verify import differences
from bot.app import Bot
from bot.settings import Settings, read_settings
from sandbox.ottu import OttuSandbox, create_ottu, seed_demo
from sandbox.serving import serve
from sandbox.slack import Slack, serve_slack
from sandbox.slack_delivery import Ack
from sandbox.slack_records import Message

Found = TypeVar("Found")
ALICE, BOB, CEM = "U01ALICE", "U02BOB", "U03CEM"  # agent; agent and lead; lead
OUT = "U09DAVE"  # a full member in no group
GEN, OTHER, AUDIT = "C01GEN", "C09OTHER", "C02AUDIT"
KEY = "test-ottu-key"
POLICY = (Path(__file__).parents[1] / "data" / "policy.toml").read_text(encoding="utf-8")


@dataclass
class World:
    """The bot under test, and everything around it. `timing` and the like are appended to the policy file."""

    folder: Path
    slack: Slack
    ottu: OttuSandbox
    ottu_url: str
    mode: str = "socket"
    policy: str = POLICY
    environment: dict[str, str] = field(default_factory=dict)
    bot: Bot | None = None
    own_clock_ahead_seconds: float = 0.0  # what the bot's own clock, by which it waits, is ahead of the real one
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _other: Store | None = None

    @property
    def settings(self) -> Settings:
        (self.folder / "policy.toml").write_text(self.policy, encoding="utf-8")
        return read_settings(self.variables, {})

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the bot."""
        state = self.slack.state
        how = (
            {"SLACK_APP_TOKEN": state.app_token}
            if self.mode == "socket"
            else {"SLACK_SIGNING_SECRET": state.signing_secret}
        )
        return {
            "SLACK_BOT_TOKEN": state.bot_token,
            "SLACK_API_URL": self.slack.api_url,
            "OTTU_BASE_URL": self.ottu_url,
            "OTTU_API_KEY": KEY,
            "DATABASE_URL": f"sqlite:///{self.folder / 'bot.db'}",
            "POLICY_FILE": str(self.folder / "policy.toml"),
            "PORT": "0",
            **how,
            **self.environment,
        }

    # --- the bot's life

    async def start(self) -> Bot:
        """Start the bot, or start it again on the same database."""
        self._stop = asyncio.Event()
        self.bot = Bot.build(self.settings, own_clock=lambda: time.monotonic() + self.own_clock_ahead_seconds)
        self._task = asyncio.create_task(self.bot.serve(self._stop))
        await self.until(lambda: self.running.address and self.running.acquaintance.made)
        if self.mode == "socket":
            await self.slack.connected()
        else:
            self.slack.outbox.request_url = f"{self.bot.address}/slack/events"
        return self.bot

    async def stop(self) -> None:
        """Tell the bot to end, as SIGTERM does, and wait until it has."""
        if self._task is not None:
            self._stop.set()
            await self._task
            self._task = self.bot = None
        if self._other is not None:
            self._other.database.close()
            self._other = None

    @property
    def running(self) -> Bot:
        assert self.bot is not None
        if self._task is not None and self._task.done():
            self._task.result()
        return self.bot

    @property
    def store(self) -> Store:
        """The record: the running bot's own, or, where the bot is another process, by another connection."""
        if self._task is not None:
            return self.running.store
        if self._other is None:
            self._other = Store(open_database(self.folder / "bot.db"), ChainKey(b""))
        return self._other

    # --- what people do

    async def type(self, user: str, text: str, /, channel: str = GEN, **overrides: Any) -> Ack:
        return await self.slack.command(user, channel, "/ottu", text, **overrides)

    async def press(self, user: str, action: str, /, card: Message | None = None, **overrides: Any) -> Ack:
        """Press a button on the (only) card."""
        card = card or self.card()
        return await self.slack.click(user, card.channel, card.ts, action, **overrides)

    async def open_home(self, user: str) -> str:
        """Open App Home, and wait until it is filled; all that it shows."""
        before = self.running.homes.visit(user).asked_at
        ack = await self.slack.open_home(user)
        assert ack.ok
        await self.until(lambda: (visit := self.running.homes.visit(user)).asked_at > before and not visit.is_asked)
        return self.home_text(user)

    async def press_home(self, user: str, action: str, request_id: str, **overrides: Any) -> Ack:
        """Press a button of a request on one's own App Home."""
        blocks = self.slack.state.homes[user].blocks
        block_id = next(
            (
                block["block_id"]
                for block in blocks
                for element in [*block.get("elements", ()), block.get("accessory") or {}]
                if element.get("action_id") == action and block["block_id"].endswith(f":{request_id}")
            ),
            None,
        )
        return await self.slack.click_home(user, action, **{"block_id": block_id, **overrides})

    async def ask(self, text: str = "refund ORD123 5.000", user: str = ALICE) -> Request:
        """Type a command and wait for its card; the request."""
        before = {request.id for request in self.requests()}
        await self.type(user, text)
        await self.until(lambda: [r for r in self.requests() if r.id not in before])
        request = next(r for r in self.requests() if r.id not in before)
        await self.until(lambda: self.card(request.id))
        return self.request(request.id)

    async def approved(self, text: str = "refund ORD123 5.000", user: str = ALICE, by: str = BOB) -> Request:
        """Ask and approve; the request as it is right after the click."""
        request = await self.ask(text, user)
        await self.press(by, "approve", self.card(request.id))
        return self.request(request.id)

    async def resume(self, user: str) -> None:
        """Type `/ottu resume`, read what would be sent, and type it again."""
        await self.type(user, "resume")
        await self.until(lambda: "again within a minute" in self.told(user) or "Resumed" in self.told(user))
        if self.running.tasks.execution.is_paused():
            await self.type(user, "resume")
        await self.until(lambda: not self.running.tasks.execution.is_paused())

    # --- what is there

    def requests(self) -> list[Request]:
        return self.store.select("1 ORDER BY created_at, id")

    def request(self, request_id: str | None = None) -> Request:
        """The request of that name, or the only one."""
        found = self.requests()
        named = [request for request in found if request_id in (None, request.id)]
        if len(named) != 1:
            raise LookupError(f"{len(named)} requests")
        return named[0]

    def cards(self) -> list[Message]:
        return [m for m in self.slack.messages(GEN) if m.metadata and m.metadata["event_type"] == "ottu_request"]

    def card(self, request_id: str | None = None) -> Message:
        """The card of a request, or the only card. Raises LookupError where there is none yet."""
        found = [
            message
            for message in self.cards()
            if request_id in (None, (message.metadata or {})["event_payload"]["request"])
        ]
        if len(found) != 1:
            raise LookupError(f"{len(found)} cards")
        return found[0]

    def results(self) -> list[Message]:
        return [m for m in self.slack.messages(GEN) if m.metadata and m.metadata["event_type"] == "ottu_result"]

    def results_of(self, request_id: str) -> list[Message]:
        """The results of one request."""
        return [m for m in self.results() if (m.metadata or {})["event_payload"]["request"] == request_id]

    def told(self, user: str) -> str:
        """All that one person was told privately: ephemeral messages and direct ones, oldest first."""
        return "\n".join(message.text for message in self.private(user))

    def private(self, user: str) -> list[Message]:
        """The messages that one person alone sees: ephemeral ones, then direct ones."""
        ephemeral = [m for m in self.slack.state.messages if m.ephemeral_to == user]
        return [*ephemeral, *self.slack.direct_messages(user)]

    def nothing_done(self, request_id: str | None = None) -> bool:
        """The request still waits, nobody's approval stands, and Ottu was sent nothing."""
        request = self.request(request_id)
        given = self.running.store.approvals(request.id)
        return request.state is State.PENDING and not given and not self.operations_sent()

    def moved(self) -> list[tuple[str, str, str, str]]:
        """The money that Ottu really moved: kind, order number, amount, currency."""
        return [(line.kind, line.order_no, line.amount, line.currency) for line in self.ottu.ledger]

    def refused_attempts(self) -> list[str]:
        """Why attempts were refused, by the record."""
        return [event.facts["why"] for event in self.store.events() if event.kind == "refused_attempt"]

    def operations_sent(self) -> list[dict[str, Any]]:
        """The bodies of the operations that reached Ottu."""
        return [r.body for r in self.ottu.requests if r.path.endswith("/operation/")]

    def inquiries_sent(self) -> list[dict[str, Any]]:
        """The bodies of the inquiries that reached Ottu."""
        return [r.body for r in self.ottu.requests if r.path.endswith("/inquiry/")]

    def keys_sent(self) -> list[str | None]:
        """The Tracking-Keys of the operations that reached Ottu."""
        return [r.tracking_key for r in self.ottu.requests if r.path.endswith("/operation/")]

    def card_text(self, request_id: str | None = None) -> str:
        """All that a card shows, as text."""
        return json.dumps(self.card(request_id).blocks, ensure_ascii=False)

    def home_text(self, user: str) -> str:
        """All that a person's App Home shows, as text; nothing where it was never filled."""
        home = self.slack.state.homes.get(user)
        return json.dumps(home.blocks, ensure_ascii=False) if home else ""

    async def sees_home(self, user: str, *texts: str, without: tuple[str, ...] = ()) -> str:
        """Wait until all of that is on the person's App Home, and nothing of `without`."""

        def shown() -> bool:
            text = self.home_text(user)
            return all(one in text for one in texts) and not any(one in text for one in without)

        await self.until(shown)
        return self.home_text(user)

    def homes_published(self, user: str) -> list[float]:
        """When the person's App Home was published, as far as Slack took it."""
        calls = [call for call in self.slack.state.calls if call.method == "views.publish" and not call.error]
        return [call.at for call in calls if call.arguments["user_id"] == user]

    async def readyz(self) -> tuple[int, dict[str, bool]]:
        """What the bot says to whoever watches it."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self.running.address}/readyz")
        return answer.status_code, answer.json()

    # --- waiting

    def hurry(self, *kinds: str) -> None:
        """Let jobs of these kinds that wait for their time be due now: waits are long, tests are short."""
        for kind in kinds:
            self.store.database.execute(
                "UPDATE work_jobs SET due_at = created_at WHERE kind = ? AND done_at IS NULL", [kind]
            )
        if self.bot is not None:
            self.own_clock_ahead_seconds += 1_000_000  # both clocks must agree that a wait is over
            self.bot.work.on_change()

    async def until(self, look: Callable[[], Found], seconds: float = 15.0, *, hurry: tuple[str, ...] = ()) -> Found:
        """Wait until `look` gives something true; LookupError counts as not yet. `hurry`: kinds of jobs, as there."""
        found: Found | None = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    if hurry:
                        self.hurry(*hurry)
                    try:
                        found = look()
                    except LookupError:
                        found = None
                    if found:
                        return found
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise TimeoutError(f"waited {seconds} s in vain; Slack shows:\n{self.slack.transcript()}") from None

    async def reaches(
        self, state: State, request_id: str | None = None, seconds: float = 15.0, *, hurry: tuple[str, ...] = ()
    ) -> Request:
        """Wait until the request is in that state, and its card says so."""

        def shown() -> bool:
            request = self.request(request_id)
            payload = (self.card(request.id).metadata or {})["event_payload"]
            return request.state is state and payload["version"] == request.version

        await self.until(shown, seconds, hurry=hurry)
        return self.request(request_id)

    async def told_something(self, user: str, text: str) -> str:
        """Wait until a person was told this privately; all that they were told."""
        await self.until(lambda: text in self.told(user))
        return self.told(user)

    async def quiet(self) -> None:
        """Wait until nothing is left to do that is due."""

        def nothing_due() -> bool:
            bot = self.running
            now = bot.store.now()
            return not any(bot.worker.running.values()) and all(due > now for due in bot.work.next_due().values())

        await self.until(nothing_due)

    def check_record(self) -> None:
        """The chain holds, and the rows are what their events make of them."""
        assert list(differences(self.store)) == []


def with_timing(policy: str = POLICY, **seconds: object) -> str:
    """The policy with other times: `with_timing(deadline_seconds=0.5, settle_seconds=1)`."""
    lines = "".join(f"{name} = {value!r}\n".replace("'", '"') for name, value in seconds.items())
    return f"{policy}\n[timing]\n{lines}"


def read_rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """What a person reads with plain SQL."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


@asynccontextmanager
async def a_world(folder: Path, mode: str = "socket", *, started: bool = True, **changes: Any) -> AsyncIterator[World]:
    """A world in which the bot is running, unless `started` is False."""
    ottu = create_ottu(api_key=KEY)
    seed_demo(ottu)
    async with (
        serve(ottu.app) as ottu_url,
        serve_slack(request_url="http://127.0.0.1:9/" if mode == "http" else "", ottu_base_url=ottu_url) as slack,
    ):
        for user, name in {ALICE: "Alice", BOB: "Bob", CEM: "Cem", OUT: "Dave"}.items():
            slack.add_person(user, name)
        for channel, name in {GEN: "payments", OTHER: "random", AUDIT: "audit"}.items():
            slack.add_channel(channel, name, [ALICE, BOB, CEM, OUT, slack.state.bot_user])
        world = World(folder, slack, ottu, ottu_url, mode, **changes)
        try:
            if started:
                await world.start()
            yield world
        finally:
            await world.stop()
