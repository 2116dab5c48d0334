"""The Web API methods that read: auth, apps, bots, users, usergroups, conversations (and conversations.open).

Each method is a function of the state and the caller's arguments; it returns the answer without `ok`, or raises
ApiError with Slack's own error word. Source: docs.slack.dev/reference/methods.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Any

from sandbox.slack_chat import direct_message, public
from sandbox.slack_records import ApiError, Channel, Json, Person
from sandbox.slack_state import State

PAGE_DEFAULT = 100
PAGE_MAX = 999


def auth_test(state: State, _arguments: Json) -> Json:
    """auth.test: who the token belongs to."""
    return {
        "url": f"https://{state.team_domain}.slack.com/",
        "team": state.team_domain,
        "user": state.people[state.bot_user].name,
        "team_id": state.team_id,
        "user_id": state.bot_user,
        "bot_id": state.bot_id,
        "is_enterprise_install": False,
    }


def connections_open(state: State, _arguments: Json) -> Json:
    """apps.connections.open: an address that can be used once."""
    ticket = secrets.token_hex(16)
    state.tickets.add(ticket)
    address = state.base_url.replace("http://", "ws://", 1)
    return {"url": f"{address}/link/?ticket={ticket}&app_id={state.app_id}"}


def bots_info(state: State, arguments: Json) -> Json:
    """bots.info, of this app's own bot."""
    if arguments.get("bot", state.bot_id) != state.bot_id:
        raise ApiError("bot_not_found")
    name = state.people[state.bot_user].name
    bot = {"id": state.bot_id, "deleted": False, "name": name, "app_id": state.app_id, "user_id": state.bot_user}
    return {"bot": bot}


def users_info(state: State, arguments: Json) -> Json:
    """users.info. As in Slack, a deleted account lacks the flags, and only outsiders have `is_stranger`."""
    person = state.people.get(arguments.get("user", ""))
    if person is None:
        raise ApiError("user_not_found")
    return {"user": _public_person(state, person)}


def _public_person(state: State, person: Person) -> Json:
    profile = {"real_name": person.name, "display_name": person.name, "team": person.team_id}
    shown: Json = {
        "id": person.id,
        "team_id": person.team_id,
        "name": person.name.lower(),
        "real_name": person.name,
        "deleted": person.deleted,
        "profile": profile,
        "is_bot": person.is_bot,
        "is_app_user": False,
        "updated": 1,
    }
    if not person.deleted:
        shown |= {"is_admin": False, "is_owner": False, "is_primary_owner": False, "tz": "Asia/Kuwait"}
        shown |= {"is_restricted": person.is_restricted, "is_ultra_restricted": person.is_ultra_restricted}
    if person.team_id != state.team_id or person.is_stranger:
        shown["is_stranger"] = person.is_stranger
    return shown


def usergroups_users_list(state: State, arguments: Json) -> Json:
    """usergroups.users.list; on a free plan plan_upgrade_required."""
    if not state.usergroups_paid:
        raise ApiError("plan_upgrade_required")
    users = state.groups.get(arguments.get("usergroup", ""))
    if users is None:
        raise ApiError("no_such_subteam")
    return {"users": list(users)}


def visible(state: State, channel_id: Any) -> Channel:
    """The channel, if the bot may know of it. Raises channel_not_found."""
    channel = state.channels.get(channel_id) if isinstance(channel_id, str) else None
    if channel is None or ((channel.is_private or channel.is_im) and state.bot_user not in channel.members):
        raise ApiError("channel_not_found")
    return channel


