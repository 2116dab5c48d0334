"""What the listeners share: who acts by a payload, the inbox, and opening a form."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sqlite3
from collections.abc import Coroutine, Mapping
from typing import Any

from slack_sdk.models.views import View
from slack_sdk.web.async_client import AsyncWebClient

from approvals.sentences import private
from approvals.work import Work
from bot.delivery import respond
from bot.shown import Message

log = logging.getLogger("bot.listeners")
VIEWS_OPEN_SECONDS = 2.0


def key_of(kind: str, body: Mapping[str, Any]) -> str:
    """What makes a payload one: its `trigger_id`, or an event's id; else a digest of all of it."""
    trigger = body.get("trigger_id") or body.get("event_id")
    return _key(kind, str(trigger) if trigger else json.dumps(body, sort_keys=True, default=str))


def key_of_form(view: Mapping[str, Any]) -> str:
    """What makes a submitted form one: which it is, and what it says. A form is submitted twice by two quick taps."""
    return _key("form", json.dumps([view["id"], view["state"]["values"]], sort_keys=True))


def _key(kind: str, text: str) -> str:
    return f"{kind}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def write(work: Work, kind: str, body: Mapping[str, Any], payload: dict[str, Any], key: str | None = None) -> bool:
    """Put a payload into the inbox; False where it could not be written. `key`: where not the usual one."""
    try:
        work.add(key or key_of(kind, body), kind, payload)
    except sqlite3.Error as error:
        log.error("not_accepted", extra={"facts": {"kind": kind, "error": str(error)}})
        return False
    return True


def who(body: Mapping[str, Any]) -> dict[str, Any]:
    """Who acts, by the payload alone. The team of a button's presser stands with the user, not with the payload."""
    user = body.get("user")
    mine = dict(user) if isinstance(user, Mapping) else {"id": body.get("user_id"), "team_id": body.get("team_id")}
    return {
        "user": mine.get("id"),
        "team": mine.get("team_id"),
        "app": body.get("api_app_id"),
        "response_url": body.get("response_url"),
    }


def click(body: Mapping[str, Any]) -> dict[str, Any]:
    """A pressed button, reduced to what is needed."""
    action = (body.get("actions") or [{}])[0]
    container = body.get("container") or {}
    chosen = action.get("selected_option") or {}
    return {
        "action": action.get("action_id"),
        "value": action.get("value") or chosen.get("value") or "",
        "channel": (body.get("channel") or {}).get("id") or container.get("channel_id"),
        "ts": (body.get("message") or {}).get("ts") or container.get("message_ts"),
        "home": home_of(body),
        **who(body),
    }


_tasks: set[asyncio.Task[None]] = set()  # the loop holds tasks only weakly


def open_form(client: AsyncWebClient, work: Work, body: Mapping[str, Any], view: View, otherwise: str | None) -> None:
    """Open a form as a task: nothing durable hangs on it. `otherwise`: what to say where it cannot be opened; None
    where the acknowledgement has said so already."""
    _in_background(_open(client, work, body, view, otherwise))


def home_of(body: Mapping[str, Any]) -> str | None:
    """Whose App Home was clicked in, as we wrote into it when we published it; None where it was none."""
    view = body.get("view")
    return str(view.get("private_metadata")) if isinstance(view, Mapping) and view.get("type") == "home" else None


def write_click(work: Work, body: Mapping[str, Any]) -> None:
    """Put a click into the inbox. Raises where it could not be written, so that it is not acknowledged."""
    if not write(work, "click", body, click(body)):
        _in_background(_say_not_accepted(body))
        raise RuntimeError("the click was not written")  # Slack shows the person a warning


def _in_background(coroutine: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(coroutine)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _say_not_accepted(body: Mapping[str, Any]) -> None:
    """What Slack's own warning does not say, for the presser alone. Nothing hangs on it; Home has no address for it."""
    if not (url := who(body)["response_url"]):
        return
    try:
        await respond(str(url), Message(private.CLICK_NOT_ACCEPTED))
    except Exception as error:
        log.warning("not_said", extra={"facts": {"error": type(error).__name__}})


async def _open(client: AsyncWebClient, work: Work, body: Mapping[str, Any], view: View, otherwise: str | None) -> None:
    try:
        opening = client.views_open(trigger_id=str(body.get("trigger_id")), view=view.to_dict())
        await asyncio.wait_for(opening, VIEWS_OPEN_SECONDS)
    except Exception as error:  # it can be pressed again, or typed
        log.warning("form_not_opened", extra={"facts": {"error": type(error).__name__}})
        if otherwise is not None:
            by = who(body)
            payload = {"user": by["user"], "text": otherwise, "response_url": by["response_url"], "until": None}
            write(work, "answer", {"form": body.get("trigger_id")}, payload)
