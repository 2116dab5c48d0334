"""The page, and the addresses under `/_control/slack/` by which it and other programs act as people.

Everything is JSON: a POST must say so in its content type (so that no foreign web page can send one), and errors are
`{"error": sentence}` with status 400.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from sandbox.slack_records import Impossible, Json, Message
from sandbox.slack_render import plain
from sandbox.slack_views import public_view

if TYPE_CHECKING:
    from sandbox.slack import Slack
    from sandbox.slack_delivery import Ack

WAIT_SECONDS_MAX = 20.0
PAGE = Path(__file__).with_name("page.html")
Act = Callable[["Slack", Json], Awaitable[Json]]

# What a POST may set in the state.
SETTINGS = {"rate_limits": bool, "usergroups_paid": bool, "messages_tab_enabled": bool, "scopes": set}


def add_control(app: web.Application, slack: Slack, session: aiohttp.ClientSession, ottu_base_url: str) -> None:
    """Add the page and the control addresses to `app`."""

    async def page(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=PAGE.read_text(), content_type="text/html")

    async def state(request: web.Request) -> web.StreamResponse:
        await _newer(slack, request)
        return web.json_response(snapshot(slack, request.query.get("user")))

    async def transcript(request: web.Request) -> web.StreamResponse:
        return web.json_response({"transcript": slack.transcript(request.query.get("user"))})

    async def ledger(_request: web.Request) -> web.StreamResponse:
        return await _ledger(session, ottu_base_url)

    async def act(request: web.Request) -> web.StreamResponse:
        return await _act(slack, request)

    app.router.add_get("/", page)
    app.router.add_get("/_control/slack/state", state)
    app.router.add_get("/_control/slack/transcript", transcript)
    app.router.add_get("/_control/slack/ledger", ledger)
    app.router.add_post("/_control/slack/{act}", act)


async def _act(slack: Slack, request: web.Request) -> web.StreamResponse:
    name = request.match_info["act"]
    if request.content_type != "application/json":
        return _error("the body must be application/json")
    if name not in ACTS:
        return _error(f"no such act: {name}; there are {', '.join(sorted(ACTS))}")
    try:
        body = await request.json()
        return web.json_response(await ACTS[name](slack, body))
    except json.JSONDecodeError as error:
        return _error(f"not JSON: {error}")
    except Impossible as error:
        return _error(str(error))
    except KeyError as error:
        return _error(f"missing: {error}")
    except (TypeError, ValueError, AttributeError) as error:
        return _error(str(error))


def _error(sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=400)


async def _ledger(session: aiohttp.ClientSession, ottu_base_url: str) -> web.StreamResponse:
    """The money that the local Ottu moved, fetched here so that the page needs only this server."""
    if not ottu_base_url:
        return web.json_response([])
    try:
        async with session.get(f"{ottu_base_url}/_control/ottu/ledger", timeout=aiohttp.ClientTimeout(5)) as response:
            return web.Response(body=await response.content.read(1_000_000), content_type="application/json")
    except (aiohttp.ClientError, TimeoutError) as error:
        return web.json_response({"error": f"the local Ottu does not answer: {error}"}, status=502)


async def _newer(slack: Slack, request: web.Request) -> None:
    """With `?since=<version>`: wait (`&wait=` seconds, at most 20) until the state is newer than that."""
    with contextlib.suppress(ValueError, TimeoutError):
        since = int(request.query.get("since", -1))
        wait_seconds = min(float(request.query.get("wait", WAIT_SECONDS_MAX)), WAIT_SECONDS_MAX)
        async with asyncio.timeout(wait_seconds):
            while slack.state.version == since:
                await slack.state.change()


# --- what is shown -------------------------------------------------------------------------------------------------


def snapshot(slack: Slack, user: str | None) -> Json:
    """The whole workspace, or what `user` sees of it."""
    state = slack.state
    channels = [one for one in state.channels.values() if user is None or user in one.members]
    if user is None:
        messages, views, homes = list(state.messages), state.views, state.homes
    else:
        seen = slack.seen_by(user)
        messages, views = seen.messages, {user: seen.views}
        homes = {user: seen.home} if seen.home else {}
    return {
        "version": state.version,
        "app_id": state.app_id,
        "bot_user": state.bot_user,
        "commands": sorted(state.commands),
        "home_tab_enabled": state.home_tab_enabled,
        "shortcuts": state.shortcuts,
        "message_shortcuts": state.message_shortcuts,
        "connections": len(slack.outbox.sockets),
        "people": [dataclasses.asdict(person) for person in state.people.values()],
        "groups": state.groups,
        "channels": [dataclasses.asdict(channel) for channel in channels],
        "messages": [_shown(slack, message) for message in messages],
        "views": {owner: [_view(slack, view) for view in stack] for owner, stack in views.items()},
        "homes": {owner: _view(slack, view) for owner, view in homes.items()},
        "failures": [dataclasses.asdict(one) for one in state.failures if user in (None, one.user)],
    }


def _shown(slack: Slack, message: Message) -> Json:
    shown = dataclasses.asdict(message)
    return shown | {"plain": plain(slack.state, message.text), "edits": len(message.edits)}


def _view(slack: Slack, view: Any) -> Json:
    return public_view(slack.state, view) | {"errors": view.errors}


def _ack(ack: Ack | None) -> Json:
    if ack is None:
        return {"ok": True}
    message = None if ack.message is None else dataclasses.asdict(ack.message)
    said = {"error": ack.error, "status": ack.status, "milliseconds": round(ack.milliseconds, 1)}
    return {"ok": ack.ok, **said, "text": ack.text, "errors": ack.errors, "message": message}


# --- what is done --------------------------------------------------------------------------------------------------


def _overrides(body: Json) -> Json:
    """`overrides` and `crafted` of a body: for forged payloads."""
    return {**body.get("overrides", {}), "crafted": bool(body.get("crafted"))}


async def _command(slack: Slack, body: Json) -> Json:
    text = body.get("text", "")
    return _ack(await slack.command(body["user"], body["channel"], body["command"], text, **_overrides(body)))


async def _click(slack: Slack, body: Json) -> Json:
    """Press in a message, or in a modal (`view_id`), or in the home tab (neither)."""
    user, action_id = body["user"], body["action_id"]
    which = {"block_id": body.get("block_id"), "value": body.get("value"), **_overrides(body)}
    if "message_ts" in body:
        return _ack(await slack.click(user, body["channel"], body["message_ts"], action_id, **which))
    if "view_id" in body:
        return _ack(await slack.click_view(user, action_id, view=body["view_id"], **which))
    return _ack(await slack.click_home(user, action_id, **which))


async def _submit_view(slack: Slack, body: Json) -> Json:
    overrides = body.get("overrides", {})
    return _ack(await slack.submit_view(body["user"], body.get("view_id"), body.get("values", {}), **overrides))


async def _close_view(slack: Slack, body: Json) -> Json:
    return _ack(await slack.close_view(body["user"], body.get("view_id")))


async def _open_home(slack: Slack, body: Json) -> Json:
    return _ack(await slack.open_home(body["user"]))


async def _shortcut(slack: Slack, body: Json) -> Json:
    if "message_ts" not in body:
        return _ack(await slack.shortcut(body["user"], body["callback_id"]))
    place = (body["channel"], body["message_ts"])
    return _ack(await slack.message_shortcut(body["user"], *place, body["callback_id"]))


async def _say(slack: Slack, body: Json) -> Json:
    message = slack.say(body["user"], body["channel"], body["text"], body.get("thread_ts"))
    return {"ok": True, "ts": message.ts}


async def _resend(slack: Slack, _body: Json) -> Json:
    if not slack.deliveries:
        raise Impossible("nothing has been sent yet")
    return _ack(await slack.resend())


async def _people(slack: Slack, body: Json) -> Json:
    """A new person, or other flags: `{"id", "name", "team_id"?, "deleted"? …}`."""
    slack.add_person(body.pop("id"), body.pop("name"), **body)
    return {"ok": True}


async def _groups(slack: Slack, body: Json) -> Json:
    slack.state.groups[body["id"]] = list(body["users"])
    return {"ok": True}


async def _channels(slack: Slack, body: Json) -> Json:
    """A new channel, or other members and flags: `{"id", "name", "members", "is_archived"? …}`."""
    slack.add_channel(body.pop("id"), body.pop("name"), body.pop("members"), **body)
    return {"ok": True}


async def _faults(slack: Slack, body: Json) -> Json:
    """`{"method", "kind", "times"?, "seconds"?}`, or `{"clear": true}`."""
    if body.get("clear"):
        slack.state.faults.clear()
    else:
        slack.fault(body["method"], body["kind"], int(body.get("times", 1)), float(body.get("seconds", 1)))
    return {"ok": True}


async def _settings(slack: Slack, body: Json) -> Json:
    for name, value in body.items():
        setattr(slack.state, name, SETTINGS[name](value))
    return {"ok": True}


async def _disconnect(slack: Slack, body: Json) -> Json:
    """`{"reason"}` tells every socket to come again; `{"drop": true}` breaks them off."""
    if body.get("drop"):
        slack.drop_sockets()
    else:
        await slack.disconnect(body.get("reason", "refresh_requested"))
    return {"ok": True}


ACTS: dict[str, Act] = {
    "command": _command,
    "click": _click,
    "submit_view": _submit_view,
    "close_view": _close_view,
    "open_home": _open_home,
    "shortcut": _shortcut,
    "say": _say,
    "resend": _resend,
    "people": _people,
    "groups": _groups,
    "channels": _channels,
    "faults": _faults,
    "settings": _settings,
    "disconnect": _disconnect,
}
