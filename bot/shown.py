"""What is shown of a request, in pieces: its title, its amounts, times; and the facts that cards and results need.

Pure functions of a request, its approvals and its events. Nothing is ever read back from what Slack shows.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from slack_sdk.models.metadata import Metadata

from approvals import money
from approvals.audit import Event
from approvals.request import AMOUNT_OPERATIONS, Request, State
from approvals.sentences import cards
from approvals.store import Approval
from bot.words import cut, identifier, isolated, literal, person
from bot.words import moment as moment  # for those who show requests

LONGEST_REASON_SHOWN = 600


@dataclass(frozen=True)
class Message:
    """What goes to Slack: the fallback text, the blocks, the metadata."""

    text: str
    blocks: list[dict[str, Any]] = field(default_factory=list)
    metadata: Metadata | None = None


@dataclass(frozen=True)
class Offer:
    """A private answer to whoever asked for a request that is over, with the button to ask for the same, corrected."""

    text: str
    again: str  # that request's id


@dataclass(frozen=True)
class Doubt:
    """What holds a request up: a pause, or an unknown outcome and how it is being closed."""

    stopped: str | None = None  # why nothing is executed now
    looks_at: str | None = None  # until then nothing is read or sent again
    found: str | None = None  # what a reading found: `nothing_new`, `unclear` or `unreadable`
    seen: str = ""  # the children, or the state, as read
    proposal: tuple[str, str, str] | None = None  # who says that it succeeded or failed, and why
    offers_resend: bool = False


@dataclass(frozen=True)
class Facts:
    """All that a card shows: the row, the approvals that stand, the row's events, and the host of Ottu."""

    request: Request
    approvals: Sequence[Approval]
    events: Sequence[Event]
    host: str
    doubt: Doubt | None = None
    done_before: Request | None = None  # the same operation and amount, on the same transaction

    @property
    def last(self) -> Event:
        """The event that made this version of the row."""
        return next(event for event in reversed(self.events) if event.version == self.request.version)

    @property
    def word(self) -> tuple[list[str], list[str]] | None:
        """Who closed it by hand, and on what evidence; None where it ended otherwise."""
        said = next((event.facts for event in reversed(self.events) if event.facts.get("confirms")), None)
        return (said["by"], said["evidence"]) if said else None

    def actor_of(self, state: State) -> str | None:
        """Who moved it there."""
        return next((event.actor for event in reversed(self.events) if event.to_state == state.value), None)


def amount(request: Request) -> str:
    """`5.000 KWD`, or the whole of it, or nothing for operations without an amount."""
    if request.amount_minor is None or request.currency is None:
        return ""
    return money.show(request.amount_minor, request.currency)


def figure(request: Request, minor: int | None) -> str:
    return money.show(minor, request.currency) if minor is not None and request.currency else cards.NOT_CHECKED


def transaction(request: Request) -> str:
    name = request.order_no or request.reference
    return "".join(c for c in name if unicodedata.category(c) not in {"Cc", "Cf"})  # nothing that reorders what is read


def title(request: Request) -> str:
    """`Refund 5.000 KWD · ORD123`, plain text."""
    return _title(request, isolated(transaction(request)))


def marked_title(request: Request) -> str:
    """The same for a text with mark-up."""
    return _title(request, identifier(transaction(request)))


def _title(request: Request, name: str) -> str:
    return cards.title(
        operation=request.operation,
        amount=amount(request),
        to_wallet=request.destination == "wallet",
        transaction=name,
    )


def figures(request: Request) -> list[tuple[str, str]]:
    """What was read of the transaction: labels and values, at most seven."""
    state = literal(request.transaction_state or cards.NOT_READ)
    fields = [(cards.TRANSACTION, identifier(transaction(request))), (cards.STATE_AT_OTTU, state)]
    if request.operation.moves_money:
        taken = cards.CAPTURED if request.transaction_state == "authorized" else cards.PAID
        fields.append((cards.AMOUNT, figure(request, request.transaction_minor)))
        fields.append((taken, figure(request, request.taken_minor)))
        if request.refunded_minor or request.queued_minor:
            queued = cards.and_queued(amount=figure(request, request.queued_minor)) if request.queued_minor else ""
            fields.append((cards.REFUNDED_BEFORE, figure(request, request.refunded_minor) + queued))
    if request.operation in AMOUNT_OPERATIONS:
        fields.append((cards.left_to(operation=request.operation), figure(request, request.left_minor)))
    elif request.transaction_minor is not None and not request.operation.moves_money:
        fields.append((cards.AMOUNT, figure(request, request.transaction_minor)))
    return fields


def by_hand(word: tuple[list[str], list[str]], state: State) -> str:
    """What two people said of an unknown outcome: their word, not Ottu's."""
    evidence = cut(" · ".join(literal(text) for text in word[1]), LONGEST_REASON_SHOWN)
    return cards.by_hand(state=state, people=[person(user) for user in word[0]], evidence=evidence)


def done(request: Request) -> str:
    """What happened, with the amount that Ottu answered."""
    return cards.done(operation=request.operation, amount=_answered(request))


def has_amount(request: Request) -> bool:
    """Does what is said to be done name an amount?"""
    return bool(_answered(request))


def _answered(request: Request) -> str:
    if request.answered_minor is not None and request.currency is not None:
        return money.show(request.answered_minor, request.currency)
    return amount(request)
