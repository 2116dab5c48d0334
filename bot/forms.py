"""The forms that ask for words: each is built and parsed side by side. They remember which card they came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slack_sdk.models.blocks import (
    InputBlock,
    Option,
    PlainTextInputElement,
    PlainTextObject,
    RadioButtonsElement,
    SectionBlock,
)
from slack_sdk.models.views import View

from bot.words import cut


@dataclass(frozen=True)
class Place:
    """Which card a form was opened from."""

    request_id: str
    digest: str
    channel: str
    ts: str


def reject_form(request_id: str, digest: str, what: str, channel: str, ts: str) -> View:
    """The form. It remembers which card it came from; `what` is the card's title."""
    return View(
        type="modal",
        callback_id="reject_form",
        title=PlainTextObject(text=f"Reject {request_id}"),
        submit=PlainTextObject(text="Reject"),
        close=PlainTextObject(text="Back"),
        private_metadata="|".join([request_id, digest, channel, ts]),
        blocks=[
            SectionBlock(text=PlainTextObject(text=cut(what, 500))),
            InputBlock(
                block_id="reason",
                label=PlainTextObject(text="Why?"),
                hint=PlainTextObject(
                    text="Stays in the record and in the channel, with your name. No card or customer data."
                ),
                element=PlainTextInputElement(action_id="reason", multiline=True, min_length=1, max_length=500),
            ),
        ],
    )


@dataclass(frozen=True)
class Rejection(Place):
    """What the form says."""

    reason: str


def parse_reject_form(view: dict[str, Any]) -> Rejection:
    """Read the submitted form. Raises ValueError or KeyError where it is not ours."""
    request_id, digest, channel, ts = str(view["private_metadata"]).split("|")
    reason = view["state"]["values"]["reason"]["reason"]["value"] or ""
    return Rejection(request_id, digest, channel, ts, str(reason))


def close_form(request_id: str, digest: str, what: str, channel: str, ts: str) -> View:
    """The form. What somebody has said already stands on the card."""
    options = [Option(value="succeeded", text="It succeeded"), Option(value="failed", text="It failed")]
    return View(
        type="modal",
        callback_id="close_form",
        title=PlainTextObject(text=f"Close {request_id}"),
        submit=PlainTextObject(text="Say so"),
        close=PlainTextObject(text="Back"),
        private_metadata="|".join([request_id, digest, channel, ts]),
        blocks=[
            SectionBlock(text=PlainTextObject(text=cut(what, 500))),
            InputBlock(
                block_id="outcome",
                label=PlainTextObject(text="What happened?"),
                element=RadioButtonsElement(action_id="outcome", options=options),
            ),
            InputBlock(
                block_id="evidence",
                label=PlainTextObject(text="How do you know?"),
                hint=PlainTextObject(
                    text="The reference number, or where and when you looked. Two people must say the same."
                ),
                element=PlainTextInputElement(action_id="evidence", multiline=True, min_length=1, max_length=500),
            ),
        ],
    )


@dataclass(frozen=True)
class Word(Place):
    """What the form says."""

    outcome: str
    evidence: str


def parse_close_form(view: dict[str, Any]) -> Word:
    """Read the submitted form. Raises ValueError or KeyError where it is not ours."""
    request_id, digest, channel, ts = str(view["private_metadata"]).split("|")
    values = view["state"]["values"]
    outcome = str((values["outcome"]["outcome"]["selected_option"] or {})["value"])
    if outcome not in {"succeeded", "failed"}:
        raise ValueError("no such outcome")
    return Word(request_id, digest, channel, ts, outcome, str(values["evidence"]["evidence"]["value"] or ""))