def conversations_info(state: State, arguments: Json) -> Json:
    """conversations.info: is the bot a member, is it archived, is it shared."""
    channel = visible(state, arguments.get("channel"))
    shown: Json = {"id": channel.id, "created": 1, "is_archived": channel.is_archived, "is_im": channel.is_im}
    if channel.is_im:
        shown["user"] = channel.members[0]
    else:
        shown |= {
            "name": channel.name,
            "name_normalized": channel.name,
            "is_channel": not channel.is_private,
            "is_group": False,
            "is_mpim": False,
            "is_private": channel.is_private,
            "is_member": state.bot_user in channel.members,
            "is_shared": channel.is_ext_shared,
            "is_ext_shared": channel.is_ext_shared,
            "is_org_shared": False,
            "context_team_id": state.team_id,
        }
    if arguments.get("include_num_members"):
        shown["num_members"] = len(channel.members)
    return {"channel": shown}


def conversations_open(state: State, arguments: Json) -> Json:
    """conversations.open, with one person."""
    users = arguments.get("users", "")
    people = users.split(",") if isinstance(users, str) else list(users)
    if len(people) != 1 or people[0] not in state.people:
        raise ApiError("user_not_found")
    channel = direct_message(state, people[0])
    return {"channel": {"id": channel.id}}


def conversations_members(state: State, arguments: Json) -> Json:
    """conversations.members, paged."""
    channel = visible(state, arguments.get("channel"))
    page, cursor = _page(channel.members, arguments)
    return {"members": page, "response_metadata": {"next_cursor": cursor}}


def conversations_history(state: State, arguments: Json) -> Json:
    """conversations.history: newest first, without replies that were not also sent to the channel."""
    channel = _readable(state, arguments)
    messages = [
        message
        for message in reversed(state.messages)
        if message.channel == channel.id and message.ephemeral_to is None
        if (not message.is_reply or message.reply_broadcast) and _within(message.ts, arguments)
    ]
    page, cursor = _page(messages, arguments)
    with_metadata = bool(arguments.get("include_all_metadata"))
    shown = [public(state, message, with_metadata=with_metadata) for message in page]
    return {"messages": shown, "has_more": bool(cursor), "response_metadata": {"next_cursor": cursor}}


def conversations_replies(state: State, arguments: Json) -> Json:
    """conversations.replies: the thread's first message, then its replies, oldest first."""
    channel = _readable(state, arguments)
    root = state.find(channel.id, str(arguments.get("ts")), tombstone=True)
    if root is None:
        raise ApiError("thread_not_found")
    replies = [reply for reply in state.replies(channel.id, root.ts) if _within(reply.ts, arguments)]
    page, cursor = _page([root, *replies], arguments)
    with_metadata = bool(arguments.get("include_all_metadata"))
    shown = [public(state, message, with_metadata=with_metadata) for message in page]
    return {"messages": shown, "has_more": bool(cursor), "response_metadata": {"next_cursor": cursor}}


def _readable(state: State, arguments: Json) -> Channel:
    channel = visible(state, arguments.get("channel"))
    if state.bot_user not in channel.members:
        raise ApiError("not_in_channel")
    return channel


def _within(ts: str, arguments: Json) -> bool:
    """Whether `ts` lies between oldest and latest; `inclusive` counts the ends in."""
    oldest, latest = str(arguments.get("oldest") or "0"), str(arguments.get("latest") or "9" * 10)
    if arguments.get("inclusive") and ts in (oldest, latest):
        return True
    return float(oldest) < float(ts) < float(latest)


def _page(items: list[Any], arguments: Json) -> tuple[list[Any], str]:
    """One page of `items` and the cursor of the next, "" at the end. The cursor says where the last page stopped."""
    try:
        limit = int(arguments.get("limit") or PAGE_DEFAULT)
        cursor = arguments.get("cursor") or ""
        start = int(base64.b64decode(cursor, validate=True).decode().removeprefix("after:")) if cursor else 0
    except (ValueError, binascii.Error) as error:
        raise ApiError("invalid_cursor" if arguments.get("cursor") else "invalid_limit") from error
    if not 1 <= limit <= PAGE_MAX:
        raise ApiError("invalid_limit")
    end = start + limit
    return items[start:end], base64.b64encode(f"after:{end}".encode()).decode() if end < len(items) else ""
