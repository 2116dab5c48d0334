"""The form that asks for an operation, built and parsed side by side. What it gives is the command that one could type.

Pure. Each field is read by the grammar of the typed command, and what is wrong with it is said under it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from slack_sdk.models.blocks import (
    Block,
    ContextBlock,
    ConversationFilter,
    ConversationSelectElement,
    InputBlock,
    InputInteractiveElement,
    MarkdownTextObject,
    Option,
    PlainTextInputElement,
    PlainTextObject,
    SectionBlock,
    StaticSelectElement,
)
from slack_sdk.models.views import View

from approvals.request import AMOUNT_OPERATIONS, Operation
from approvals.sentences import request_form as words
from approvals.sentences import typed as typed_words
from approvals.sentences.cards import OPERATION_WORDS
from bot import commands
from bot.prefill import ASKED, Prefill
from bot.words import cut, escape

CALLBACK = "request_form"
MOST_CHARACTERS = 3000  # Slack's, of what stands in a field
MOST_CHANNELS_NAMED = 50  # in one line of the form, which has 3,000 characters

T = TypeVar("T")


# --- build


def build(prefill: Prefill, channels: Sequence[str]) -> View:
    """The form with what is known filled in; it asks for the channel where there are several."""
    said = MarkdownTextObject(verbatim=True, text=cut(escape(prefill.note), MOST_CHARACTERS))
    note = [SectionBlock(text=said)] if prefill.note else []
    return View(
        type="modal",
        callback_id=CALLBACK,
        title=PlainTextObject(text=words.TITLE),
        submit=PlainTextObject(text=words.SEND),
        close=PlainTextObject(text=words.CLOSE),
        blocks=[*note, *_fields(prefill), *(_channel(prefill.channel, channels) if len(channels) > 1 else [])],
    )


def _fields(prefill: Prefill) -> list[Block]:
    operations = {operation.value: OPERATION_WORDS[operation] for operation in ASKED}
    destinations = {"pg": words.TO_GATEWAY, "wallet": words.TO_WALLET}
    chosen = "wallet" if prefill.to_wallet else "pg"
    return [
        _input("operation", words.OPERATION, _choice("operation", operations, prefill.operation)),
        _input("reference", words.REFERENCE, _line("reference", prefill.reference), hint=words.REFERENCE_HINT),
        _input(
            "amount",
            words.AMOUNT,
            _line("amount", prefill.amount, placeholder=words.AMOUNT_SHOWN),
            hint=words.AMOUNT_HINT,
            optional=True,
        ),
        _input("destination", words.DESTINATION, _choice("destination", destinations, chosen)),
        _input(
            "reason",
            words.REASON,
            _line("reason", prefill.reason, multiline=True),
            hint=words.REASON_HINT,
            optional=True,
        ),
    ]


def _input(
    name: str, label: str, element: InputInteractiveElement, *, hint: str | None = None, optional: bool = False
) -> InputBlock:
    """A field, which goes by one name as block and as action."""
    about = PlainTextObject(text=hint) if hint else None
    return InputBlock(block_id=name, label=PlainTextObject(text=label), element=element, hint=about, optional=optional)


def _line(name: str, text: str, **more: Any) -> PlainTextInputElement:
    return PlainTextInputElement(action_id=name, initial_value=cut(text, MOST_CHARACTERS) or None, **more)


def _choice(name: str, options: Mapping[str, str], chosen: str | None) -> StaticSelectElement:
    offered = {value: Option(value=value, text=PlainTextObject(text=text)) for value, text in options.items()}
    return StaticSelectElement(
        action_id=name, options=list(offered.values()), initial_option=offered[chosen] if chosen else None
    )


def _channel(opened_from: str, channels: Sequence[str]) -> list[Block]:
    """Slack's own menu of channels, and the names of those that will do: each reader sees what they may see."""
    named = words.channels(channels=[f"<#{channel}>" for channel in channels[:MOST_CHANNELS_NAMED]])
    element = ConversationSelectElement(
        action_id="channel",
        initial_conversation=opened_from if opened_from in channels else channels[0],
        filter=ConversationFilter(include=["public", "private"], exclude_bot_users=True),
    )
    return [
        _input("channel", words.CHANNEL, element),
        ContextBlock(elements=[MarkdownTextObject(verbatim=True, text=named)]),
    ]


# --- parse


