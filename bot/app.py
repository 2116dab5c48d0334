"""Puts the parts together and runs them on one event loop, until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import socket
import sqlite3
import time
import uuid
from asyncio import FIRST_COMPLETED
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

import ottu
from approvals.audit import ChainKey
from approvals.policy import Policy
from approvals.policy_in_force import InForce
from approvals.request import State
from approvals.sqlite import check_sound, open_database, rescue
from approvals.store import Store
from approvals.work import Work
from bot import processes, routes, webhook
from bot.acquaintance import Acquaintance, CannotStart
from bot.credentials import Credentials, SlackClient, Verification, revealed
from bot.executing import Executing
from bot.homes import Homes
from bot.log import recorded
from bot.marker import DATABASE, Marker
from bot.parts import Given, put_together
from bot.people import People
from bot.policies import Policies
from bot.settings import Settings
from bot.tasks import Tasks
from bot.unusable import unusable, unwritable
from bot.web import listen, serving, web_app
from bot.worker import Worker

log = logging.getLogger("bot.app")
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SLACK_SECONDS = 10
RECOVER_SECONDS = 10.0
ACCOUNT = "ottu_base_url"  # the fact: to which account this database belongs
GRACE_SECONDS = 1.0


def new_request_id(length: int) -> str:
    return "R-" + "".join(secrets.choice(CROCKFORD) for _ in range(length))


def new_tracking_key() -> str:
    return str(uuid.uuid4())


def open_store(settings: Settings) -> Store:
    """Raises CannotStart where the database cannot be used, or belongs to another account."""
    key = ChainKey(settings.audit_key.get_secret_value().encode() if settings.audit_key else b"")
    try:
        store = Store(open_database(settings.database_path), key)
        work = Work(store, processes.this_process())
        with store.transaction():
            known = work.fact(ACCOUNT)
            if known is None:
                work.set_fact(ACCOUNT, {"url": settings.ottu_base_url})
                store.record("database_created", "bot", data={"ottu_base_url": settings.ottu_base_url})
        check_sound(store.database)
    except (sqlite3.Error, RuntimeError, OSError) as error:
        raise unusable(settings.database_path, error) from None
    if known is not None and known["url"] != settings.ottu_base_url:
        raise CannotStart(
            f"DATABASE_URL belongs to {known['url']}, not to OTTU_BASE_URL {settings.ottu_base_url}; use another file"
        )
    return store


def database_id(work: Work) -> str:
    """The name of this database, made up when it was made."""
    known = work.fact(DATABASE)
    if known is None:
        known = {"id": uuid.uuid4().hex}
        work.set_fact(DATABASE, known)
    return str(known["id"])


def ottu_login(settings: Settings) -> ottu.ApiKey | ottu.Basic:
    if settings.ottu_api_key:
        return ottu.ApiKey(revealed(settings.ottu_api_key))
    return ottu.Basic(settings.ottu_username or "", revealed(settings.ottu_password))


def ottu_client(credentials: Credentials, in_force: InForce) -> ottu.Client:
    return ottu.Client(
        credentials.now().ottu_base_url,
        lambda: ottu_login(credentials.now()),
        deadline_seconds=lambda: in_force.now.timing.deadline_seconds,
    )


def slack_client(credentials: Credentials) -> AsyncWebClient:
    return SlackClient(
        credentials,
        base_url=credentials.now().slack_api_url,
        timeout=SLACK_SECONDS,
        retry_handlers=[],  # a post that is sent again by itself can stand in the channel twice
    )


@dataclass
class Bot:
    """Everything that runs, put together."""

    settings: Settings
    credentials: Credentials
    policies: Policies
    store: Store
    work: Work
    client: AsyncWebClient
    people: People
    tasks: Tasks
    executing: Executing
    homes: Homes
    worker: Worker
    slack: AsyncApp
    ottu: ottu.Client
    acquaintance: Acquaintance
    address: str = ""  # of the web part, once it listens

    @classmethod
    def build(cls, settings: Settings, own_clock: Callable[[], float] = time.monotonic) -> Bot:
        """Raises CannotStart. Asks nothing of Slack or Ottu yet. `own_clock`: seconds, which nobody can set."""
        policies = Policies(settings)
        in_force = policies.in_force
        store = open_store(settings)
        store.on_event = recorded
        work = Work(store, processes.this_process())
        try:
            database = database_id(work)
        except sqlite3.Error as error:
            raise unusable(settings.database_path, error) from None
        credentials = Credentials(settings)
        client = slack_client(credentials)
        gateway = ottu_client(credentials, in_force)
        marker = Marker(settings.state_directory, store, database, work.owner)
        parts = put_together(
            in_force,
            work,
            client,
            gateway,
            marker,
            host=urlsplit(settings.ottu_base_url).netloc,
            given=Given(new_request_id, new_tracking_key, own_clock),
        )
        slack = slack_app(credentials, client, work, lambda: in_force.now)
        acquaintance = Acquaintance(client, parts.people, work, lambda: policies.start(store, parts.people))
        return cls(
            settings,
            credentials,
            policies,
            store,
            work,
            client,
            parts.people,
            parts.tasks,
            parts.executing,
            parts.homes,
            parts.worker,
            slack,
            gateway,
            acquaintance,
        )

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await self.serve(stop)

    async def serve(self, stop: asyncio.Event) -> None:
        """Serve until `stop`; then finish or park what is running, and close."""
        http = None if self.settings.socket_mode else self.slack
        hook = webhook.endpoint(self.work, self._webhook_key) if self.settings.ottu_webhook_key else None
        web = web_app(slack=http, webhook=hook, ready=self.ready, metrics=self.metrics)
        try:
            listening = self._listen()
            slack = self._socket()
            self._adopt()
            async with serving(web, listening) as address:
                self.address = address
                log.info("started", extra={"facts": {"web": address, "mode": "socket" if slack else "http"}})
                background = [
                    asyncio.create_task(self._connect(slack, stop)),
                    asyncio.create_task(self.worker.run()),
                    asyncio.create_task(self._look_after()),
                    asyncio.create_task(self.policies.watch(self.store, self.work, self.people)),
                    asyncio.create_task(self.homes.watch()),
                ]
                await asyncio.wait([asyncio.create_task(stop.wait()), *background[1:]], return_when=FIRST_COMPLETED)
                log.info("stopping", extra={"facts": {}})
                stop.set()
                await self._stop(slack, background)
        finally:
            with contextlib.suppress(sqlite3.Error):
                self.work.forget_process(self.work.owner)
            await self.ottu.aclose()
            self.store.database.close()

    def _webhook_key(self) -> str:
        return revealed(self.credentials.now().ottu_webhook_key)

    def _listen(self) -> socket.socket:
        try:
            return listen(self.settings.host, self.settings.port)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise CannotStart(f"HOST and PORT cannot be listened on ({why}); choose another PORT") from None

    def _adopt(self) -> None:
        """What was left here by those before: whose database, whose attempts. Raises CannotStart."""
        try:
            self.executing.adopt()
            self.executing.recover()
            self.tasks.arm_head()
        except sqlite3.Error as error:
            raise unusable(self.settings.database_path, error) from None
        except OSError as error:
            raise unwritable(self.settings.state_directory, error) from None

    def _socket(self) -> AsyncSocketModeHandler | None:
        if self.settings.slack_app_token is None:
            return None
        handler = AsyncSocketModeHandler(self.slack, self.settings.slack_app_token.get_secret_value())
        handler.client.message_listeners.append(self.acquaintance.on_hello)
        self.acquaintance.socket = handler.client
        return handler

    async def _stop(self, slack: AsyncSocketModeHandler | None, background: list[asyncio.Task[None]]) -> None:
        """No new payloads, no new claims; running calls finish up to the deadline, then are parked as unknown."""
        if slack is not None:
            await slack.client.close()  # type: ignore[no-untyped-call]  # as the SDK has it
        patience = self.policies.in_force.longest_deadline_seconds + GRACE_SECONDS
        await self.worker.stop(patience={"execute": patience, "close": patience})  # both lanes send
        for task in background:
            task.cancel()
        for result in await asyncio.gather(*background, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    async def _connect(self, slack: AsyncSocketModeHandler | None, stop: asyncio.Event) -> None:
        try:
            await self.acquaintance.meet()
            if slack is not None:
                await slack.client.connect()  # type: ignore[no-untyped-call]  # as the SDK has it
        except CannotStart:
            stop.set()
            raise

    def _check_in_place(self) -> None:
        """Raises CannotStart, which ends the bot: only a new start finds the database that is there now."""
        try:
            self.store.check_in_place()
        except sqlite3.OperationalError as error:
            with contextlib.suppress(sqlite3.Error):
                rescue(self.store.database)
            raise unusable(self.settings.database_path, error) from None

    async def _look_after(self) -> None:
        """What other processes left behind, and what is done long ago."""
        while True:
            await asyncio.sleep(min(RECOVER_SECONDS, self.policies.in_force.now.timing.deadline_seconds))
            self._check_in_place()
            try:
                self.executing.recover()
                self.work.forget_done()
            except (sqlite3.Error, OSError) as error:  # such as no descriptor left, to look at a process with
                log.error("not_recovered", extra={"facts": {"error": f"{type(error).__name__}: {error}"}})

    def ready(self) -> dict[str, bool]:
        """Which parts work: what /readyz says."""
        try:
            database = bool(self.store.now())
            credentials = self.tasks.execution.stopped() is None
        except sqlite3.Error:
            database = credentials = False
        return {"slack": self.acquaintance.is_connected(), "database": database, "executing": credentials}

    def metrics(self) -> str:
        """Prometheus' text format: requests by state, jobs by kind."""
        requests = dict.fromkeys(State, 0)
        for row in self.store.rows("SELECT state, count(*) AS n FROM requests GROUP BY state"):
            requests[State(row["state"])] = row["n"]
        lines = ["# TYPE ottu_bot_requests gauge"]
        lines += [f'ottu_bot_requests{{state="{state}"}} {count}' for state, count in requests.items()]
        lines.append("# TYPE ottu_bot_jobs_waiting gauge")
        lines += [f'ottu_bot_jobs_waiting{{kind="{kind}"}} {count}' for kind, count in self.work.counts().items()]
        return "\n".join(lines) + "\n"


def slack_app(credentials: Credentials, client: AsyncWebClient, work: Work, policy: Callable[[], Policy]) -> AsyncApp:
    """The Bolt app: listeners run inline and acknowledge last; no listener acts before the payload is on disk.

    `policy`: the one in force, asked for each payload.
    """

    async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
        """The bot token for a listener's client. Bolt's own way would keep that of the start, and ask Slack first."""
        token = revealed(credentials.now().slack_bot_token)
        return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, bot_token=token)

    app = AsyncApp(
        logger=logging.getLogger("slack_bolt"),  # whose level is ours: Bolt would log whole bodies
        client=client,
        authorize=authorize,
        process_before_response=True,
        ssl_check_enabled=False,  # answered before the signature is checked
        request_verification_enabled=False,  # by our own, which comes at the same place: before anything else
        before_authorize=Verification(credentials),
    )

    @app.middleware
    async def give_parts(context: Any, next_: Any) -> None:
        context["work"], context["policy"] = work, policy()
        await next_()

    routes.register(app)
    return app
