"""Who may do what: the decisions that follow from the policy file and from who is in which group.

Pure: who is in a group comes in as `Members`, already read from Slack. A group that is missing there is nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from approvals.money import show
from approvals.policy_fields import REASON_CHARACTERS_MAXIMUM, duration_text
from approvals.policy_file import Limit, PolicyError, PolicyFile, Timing, read
from approvals.policy_rule import Rule
from approvals.request import Operation, Refusal
from approvals.sentences import asking

__all__ = [
    "Finding",
    "Limit",
    "Members",
    "Policy",
    "PolicyError",
    "Rule",
    "Timing",
    "findings",
    "fits",
    "groups_of",
    "load",
    "people",
    "vouching",
]

Members = Mapping[str, frozenset[str]]  # group name → user ids


def load(text: str, *, loopback: bool = False) -> Policy:
    """The text of a policy file, checked.

    `loopback`: OTTU_BASE_URL is a stand-in on this machine, so `settle_seconds` and `inquiry_gap_seconds` may be short.
    Raises PolicyError: one line that names the key and what to write.
    """
    return read(text, Policy, loopback=loopback)


def people(groups: tuple[str, ...], members: Members) -> frozenset[str]:
    """Everyone in at least one of the groups, each once."""
    return frozenset().union(*(members.get(group, frozenset()) for group in groups))


def groups_of(person: str, groups: tuple[str, ...], members: Members) -> list[str]:
    """Those of the groups that the person is in: what the record keeps of a decision."""
    return [group for group in groups if person in members.get(group, frozenset())]


class Policy(PolicyFile):
    """A checked policy file, and what it decides."""

    # --- which rule

    def rules_for(self, operation: Operation) -> Iterator[Rule]:
        """The rules that name the operation, in the order of the file."""
        return (rule for rule in self.rules if operation in rule.operations)

    def rule_at_ask(self, operation: Operation) -> None:
        """Refuse what is refused whatever the transaction is, before anything is read from Ottu.

        Raises Refusal: `no_rule` where no rule names the operation, `blocked` where a block certainly applies.
        """
        first = next(self.rules_for(operation), None)
        if first is None:
            raise Refusal(asking.no_rule_names(operation=operation), kind="no_rule")
        if first.block is not None and first.currency is None:
            raise Refusal(first.block, kind="blocked")

    def rule_for(self, operation: Operation, amount_minor: int | None, currency: str | None) -> Rule | None:
        """The first rule that fits, which may be a block; None where none fits: then nothing is allowed.

        None for an amount or a currency means not known. Raises Refusal (`rule_unknown`) where it cannot be told
        whether a rule fits: going on to the next one could find a laxer rule.
        """
        for rule in self.rules_for(operation):
            is_fit = fits(rule, amount_minor, currency)
            if is_fit is None:
                missing: Literal["currency", "amount"] = "currency" if currency is None else "amount"
                raise Refusal(asking.rule_not_known(rule=rule.name, missing=missing), kind="rule_unknown")
            if is_fit:
                return rule
        return None

    # --- who

    def may_ask_some(self, operation: Operation, person: str, members: Members) -> bool:
        """Whether the person may ask for the operation under one rule at least."""
        return any(self.may_ask(rule, person, members) for rule in self.rules_for(operation))

    @staticmethod
    def may_ask(rule: Rule, person: str, members: Members) -> bool:
        """Whether the person may make a request under the rule. A block allows nobody."""
        return person in people(rule.ask, members)

    @staticmethod
    def may_approve(rule: Rule, person: str, members: Members) -> bool:
        """Whether the person's approval counts under the rule, unless they are the requester."""
        return person in people(rule.approve, members)

    @staticmethod
    def may_close(rule: Rule, person: str, members: Members) -> bool:
        """Whether the person may be one of the two who close an unknown outcome, unless they are the requester."""
        return person in people(rule.ask + rule.approve, members)

    @staticmethod
    def may_vouch(rule: Rule, person: str, members: Members) -> bool:
        """Whether the person may be the one of those two who may approve (0 approvals: who may ask)."""
        return person in people(vouching(rule), members)

    def has_power(self, power: Literal["read", "pause"], person: str, members: Members) -> bool:
        """Whether the person may read from anywhere, or pause and resume."""
        return person in people(self.powers.read if power == "read" else self.powers.pause, members)

    # --- what stands against a request

    @staticmethod
    def obstacle(rule: Rule, requester: str, members: Members) -> str | None:
        """Why a request of this person could never be decided, or its unknown outcome never be closed by hand.

        An inquiry is a read, with nothing to decide or to close.
        """
        if set(rule.operations) == {Operation.INQUIRY}:
            return None
        approvers = people(rule.approve, members) - {requester}
        if len(approvers) < rule.approvals:
            return asking.too_few_approvers(
                rule=rule.name, needed=rule.approvals, groups=rule.approve, found=len(approvers)
            )
        closers = people(rule.ask + rule.approve, members) - {requester}
        if len(closers) < 2 or not people(vouching(rule), members) - {requester}:
            return asking.too_few_closers(rule=rule.name, groups=vouching(rule))
        return None

    @staticmethod
    def reason_problem(rule: Rule, reason: str | None) -> str | None:
        """Why the reason will not do under the rule, or None. A pattern is matched against the whole reason."""
        text = (reason or "").strip()
        if len(text) > REASON_CHARACTERS_MAXIMUM:
            return asking.reason_too_long(most=REASON_CHARACTERS_MAXIMUM)
        if rule.reason == "optional":
            return None
        if not text:
            return asking.reason_missing(rule=rule.name)
        if rule.reason != "required" and not re.fullmatch(rule.reason, text):
            return asking.reason_of_other_form(rule=rule.name, pattern=rule.reason)
        return None

    def limits_for(self, operation: Operation, currency: str | None) -> tuple[Limit, ...]:
        """The limits that count the operation. Raises Refusal (`rule_unknown`) where the unknown currency decides."""
        limits = tuple(limit for limit in self.limits if operation in limit.operations)
        if limits and currency is None:
            raise Refusal(asking.limit_not_known(limit=limits[0].name, missing="currency"), kind="rule_unknown")
        return tuple(limit for limit in limits if limit.currency == currency)

    @staticmethod
    def over_limit(limit: Limit, already_minor: int, amount_minor: int, currency: str) -> str | None:
        """Why an amount is too much beside what the limit has counted, or None. Exactly the total is allowed."""
        if currency != limit.currency or already_minor + amount_minor <= limit.total_minor:
            return None
        left = show(max(0, limit.total_minor - already_minor), currency)
        return asking.over_limit(
            limit=limit.name,
            total=show(limit.total_minor, currency),
            per=limit.per,
            within=duration_text(limit.within_seconds),
            left=left,
        )


