"""Getting acquainted at the start: which team we are in, as which app, and whether the policy fits its people."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.web.async_client import AsyncWebClient

from approvals.work import Work
from bot.delivery import ME
from bot.inbox import APP
from bot.people import TOKEN_REFUSED, UNREACHABLE, People, SlackDown, slack_code

log = logging.getLogger("bot.acquaintance")
NOT_ACCEPTED = TOKEN_REFUSED | {"missing_scope", "not_allowed_token_type"}
LONGEST_WAIT_SECONDS = 60.0


class CannotStart(Exception):
    """The bot cannot start. One line: why, and what to do."""


class Acquaintance:
    """What only Slack can tell, asked once it answers."""

    def __init__(
        self, client: AsyncWebClient, people: People, work: Work, check_policy: Callable[[], Awaitable[None]]
    ) -> None:
        self.client = client
        self.people = people
        self.check_policy = check_policy
        self.work = work
        self.socket: SocketModeClient | None = None  # in Socket Mode
        self.made = False

    async def meet(self) -> None:
        """Ask until Slack has answered, with patience: it may be down when we start.

        Raises CannotStart where Slack refuses a token, or the policy can be satisfied for nobody.
        """
        wait = 1.0
        while True:
            try:
                await self._introduce()
                await self._ask_for_a_socket()
            except SlackApiError as error:
                self._raise_if_refused("SLACK_BOT_TOKEN", error)
                log.error("slack_refuses", extra={"facts": {"error": slack_code(error)}})
            except (*UNREACHABLE, SlackDown) as error:
                log.error("slack_unreachable", extra={"facts": {"error": type(error).__name__}})
            except sqlite3.Error as error:  # what Slack said could not be written down
                log.error("database", extra={"facts": {"error": str(error)}})
            else:
                self.made = True
                self.work.on_change()
                return
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_SECONDS)

    async def _introduce(self) -> None:
        me = await self.client.auth_test()
        await self.check_policy()
        self.people.team_id = str(me["team_id"])  # from now on people can decide something
        self.work.set_fact(ME, {"user": me.get("user_id"), "bot": me.get("bot_id")})
        if me.get("bot_id"):
            with contextlib.suppress(SlackApiError):
                known = await self.client.bots_info(bot=str(me["bot_id"]))
                self._learn_app((known.get("bot") or {}).get("app_id"))
        log.info("slack_known", extra={"facts": {"team": self.people.team_id}})

    async def _ask_for_a_socket(self) -> None:
        """The address of the first connection. Asked here, because the SDK would ask for ever with a refused token."""
        if self.socket is None:
            return
        try:
            self.socket.wss_uri = (await self.client.apps_connections_open(app_token=self.socket.app_token))["url"]
        except SlackApiError as error:
            self._raise_if_refused("SLACK_APP_TOKEN", error)
            raise

    @staticmethod
    def _raise_if_refused(name: str, error: SlackApiError) -> None:
        if slack_code(error) in NOT_ACCEPTED:
            raise CannotStart(
                f"{name} is refused by Slack ({slack_code(error)}); copy it anew from the app's page"
            ) from None

    def is_connected(self) -> bool:
        """Do we know each other and, in Socket Mode, is there a connection now?"""
        session = self.socket.current_session if self.socket else None
        return self.made and (self.socket is None or (session is not None and not session.closed))

    async def on_hello(self, _client: Any, message: dict[str, Any], _raw: str | None) -> None:
        """Slack's first word on a socket: our app's id, and how many connections there are."""
        if message.get("type") == "hello":
            self._learn_app((message.get("connection_info") or {}).get("app_id"))
            connections = int(message.get("num_connections") or 1)
            if connections > 1:  # one that nobody reads any more swallows clicks
                log.warning("several_connections", extra={"facts": {"connections": connections}})

    def _learn_app(self, app_id: object) -> None:
        if app_id:
            self.work.set_fact(APP, {"id": str(app_id)})
