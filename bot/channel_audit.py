"""`audit channel`: do the channels show what the record says? Reads both, writes to neither.

From Slack, with the bot's own token, or from the folder of an export, without one. The chain itself is not recomputed
here: `audit verify` does that.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from approvals.policy import Policy
from approvals.store import Store
from approvals.work import Work
from bot.acquaintance import CannotStart
from bot.app import SLACK_SECONDS
from bot.audit import plain
from bot.channel_compare import compare
from bot.channel_export import read_export
from bot.channel_findings import Beyond, Difference, Findings, Reach, Terms
from bot.channel_history import Progress, Reader, call
from bot.channel_messages import Identity, Json, Message
from bot.channel_record import Record
from bot.credentials import revealed
from bot.delivery import ME
from bot.inbox import APP
from bot.people import slack_code
from bot.policies import policy_at
from bot.record import reading
from bot.settings import ChannelAuditSettings
from bot.told import Told, told_to_stop

STATE_SUFFIX = ".audit-channel"  # of the state file, beside the database
MOST_NAMED = 5  # requests in one line about what is beyond reach


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    export: Path | None = None
    state: Path | None = None
    whole: bool = False
    fresh_seconds: float = 120.0
    as_json: bool = False


@dataclass
class Read:
    """What was read of the channels, and as of when. `url`: the workspace's address, for links."""

    messages: list[Message]
    reaches: dict[str, Reach]
    until: float
    with_metadata: bool = True
    url: str = ""


def audit_channel(settings: ChannelAuditSettings, options: Options) -> int:
    """Print what was found; exit status 1 where anything differs, 130 where somebody stopped it."""
    policy = policy_at(settings.policy_file, loopback=True)  # its times are not used here
    with reading(settings.record) as store:
        channels = _channels(policy, store)
        known = _known_identity(store)
    try:
        with told_to_stop():
            read = _exported(options, channels, known) if options.export else _live(settings, options, channels)
    except Told:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    terms = Terms(
        read.until - options.fresh_seconds,
        alarms_to=policy.channels.audit or policy.channels.requests[0],
        with_metadata=read.with_metadata,
        whole=options.whole,
    )
    with reading(settings.record) as store:  # anew: by now it holds all that the messages can tell of
        record = Record(store)
        findings = compare(read.messages, record, read.reaches, terms)
        head = (record.seq, record.head)
    lines = _json(findings, read, head) if options.as_json else _lines(findings, read, head)
    print("\n".join(lines))
    return 1 if findings.differences else 0


def _channels(policy: Policy, store: Store) -> list[str]:
    """The policy's, and those in which something was asked for when the policy was another."""
    audit = [policy.channels.audit] if policy.channels.audit else []
    return list(dict.fromkeys([*policy.channels.requests, *audit, *store.channels()]))


def _known_identity(store: Store) -> Identity:
    """As whom Slack knew the bot when it ran last."""
    work = Work(store, "audit")
    me, app = work.fact(ME) or {}, work.fact(APP) or {}
    return Identity(str(me.get("user") or ""), str(me.get("bot") or ""), str(app.get("id") or ""))


# --- reading


def _exported(options: Options, channels: list[str], me: Identity) -> Read:
    if not me.user and not me.bot:
        raise CannotStart("the database does not say as whom Slack knows the bot; start the bot once, then try again")
    found = read_export(options.export or Path(), channels, me)
    return Read(found.messages, found.reaches, found.newest, found.has_metadata)


def _live(settings: ChannelAuditSettings, options: Options, channels: list[str]) -> Read:
    path = settings.record.database_path
    state = options.state or path.with_name(path.name + STATE_SUFFIX)
    client = AsyncWebClient(
        revealed(settings.slack_bot_token), base_url=settings.slack_api_url, timeout=SLACK_SECONDS, retry_handlers=[]
    )
    return asyncio.run(_read_live(client, state, channels))


