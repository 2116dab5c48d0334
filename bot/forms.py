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

from approvals.sentences import forms as words
from bot.words import cut

HOME = "home"  # in the place of a channel: opened from App Home; then `ts` is whose


@dataclass(frozen=True)
class Place:
    """Which card a form was opened from, or whose App Home."""

    request_id: str
    digest: str
    channel: str
    ts: str

    @property
    def as_payload(self) -> dict[str, str]:
        """The same, as a click there says it."""
        return {"home": self.ts} if self.channel == HOME else {"channel": self.channel, "ts": self.ts}


def _form(callback_id: str, title: str, submit: str, what: str, place: Place, inputs: list[InputBlock]) -> View:
    """A form about one request; `what` is its card's title."""
    return View(
        type="modal",
        callback_id=callback_id,
        title=PlainTextObject(text=title),
        submit=PlainTextObject(text=submit),
        close=PlainTextObject(text=words.BACK),
        private_metadata="|".join([place.request_id, place.digest, place.channel, place.ts]),
        blocks=[SectionBlock(text=PlainTextObject(text=cut(what, 500))), *inputs],
    )


def _words(block_id: str, label: str, hint: str) -> InputBlock:
    """A field for a sentence or two."""
    return InputBlock(
        block_id=block_id,
        label=PlainTextObject(text=label),
        hint=PlainTextObject(text=hint),
        element=PlainTextInputElement(action_id=block_id, multiline=True, min_length=1, max_length=500),
    )


def reject_form(request_id: str, digest: str, what: str, channel: str, ts: str) -> View:
    """Asks for the reason of a rejection."""
    title, place = words.reject_title(request_id=request_id), Place(request_id, digest, channel, ts)
    return _form("reject_form", title, words.REJECT, what, place, [_words("reason", words.WHY, words.WHY_HINT)])


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
    """Asks what became of an unknown one. What somebody has said already stands on the card."""
    options = [Option(value="succeeded", text=words.IT_SUCCEEDED), Option(value="failed", text=words.IT_FAILED)]
    outcome = InputBlock(
        block_id="outcome",
        label=PlainTextObject(text=words.WHAT_HAPPENED),
        element=RadioButtonsElement(action_id="outcome", options=options),
    )
    inputs = [outcome, _words("evidence", words.HOW_KNOWN, words.HOW_KNOWN_HINT)]
    title, place = words.close_title(request_id=request_id), Place(request_id, digest, channel, ts)
    return _form("close_form", title, words.SAY_SO, what, place, inputs)


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
