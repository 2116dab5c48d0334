"""One request, made anew from its events, and judged as they come: was each of them a move that may be?

The rules are those of `request` and `policy`; here they are applied to what is written, whoever wrote it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from approvals.audit import Event
from approvals.following import BOT
from approvals.policy import Rule, fits, vouching
from approvals.request import FINAL, MOVES, SEEN, digest
from approvals.schema import FIXED, TERMS

# Events that change a row without another state, and where they may.
IN_PLACE = {
    "approval": {"pending"},
    "approval_taken_back": {"pending"},
    "reading": {"unknown"},
    "close_proposed": {"unknown", "queued"},
    "restored": {"unknown"},
}
PAIRS = frozenset((a.value, b.value) for a, following in MOVES.items() for b in following)
OVER = frozenset(state.value for state in FINAL)
ONLY_BY_THE_BOT = frozenset(
    {"pending", "approved", "refused", "expired", "lapsed", "queued", "unknown", "reading", "restored"}
)


@lru_cache(maxsize=256)
def _rule(text: str) -> Rule | None:
    try:
        return Rule.from_text(text)
    except ValueError:
        return None


@dataclass
class Word:
    """A row of `approvals` or `closings` as its events make it; `seq` is the last of them."""

    table: str
    made: dict[str, object]
    seq: int


@dataclass
class Derived:
    """A request as far as its events have told. `hear` says what is wrong with each of them."""

    id: str
    row: dict[str, Any] = field(default_factory=dict)
    set_by: dict[str, int] = field(default_factory=dict)  # column → sequence number of the event that set it last
    words: list[Word] = field(default_factory=list)

    @property
    def state(self) -> str | None:
        return self.row.get("state")

    @property
    def is_over(self) -> bool:
        return isinstance(self.state, str) and self.state in OVER

    @property
    def standing(self) -> dict[object, Word]:
        """The approvals that stand, by person."""
        given = [word for word in self.words if word.table == "approvals"]
        return {word.made["person"]: word for word in given if word.made["taken_back_at"] is None}

    @property
    def rule(self) -> Rule | None:
        """The rule in force, as the row keeps it."""
        return _rule(str(self.row.get("rule_text")))

    def hear(self, event: Event, facts: Mapping[str, Any]) -> Iterator[str]:
        """Take one event in that carries a version; yields what is wrong with it."""
        changed = facts.get("set")
        changed = changed if isinstance(changed, dict) else {}
        before, version = dict(self.row), self.row.get("version", 0)
        if event.version != version + 1 or changed.get("version") != event.version:
            yield f"makes version {event.version} of {self.id} after {version}"
        if event.from_state != self.state:
            yield f"leaves {event.from_state}, and {self.id} was {self.state}"
        yield from self._move(event, changed)
        yield from self._columns(event, changed)
        self.row |= changed
        self.set_by |= dict.fromkeys(changed, event.seq)
        yield from self._people(event, facts)
        if event.from_state == "checking" and changed.get("rule_text") is not None:
            yield from self._terms()
        yield from self._amounts(event, before)

    # --- the move

    def _move(self, event: Event, changed: Mapping[str, Any]) -> Iterator[str]:
        pair = (event.from_state, event.to_state)
        if event.kind == "restored":
            is_move = event.to_state == "unknown" and changed.get("restored") == 1 and event.from_state not in OVER
        elif event.kind == "submitted":
            is_move = pair == (None, "checking")
        elif event.from_state == event.to_state:
            is_move = event.to_state in IN_PLACE.get(event.kind, ())
        else:
            is_move = pair in PAIRS and event.kind in {event.to_state, "approval"}
        if not is_move:
            yield f"moves {self.id} from {event.from_state} to {event.to_state} ({event.kind}): there is no such move"
        if event.from_state != event.to_state:
            if (changed.get("state"), changed.get("state_at")) != (event.to_state, self._moment(event, changed)):
                yield f"moves {self.id} to {event.to_state}, and sets {changed.get('state')}"
        elif "state" in changed:
            yield f"sets a state of {self.id} without a move"

    @staticmethod
    def _moment(event: Event, changed: Mapping[str, Any]) -> object:
        """A move is at its event's time; a request begins a moment before it is written down."""
        return changed.get("created_at") if event.kind == "submitted" else event.at

    def _columns(self, event: Event, changed: Mapping[str, Any]) -> Iterator[str]:
        """Are the columns that it sets still to be set?"""
        if event.kind == "submitted":
            wrong = ["id"] if changed.get("id") != self.id else []
            wrong += [name for name in ("tracking_key", *TERMS) if name in changed]
        else:
            wrong = [name for name in FIXED if name in changed]
            wrong += [name for name in TERMS if name in changed and event.from_state != "checking"]
            again = self.row.get("tracking_key") is not None and "tracking_key" in changed
            wrong += ["tracking_key"] if again and changed["tracking_key"] != self.row["tracking_key"] else []
            wrong += ["restored"] if "restored" in changed and event.kind != "restored" else []
        if wrong:
            yield f"sets {', '.join(wrong)} of {self.id}, which may not be set then"
        begins = event.to_state == "executing" and event.from_state != "executing"
        attempt = self.row.get("attempt", 0)
        if changed.get("attempt", attempt) != attempt + begins:
            yield f"makes attempt {changed.get('attempt')} of {self.id} after {attempt}"
        if begins and not (self.row.get("tracking_key") or changed.get("tracking_key")):
            yield f"sends {self.id} without a Tracking-Key"

    # --- the people

    def _people(self, event: Event, facts: Mapping[str, Any]) -> Iterator[str]:
        requester, kind, actor = self.row.get("requester"), event.kind, event.actor
        if kind == "submitted":
            if actor != requester:
                yield f"{self.id} was submitted by {actor} for {requester}"
        elif kind == "withdrawn":
            if actor not in {requester, BOT}:
                yield f"{actor} withdrew {self.id}, which {requester} asked for"
        elif kind in {"approval", "rejected", "close_proposed"} or facts.get("confirms"):
            if actor in {requester, BOT}:
                yield f"{actor} decided on {self.id}, which {requester} asked for"
        elif kind == "executing" and event.from_state == "unknown":
            if actor == requester:
                yield f"{actor} had {self.id} sent again, and asked for it"
        elif kind in ONLY_BY_THE_BOT | {"executing", "succeeded", "failed"} and actor != BOT:
            yield f"{actor} moved {self.id} to {event.to_state}, alone"
        yield from self._said(event, facts)
        if event.to_state == "executing" or (event.to_state == "approved" and event.from_state != "executing"):
            yield from self._quorum(event)

    def _said(self, event: Event, facts: Mapping[str, Any]) -> Iterator[str]:
        if event.kind == "approval":
            yield from self._approval(event, facts)
        elif event.kind == "approval_taken_back":
            word = self.standing.get(event.actor)
            if word is None:
                yield f"takes back an approval of {self.id} that {event.actor} had not given"
            else:
                word.made["taken_back_at"], word.seq = event.at, event.seq
        elif event.kind == "close_proposed":
            said = {name: facts.get(name) for name in ("outcome", "evidence")}
            who = {"proposed_by": event.actor, "proposed_at": event.at, "confirmed_by": None, "confirmed_at": None}
            made = {"request_id": self.id, "version": event.version, **said, **who}
            self.words.append(Word("closings", made, event.seq))
        elif facts.get("confirms"):
            yield from self._confirmation(event, facts)

    def _approval(self, event: Event, facts: Mapping[str, Any]) -> Iterator[str]:
        if event.actor in self.standing:
            yield f"is a second approval of {self.id} by {event.actor}"
        if facts.get("digest") != self.row.get("digest"):
            yield f"approves something else than what the card of {self.id} shows"
        if "groups" in facts and not (self.rule and set(_listed(facts["groups"])) & set(self.rule.approve)):
            yield f"is an approval of {self.id} by {event.actor}, who may not by its rule"
        given = {"person": event.actor, "digest": facts.get("digest"), "given_at": event.at, "taken_back_at": None}
        self.words.append(Word("approvals", {"request_id": self.id, **given}, event.seq))

    def _quorum(self, event: Event) -> Iterator[str]:
        """Enough different people; that none of them is the requester was seen at each approval."""
        needed, given = self.row.get("approvals_needed"), len(self.standing)
        if not isinstance(needed, int) or given < needed:
            yield f"moves {self.id} to {event.to_state} with {given} of {needed} approvals"
        never_again = self.row.get("restored") or self.row.get("destination") == "wallet"
        if never_again and (event.from_state, event.to_state) == ("unknown", "executing"):
            yield f"sends {self.id} again, which may not be"

    def _confirmation(self, event: Event, facts: Mapping[str, Any]) -> Iterator[str]:
        last = next((word for word in reversed(self.words) if word.table == "closings"), None)
        made = last.made if last else {}
        if last is None or made["version"] != (event.version or 0) - 1 or made["confirmed_by"] is not None:
            yield f"confirms a word on {self.id} that nobody had given"
            return
        if made["proposed_by"] == event.actor or made["outcome"] != event.to_state:
            yield f"closes {self.id} as {event.to_state} without two people who say so"
        if self.rule and "groups" in facts and not self._may_close(facts["groups"]):
            yield f"closes {self.id} by two people of whom its rule wants others"
        made["confirmed_by"], made["confirmed_at"], last.seq = event.actor, event.at, event.seq

    def _may_close(self, groups: Any) -> bool:
        """`groups`: of whoever proposed, and of whoever confirmed. Who confirms may close; one of the two may vouch."""
        rule, both = self.rule, [set(_listed(each)) for each in _listed(groups)]
        if rule is None or len(both) != 2:
            return False
        return bool(both[1] & set(rule.ask + rule.approve) and (both[0] | both[1]) & set(vouching(rule)))

    # --- the terms

    def _terms(self) -> Iterator[str]:
        """The rule that the row names must be one that fits, and the digest that of what was seen."""
        row, rule = self.row, self.rule
        if rule is None or rule.block is not None:
            yield f"takes {self.id} under a rule that cannot be read, or that blocks it"
            return
        kept = {name: row.get(name) for name in ("rule_name", "rule_hash", "approvals_needed")}
        said = {"rule_name": rule.name, "rule_hash": rule.hash, "approvals_needed": rule.approvals}
        wrong = [name for name in said if kept[name] != said[name]]
        if wrong:
            yield f"takes {self.id} under a rule with another {', '.join(wrong)} than its text says"
        amount = row.get("transaction_minor") if row.get("amount_minor") is None else row.get("amount_minor")
        if row.get("operation") not in rule.operations or not fits(rule, amount, row.get("currency")):
            yield f"takes {self.id} under the rule “{rule.name}”, which does not cover it"
        if row.get("digest") != digest({name: row.get(name) for name in SEEN}):
            yield f"gives {self.id} a digest that is not of its terms"

    def _amounts(self, event: Event, before: Mapping[str, Any]) -> Iterator[str]:
        """What was answered must be what was approved."""
        if event.to_state not in {"succeeded", "queued"} or event.from_state == event.to_state:
            return
        approved, answered = before.get("amount_minor"), self.row.get("answered_minor")
        if answered is not None and approved is not None and answered != approved:
            yield f"{event.to_state} with {answered}, and {approved} was approved for {self.id} (minor units)"


def _listed(value: Any) -> list[Any]:
    return [str(one) if not isinstance(one, list) else one for one in value] if isinstance(value, list) else []
