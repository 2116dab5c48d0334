"""What Slack calls. Each listener reads the payload, writes it to the inbox, and acknowledges: nothing else.

Who it is and what they may is asked later, by the worker, from what is on disk. The acknowledgement is the last thing a
listener does. Where the inbox cannot be written, the answer is "not accepted".
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sqlite3
from collections.abc import Mapping
from typing import Any, Literal

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from approvals.request import Refusal
from approvals.sentences import forms as form_words
from approvals.sentences import private, typed
from approvals.work import Work
from bot import answers, commands, forms
from bot.delivery import respond
from bot.words import sentence

log = logging.getLogger("bot.listeners")
VIEWS_OPEN_SECONDS = 2.0


def key_of(kind: str, body: Mapping[str, Any]) -> str:
    """What makes a payload one: its `trigger_id`; else a digest of all of it."""
    trigger = body.get("trigger_id")
    text = str(trigger) if trigger else json.dumps(body, sort_keys=True, default=str)
    return f"{kind}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


async def on_command(ack: AsyncAck, body: dict[str, Any], work: Work) -> None:
    """`/ottu …`: what does not parse is answered at once; all else goes to the inbox."""
    text = str(body.get("text") or "")
    kind = "command"
    try:
        command = commands.parse(text)
        answer, for_inbox = answers.acknowledgement(command)
        kind = "inquiry" if isinstance(command, commands.Inquire) else kind  # waits for Ottu: not in the way of clicks
    except Refusal as refusal:
        answer, for_inbox = sentence(str(refusal)), False
    if for_inbox and not _write(work, kind, body, {"text": text, "channel": body.get("channel_id"), **_who(body)}):
        answer = private.NOT_ACCEPTED
    await ack(text=answer, response_type="ephemeral")


async def on_button(ack: AsyncAck, body: dict[str, Any], work: Work) -> None:
    """Approve, Details, Withdraw …: a click goes to the inbox."""
    if not _write(work, "click", body, _click(body)):
        _in_background(_say_not_accepted(body))
        raise RuntimeError("the click was not written")  # not acknowledged: Slack shows the person a warning
    await ack()


async def on_form_button(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient, work: Work) -> None:
    """Reject and Close ask for words first. Nothing durable hangs on the form: it is opened as a task."""
    click = _click(body)
    request_id, _, digest = str(click["value"]).partition(":")
    build = forms.reject_form if click["action"] == "reject" else forms.close_form
    form = build(request_id, digest, _title(body), str(click["channel"]), str(click["ts"]))
    _in_background(_open(client, work, body, form.to_dict()))
    await ack()


async def on_reject_form(ack: AsyncAck, body: dict[str, Any], work: Work) -> None:
    """The reason of a rejection, submitted."""
    said = forms.parse_reject_form(body["view"])
    await _submitted(ack, body, work, "reason", said.reason, said, {"action": "reject"})


async def on_close_form(ack: AsyncAck, body: dict[str, Any], work: Work) -> None:
    """One person's word on an unknown outcome, submitted."""
    said = forms.parse_close_form(body["view"])
    await _submitted(ack, body, work, "evidence", said.evidence, said, {"action": "close", "outcome": said.outcome})


async def _submitted(
    ack: AsyncAck, body: dict[str, Any], work: Work, field: str, text: str, place: forms.Place, more: dict[str, str]
) -> None:
    """A form with a text: what is wrong with it stands under its field, else it goes to the inbox like a click."""
    problem = _text_problem(text)
    if problem is None:
        about = {"value": f"{place.request_id}:{place.digest}", "channel": place.channel, "ts": place.ts}
        payload = {**about, field: commands.check_reason(text), **more, **_who(body)}
        problem = None if _write(work, "click", body, payload) else private.NOT_ACCEPTED
    await (ack() if problem is None else ack(response_action="errors", errors={field: problem}))


def _text_problem(text: str) -> str | None:
    """What is wrong with a reason or with evidence, to be shown under its field."""
    if commands.contains_card_number(text):
        return typed.CARD_NUMBER_IN_FIELD
    try:
        return None if commands.check_reason(text) else typed.EMPTY_FIELD
    except Refusal as refusal:
        return str(refusal)


def _write(work: Work, kind: str, body: Mapping[str, Any], payload: dict[str, Any]) -> bool:
    try:
        work.add(key_of(kind, body), kind, payload)
    except sqlite3.Error as error:
        log.error("not_accepted", extra={"facts": {"kind": kind, "error": str(error)}})
        return False
    return True


def _who(body: Mapping[str, Any]) -> dict[str, Any]:
    """Who acts, by the payload alone. The team of a button's presser stands with the user, not with the payload."""
    user = body.get("user")
    mine = dict(user) if isinstance(user, Mapping) else {"id": body.get("user_id"), "team_id": body.get("team_id")}
    return {
        "user": mine.get("id"),
        "team": mine.get("team_id"),
        "app": body.get("api_app_id"),
        "response_url": body.get("response_url"),
    }


def _click(body: Mapping[str, Any]) -> dict[str, Any]:
    """A pressed button, reduced to what is needed."""
    action = (body.get("actions") or [{}])[0]
    container = body.get("container") or {}
    chosen = action.get("selected_option") or {}
    return {
        "action": action.get("action_id"),
        "value": action.get("value") or chosen.get("value") or "",
        "channel": (body.get("channel") or {}).get("id") or container.get("channel_id"),
        "ts": (body.get("message") or {}).get("ts") or container.get("message_ts"),
        **_who(body),
    }


def _title(body: Mapping[str, Any]) -> str:
    """The card's headline, for the form to repeat."""
    blocks = (body.get("message") or {}).get("blocks") or []
    return next((b["text"]["text"] for b in blocks if b.get("type") == "header"), form_words.THIS_REQUEST)


_tasks: set[asyncio.Task[None]] = set()  # the loop holds tasks only weakly


def _in_background(coroutine: Any) -> None:
    task = asyncio.ensure_future(coroutine)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _say_not_accepted(body: Mapping[str, Any]) -> None:
    """What Slack's own warning does not say, for the presser alone. Nothing hangs on it; Home has no address for it."""
    if not (url := _who(body)["response_url"]):
        return
    try:
        await respond(str(url), private.CLICK_NOT_ACCEPTED)
    except Exception as error:
        log.warning("not_said", extra={"facts": {"error": type(error).__name__}})


async def _open(client: AsyncWebClient, work: Work, body: Mapping[str, Any], view: dict[str, Any]) -> None:
    try:
        await asyncio.wait_for(client.views_open(trigger_id=str(body.get("trigger_id")), view=view), VIEWS_OPEN_SECONDS)
    except Exception as error:  # nothing hangs on the form: it can be pressed again, or typed
        log.warning("form_not_opened", extra={"facts": {"error": type(error).__name__}})
        who = _who(body)
        request_id = str(_click(body)["value"]).partition(":")[0]
        form: Literal["reject", "close"] = "reject" if _click(body)["action"] == "reject" else "close"
        text = typed.form_not_opened(form=form, request_id=request_id)
        payload = {"user": who["user"], "text": text, "response_url": who["response_url"], "until": None}
        _write(work, "answer", {"form": body.get("trigger_id")}, payload)
