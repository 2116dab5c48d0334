"""What Slack calls when somebody asks for an operation: the command, the shortcuts, "same again", and their form.

As in `listeners`: read, write to the inbox or open the form as a task, acknowledge. Whoever it is, a form opens; who
may ask is looked up when it is submitted, as for a typed command.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from approvals.policy import Policy
from approvals.request import Refusal
from approvals.sentences import private
from approvals.sentences import request_form as words
from approvals.work import Work
from bot import answers, commands, prefill, request_form
from bot.payloads import click, key_of_form, open_form, who, write, write_click
from bot.prefill import Prefill
from bot.words import escape, sentence


async def on_command(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient, work: Work, policy: Policy) -> None:
    """`/ottu …`: what parses goes to the inbox; else the answer says what to type, and a form may open besides."""
    text = str(body.get("text") or "")
    kind, form = "command", None
    try:
        command = commands.parse(text)
        answer, for_inbox = answers.acknowledgement(command)
        kind = "inquiry" if isinstance(command, commands.Inquire) else kind  # waits for Ottu: not in the way of clicks
        form = Prefill() if isinstance(command, commands.Nothing) else None
    except Refusal as refusal:
        answer, for_inbox, form = sentence(str(refusal)), False, _incomplete(text, refusal)
    place = str(body.get("channel_id"))
    if for_inbox and not write(work, kind, body, {"text": text, "channel": place, **who(body)}):
        answer = private.NOT_ACCEPTED
    if form is not None:
        view = request_form.build(replace(form, channel=place), policy.channels.requests)
        open_form(client, work, body, view, otherwise=None)
    await ack(text=answer, response_type="ephemeral")


def _incomplete(text: str, refusal: Refusal) -> Prefill | None:
    """What the form begins with where a command could not be read; None where it is not known what was wanted."""
    known = prefill.of_line(text)
    if known is None or known.note or refusal.kind == "usage":  # how it is typed is no help in a form
        return known
    return replace(known, note=str(refusal))


async def on_shortcut(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient, work: Work, policy: Policy) -> None:
    """Both shortcuts: from anywhere, or from a message that names an order."""
    message, place = body.get("message"), (body.get("channel") or {}).get("id")
    known = prefill.of_message(message) if isinstance(message, dict) else Prefill()
    _ask(body, client, work, policy, replace(known, channel=str(place or "")))
    await ack()


async def on_again(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient, work: Work, policy: Policy) -> None:
    """ "Same again, corrected": the form with what the record has of that request, for its requester alone."""
    pressed = click(body)
    request = work.store.get(str(pressed["value"]))
    if request is not None and request.requester == pressed["user"]:
        known = prefill.of_request(request)
        _ask(body, client, work, policy, replace(known, channel=request.channel))
    else:
        write_click(work, body)  # to be refused, and that to be on record
    await ack()


def _ask(body: dict[str, Any], client: AsyncWebClient, work: Work, policy: Policy, known: Prefill) -> None:
    """Open the form; where it does not open, its person is told privately what to type."""
    view = request_form.build(known, policy.channels.requests)
    otherwise = escape(words.did_not_open(typed=prefill.spelled(known)))
    open_form(client, work, body, view, otherwise=otherwise)


async def on_request_form(ack: AsyncAck, body: dict[str, Any], work: Work, policy: Policy) -> None:
    """The form, submitted: what is wrong stands under its fields, else it goes to the inbox as a command does."""
    view = body["view"]
    try:
        asked = request_form.parse(view, policy.channels.requests)
    except request_form.FieldErrors as wrong:
        await ack(response_action="errors", errors=wrong.errors)
        return
    payload = {"ask": request_form.as_payload(asked.ask), "channel": asked.channel, **who(body)}
    written = write(work, "command", body, payload, key=key_of_form(view))
    await (ack() if written else ack(response_action="errors", errors={"reference": private.NOT_ACCEPTED}))
