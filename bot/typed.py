"""The parts of what a person types, checked the same way in a command and in a form: references, options, reasons …

Pure. Every refusal is a `CommandError`, whose sentence says what to type and never repeats a card number.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from approvals.money import check_amount, currencies, parse_amount
from approvals.request import Refusal
from approvals.sentences import typed as sentences
from bot.card_numbers import contains_card_number
from bot.usage import how_to_type

MOST_TEXT_CHARACTERS = 4000
MOST_REFERENCE_CHARACTERS = 128  # Ottu's limit for an order number
MOST_REASON_CHARACTERS = 500
_MOST_URL_CHARACTERS = 2000

Kind = Literal["order", "session"]

_KINDS: tuple[Kind, ...] = ("order", "session")
_SESSION_ID = re.compile(r"[0-9a-fA-F]{40}")
_PLAIN_ORDER = re.compile(r"[\w.#/][\w.#/ -]*")  # nothing in it is anything but an order number
_QUOTES = ('"', "“", "”")
_QUOTED = re.compile(r'["“”]([^"“”]*)["“”](?!\S)')
_BARE = re.compile(r"(\S*)")
_MENTION = re.compile(r"@|<[@#!]")
# Crockford's base 32 has no U; I and L are read as 1, O as 0. Twelve characters are more than there can be requests.
_REQUEST_ID = re.compile(r"[rR]-([0-9A-TV-Za-tv-z]{4,12})")
_LOOKALIKES = str.maketrans("ILO", "110")
_LINE_BREAKS = re.compile(r"[\t-\r\x1c-\x1f\x85\u2028\u2029]")
# Characters that reorder what is shown, so that a card could read otherwise than it was typed.
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

OPTIONS = {"--wallet": "refund", "--disclose": "inquiry"}
# Two dashes, or one that a phone made of them, and a letter. One plain dash is an option only where it is a known one:
# a mangled `--wallet` must not become part of a reason.
OPTION = re.compile(r"(?<!\S)(?:-[-–—]+|[–—][-–—]*|-(?=(?:wallet|disclose)\b))([^\W\d_]\S*)\s*", re.IGNORECASE)
_CURRENCY = re.compile(r"([A-Z]{3})(?:(?!\S)|([,.;:!?)]))")
_AMOUNT_WITH_CURRENCY = re.compile(r"([\d.,]+)([A-Za-z]{3})")


class CommandError(Refusal):
    """What was typed cannot be read. The text is one short sentence that says what to type; escape it like any text."""


@dataclass(frozen=True)
class Reference:
    """How a person names a transaction: by the merchant's order number, or by Ottu's session id (40 hex digits)."""

    kind: Kind
    value: str

    @property
    def typed(self) -> str:
        """The reference as it is typed in a command, so that it is read back as the same one."""
        quoted = f'"{self.value}"' if self.value.split() != [self.value] else self.value
        plain = _PLAIN_ORDER.fullmatch(self.value) and not _SESSION_ID.fullmatch(self.value)
        bare = self.kind == "session" or (plain and not normalise_request_id(self.value))
        return quoted if bare else f"order:{quoted}"


def clean(text: str) -> str:
    """Put the text on one line; refuse a card number, and characters that nobody can see or that reorder others."""
    if contains_card_number(text):
        raise card_number_refusal()
    line = _LINE_BREAKS.sub(" ", text)
    if any(unicodedata.category(character) in {"Cc", "Cs"} or character in _REORDERING for character in line):
        raise CommandError(sentences.INVISIBLE, kind="characters")
    return line


def card_number_refusal() -> CommandError:
    """The answer to a card number, which is not repeated."""
    return CommandError(sentences.CARD_NUMBER, kind="card_number")


def check_reason(text: str) -> str:
    """Return a reason or evidence as typed, on one line; at most 500 characters. It may be empty."""
    reason = clean(text).strip()
    if len(reason) > MOST_REASON_CHARACTERS:
        raise CommandError(sentences.reason_too_long(most=MOST_REASON_CHARACTERS), kind="too_long")
    return reason


def parse_reference(text: str) -> Reference:
    """Read a text that is a reference and nothing else, such as a form's field: spaces need no quotes there."""
    line = clean(text).strip()
    kind, value = _take_kind(line)
    if value[:1] not in _QUOTES:
        return _reference(kind, value)
    reference, rest = take_reference(line)
    if rest:
        raise CommandError(sentences.ONE_REFERENCE, kind="reference")
    return reference


