"""Who is this? Asked of Slack for every decision, from facts at most 60 seconds old. Not known is not allowed.

People of another organisation can press buttons in a shared channel (Slack Connect): their own team stands only in the
payload's `user.team_id`, so both that and `users.info` must say our team.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from approvals.policy import Members, Policy
from approvals.request import Refusal
from approvals.sentences import asking

log = logging.getLogger("bot.people")
FRESH_SECONDS = 60.0
# Slack refuses our token, which says nothing of the matter; a new one may come into its file.
TOKEN_REFUSED = frozenset({"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"})
TRY_LATER = frozenset({"ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"})


class SlackDown(Exception):
    """Slack could not be asked: nothing is decided, and it is tried again, after `seconds` at least."""

    def __init__(self, why: str, seconds: float = 1.0) -> None:
        super().__init__(why)
        self.seconds = seconds

    @property
    def is_throttled(self) -> bool:
        """Has Slack said that there were too many calls of this method?"""
        return str(self) == "ratelimited"


class People:
    """The people and groups of the workspace that the bot is installed in, kept for at most 60 seconds.

    `clock` gives seconds and never goes back.
    """

    def __init__(self, client: AsyncWebClient, clock: Callable[[], float] = time.monotonic) -> None:
        self.client = client
        self.clock = clock
        self.team_id = ""  # set once Slack has told who we are (auth.test)
        self._kept: dict[str, tuple[float, Any]] = {}
        self._refused: dict[str, str] = {}  # the user groups that Slack does not tell us, and its word for why

    async def vouch(self, user: str, payload_team: str) -> None:
        """Raises Refusal for anybody but a full member of our own team, SlackDown where Slack cannot be asked."""
        if not self.team_id:
            raise SlackDown("Slack has not told us yet which team we are in")
        if payload_team != self.team_id:
            raise Refusal(asking.OUTSIDER, kind="outsider")
        known: Mapping[str, Any] = await self._fresh(f"user:{user}", self._user, user)
        for flag, sentence in asking.NOT_ORDINARY.items():
            if known.get(flag):
                raise Refusal(sentence, kind=flag)
        if known.get("team_id") != self.team_id:
            raise Refusal(asking.OUTSIDER, kind="outsider")

    async def members(self, policy: Policy) -> Members:
        """Who is in which group of the policy now. A user group that cannot be read is nobody."""
        return {
            name: frozenset().union(*[await self._listed(entry) for entry in entries])
            for name, entries in policy.groups.items()
        }

    async def members_now(self, policy: Callable[[], Policy]) -> Members:
        """The same for the policy that counts when Slack has answered: another may have come into force meanwhile."""
        asked = None
        while asked is not (current := policy()):
            asked, members = current, await self.members(current)
        return members

    def unread(self, policy: Policy) -> list[str]:
        """A sentence for each user group of the policy that Slack has refused to tell when it was asked last."""
        return [
            asking.group_unread(group=name, user_group=entry, error=self._refused[entry])
            for name, entries in policy.groups.items()
            for entry in entries
            if entry in self._refused
        ]

    async def _listed(self, entry: str) -> frozenset[str]:
        if not entry.startswith("S"):
            return frozenset({entry})
        found: frozenset[str] = await self._fresh(f"group:{entry}", self._group, entry)
        return found

    async def _fresh(self, key: str, read: Any, name: str) -> Any:
        kept = self._kept.get(key)
        now = self.clock()
        if kept is None or now - kept[0] > FRESH_SECONDS:
            self._kept[key] = (now, await read(name))  # as old as the moment it was asked
            self._kept = {k: v for k, v in self._kept.items() if now - v[0] <= FRESH_SECONDS}
        return self._kept[key][1]

    async def _user(self, user: str) -> dict[str, Any]:
        try:
            return dict((await self.client.users_info(user=user))["user"])
        except SlackApiError as error:
            raise_if_down(error)
            raise Refusal(asking.UNKNOWN_PERSON, kind="unknown_person") from None
        except UNREACHABLE as error:
            raise SlackDown(type(error).__name__) from None

    async def _group(self, group: str) -> frozenset[str]:
        try:
            found = frozenset((await self.client.usergroups_users_list(usergroup=group))["users"])
        except SlackApiError as error:
            raise_if_down(error)
            self._refused[group] = slack_code(error)
            log.error("group_unread", extra={"facts": {"group": group, "error": self._refused[group]}})
            return frozenset()
        except UNREACHABLE as error:
            raise SlackDown(type(error).__name__) from None
        self._refused.pop(group, None)
        return found


UNREACHABLE = (aiohttp.ClientError, asyncio.TimeoutError, OSError, KeyError, ValueError)


def raise_if_down(error: SlackApiError) -> None:
    """Raises SlackDown where Slack's answer says nothing of the matter: too many requests, or trouble of its own, or
    with our token."""
    status = int(getattr(error.response, "status_code", 0) or 0)
    code = slack_code(error)
    if status == 429 or code == "ratelimited":
        raise SlackDown("ratelimited", retry_after_seconds(error)) from None
    if code in TOKEN_REFUSED:
        log.error("slack_refuses", extra={"facts": {"error": code}})
    if status >= 500 or code in TRY_LATER | TOKEN_REFUSED:
        raise SlackDown(code) from None


def slack_code(error: SlackApiError) -> str:
    """Slack's own word for what went wrong."""
    data = getattr(error.response, "data", None)
    return str(data.get("error", "")) if isinstance(data, dict) else "unreadable"


def retry_after_seconds(error: SlackApiError) -> float:
    """What Slack asks us to wait, between 1 second and 5 minutes."""
    headers = getattr(error.response, "headers", {}) or {}
    asked = next((value for name, value in headers.items() if name.lower() == "retry-after"), "1")
    text = asked[0] if isinstance(asked, list) else str(asked)
    return min(max(float(text), 1.0), 300.0) if text.replace(".", "", 1).isdigit() else 1.0
