"""The text of `/ottu` → a command. Pure: it knows no clock, no network and no database.

`parse` returns one of the small classes below or raises `CommandError`, whose one sentence says what to type. The
grammar is the usage table's; what a text may not hold at all (a card number, reordering characters) is refused first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from approvals.request import AMOUNT_OPERATIONS, Operation
from approvals.sentences import request_form, typed

# The names imported "as" themselves belong to the same grammar; this module is where others take them from.
from bot.card_numbers import contains_card_number as contains_card_number
from bot.slack_text import decode
from bot.typed import (
    MOST_TEXT_CHARACTERS,
    OPTION,
    card_number_refusal,
    check_disclosure_url,
    check_typed_amount,
    mention_refusal,
    nearest_word,
    take_currency,
    take_options,
    take_reference,
    usage_refusal,
)
from bot.typed import CommandError as CommandError
from bot.typed import Reference as Reference
from bot.typed import check_reason as check_reason
from bot.typed import clean as clean
from bot.typed import normalise_request_id as normalise_request_id
from bot.typed import parse_reference as parse_reference
from bot.usage import USAGE as USAGE
from bot.usage import help_text as help_text
from bot.usage import how_to_type

Target = str | Reference  # a request id (`R-7K2M`) or a transaction


@dataclass(frozen=True)
class Ask:
    """Ask for an operation. `amount` is "full" or as typed; None for the operations that always take the whole."""

    operation: Operation
    reference: Reference
    amount: str | None
    currency: str | None
    destination: Literal["pg", "wallet"]
    reason: str


@dataclass(frozen=True)
class Inquire:
    """Read a transaction from the gateway; with `disclose`, Ottu sends what it knows to the merchant, or to the URL."""

    reference: Reference
    disclose: bool
    disclosure_url: str | None


@dataclass(frozen=True)
class Status:
    target: Target


@dataclass(frozen=True)
class Pending:
    pass


@dataclass(frozen=True)
class History:
    reference: Reference


@dataclass(frozen=True)
class Withdraw:
    target: Target


@dataclass(frozen=True)
class Reject:
    request: str
    reason: str


@dataclass(frozen=True)
class Close:
    request: str
    outcome: Literal["succeeded", "failed"]
    evidence: str


@dataclass(frozen=True)
class Pause:
    reason: str


@dataclass(frozen=True)
class Resume:
    pass


@dataclass(frozen=True)
class Help:
    topic: str | None


@dataclass(frozen=True)
class Nothing:
    """An empty text: the bare `/ottu`."""


Command = Ask | Inquire | Status | Pending | History | Withdraw | Reject | Close | Pause | Resume | Help | Nothing

_LOOKS_LIKE_AMOUNT = re.compile(r"[+-]?\d[\d.,]*(?:[A-Z]{3})?(?!\S)|full$", re.IGNORECASE)


def parse(text: str) -> Command:
    """Read the text of a slash command as Slack sends it, or raise `CommandError`."""
    if len(text) > MOST_TEXT_CHARACTERS:
        raise CommandError(typed.too_long(most=MOST_TEXT_CHARACTERS), kind="too_long")
    if contains_card_number(text):
        raise card_number_refusal()
    plain, mentions = decode(text)
    name, rest = _first_word(clean(plain))
    if not name:
        return Nothing()
    name = _known(name)
    command = _READERS[name](name, rest)
    _refuse_mention(command, mentions)
    return command


def take_amount(line: str) -> tuple[str, str | None, str]:
    """Split a clean line that is not empty into the amount that it begins with, its currency, and the rest."""
    amount, rest = _first_word(line)
    currency, rest = take_currency(rest)
    if amount.lower() == "full":
        return "full", currency, rest
    check_typed_amount(amount, currency)
    return amount, currency, rest


def check_field_reason(text: str) -> str:
    """Return the reason of a form, where options have fields of their own: as in a line, none may stand in a reason."""
    reason = check_reason(text)
    if OPTION.search(reason):
        raise CommandError(request_form.OPTION_IN_REASON, kind="option")
    return reason


def _ask_amount(name: str, line: str) -> Ask:
    reference, rest, options = _subject(name, line)
    if not rest:
        raise usage_refusal(name)
    amount, currency, reason = take_amount(rest)
    destination: Literal["pg", "wallet"] = "wallet" if "--wallet" in options else "pg"
    return Ask(Operation(name), reference, amount, currency, destination, check_reason(reason))


def _ask_whole(name: str, line: str) -> Ask:
    reference, rest, _ = _subject(name, line)
    if _LOOKS_LIKE_AMOUNT.match(rest):
        raise CommandError(typed.always_whole(command=name, reference=reference.typed), kind="amount")
    return Ask(Operation(name), reference, None, None, "pg", check_reason(rest))


def _inquire(name: str, line: str) -> Inquire:
    reference, rest, options = _subject(name, line)
    disclose = "--disclose" in options
    if rest and (not disclose or len(rest.split()) > 1):
        raise CommandError(typed.no_amount_no_reason(command=name, how=how_to_type(name)), kind="usage")
    return Inquire(reference, disclose, check_disclosure_url(rest) if rest else None)


def _status(name: str, line: str) -> Status:
    return Status(_only_target(name, line))


def _withdraw(name: str, line: str) -> Withdraw:
    return Withdraw(_only_target(name, line))


def _history(name: str, line: str) -> History:
    target = _only_target(name, line)
    if isinstance(target, str):
        raise CommandError(typed.is_a_request(request_id=target), kind="usage")
    return History(target)


def _reject(name: str, line: str) -> Reject:
    request, rest = _request(name, line)
    if not rest:
        raise usage_refusal(name)
    return Reject(request, check_reason(rest))


def _close(name: str, line: str) -> Close:
    request, rest = _request(name, line)
    word, evidence = _first_word(rest)
    outcomes: dict[str, Literal["succeeded", "failed"]] = {"succeeded": "succeeded", "failed": "failed"}
    if word.lower() not in outcomes or not evidence:
        raise usage_refusal(name)
    return Close(request, outcomes[word.lower()], check_reason(evidence))


def _pause(name: str, line: str) -> Pause:
    rest, _ = take_options(name, line)
    return Pause(check_reason(rest))


def _pending(name: str, line: str) -> Pending:
    _nothing_more(name, line)
    return Pending()


def _resume(name: str, line: str) -> Resume:
    _nothing_more(name, line)
    return Resume()


def _help(_name: str, line: str) -> Help:
    return Help(_known(line) if line else None)


_READERS: Mapping[str, Callable[[str, str], Command]] = {
    **{operation.value: _ask_amount if operation in AMOUNT_OPERATIONS else _ask_whole for operation in Operation},
    "inquiry": _inquire,
    "status": _status,
    "pending": _pending,
    "history": _history,
    "withdraw": _withdraw,
    "reject": _reject,
    "close": _close,
    "pause": _pause,
    "resume": _resume,
    "help": _help,
}


def _known(word: str) -> str:
    """The command that the word names, in any case."""
    name = word.lower()
    if name not in USAGE:
        raise CommandError(typed.unknown_command(nearest=nearest_word(name, USAGE)), kind="usage")
    return name


def _first_word(line: str) -> tuple[str, str]:
    """The first word and the rest as typed; empty where there is none."""
    word, *rest = line.split(maxsplit=1) or [""]
    return word, rest[0].rstrip() if rest else ""


def _subject(name: str, line: str) -> tuple[Reference, str, frozenset[str]]:
    """The reference that the line begins with, the rest without its options, and the options."""
    if not line:
        raise usage_refusal(name)
    if OPTION.match(line):
        raise CommandError(typed.reference_first(how=how_to_type(name)), kind="option")
    reference, rest = take_reference(line)
    rest, options = take_options(name, rest)
    return reference, rest, options


def _only_target(name: str, line: str) -> Target:
    """A request id or a reference, and nothing after it."""
    request = normalise_request_id(line)
    if request:
        return request
    reference, rest, _ = _subject(name, line)
    if rest:
        raise CommandError(typed.nothing_after(command=name), kind="usage")
    return reference


def _request(name: str, line: str) -> tuple[str, str]:
    """The request id that the line begins with, and the rest without options."""
    word, rest = _first_word(line)
    request = normalise_request_id(word)
    if request is None:
        raise usage_refusal(name)
    rest, _ = take_options(name, rest)
    return request, rest


def _nothing_more(name: str, line: str) -> None:
    if line:
        raise CommandError(typed.nothing_more(command=name, how=how_to_type(name)), kind="usage")


def _refuse_mention(command: Command, mentions: frozenset[str]) -> None:
    """A mention names a person or a channel, never a transaction."""
    named = getattr(command, "reference", None) or getattr(command, "target", None)
    if isinstance(named, Reference) and any(mention in named.value for mention in mentions):
        raise mention_refusal()
