"""The kinds of value that the policy file holds, each with its limit, and what to write for each key.

Money becomes minor units, durations become seconds. A validator here raises ValueError, as pydantic asks, with a
sentence for the person who writes the file.
"""

from __future__ import annotations

import re
import warnings
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationInfo

from approvals.money import decimals, parse_amount
from approvals.request import Operation, Refusal

REASON_CHARACTERS_MAXIMUM = 500
PATTERN_WAYS_MAXIMUM = 2 * 10**9
DURATION_SECONDS_MAXIMUM = 366 * 86_400

UNIT_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}

# What to write, by key. Every key of the file is here: a misspelt one is compared with these.
HINTS = {
    "channels": 'requests = ["C…"]',
    "requests": 'the ids of one to 50 Slack channels, such as ["C01GEN"]',
    "audit": 'the id of a Slack channel, such as "C02AUDIT"',
    "groups": 'name = ["U…", "W…" or a user group "S…"]; names of letters, digits, spaces, points and hyphens',
    "powers": "read and pause, each a list of groups",
    "read": "a list of groups",
    "pause": "a list of groups",
    "rules": "[[rules]], each with name, operations, and either ask, approve and approvals, or block",
    "name": "a name of up to 60 characters, without “ and ”",
    "operations": "a list of: " + ", ".join(Operation),
    "currency": 'an ISO code such as "KWD"',
    "above": 'an amount in quotes, such as "500.000", with currency beside it',
    "ask": "a list of groups",
    "approve": "a list of groups",
    "approvals": "the number of people other than the requester, 0 to 10",
    "reason": '"optional", "required" or a regular expression of up to 200 characters',
    "notify": '"none", "mention" or "dm"',
    "block": "the sentence that people read, in quotes, up to 300 characters",
    "limits": "[[limits]], each with name, operations, currency, per, within and total",
    "per": '"requester", "transaction" or "all"',
    "within": 'a duration such as "24h"',
    "total": 'an amount in quotes, such as "2000.000"',
    "disclosure": 'hosts = ["hooks.example.com"]',
    "hosts": 'plain host names in lower case, such as ["hooks.example.com"]',
    "timing": "its keys, or nothing: all have defaults",
    "settle_seconds": "seconds, more than deadline_seconds, at most 86400",
    "deadline_seconds": "seconds, 0.1 to 600",
    "expires_after": 'a duration such as "24h"',
    "remind_after": 'up to 10 durations, such as ["30m", "4h"]',
    "lapse_after": 'a duration such as "1h"',
    "inquiry_gap_seconds": "seconds, at most 86400",
    "queued_days": "whole days, 1 to 365",
    "commands_per_minute": "a whole number, 1 to 1000",
    "parallel": "a whole number, 1 to 100",
}


def _duration_seconds(value: object) -> int:
    """`"30m"` → 1800. Units: s, m, h, d."""
    match = re.fullmatch(r"([0-9]{1,8})([smhd])", value) if isinstance(value, str) else None
    seconds = int(match[1]) * UNIT_SECONDS[match[2]] if match else 0
    if not 0 < seconds <= DURATION_SECONDS_MAXIMUM:
        raise ValueError('write a duration from "1s" to "366d", such as "30m", "24h" or "7d"')
    return seconds


def duration_text(seconds: int) -> str:
    """1800 → `30m`: the largest unit that says it without a remainder."""
    unit = next(unit for unit, length in UNIT_SECONDS.items() if seconds % length == 0)
    return f"{seconds // UNIT_SECONDS[unit]}{unit}"


def _known_currency(code: str) -> str:
    try:
        decimals(code)
    except Refusal as refusal:
        raise ValueError(str(refusal)) from None
    return code


def _amount_minor(value: object, info: ValidationInfo) -> int:
    """A decimal in quotes, exact in the currency beside it. Never a TOML number: that would be a float."""
    currency = info.data.get("currency")
    if currency is None:
        raise ValueError("needs its currency beside it; write currency = an ISO code")
    if not isinstance(value, str):
        raise ValueError(f"must be in quotes; write {HINTS['above']}")  # noqa: TRY004  pydantic reports ValueError
    try:
        return parse_amount(value, currency)
    except Refusal as refusal:
        raise ValueError(str(refusal)) from None


def _host(name: str) -> str:
    if len(name) > 253 or not re.fullmatch(r"(?!-)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*", name):
        raise ValueError(f"“{name[:60]}” is no plain host name; write {HINTS['hosts']}")
    return name


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise ValueError("names something twice; write it once")
    return values


def _plain_text(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError(
            "holds a line break, a space at an end or a character that cannot be seen; write one plain line"
        )
    return text


def _reason_rule(value: str) -> str:
    """`optional`, `required`, or a pattern that compiles and cannot take long on the longest reason."""
    problem = None if value in ("optional", "required") else _pattern_problem(value)
    if problem:
        raise ValueError(f"{problem}; write {HINTS['reason']}")
    return value


def _pattern_problem(pattern: str) -> str | None:
    """Why a pattern cannot be used.

    Python's `re` backtracks, and nothing can stop it: a repeated group such as `(a+)+` takes for ever on thirty
    characters. Without repeated groups the work is at most about the product that is counted here (a choice weighs
    more than a step of a repeat); the worst patterns at this bound took 0.3 s.
    """
    if re.fullmatch(r"[\w ]*", pattern):
        return f"“{pattern}” is a plain word"  # a misspelt "required" must not become a pattern
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # re only warns about [[:alpha:]], which does not mean what it seems to
            re.compile(_plain_text(pattern))
    except (re.error, Warning, OverflowError, ValueError) as error:
        return f"is no regular expression ({error})"
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", pattern)  # escapes and character classes repeat nothing
    if re.search(r"\)[*+{]|\(\?(?:#|[a-zA-Z]*x)", bare):
        return "repeats a group or has comments, and could take for ever"
    ways = 3 ** (bare.count("|") + bare.count("?") - bare.count("(?"))
    for most in re.findall(r"[*+]|\{\d*,(\d*)\}", bare):
        ways *= min(int(most or REASON_CHARACTERS_MAXIMUM), REASON_CHARACTERS_MAXIMUM) + 1
    return "can match in too many ways, and could take for ever" if ways > PATTERN_WAYS_MAXIMUM else None


Different = AfterValidator(_different)
Name = Annotated[str, StringConstraints(max_length=60, pattern=r"^[^“”]+$"), AfterValidator(_plain_text)]
GroupName = Annotated[str, StringConstraints(max_length=60, pattern=r"^\w[\w .-]*$")]
GroupNames = Annotated[tuple[GroupName, ...], Field(max_length=20), Different]
ChannelId = Annotated[str, StringConstraints(pattern=r"^[CG][A-Z0-9]{2,30}$")]
MemberId = Annotated[str, StringConstraints(pattern=r"^[UWS][A-Z0-9]{2,30}$")]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_plain_text)]
Operations = Annotated[tuple[Operation, ...], Field(min_length=1), Different]
AmountMinor = Annotated[int, BeforeValidator(_amount_minor)]
OptionalAmountMinor = Annotated[int | None, BeforeValidator(_amount_minor)]
ReasonRule = Annotated[str, StringConstraints(max_length=200), AfterValidator(_reason_rule)]
Host = Annotated[str, AfterValidator(_host)]
Currency = Annotated[str, AfterValidator(_known_currency)]
DurationSeconds = Annotated[int, BeforeValidator(_duration_seconds)]