class FieldErrors(Exception):
    """What is wrong, by field: for Slack to show under each, in plain text, where a mark of code would be seen."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(", ".join(errors))
        self.errors = {field: problem.replace("`", "") for field, problem in errors.items()}


@dataclass(frozen=True)
class Asked:
    """What the form says: the command, and the channel for the card."""

    ask: commands.Ask
    channel: str


def parse(view: Mapping[str, Any], channels: Sequence[str]) -> Asked:
    """Read a submitted form. Raises FieldErrors, and KeyError or ValueError where it is not ours."""
    values = view["state"]["values"]
    fields = _Fields({name: _value(values, name) for name in ("operation", "reference", "amount", "reason")})
    operation = fields.read("operation", _operation)
    reference = fields.read("reference", commands.parse_reference)
    amount = fields.read("amount", lambda text: _amount(operation, text)) if operation else None
    destination = fields.take("destination", _destination(operation, _value(values, "destination")))
    reason = fields.read("reason", commands.check_field_reason)
    channel = _value(values, "channel") if "channel" in values else channels[0]
    if channel not in channels:
        fields.errors["channel"] = words.ANOTHER_CHANNEL
    fields.check_together()
    if fields.errors or operation is None or reference is None or amount is None or reason is None:
        raise FieldErrors(fields.errors)
    return Asked(commands.Ask(operation, reference, *amount, destination, reason), channel)


class _Fields:
    """The texts of the form, and what is wrong with them."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = texts
        self.errors: dict[str, str] = {}

    def read(self, name: str, reader: Callable[[str], T]) -> T | None:
        try:
            return reader(self.texts[name])
        except commands.CommandError as refusal:
            is_card = refusal.kind == "card_number"
            self.errors[name] = typed_words.CARD_NUMBER_IN_FIELD if is_card else str(refusal)
        return None

    def take(self, name: str, read: tuple[T, str | None]) -> T:
        value, problem = read
        if problem:
            self.errors[name] = problem
        return value

    def check_together(self) -> None:
        """A card number may have been spread over fields, as it may over the words of a line."""
        line = " ".join(self.texts[name] for name in ("reference", "amount", "reason"))
        if not self.errors and commands.contains_card_number(line):
            self.errors["reference"] = typed_words.CARD_NUMBER_IN_FIELD


def _value(values: Mapping[str, Any], name: str) -> str:
    """What stands in a field, or was chosen in it; empty where nothing was."""
    said = values[name][name]
    chosen = said.get("selected_option") or {}
    return str(said.get("value") or chosen.get("value") or said.get("selected_conversation") or "")


def _operation(text: str) -> Operation:
    if not text:
        raise commands.CommandError(words.CHOOSE_OPERATION, kind="usage")
    operation = Operation(text)
    if operation not in ASKED:
        raise ValueError("no such operation in the form")
    return operation


def _amount(operation: Operation, text: str) -> tuple[str | None, str | None]:
    """The amount and its currency; None for what always takes the whole."""
    line = commands.clean(text).strip()
    if operation not in AMOUNT_OPERATIONS:
        if line:
            raise commands.CommandError(words.takes_the_whole(command=operation.value), kind="amount")
        return None, None
    if not line:
        raise commands.CommandError(words.AMOUNT_MISSING, kind="amount")
    amount, currency, rest = commands.take_amount(line)
    if rest:
        raise commands.CommandError(words.ONLY_AMOUNT, kind="amount")
    return amount, currency


def _destination(operation: Operation | None, text: str) -> tuple[Literal["pg", "wallet"], str | None]:
    if text != "wallet":
        return "pg", None
    return "wallet", None if operation in {None, Operation.REFUND} else words.WALLET_ONLY_REFUND


# --- on its way through the inbox


def as_payload(ask: commands.Ask) -> dict[str, Any]:
    """The command, for the inbox."""
    own = {"operation": ask.operation.value, "kind": ask.reference.kind, "reference": ask.reference.value}
    return own | {
        "amount": ask.amount,
        "currency": ask.currency,
        "destination": ask.destination,
        "reason": ask.reason,
    }


def of_payload(payload: Mapping[str, Any]) -> commands.Ask:
    """The command that `as_payload` wrote down."""
    return commands.Ask(
        Operation(payload["operation"]),
        commands.Reference(payload["kind"], payload["reference"]),
        payload["amount"],
        payload["currency"],
        payload["destination"],
        payload["reason"],
    )
