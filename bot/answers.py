"""What people are told privately: acknowledgements, status, lists, details, the answer of an inquiry. Pure.

Short, for a phone; says what happened and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from approvals import money
from approvals.audit import Event
from approvals.policy import Members, Policy, Rule, people
from approvals.reading import Reading
from approvals.request import Request
from approvals.store import Approval
from bot import commands
from bot.shown import amount, moment, transaction
from bot.usage import help_text
from bot.words import STATE_WORDS, SYMBOLS, cut, escape, literal, person, sentence

MOST_LINES = 15  # of events, or of a transaction's children
PAGE_LINES = 20  # of requests in one message: well below what Slack takes, at their longest
MOST_PAGES = 5  # so many messages Slack takes at one response_url


def acknowledgement(command: commands.Command) -> tuple[str, bool]:
    """What the person who typed reads at once, and whether the command goes to the inbox."""
    match command:
        case commands.Nothing():
            return escape(help_text(None)), False
        case commands.Help(topic=topic):
            return escape(help_text(topic)), False
        case commands.Ask():
            return f"🔎 Got it: {_asked(command)}. Reading {literal(command.reference.value)} from Ottu first.", True
        case commands.Inquire():
            return f"🔎 Asking Ottu about {literal(command.reference.value)}.", True
    return "🔎 One moment.", True


def _asked(command: commands.Ask) -> str:
    words = [command.operation.value, command.amount or "", command.currency or "", "of" if command.amount else ""]
    wallet = " to the wallet" if command.destination == "wallet" else ""
    return f"{' '.join(word for word in words if word)} {literal(command.reference.value)}{wallet}"


def waiting(request: Request, why: str, until: str) -> str:
    """A request that cannot be checked yet."""
    return (
        f"⏳ {request.id}: {sentence(why).rstrip('.')}. It waits, and is tried again {moment(until)}. "
        f"To drop it: /ottu withdraw {request.id}"
    )


def line(request: Request, permalink: str | None) -> str:
    """One request in a list: symbol, link, what, where it stands."""
    name = f"<{permalink}|{request.id}>" if permalink else request.id
    what = f"{request.operation} {amount(request)}".strip()
    return (
        f"{SYMBOLS[request.state]} {name} {what} · {literal(cut(transaction(request), 40))} · "
        f"{STATE_WORDS[request.state]} {moment(request.state_at)} · {person(request.requester)}"
    )


def listed(title: str, lines: Sequence[str], nothing: str) -> list[str]:
    """A list with its count, as the messages that it takes: a page each, and no more pages than one answer may have."""
    if not lines:
        return [nothing]
    shown, more = lines[: PAGE_LINES * MOST_PAGES], len(lines) - PAGE_LINES * MOST_PAGES
    pages = [shown[at : at + PAGE_LINES] for at in range(0, len(shown), PAGE_LINES)]
    texts = ["\n".join([_heading(title, len(lines), n, len(pages)), *page]) for n, page in enumerate(pages, 1)]
    if more > 0:
        texts[-1] += f"\n… and {more} older ones. `/ottu status` shows any of them by its name."
    return texts


def _heading(title: str, count: int, page: int, pages: int) -> str:
    return f"*{title}* ({count})" + (f", page {page} of {pages}" if pages > 1 else "")


def paused(user: str, reason: str) -> str:
    """What everybody reads when somebody has stopped executions."""
    why = f": {literal(reason)}" if reason else ""
    return f"⏸️ {person(user)} has paused executions{why}. Decisions go on; nothing is sent until `/ottu resume`."


def resumed(user: str) -> str:
    """What everybody reads when they go on."""
    return f"▶️ {person(user)} has resumed executions: what is approved is sent to Ottu again."


def restored(why: str) -> str:
    """What whoever resumes must have read first, where the database was put back from a copy."""
    return (
        f"⚠️ This database was put back from a copy: {literal(why)}. What was open in it is unknown, and is never sent "
        "again: look each one up in Ottu, and close it by hand. `/ottu pending` lists them."
    )


def details(
    request: Request,
    approvals: Sequence[Approval],
    events: Sequence[Event],
    rule: Rule | None,
    members: Members,
    reader: str,
) -> str:
    """The rule, who can approve, why the reader cannot, and what happened so far."""
    lines = [f"*{request.id}* {SYMBOLS[request.state]} {STATE_WORDS[request.state]}"]
    if rule is not None:
        lines.append(f"Rule: {escape(rule.text)}")
        if request.is_open:
            lines.append(_who_decides(request, approvals, rule, members, reader))
    if request.session_id:
        lines.append(f"Session: `{request.session_id}`")
    if request.tracking_key:
        lines.append(f"Tracking-Key: `{request.tracking_key}`")
    if len(events) > MOST_LINES:
        lines.append(f"… {len(events) - MOST_LINES} earlier events are in the record.")
    lines += [_event(event) for event in events[-MOST_LINES:]]
    return "\n".join(lines)


def _who_decides(request: Request, approvals: Sequence[Approval], rule: Rule, members: Members, reader: str) -> str:
    can = sorted(people(tuple(rule.approve), members) - {request.requester})
    named = ", ".join(person(user) for user in can[:10]) or "nobody at present"
    if reader == request.requester:
        return f"Can approve: {named}. Not you, because you asked."
    if any(approval.person == reader for approval in approvals):
        return f"Can approve: {named}. You have approved already."
    if reader not in people(rule.approve, members):
        return f"Can approve: {named}. Not you: you are not in {escape(', '.join(rule.approve))}."
    return f"Can approve: {named}."


def _event(event: Event) -> str:
    who = "" if event.actor == "bot" else f" by {person(event.actor)}"
    moved = f" → {event.to_state}" if event.to_state and event.to_state != event.kind else ""
    return f"{moment(event.at)} {event.kind.replace('_', ' ')}{moved}{who}"


def inquiry(reference: str, reading: Reading, extra: dict[str, Any], asked_at: str, note: str = "") -> str:
    """What Ottu says of a transaction: state, amounts, gateway, children; never anything personal."""
    currency = reading.currency

    def show(minor: int | None) -> str:
        return money.show(minor, currency) if minor is not None and currency else "not said"

    test = "🧪 TEST · " if reading.is_sandbox else ""
    lines = [
        f"{test}*{literal(reading.order_no or reference)}*: {literal(reading.state or 'state not said')}, "
        f"{show(reading.amount_minor)}",
        f"Settled {show(reading.settled_minor)} · refunded {show(reading.refunded_minor)}",
        f"Gateway: {literal(reading.gateway or 'not said')}",
    ]
    lines += [f"• {literal(child.state)} {show(child.amount_minor)}" for child in (reading.children or ())[:MOST_LINES]]
    if reading.children is None:
        lines.append("Its refunds and captures could not be read.")
    if reading.session_id:
        lines.append(f"Session: `{literal(reading.session_id)}`")
    if extra.get("reference_number"):
        lines.append(f"Reference number: `{literal(str(extra['reference_number']))}`")
    lines.append(f"Asked {moment(asked_at)}.{' ' + sentence(note) if note else ''}")
    return "\n".join(lines)


def power_problem(policy: Policy, power: str) -> str:
    """Who has the power that the person has not."""
    groups = policy.powers.read if power == "read" else policy.powers.pause
    return f"You may not do this. The policy lets {', '.join(groups) or 'nobody'} do it."
