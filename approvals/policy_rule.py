"""One rule of the policy file: its shape, its checks, and the line of text that a request keeps of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from approvals.money import show
from approvals.policy_fields import Currency, GroupNames, Name, Operations, OptionalAmountMinor, ReasonRule, Sentence
from approvals.request import Operation

_TEXT = re.compile(
    r"“(?P<name>[^”]+)”: (?P<operations>[a-z]+(?:, [a-z]+)*)"
    r"(?: in (?P<currency>[A-Z]{3})| above (?P<above>[0-9.]+) (?P<above_currency>[A-Z]{3}))?"
    r"(?:; blocked: (?P<block>.+)|; ask: (?P<ask>[^;]+)(?:; approve: (?P<approve>[^;]+))?"
    r"; approvals: (?P<approvals>[0-9]+)(?:; notify: (?P<notify>[a-z]+))?(?:; reason: (?P<reason>.+))?)"
)


class Table(BaseModel):
    """A table of the file: only known keys, only their own types, never changed."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    @property
    def hash(self) -> str:
        """SHA-256, in hex, of the content: the same for two files that mean the same."""
        content = json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(content.encode()).hexdigest()


class Rule(Table):
    """Who may ask for some operations and who must approve; or, with `block`, the sentence that refuses them.

    A block has nobody in `ask` and `approve`. `above_minor` (strictly more) is in `currency`.
    """

    name: Name
    operations: Operations
    currency: Currency | None = None
    above_minor: OptionalAmountMinor = Field(default=None, alias="above")
    ask: GroupNames = ()
    approve: GroupNames = ()
    approvals: int = Field(default=1, ge=0, le=10)
    reason: ReasonRule = "optional"
    notify: Literal["none", "mention", "dm"] = "none"
    block: Sentence | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        problem = next(self._problems(), None)
        if problem:
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        if Operation.INQUIRY in self.operations and self.currency is not None:
            yield "an inquiry has no currency or amount of its own; write its rule without currency and above"
        if self.block is not None:
            for key in sorted(self.model_fields_set & {"ask", "approve", "approvals", "reason", "notify"}):
                yield f"{key} means nothing beside block; write one of the two"
            return
        if not self.ask:
            yield "ask is missing; write ask = a list of groups, or block = a sentence"
        money = [operation for operation in self.operations if operation.moves_money]
        if money and self.approvals == 0:
            yield f"approvals = 0 is refused for {money[0]}, which moves money; write 1 or more"
        if Operation.INQUIRY in self.operations and self.approvals > 0:
            yield "approvals must be 0 for an inquiry, which is only a read; write approvals = 0 or a rule of its own"
        if self.approvals > 0 and not self.approve:
            yield "approve is missing; write approve = a list of groups, or approvals = 0"

    @property
    def above(self) -> str | None:
        """The amount above which it applies, with its currency."""
        if self.above_minor is None or self.currency is None:
            return None
        return show(self.above_minor, self.currency)

    @property
    def text(self) -> str:
        """All of it in one line: `“money”: refund, void; ask: agents; approve: leads; approvals: 1`."""
        what = f"“{self.name}”: {', '.join(self.operations)}"
        if self.currency is not None:
            what += f" above {self.above}" if self.above else f" in {self.currency}"
        if self.block is not None:
            return f"{what}; blocked: {self.block}"
        parts = [what, f"ask: {', '.join(self.ask)}"]
        parts += [f"approve: {', '.join(self.approve)}"] if self.approve else []
        parts.append(f"approvals: {self.approvals}")
        parts += [f"notify: {self.notify}"] if self.notify != "none" else []
        parts += [f"reason: {self.reason}"] if self.reason != "optional" else []  # last: a pattern may hold anything
        return "; ".join(parts)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The rule whose `text` this is: a request keeps that line, and the policy may have changed since.

        Raises ValueError where it is not such a line.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError("this is not the text of a rule")
        content: dict[str, object] = {key: value for key, value in match.groupdict().items() if value is not None}
        for key in {"operations", "ask", "approve"} & set(content):
            content[key] = str(content[key]).split(", ")
        if "approvals" in content:
            content["approvals"] = int(str(content["approvals"]))
        content["currency"] = content.pop("above_currency", content.get("currency"))
        return cls.model_validate_json(json.dumps(content))
