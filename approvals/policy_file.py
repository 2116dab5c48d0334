"""The policy file: its shape, its checks, and what to write where it is wrong.

TOML in, one frozen model out. Unknown keys stop the start, amounts become minor units, durations become seconds, and
everything has a limit. What the policy decides is in `approvals.policy`.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails

from approvals.policy_fields import (
    HINTS,
    AmountMinor,
    ChannelId,
    Currency,
    Different,
    DurationSeconds,
    GroupName,
    GroupNames,
    Host,
    MemberId,
    Name,
    Operations,
)
from approvals.policy_rule import Rule, Table
from approvals.request import Operation

FILE_CHARACTERS_MAXIMUM = 200_000
REAL_SECONDS_MINIMUM = 60  # below it only against a stand-in: Ottu and the gateways need their time


class PolicyError(Exception):
    """The policy file cannot be used. One line: which key, and what to write."""


class Channels(Table):
    requests: Annotated[tuple[ChannelId, ...], Field(min_length=1, max_length=50), Different]
    audit: ChannelId | None = None


class Powers(Table):
    """Groups. The documented defaults are filled in when the file is read."""

    model_config = ConfigDict(strict=False)  # the validator that fills them in hands on lists, which are no tuples

    read: GroupNames
    pause: GroupNames


class Limit(Table):
    """At most `total_minor` of `currency` within `within_seconds`, counted per requester, per transaction or in all."""

    name: Name
    operations: Operations
    currency: Currency
    per: Literal["requester", "transaction", "all"]
    within_seconds: DurationSeconds = Field(alias="within")
    total_minor: AmountMinor = Field(alias="total")

    @field_validator("operations")
    @classmethod
    def _move_money(cls, operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
        if not all(operation.moves_money for operation in operations):
            raise ValueError("a limit counts money; write refund, capture or void")
        return operations


class Disclosure(Table):
    hosts: Annotated[tuple[Host, ...], Field(max_length=100)] = ()


class Timing(Table):
    settle_seconds: float = Field(default=600, gt=0, le=86_400)
    deadline_seconds: float = Field(default=60, ge=0.1, le=600)
    expires_after_seconds: DurationSeconds = Field(default=86_400, alias="expires_after")
    remind_after_seconds: tuple[DurationSeconds, ...] = Field(
        default=(1_800, 14_400), alias="remind_after", max_length=10
    )
    lapse_after_seconds: DurationSeconds = Field(default=3_600, alias="lapse_after")
    inquiry_gap_seconds: float = Field(default=1_860, ge=0, le=86_400)
    queued_days: int = Field(default=14, ge=1, le=365)
    commands_per_minute: int = Field(default=30, ge=1, le=1_000)
    parallel: int = Field(default=8, ge=1, le=100)

    @model_validator(mode="after")
    def _settles_after_the_deadline(self) -> Self:
        if self.settle_seconds <= self.deadline_seconds:
            raise ValueError("settle_seconds must be more than deadline_seconds, or an answer could come after it")
        return self


class PolicyFile(Table):
    """The whole file. `powers` comes last: its defaults need the groups and the rules."""

    channels: Channels
    groups: Mapping[GroupName, Annotated[tuple[MemberId, ...], Field(max_length=1_000)]] = Field(
        default_factory=dict, max_length=100
    )
    rules: tuple[Rule, ...] = Field(min_length=1, max_length=100)
    limits: tuple[Limit, ...] = Field(default=(), max_length=100)
    disclosure: Disclosure = Disclosure()
    timing: Timing = Timing()
    powers: Powers = Field(default_factory=dict, validate_default=True)

    @field_validator("powers", mode="before")
    @classmethod
    def _fill_in_powers(cls, value: object, info: ValidationInfo) -> object:
        approving = {group for rule in info.data.get("rules", ()) if rule.approvals > 0 for group in rule.approve}
        defaults = {"read": sorted(info.data.get("groups", ())), "pause": sorted(approving)}
        return {**defaults, **value} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for table, named in (("rules", self.rules), ("limits", self.limits)):
            names = [entry.name for entry in named]
            if len(set(names)) != len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise ValueError(f"{table} “{twice}”: two have this name; write different names")
        for where, groups in self._groups_named():
            unknown = [group for group in groups if group not in self.groups]
            if unknown:
                known = ", ".join(sorted(self.groups)) or "none yet"
                raise ValueError(f"{where}: there is no group “{unknown[0]}”; write one of [groups]: {known[:300]}")
        return self

    def _groups_named(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        yield "powers, read", self.powers.read
        yield "powers, pause", self.powers.pause
        for rule in self.rules:
            yield f"rules “{rule.name}”, ask", rule.ask
            yield f"rules “{rule.name}”, approve", rule.approve


Shape = TypeVar("Shape", bound=PolicyFile)


def read(text: str, shape: type[Shape], *, loopback: bool) -> Shape:
    """The checked file as `shape`. `loopback`: Ottu is a stand-in on this machine, so waits may be shorter than real.

    Raises PolicyError.
    """
    content = _toml(text)
    try:
        # Strict reading from JSON takes a list for a tuple and a word for an enum member, as TOML has neither.
        policy = shape.model_validate_json(_json(content))
    except ValidationError as error:
        raise PolicyError(_sentence(error.errors(include_url=False)[0], content)) from None
    for key in ("settle_seconds", "inquiry_gap_seconds"):
        if getattr(policy.timing, key) < REAL_SECONDS_MINIMUM and not loopback:
            raise PolicyError(f"policy: timing, {key}: write {REAL_SECONDS_MINIMUM} or more (OTTU_BASE_URL is real)")
    return policy


def _toml(text: str) -> dict[str, Any]:
    if len(text) > FILE_CHARACTERS_MAXIMUM:
        raise PolicyError(f"policy: the file is too long; write at most {FILE_CHARACTERS_MAXIMUM} characters")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise PolicyError(f"policy: the file is not TOML: {_one_line(str(error))}") from None


def _json(content: dict[str, Any]) -> str:
    try:
        return json.dumps(content, allow_nan=False)
    except RecursionError:
        raise _too_deep() from None
    except (TypeError, ValueError):
        raise PolicyError("policy: a date, a time or such a number has no meaning here; write it in quotes") from None


def _too_deep() -> PolicyError:
    return PolicyError("policy: the file is nested too deeply; write it as in policy.example.toml")


def _sentence(error: ErrorDetails, content: dict[str, Any]) -> str:
    """One line for one mistake that pydantic found: where, what, and what to write."""
    place = [part for part in error["loc"] if part != "[key]"]
    key = str(place[-1]) if place else ""
    hint = next((HINTS[str(part)] for part in reversed(place) if part in HINTS), "")
    match error["type"]:
        case "value_error":
            what = str(error.get("ctx", {})["error"])
        case "missing":
            what = f"is missing; write {hint}"
        case "extra_forbidden":
            near = difflib.get_close_matches(key, HINTS, n=1)
            what = "is no known key; " + (f"write {near[0]}" if near else "leave it out")
        case "string_pattern_mismatch":
            what = f"“{str(error['input'])[:60]}” does not fit; write {hint}"
        case _:
            what = f"{error['msg'][:1].lower()}{error['msg'][1:]}; write {hint}"
    return ": ".join(["policy", *([_where(place, content)] if place else []), _one_line(what)])


def _where(place: list[int | str], content: dict[str, Any]) -> str:
    """`rules “money”, approvals`: a table of a list is named, or numbered from 1 where it has no name."""
    words = [str(part) for part in place if isinstance(part, str)]
    if len(place) > 1 and isinstance(place[1], int) and place[0] in ("rules", "limits"):
        table = content[str(place[0])][place[1]]
        name = table.get("name") if isinstance(table, dict) else None
        words[0] += f" “{name or place[1] + 1}”"
    return _one_line(", ".join(words))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
