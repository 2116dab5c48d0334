"""What a form is opened with: from an incomplete command, from a message that names an order, from an earlier request.

Pure, and never fails: what cannot be read is left for the person to type. A card number is never taken over, nor, from
a message, anything but an operation, a reference and an amount: the rest of it may be about a customer.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from approvals.money import currencies
from approvals.request import AMOUNT_OPERATIONS, Operation, Request
from approvals.sentences import request_form as words
from bot import typed
from bot.card_numbers import contains_card_number
from bot.slack_text import decode

MOST_MESSAGE_CHARACTERS = 10_000
ASKED = tuple(operation for operation in Operation if operation is not Operation.INQUIRY)

_LIKE_AN_AMOUNT = re.compile(r"[+-]?[.,]?\d\S{0,40}|full", re.IGNORECASE)  # digits of any script
_WORD = re.compile(r"[A-Za-z]+")
# Of a person: what an e-mail address or a telephone number has, and no order number.
_CONTACT = re.compile(r"@|\+ ?[0-9]|^[0-9()]+(?: +[0-9()-]+){2,}$")
_SESSION_ID = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{40}(?![0-9A-Za-z])")
_QUOTED = re.compile(r'["“”`]([^"“”`\n]{1,128})["“”`]')
# "order 12345", "Order no. 12345", "order: 12345": after that word, digits alone are a number. A few spaces and no
# more: gaps without an end would be tried in all combinations, and a message of spaces would stop the whole program.
_ORDER = re.compile(
    r"\border\s{0,3}(?:no\.?|number|id)?\s{0,3}[:#]?\s{0,3}([\w./#-]{0,127}[0-9][\w./#-]{0,127})(?![\w@])",
    re.IGNORECASE,
)
_CODE = re.compile(r"(?<![\w@#.,/-])(?=[\w./#-]{0,127}[0-9])(?=[\w./#-]{0,127}[A-Z])[A-Z0-9][A-Z0-9./#_-]{2,127}(?!\w)")
_AMOUNT = re.compile(r"(?<![\w.,-])([0-9][0-9.,]{0,20})[ \u00a0]?([A-Z]{3})(?![A-Za-z0-9])")
_AMOUNT_LAST = re.compile(r"(?<![\w.,-])([A-Z]{3})[ \u00a0]?([0-9][0-9.,]{0,20})(?![\w-])")


@dataclass(frozen=True)
class Prefill:
    """What is known: texts as they stand in the fields, empty where nothing is known. `note` is shown above them."""

    operation: Operation | None = None
    reference: str = ""
    amount: str = ""
    to_wallet: bool = False
    reason: str = ""
    channel: str = ""  # where it was opened from
    note: str = ""

    def _holds_card_number(self) -> bool:
        return contains_card_number(" ".join([self.reference, self.amount, self.reason]))

    def checked(self) -> Prefill:
        """The same, or nothing but the operation where the fields together hold a card number."""
        left = Prefill(self.operation, channel=self.channel, note=words.CARD_NUMBER_LEFT_OUT)
        return left if self._holds_card_number() else self


def of_line(text: str) -> Prefill | None:
    """From the text of `/ottu`, incomplete or wrong. None where it names no operation that can be asked for."""
    plain = _plain(text[: typed.MOST_TEXT_CHARACTERS])
    name, rest = _first(plain)
    operation = next((one for one in ASKED if one.value == name.lower()), None)
    if operation is None:
        return None
    if contains_card_number(text) or contains_card_number(plain):
        return Prefill(operation, note=words.CARD_NUMBER_LEFT_OUT)
    return replace(_of_arguments(operation, rest), operation=operation).checked()


def _plain(text: str) -> str:
    """As a person typed it, without what no field can hold."""
    plain, _ = decode(text)
    return "".join(c for c in plain if c.isspace() or unicodedata.category(c) not in {"Cc", "Cs"})


def _first(line: str) -> tuple[str, str]:
    """The first word and the rest; empty where there is none."""
    word, *rest = line.split(maxsplit=1) or [""]
    return word, rest[0].rstrip() if rest else ""


def _of_arguments(operation: Operation, line: str) -> Prefill:
    """The reference, the amount as typed, the reason: whatever was typed stands in one of the fields."""
    try:
        reference, rest = typed.take_reference(line)
    except typed.CommandError:
        return Prefill(reference=line)
    options: frozenset[str] = frozenset()
    with contextlib.suppress(typed.CommandError):  # it stays in the reason, under which the form says what is wrong
        rest, options = typed.take_options(operation.value, rest)
    amount, reason = _split_amount(rest)
    return Prefill(reference=_field(reference), amount=amount, to_wallet="--wallet" in options, reason=reason)


def _split_amount(line: str) -> tuple[str, str]:
    """The amount that the line begins with, with a currency on either side of it; and the rest."""
    word, rest = _first(line)
    following, more = _first(rest)
    if word in currencies() and _LIKE_AN_AMOUNT.fullmatch(following):
        return f"{following} {word}", more
    if not _LIKE_AN_AMOUNT.fullmatch(word):
        return "", line
    return (f"{word} {following}", more) if following in currencies() else (word, rest)


def _field(reference: typed.Reference) -> str:
    """A reference as it stands in a field of its own, where spaces need no quotes."""
    try:
        same = typed.parse_reference(reference.value) == reference
    except typed.CommandError:
        same = False
    return reference.value if same else reference.typed


def of_request(request: Request) -> Prefill:
    """From an earlier request: all that was asked for, as it was typed."""
    kind: typed.Kind = "session" if request.reference_kind == "session" else "order"
    return Prefill(
        operation=request.operation,
        reference=_field(typed.Reference(kind, request.reference)),
        amount=" ".join(filter(None, [request.asked_amount, request.asked_currency])),
        to_wallet=request.destination == "wallet",
        reason=request.reason or "",
    ).checked()


def of_message(message: Mapping[str, Any]) -> Prefill:
    """From a message of anybody's: the operation, reference and amount that it seems to name."""
    raw = "\n".join(_texts(message))[:MOST_MESSAGE_CHARACTERS]
    text = _plain(raw)
    if contains_card_number(raw) or contains_card_number(text):
        return Prefill(note=words.CARD_NUMBER_LEFT_OUT)
    amount = _amount(text)
    return Prefill(_operation(text), _reference(text), amount).checked()