async def _read_live(client: AsyncWebClient, state: Path, channels: list[str]) -> Read:
    async def wait(seconds: float, _why: str) -> None:
        await asyncio.sleep(seconds)

    try:
        known = await call(client, "auth_test", wait)
    except SlackApiError as error:
        raise CannotStart(f"SLACK_BOT_TOKEN is refused by Slack ({slack_code(error)})") from None
    app = ""
    if known.get("bot_id"):
        with contextlib.suppress(SlackApiError):  # without the scope the app's id stays unknown
            bot = await call(client, "bots_info", wait, bot=str(known["bot_id"]))
            app = str((bot.get("bot") or {}).get("app_id") or "")
    me = Identity(str(known.get("user_id") or ""), str(known.get("bot_id") or ""), app)
    progress = Progress.resumed(state, {"team": str(known.get("team_id")), "user": me.user, "channels": channels})
    await Reader(client, me, progress, is_shown=sys.stderr.isatty()).read(channels)
    progress.finish()
    url = str(known.get("url") or "")
    return Read(list(progress.messages.values()), progress.reaches(), progress.started_at, url=url)


# --- the report


def _lines(findings: Findings, read: Read, head: tuple[int, str]) -> list[str]:
    """The report for people."""
    lines = [_reach_line(reach) for reach in read.reaches.values()]
    lines += [f"DIFFERENCE  {_difference_line(one, read)}" for one in findings.differences]
    lines += [f"beyond reach  {line}" for line in _beyond_lines(findings.beyond, read)]
    if findings.wording:
        where = "; ".join(dict.fromkeys(_place(one, read) for one in findings.wording[:MOST_NAMED]))
        lines.append(f"other words  {len(findings.wording)} messages whose facts agree, but not the words: {where}")
    things = ("card", "result", "head", "alarm")
    counted = ", ".join(f"{findings.counts.get(thing, 0)} {thing}s" for thing in things)
    total = f"{len(findings.differences)} differences, {len(findings.beyond)} beyond reach"
    lines.append(f"{total}; compared {counted} with the record to {head[0]}:{head[1]}")
    return [plain(line) for line in lines]


def _reach_line(reach: Reach) -> str:
    name = f"{reach.channel} {reach.name}".strip()
    if reach.unreadable:
        return f"{name}: cannot be read: {reach.unreadable}"
    back = f", back to {_moment(reach.oldest)}" if reach.oldest else ""
    return f"{name}: {reach.messages} messages{back}"


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _difference_line(one: Difference, read: Read) -> str:
    about = f"{one.request} {one.thing}" if one.request else one.thing
    return f"{about}  {one.what}: {one.sentence}  {_place(one, read)}".rstrip()


def _place(one: Difference, read: Read) -> str:
    """Where to look: a link where the workspace's address is known."""
    if not one.ts:
        return one.channel or ""
    if read.url:
        return f"{read.url.rstrip('/')}/archives/{one.channel}/p{one.ts.replace('.', '')}"
    return f"{one.channel} {one.ts} ({_moment(float(one.ts))})"


def _beyond_lines(beyond: list[Beyond], read: Read) -> list[str]:
    """One line for each channel and reason."""
    counted = Counter((one.channel, one.why) for one in beyond)
    lines = []
    for (channel, why), number in counted.items():
        named = dict.fromkeys(one.request or one.thing for one in beyond if (one.channel, one.why) == (channel, why))
        some = ", ".join(list(named)[:MOST_NAMED]) + (" …" if len(named) > MOST_NAMED else "")
        reach = read.reaches.get(channel)
        name = f"{channel} {reach.name if reach else ''}".strip()
        lines.append(f"{name}: {number} cards, results or alarms of {some}: {why}")
    return lines


def _json(findings: Findings, read: Read, head: tuple[int, str]) -> list[str]:
    """The same for programs: one JSON object."""

    def placed(one: Difference) -> Json:
        return dataclasses.asdict(one) | {"link": _place(one, read) if read.url and one.ts else None}

    found: dict[str, Any] = {
        "record": {"seq": head[0], "head": head[1]},
        "until": _moment(read.until),
        "channels": [dataclasses.asdict(reach) for reach in read.reaches.values()],
        "counts": findings.counts,
        "differences": [placed(one) for one in findings.differences],
        "beyond_reach": [dataclasses.asdict(one) for one in findings.beyond],
        "other_words": [placed(one) for one in findings.wording],
    }
    return [json.dumps(found, indent=2)]  # in ASCII: what others wrote moves no cursor here either