def fits(rule: Rule, amount_minor: int | None, currency: str | None) -> bool | None:
    """Whether a rule that names the operation fits; None where that cannot be told."""
    if rule.currency is None:
        return True
    if currency is None:
        return None
    if currency != rule.currency:
        return False
    if rule.above_minor is None:
        return True
    return None if amount_minor is None else amount_minor > rule.above_minor


def vouching(rule: Rule) -> tuple[str, ...]:
    """The groups of which one at least of the two must be who close an unknown outcome by hand."""
    return rule.approve if rule.approvals > 0 else rule.ask


@dataclass(frozen=True)
class Finding:
    """Something about the policy with today's members: an `error` stops the start, a `warning` does not."""

    level: Literal["error", "warning"]
    sentence: str


def findings(policy: Policy, members: Members) -> list[Finding]:
    """What nobody, or not everybody, could use: in the order of the rules."""
    found: list[Finding] = []
    for number, rule in enumerate(policy.rules):
        found += _covered(rule, policy.rules[:number])
        found += [] if rule.block is not None else _unsatisfiable(rule, members)
    return found


def _covered(rule: Rule, earlier: tuple[Rule, ...]) -> list[Finding]:
    """A rule behind others that always fit before it decides nothing: the stricter one was meant to come first."""
    covering: dict[str, None] = {}  # the names, in order and each once
    for operation in rule.operations:
        first = next((other.name for other in earlier if _covers(other, rule, operation)), None)
        if first is None:
            return []
        covering[first] = None
    names = ", ".join(f"“{name}”" for name in covering)
    return [Finding("warning", f"Rule “{rule.name}” never applies: {names} before it always fits. Put it first.")]


def _covers(earlier: Rule, later: Rule, operation: Operation) -> bool:
    """Whether the earlier rule fits whatever the later one fits."""
    if operation not in earlier.operations or earlier.currency not in (None, later.currency):
        return False
    return earlier.above_minor is None or (later.above_minor or 0) >= earlier.above_minor


def _unsatisfiable(rule: Rule, members: Members) -> list[Finding]:
    askers = people(rule.ask, members)
    if not askers:
        return [Finding("error", f"Rule “{rule.name}”: nobody is in {', '.join(rule.ask)}. Add people, or block it.")]
    obstacles = dict(_obstacles(rule, askers, members))
    if not obstacles:
        return []
    why = next(iter(obstacles.values()))
    if len(obstacles) == len(askers):
        return [Finding("error", f"No request under rule “{rule.name}” could be decided and closed. {why}")]
    return [Finding("warning", f"{', '.join(obstacles)} will be refused under rule “{rule.name}”. {why}")]


def _obstacles(rule: Rule, askers: frozenset[str], members: Members) -> Iterator[tuple[str, str]]:
    """Who of the askers meets one, and which: it depends on nothing but whether they are among those who decide.

    A group may hold thousands, and nothing else is done while they are counted.
    """
    approving, vouching_ = people(rule.approve, members), people(vouching(rule), members)
    known: dict[tuple[bool, bool], str | None] = {}
    for person in sorted(askers):
        kind = (person in approving, person in vouching_)
        if kind not in known:
            known[kind] = Policy.obstacle(rule, person, members)
        if why := known[kind]:
            yield person, why