def _texts(message: Mapping[str, Any]) -> Iterator[str]:
    """What a person reads of a message: its text, and what a program has attached to it."""
    yield str(message.get("text") or "")
    attached = message.get("attachments")
    for one in attached if isinstance(attached, list) else []:
        if isinstance(one, dict):
            yield str(one.get("text") or one.get("fallback") or "")


def _operation(text: str) -> Operation | None:
    """The operation, where exactly one is named."""
    named = {word.lower() for word in _WORD.findall(text)}
    found = [operation for operation in ASKED if operation.value in named]
    return found[0] if len(found) == 1 else None


def _reference(text: str) -> str:
    """A session id; else a quoted text with a digit; else what follows "order"; else capitals with digits."""
    session = _SESSION_ID.search(text)
    if session:
        return session[0]
    quoted = [match[1].strip() for match in _QUOTED.finditer(text)]
    ordered = [match[1] for match in _ORDER.finditer(text)]
    codes = [match[0] for match in _CODE.finditer(text)]
    return next(
        filter(_may_be_order, [*filter(_has_digit, quoted), *(one.rstrip(".-/") for one in ordered + codes)]), ""
    )


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)


def _may_be_order(text: str) -> bool:
    """Neither a request of ours, nor an amount, an address or a telephone number, nor what no command would take."""
    if typed.normalise_request_id(text) or _amount(text) or _CONTACT.search(text):
        return False
    try:
        return typed.parse_reference(text).value != ""
    except typed.CommandError:
        return False


def _amount(text: str) -> str:
    """The first amount with a currency, spelled as it stands there: the form says what is wrong with it."""
    before = [(match.start(), match[1], match[2]) for match in _AMOUNT.finditer(text)]
    after = [(match.start(), match[2], match[1]) for match in _AMOUNT_LAST.finditer(text)]
    known = sorted(found for found in before + after if found[2] in currencies())
    return f"{known[0][1].rstrip('.,')} {known[0][2]}" if known else ""


def spelled(prefill: Prefill) -> str:
    """The command that asks for the same, to be typed where no form opens; an example's parts where it is unknown."""
    operation = prefill.operation or Operation.REFUND
    reference = "ORD123"
    if prefill.reference:
        try:
            reference = typed.parse_reference(prefill.reference).typed
        except typed.CommandError:
            reference = "<reference>"
    amount = (prefill.amount or "5.000") if operation in AMOUNT_OPERATIONS else ""
    wallet = "--wallet" if prefill.to_wallet else ""
    return " ".join(filter(None, ["/ottu", operation.value, reference, amount, wallet, prefill.reason]))
