"""What people are told privately: acknowledgements, status, lists, details, the answer of an inquiry. Pure.

Short, for a phone; says what happened and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from approvals import money
from approvals.policy import Policy
from approvals.reading import Reading
from approvals.request import Request
from approvals.sentences import asking, cards, private, request_form
from approvals.sentences.cards import STATE_WORDS
from bot import commands
from bot.shown import amount, moment, transaction
from bot.usage import help_text
from bot.words import SYMBOLS, code, cut, escape, identifier, literal, person, sentence

MOST_LINES = 15  # of a transaction's children
LONGEST_NAME, LONGEST_WORD = 400, 100  # characters, escaped
PAGE_LINES = 20  # of requests in one message: well below what Slack takes, at their longest
MOST_PAGES = 5  # so many messages Slack takes at one response_url


def acknowledgement(command: commands.Command) -> tuple[str, bool]:
    """What the person who typed reads at once, and whether the command goes to the inbox."""
    match command:
        case commands.Nothing():
            return request_form.OPENS, False
        case commands.Help(topic=topic):
            return escape(help_text(topic)), False
        case commands.Ask():
            return private.got_it(asked=_asked(command), reference=literal(command.reference.value)), True
        case commands.Inquire():
            return private.asking_ottu(reference=literal(command.reference.value)), True
    return private.ONE_MOMENT, True


def got_it(command: commands.Ask, channel: str) -> str:
    """The same for what was asked by the form, whose card may come in another channel than one looks at."""
    reference = literal(command.reference.value)
    return request_form.got_it(asked=_asked(command), reference=reference, channel=f"<#{channel}>")


def _asked(command: commands.Ask) -> str:
    return private.asked(
        operation=command.operation,
        amount=command.amount,
        currency=command.currency,
        reference=literal(command.reference.value),
        to_wallet=command.destination == "wallet",
    )


def waiting(request: Request, why: str, until: str) -> str:
    """A request that cannot be checked yet."""
    return private.waiting(request_id=request.id, why=sentence(why).rstrip("."), until=moment(until))


def line(request: Request, permalink: str | None, approvers: Sequence[str] = ()) -> str:
    """One request in a list: symbol, link, what, where it stands, who asked and approved."""
    name = f"<{permalink}|{request.id}>" if permalink else request.id
    return private.line(
        symbol=SYMBOLS[request.state],
        name=name,
        what=f"{request.operation} {amount(request)}".strip(),
        transaction=identifier(cut(transaction(request), 40)),
        state=STATE_WORDS[request.state],
        at=moment(request.state_at),
        requester=person(request.requester),
        approvers=[person(user) for user in approvers],
    )


def listed(title: str, lines: Sequence[str], nothing: str) -> list[str]:
    """A list with its count, as the messages that it takes: a page each, and no more pages than one answer may have."""
    if not lines:
        return [nothing]
    shown, more = lines[: PAGE_LINES * MOST_PAGES], len(lines) - PAGE_LINES * MOST_PAGES
    pages = [shown[at : at + PAGE_LINES] for at in range(0, len(shown), PAGE_LINES)]
    texts = []
    for number, page in enumerate(pages, 1):
        heading = private.heading(title=title, count=len(lines), page=number, pages=len(pages))
        texts.append("\n".join([heading, *page]))
    if more > 0:
        texts[-1] += f"\n{private.older_ones(count=more)}"
    return texts


def paused(user: str, reason: str) -> str:
    """What everybody reads when somebody has stopped executions."""
    return private.has_paused(person=person(user), reason=literal(reason))


def resumed(user: str) -> str:
    """What everybody reads when they go on."""
    return private.has_resumed(person=person(user))


def restored(why: str) -> str:
    """What whoever resumes must have read first, where the database was put back from a copy."""
    return private.restored(why=literal(why))


def inquiry(reference: str, reading: Reading, extra: dict[str, Any], asked_at: str, note: str = "") -> str:
    """What Ottu says of a transaction: state, amounts, gateway, children; never anything personal."""
    currency = reading.currency

    def show(minor: int | None) -> str:
        return money.show(minor, currency) if minor is not None and currency else private.NOT_SAID

    name = cut(literal(reading.order_no or reference), LONGEST_NAME)
    state = cut(literal(reading.state or private.STATE_NOT_SAID), LONGEST_WORD)
    test = cards.TEST if reading.is_sandbox else ""
    lines = [
        test + private.inquired(name=name, state=state, amount=show(reading.amount_minor)),
        private.settled(amount=show(reading.settled_minor), refunded=show(reading.refunded_minor)),
        private.gateway(name=cut(literal(reading.gateway or private.NOT_SAID), LONGEST_NAME)),
    ]
    for child in (reading.children or ())[:MOST_LINES]:
        lines.append(private.child(state=cut(literal(child.state), LONGEST_WORD), amount=show(child.amount_minor)))
    if reading.children is None:
        lines.append(private.NO_CHILDREN)
    if reading.session_id:
        lines.append(private.session(session_id=code(reading.session_id)))
    if extra.get("reference_number"):
        lines.append(private.reference_number(number=code(str(extra["reference_number"]))))
    lines.append(private.asked_at(at=moment(asked_at), note=cut(sentence(note), LONGEST_NAME)))
    return "\n".join(lines)


def power_problem(policy: Policy, power: str) -> str:
    """Who has the power that the person has not."""
    groups = policy.powers.read if power == "read" else policy.powers.pause
    return asking.power_is_others(groups=groups)