def take_reference(line: str) -> tuple[Reference, str]:
    """Split a clean line into the reference that it begins with and the rest."""
    kind, rest = _take_kind(line)
    match = (_QUOTED if rest[:1] in _QUOTES else _BARE).match(rest)
    if match is None:
        raise CommandError(sentences.CLOSE_QUOTES, kind="reference")
    value = match[1]
    if kind is None:
        kind, value = _take_kind(value)  # `"order:ORD 123"` means the same as `order:"ORD 123"`
    return _reference(kind, value), rest[match.end() :].strip()


def normalise_request_id(text: str) -> str | None:
    """`r-7k2o` → `R-7K20`; None for what is no request id."""
    match = _REQUEST_ID.fullmatch(text)
    return f"R-{match[1].upper().translate(_LOOKALIKES)}" if match else None


def _take_kind(text: str) -> tuple[Kind | None, str]:
    """Take off `order:` or `session:`. Only in lower case: an order number may begin with `Order:`."""
    for kind in _KINDS:
        if text.startswith(f"{kind}:"):
            return kind, text.removeprefix(f"{kind}:")
    return None, text


def _reference(kind: Kind | None, value: str) -> Reference:
    if not value.strip():
        raise CommandError(sentences.NO_REFERENCE, kind="reference")
    if len(value) > MOST_REFERENCE_CHARACTERS:
        raise CommandError(sentences.long_reference(most=MOST_REFERENCE_CHARACTERS), kind="reference")
    if any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in value):
        raise CommandError(sentences.INVISIBLE_IN_REFERENCE, kind="characters")
    if kind is None and _MENTION.match(value):
        raise mention_refusal()
    if kind == "session" and not _SESSION_ID.fullmatch(value):
        raise CommandError(sentences.SHORT_SESSION, kind="reference")
    if kind != "order" and _SESSION_ID.fullmatch(value):
        return Reference("session", value.lower())
    return Reference("order", value)


def mention_refusal() -> CommandError:
    """The answer to a mention in the place of a reference."""
    return CommandError(sentences.MENTION, kind="reference")


def take_options(name: str, line: str) -> tuple[str, frozenset[str]]:
    """Take the options out of the line; what is around them stays as typed."""
    options = [f"--{match[1].lower()}" for match in OPTION.finditer(line)]
    for option in options:
        if option not in OPTIONS:
            raise CommandError(sentences.unknown_option(nearest=nearest_word(option, OPTIONS)), kind="option")
        if OPTIONS[option] != name:
            sentence = sentences.option_of_another(option=option, command=OPTIONS[option], how=how_to_type(name))
            raise CommandError(sentence, kind="option")
    return OPTION.sub("", line).strip(), frozenset(options)


def take_currency(line: str) -> tuple[str | None, str]:
    """A currency in the place after an amount, and the rest. Three letters that are none (`VIP`) begin the reason."""
    match = _CURRENCY.match(line)
    if not match or match[1] not in currencies():
        return None, line
    if match[2]:
        raise CommandError(sentences.space_after_currency(currency=match[1]), kind="currency")
    return match[1], line[match.end() :].strip()


def check_typed_amount(word: str, currency: str | None) -> None:
    """Refuse an amount with what to type; a spelling that would look like a card number is not offered."""
    joined = _AMOUNT_WITH_CURRENCY.fullmatch(word)
    if joined and joined[2].upper() in currencies():
        sentence = sentences.space_before_currency(amount=joined[1], currency=joined[2].upper())
        raise CommandError(sentence, kind="currency")
    if word in currencies():
        raise CommandError(sentences.CURRENCY_AFTER, kind="currency")
    try:
        parse_amount(word, currency) if currency else check_amount(word)
    except Refusal as refusal:
        if contains_card_number(str(refusal)):
            raise card_number_refusal() from None
        raise CommandError(str(refusal), kind=refusal.kind) from None


def check_disclosure_url(word: str) -> str:
    """An address for Ottu to disclose to: https, a host, no credentials. The policy says which hosts."""
    try:
        parts = urlsplit(word)
        usable = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc and "\\" not in word
        usable = usable and parts.port != 0  # reading a port that is no number raises
    except ValueError:
        usable = False
    if not usable or len(word) > _MOST_URL_CHARACTERS:
        raise CommandError(sentences.DISCLOSURE_URL, kind="option")
    return word


def nearest_word(typed: str, known: Iterable[str]) -> str | None:
    """The known word that the typed one resembles, to be offered; the typed one is never repeated."""
    nearest = difflib.get_close_matches(typed[:40], known, n=1)
    return nearest[0] if nearest else None


def usage_refusal(name: str) -> CommandError:
    return CommandError(how_to_type(name), kind="usage")
