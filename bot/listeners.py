"""What Slack calls. Each listener reads the payload, writes it to the inbox, and acknowledges: nothing else.

Who it is and what they may is asked later, by the worker, from what is on disk. The acknowledgement is the last thing a
listener does. Where the inbox cannot be written, the answer is "not accepted". Those for asking are in `asking`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from approvals.request import Refusal
from approvals.sentences import forms as form_words
from approvals.sentences import private, typed
from approvals.work import Work
from bot import commands, forms
from bot.payloads import click, home_of, open_form, who, write, write_click
from bot.shown import title
from bot.words import SYMBOLS


async def on_button(ack: AsyncAck, body: dict[str, Any], work: Work) -> None:
    """Approve, Details, Withdraw …: a click goes to the inbox."""
    write_click(work, body)
    await ack()


async def on_home_opened(ack: AsyncAck, body: dict[str, Any], work: Work) -> None:
    """Somebody looks at App Home. Slack sends an event again where it is not acknowledged."""
    event = body["event"]
    if event.get("tab") == "home" and not write(work, "home_opened", body, {"user": event.get("user")}):
        raise RuntimeError("the event was not written")
    await ack()


async def on_home_page(ack: AsyncAck, body: dict[str, Any], work: Work) -> None:
    """Another page of a list in App Home."""
    pressed = click(body)
    if not write(work, "home_opened", body, {"user": pressed["user"], "pages": pressed["value"]}):
        raise RuntimeError("the click was not written")
    await ack()


async def on_form_button(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient, work: Work) -> None:
    """Reject and Close ask for words first. Nothing durable hangs on the form: it is opened as a task."""
    pressed = click(body)
    request_id, _, digest = str(pressed["value"]).partition(":")
    name: Literal["reject", "close"] = "reject" if pressed["action"] == "reject" else "close"
    build = forms.reject_form if name == "reject" else forms.close_form
    owner = pressed["home"]
    channel, ts = (pressed["channel"], pressed["ts"]) if owner is None else (forms.HOME, owner)
    form = build(request_id, digest, _title(body, work), str(channel), str(ts))
    open_form(client, work, body, form, otherwise=typed.form_not_opened(form=name, request_id=request_id))
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
        about = {"value": f"{place.request_id}:{place.digest}", **place.as_payload}
        payload = {**about, field: commands.check_reason(text), **more, **who(body)}
        problem = None if write(work, "click", body, payload) else private.NOT_ACCEPTED
    await (ack() if problem is None else ack(response_action="errors", errors={field: problem}))


def _text_problem(text: str) -> str | None:
    """What is wrong with a reason or with evidence, to be shown under its field."""
    if commands.contains_card_number(text):
        return typed.CARD_NUMBER_IN_FIELD
    try:
        return None if commands.check_reason(text) else typed.EMPTY_FIELD
    except Refusal as refusal:
        return str(refusal)


def _title(body: Mapping[str, Any], work: Work) -> str:
    """The card's headline, for the form to repeat; in App Home, that of the request whose digest the button has."""
    request_id, _, digest = str(click(body)["value"]).partition(":")
    request = work.store.get(request_id) if home_of(body) is not None else None
    if request is not None and request.digest == digest:
        return f"{SYMBOLS[request.state]} {title(request)}"
    blocks = (body.get("message") or {}).get("blocks") or []
    return next((b["text"]["text"] for b in blocks if b.get("type") == "header"), form_words.THIS_REQUEST)
