"""Details and status: all that is known of one request, for one person's eyes. Pure.

The rule in words, who can decide and why the reader cannot, the figures, what happened, and what was asked of the same
transaction before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from approvals.audit import Event
from approvals.policy import Members, Policy, Rule, people
from approvals.request import OPEN, Request, State
from approvals.sentences import private
from approvals.sentences.cards import STATE_WORDS, record
from approvals.store import Approval
from bot.shown import LONGEST_REASON_SHOWN, figures, marked_title, moment, transaction
from bot.words import SYMBOLS, code, cut, escape, literal, person

MOST_EVENTS = 15
MOST_EARLIER = 10
MOST_NAMED = 10  # people
PAGE_CHARACTERS = 3_900  # of one message: Slack asks for at most 4,000


@dataclass(frozen=True)
class Known:
    """What details rest on: the row, its approvals and events, and the other requests of its transaction, newest first.

    `rule` is the request's own; None before it has one.
    """

    request: Request
    approvals: Sequence[Approval]
    events: Sequence[Event]
    others: Sequence[Request]
    rule: Rule | None


def details(known: Known, members: Members, reader: str, line: Callable[[Request], str]) -> list[str]:
    """The messages for the reader. `line` shows another request of the transaction as one line."""
    return packed(
        [
            *_about(known.request),
            *_decision(known, members, reader),
            *_read(known.request),
            *_events(known.events),
            *_others(known.others, line),
        ]
    )


def packed(lines: Sequence[str]) -> list[str]:
    """Lines in as few messages as Slack's limit allows, in their order. No line is longer than one message."""
    pages: list[list[str]] = [[]]
    for one in lines:
        if pages[-1] and sum(len(each) + 1 for each in pages[-1]) + len(one) > PAGE_CHARACTERS:
            pages.append([])
        pages[-1].append(cut(one, PAGE_CHARACTERS))
    return ["\n".join(page) for page in pages]


def _about(request: Request) -> Iterator[str]:
    yield private.details(request_id=request.id, symbol=SYMBOLS[request.state], state=STATE_WORDS[request.state])
    yield private.what_and_who(
        title=marked_title(request), person=person(request.requester), at=moment(request.created_at)
    )
    if request.reason:
        yield private.reason(text=cut(literal(request.reason), LONGEST_REASON_SHOWN))
    if request.detail:
        yield private.why_so(text=cut(literal(request.detail), LONGEST_REASON_SHOWN))


def _decision(known: Known, members: Members, reader: str) -> Iterator[str]:
    """The rule, who can still do something, and why the reader cannot."""
    request, rule = known.request, known.rule
    if rule is None:
        return
    yield private.rule(
        name=literal(rule.name),
        what=private.what_it_covers(operations=rule.operations, currency=rule.currency, above=rule.above),
        ask=literal(", ".join(rule.ask)),
        approvals=rule.approvals,
        approve=literal(", ".join(rule.approve)),
        reason=None if rule.reason == "optional" else rule.reason,
        pattern=code(rule.reason),
    )
    if request.state is State.PENDING:
        yield _who_approves(known, rule, members, reader)
    elif request.state in {State.UNKNOWN, State.QUEUED}:
        yield _who_closes(request, rule, members, reader)


def _who_approves(known: Known, rule: Rule, members: Members, reader: str) -> str:
    given = {approval.person for approval in known.approvals}
    can = people(rule.approve, members) - {known.request.requester}
    missing = max(rule.approvals - len(given), 0)
    text = private.can_approve(people=_named(can - given), missing=missing)
    if reader == known.request.requester:
        return f"{text} {private.NOT_YOU_ASKED}"
    if reader in given:
        return f"{text} {private.YOU_HAVE_ALREADY}"
    if reader not in can:
        return f"{text} {private.not_you_outside(groups=literal(', '.join(rule.approve)))}"
    return f"{text} {private.YOU_CAN}"


def _who_closes(request: Request, rule: Rule, members: Members, reader: str) -> str:
    can = people(rule.ask + rule.approve, members) - {request.requester}
    text = private.can_close(people=_named(can))
    if reader == request.requester:
        return f"{text} {private.NOT_YOU_ASKED}"
    if not Policy.may_close(rule, reader, members):
        return f"{text} {private.not_you_outside(groups=literal(', '.join(dict.fromkeys(rule.ask + rule.approve))))}"
    return f"{text} {private.YOU_CAN}"


def _named(users: frozenset[str]) -> str:
    shown = [person(user) for user in sorted(users)[:MOST_NAMED]]
    more = len(users) - len(shown)
    return ", ".join(shown) + (private.and_more(count=more) if more else "") or private.NOBODY


def _read(request: Request) -> Iterator[str]:
    """The figures as the card has them, and the names by which Ottu knows it."""
    if request.figures_at or request.transaction_state:
        shown = [private.figure(label=label, value=value) for label, value in figures(request)]
        yield private.figures(shown=shown, read_at=moment(request.figures_at) if request.figures_at else None)
    if request.session_id:
        yield private.session(session_id=code(request.session_id))
    if request.tracking_key:
        yield private.tracking_key(key=code(request.tracking_key))
    if request.reference_number:
        yield private.reference_number(number=code(request.reference_number))


def _events(events: Sequence[Event]) -> Iterator[str]:
    yield private.WHAT_HAPPENED
    if len(events) > MOST_EVENTS:
        yield private.earlier_events(count=len(events) - MOST_EVENTS)
    for event in events[-MOST_EVENTS:]:
        yield private.event(
            at=moment(event.at),
            kind=event.kind.replace("_", " "),
            to=event.to_state if event.to_state != event.kind else None,
            actor=None if event.actor == "bot" else person(event.actor),
        )
    yield f"_{record(seq=events[-1].seq, head=events[-1].hash[:8])}_"


def _others(others: Sequence[Request], line: Callable[[Request], str]) -> Iterator[str]:
    if not others:
        yield private.NO_OTHER_REQUESTS
        return
    is_open = sum(request.state in OPEN for request in others)
    yield private.other_requests(count=len(others), is_open=is_open)
    yield from (line(request) for request in others[:MOST_EARLIER])
    if len(others) > MOST_EARLIER:
        yield private.other_requests_left_out(
            count=len(others) - MOST_EARLIER, name=escape(transaction(others[0]).replace("`", "'"))
        )
