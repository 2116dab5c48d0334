"""`doctor` and `policy check`: what works, what does not, and what to do; one line each, exit status 1 on any red.

The doctor changes nothing: it asks harmless questions of Slack and Ottu, and opens the database only if it is there.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

import ottu
from approvals.policy import Policy, Rule, findings, people
from approvals.policy_in_force import InForce
from approvals.sqlite import DURABLE, open_database
from bot.app import ottu_client, slack_client
from bot.credentials import Credentials
from bot.people import UNREACHABLE, People, SlackDown, slack_code
from bot.policies import read_policy
from bot.reader import NOBODY
from bot.settings import Settings

CLOCK_SECONDS = 30.0  # a click counts for 60 s, and Slack's signatures for 5 minutes
SCOPES = {
    "commands": "the /ottu command",
    "chat:write": "cards, results and private answers",
    "users:read": "who presses a button",
    "usergroups:read": "user groups in the policy",
    "channels:history": "finding a card again after a crash, and `audit channel`",
    "groups:history": "the same in private channels",
    "channels:read": "is the bot in its channels",
    "groups:read": "the same for private channels",
}


@dataclass(frozen=True)
class Finding:
    """One line. `good`: True, False, or None for a warning."""

    good: bool | None
    what: str
    advice: str = ""

    def __str__(self) -> str:
        mark = {True: "ok  ", False: "RED ", None: "warn"}[self.good]
        return f"{mark}  {self.what}{f': {self.advice}' if self.advice else ''}"


def policy_check(settings: Settings) -> int:
    """Is the policy file right, and can each of its rules be satisfied? Groups are read from Slack where it has any."""
    policy = read_policy(settings)
    found = asyncio.run(policy_findings(settings, policy))
    return _report([Finding(True, f"{settings.policy_file} is well formed"), *found])


def doctor(settings: Settings) -> int:
    """Everything that the bot needs, tried."""
    policy = read_policy(settings)
    return _report(asyncio.run(examine(settings, policy)))


def _report(found: list[Finding]) -> int:
    for finding in found:
        print(finding)
    return 1 if any(finding.good is False for finding in found) else 0


async def policy_findings(settings: Settings, policy: Policy) -> list[Finding]:
    try:
        known = People(slack_client(Credentials(settings)))
        members = await known.members(policy)
    except SlackDown as down:
        return [Finding(False, "groups", f"Slack could not be asked ({down}); try again")]
    empty = [name for name, entries in policy.groups.items() if not members[name] and entries]
    lines = [Finding(False, "user groups", sentence) for sentence in known.unread(policy)]
    lines += [Finding(False, f"group {name}", "Slack shows nobody in it; name people (U…)") for name in empty]
    lines += [
        Finding(False if finding.level == "error" else None, finding.sentence) for finding in findings(policy, members)
    ]
    return lines + [Finding(True, _rule_line(rule, members)) for rule in policy.rules]


def _rule_line(rule: Rule, members: Any) -> str:
    if rule.block is not None:
        return rule.text
    who = ", ".join(sorted(people(rule.approve, members))) if rule.approvals else "nobody needs to"
    return f"{rule.text}; can approve: {who}"


async def examine(settings: Settings, policy: Policy) -> list[Finding]:
    found = [Finding(True, "settings and policy file are well formed")]
    found += await _slack(settings, policy)
    found += await policy_findings(settings, policy)
    found += await _gateway(settings, policy)
    found += [_database(settings), _webhook(settings)]
    return found


# --- Slack


async def _slack(settings: Settings, policy: Policy) -> list[Finding]:
    client = slack_client(Credentials(settings))
    try:
        me = await client.auth_test()
    except SlackApiError as error:
        return [
            Finding(
                False, "Slack token", f"refused ({slack_code(error)}); copy SLACK_BOT_TOKEN anew from the app's page"
            )
        ]
    except UNREACHABLE as error:
        return [Finding(False, "Slack", f"not reached ({type(error).__name__}); check SLACK_API_URL and the network")]
    found = [Finding(True, f"Slack: {me['user']} in {me['team']} ({me['team_id']})")]
    found += [_scopes(me.headers), _clock("Slack", me.headers)]
    if settings.slack_app_token:
        found.append(await _socket(client, settings.slack_app_token.get_secret_value()))
    channels = [*policy.channels.requests, *([policy.channels.audit] if policy.channels.audit else [])]
    return found + [await _channel(client, channel) for channel in channels]


def _header(headers: Any, name: str) -> str:
    value = next((value for key, value in dict(headers).items() if str(key).lower() == name), "")
    return str(value[0] if isinstance(value, list) and value else value)


def _scopes(headers: Any) -> Finding:
    granted = {scope.strip() for scope in _header(headers, "x-oauth-scopes").split(",")} - {""}
    missing = SCOPES.keys() - granted
    if not granted:
        return Finding(None, "scopes", "Slack did not say which are granted")
    if missing:
        return Finding(
            False, "scopes", "; ".join(f"{s} is missing ({SCOPES[s]})" for s in sorted(missing)) + "; reinstall the app"
        )
    return Finding(True, "scopes: all that the bot uses are granted")


def _clock(whose: str, headers: Any) -> Finding:
    try:
        apart = time.time() - parsedate_to_datetime(_header(headers, "date")).timestamp()
    except ValueError:
        return Finding(None, f"clock against {whose}'s", "no readable Date in the answer")
    if abs(apart) > CLOCK_SECONDS:
        return Finding(False, f"clock is {apart:+.0f} s from {whose}'s", "set this machine's clock (NTP)")
    return Finding(True, f"clock agrees with {whose}'s")


async def _socket(client: AsyncWebClient, app_token: str) -> Finding:
    try:
        await client.apps_connections_open(app_token=app_token)
    except SlackApiError as error:
        return Finding(
            False,
            "Socket Mode",
            f"refused ({slack_code(error)}); SLACK_APP_TOKEN needs connections:write, the app Socket Mode",
        )
    except UNREACHABLE as error:
        return Finding(False, "Socket Mode", f"not reached ({type(error).__name__})")
    return Finding(True, "Socket Mode: Slack gives a connection")


async def _channel(client: AsyncWebClient, channel: str) -> Finding:
    try:
        known = (await client.conversations_info(channel=channel))["channel"]
    except SlackApiError as error:
        code = slack_code(error)
        if code in {"unknown_method", "missing_scope"}:
            return Finding(None, f"channel {channel}", f"Slack did not say whether the bot is in it ({code})")
        return Finding(False, f"channel {channel}", f"Slack says {code}; invite the bot, or correct [channels]")
    except UNREACHABLE as error:
        return Finding(False, f"channel {channel}", f"not reached ({type(error).__name__})")
    if known.get("is_archived"):
        return Finding(False, f"channel {channel}", "is archived; name another one in [channels]")
    if not known.get("is_member"):
        return Finding(False, f"channel {channel}", "the bot is not in it: type /invite there")
    shared = known.get("is_ext_shared")
    return Finding(
        None if shared else True,
        f"channel {channel} (#{known.get('name')})",
        "shared with another organisation, whose people see the cards" if shared else "",
    )


# --- Ottu


async def _gateway(settings: Settings, policy: Policy) -> list[Finding]:
    async with ottu_client(Credentials(settings), InForce(policy)) as client:
        try:
            await client.retrieve(NOBODY)
        except ottu.Unauthorized:
            return [
                Finding(False, "Ottu", "does not accept the credentials; check OTTU_API_KEY, or the user and password")
            ]
        except ottu.Refused:
            pass  # it knows no such transaction: so the credentials were accepted
        except ottu.OttuError as error:
            return [Finding(False, "Ottu", f"{error} Check OTTU_BASE_URL and the network")]
    return [Finding(True, f"Ottu: {settings.ottu_base_url} accepts the credentials"), await _ottu_clock(settings)]


async def _ottu_clock(settings: Settings) -> Finding:
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            return _clock("Ottu", (await client.head(settings.ottu_base_url)).headers)
    except httpx.HTTPError as error:
        return Finding(None, "clock against Ottu's", type(error).__name__)


# --- here


def _database(settings: Settings) -> Finding:
    path = settings.database_path
    if not path.exists():
        if not path.parent.is_dir():
            return Finding(False, f"database {path}", "its directory does not exist; make it")
        return Finding(True, f"database {path}: not there yet, the first start makes it")
    try:
        database = open_database(path)
        read_back = {name: database.execute(f"PRAGMA {name}").fetchone()[0] for name in DURABLE}
        intact = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        database.close()
    except Exception as error:  # whatever it is, the line says it
        return Finding(False, f"database {path}", f"{error}; free the disk or restore a backup")
    if intact != "ok":
        return Finding(False, f"database {path}", f"is damaged ({intact}); restore a backup")
    return Finding(True, f"database {path}: {', '.join(f'{k} {v}' for k, v in read_back.items())}")


def _webhook(settings: Settings) -> Finding:
    if settings.ottu_webhook_key is None:
        return Finding(None, "webhooks", "OTTU_WEBHOOK_KEY is not set, so outcomes are learnt by asking only")
    return Finding(True, "webhooks: the key is set; Ottu must post to /ottu/webhook of this program")
