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
from bot.payloads import click, open_form, who, write, write_click


async def on_button(ack: AsyncAck, body: dict[str, Any], work: Work) -> None:
    """Approve, Details, Withdraw …: a click goes to the inbox."""
    write_click(work, body)
    await ack()


async def on_form_button(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient, work: Work) -> None:
    """Reject and Close ask for words first. Nothing durable hangs on the form: it is opened as a task."""
    pressed = click(body)
    request_id, _, digest = str(pressed["value"]).partition(":")
    name: Literal["reject", "close"] = "reject" if pressed["action"] == "reject" else "close"
    build = forms.reject_form if name == "reject" else forms.close_form
    form = build(request_id, digest, _title(body), str(pressed["channel"]), str(pressed["ts"]))
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
        about = {"value": f"{place.request_id}:{place.digest}", "channel": place.channel, "ts": place.ts}
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


def _title(body: Mapping[str, Any]) -> str:
    """The card's headline, for the form to repeat."""
    blocks = (body.get("message") or {}).get("blocks") or []
    return next((b["text"]["text"] for b in blocks if b.get("type") == "header"), form_words.THIS_REQUEST)
