"""One message against what the record says it must show: in which facts does it differ? Pure.

What the bot would have posted is rendered anew, and read in the same way as the message. The words between the facts
may change from one version of the program to the next; that is no difference, and is noted apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from approvals.audit import Event
from approvals.request import State
from bot import results, views
from bot.channel_messages import Message, Shown, plain, read
from bot.shown import LONGEST_REASON_SHOWN, Doubt, Facts, transaction
from bot.shown import Message as Posted
from bot.words import cut, literal

_TOLD = frozenset({State.REJECTED, State.UNKNOWN, State.FAILED})  # of these the card and the result say why


@dataclass(frozen=True)
class Fact:
    """One fact in which a message and the record differ."""

    name: str
    shown: object
    recorded: object


def card_facts(message: Message, facts: Facts, pausing: frozenset[str], *, with_metadata: bool) -> list[Fact]:
    """In what a card differs from that version of its request. `pausing`: who has ever paused executions."""
    posted = views.card(facts)
    shown, due = read(message.text, message.blocks), read(posted.text, posted.blocks)
    extra = pausing if facts.request.state is State.APPROVED else frozenset()
    found = [*_of_metadata(message, posted, with_metadata), *_of_title(shown, due), *_of_both(shown, due, facts, extra)]
    if shown.values != due.values:
        found.append(Fact("figures", shown.values, due.values))
    if not _are_due(shown.buttons, due.buttons, facts):
        found.append(Fact("buttons", shown.buttons, due.buttons))
    found += _of_texts(shown, facts)
    told = {fact.name for fact in found} & {"amount", "operation", "state", "transaction"}
    if not told and not all(part in shown.fallback for part in (due.title, due.state)):
        found.append(Fact("notification", shown.fallback, due.fallback))
    return _without_repetition(found)


def result_facts(message: Message, facts: Facts, event: Event, *, with_metadata: bool) -> list[Fact]:
    """In what a result differs from the event that it tells of."""
    posted = results.result(facts, event)
    shown, due = read(message.text, message.blocks), read(posted.text, posted.blocks)
    found = [*_of_metadata(message, posted, with_metadata), *_of_both(shown, due, facts, frozenset())]
    if shown.codes != due.codes:
        found.append(Fact("reference", shown.codes, due.codes))
    name = plain(literal(transaction(facts.request)))
    if name not in shown.text:
        found.append(Fact("transaction", shown.text, name))
    detail = str(event.facts["set"].get("detail") or "")
    if detail and facts.request.state in _TOLD and not facts.word and _told(detail) not in shown.text:
        found.append(Fact("detail", shown.text, detail))
    if _bare(shown.fallback) != _bare(due.fallback) and not found and shown.text == due.text:
        found.append(Fact("notification", shown.fallback, due.fallback))
    return _without_repetition(found)


def _bare(text: str) -> str:
    """A notification without its marks for bold, italic and code: earlier versions of the program wrote them there."""
    return " ".join(re.sub(r"[*_`~]", "", text).split())


def alarm_facts(message: Message, event: Event) -> list[Fact]:
    """In what an alarm's message differs from its event."""
    due, shown = read(results.alarm(event), []), read(message.text, message.blocks)
    pairs = [("people", shown.people, due.people), ("amount", shown.amounts, due.amounts)]
    pairs += [("request", shown.requests, due.requests), ("record", shown.records, due.records)]
    return [Fact(name, there, here) for name, there, here in pairs if there != here]


def same_words(message: Message, facts: Facts, event: Event | None) -> bool:
    """Are also the words between the facts those of today's program? Where they depend on the moment: yes."""
    if event is None and facts.request.is_open:
        return True
    posted = views.card(facts) if event is None else results.result(facts, event)
    return read(message.text, message.blocks).text == read(posted.text, posted.blocks).text


def _are_due(shown: frozenset[str], due: frozenset[str], facts: Facts) -> bool:
    """Are those the buttons? "Send again" may stand there or not: what is known at the moment decides. On one that is
    over nothing is decided, and an earlier version of the program may have called its button otherwise."""
    doubt = replace(facts.doubt or Doubt(), offers_resend=True)
    at_most = due | read("", views.card(replace(facts, doubt=doubt)).blocks).buttons
    if not facts.request.is_open:
        shown, due, at_most = (frozenset(one.partition(" “")[0] for one in some) for some in (shown, due, at_most))
    return due <= shown <= at_most


def same_alarm(message: Message, event: Event) -> bool:
    """Are also the words of an alarm between its facts those of today's program?"""
    return read(message.text, message.blocks).text == read(results.alarm(event), []).text


def _of_metadata(message: Message, posted: Posted, with_metadata: bool) -> Iterator[Fact]:
    if not message.event_type:
        if with_metadata:
            yield Fact("metadata", "none", posted.metadata.event_type if posted.metadata else "")
        return
    due = dict(posted.metadata.event_payload) if posted.metadata else {}
    for name in sorted(due.keys() | message.payload.keys()):
        if message.payload.get(name) != due.get(name) or type(message.payload.get(name)) is not type(due.get(name)):
            yield Fact(f"metadata {name}", message.payload.get(name), due.get(name))


def _of_title(shown: Shown, due: Shown) -> Iterator[Fact]:
    """The title says operation, amount and transaction: which of them differs?"""
    if shown.title == due.title:
        return
    (there, _, its), (here, _, ours) = shown.title.partition(" · "), due.title.partition(" · ")
    if its != ours:
        yield Fact("transaction", its, ours)
    if there.split(" ")[:1] != here.split(" ")[:1]:
        yield Fact("operation", there, here)
    elif there != here:
        yield Fact("amount", there, here)


def _of_both(shown: Shown, due: Shown, facts: Facts, extra: frozenset[str]) -> Iterator[Fact]:
    """What cards and results have in common."""
    if shown.state != due.state:
        yield Fact("state", shown.state, due.state)
    if shown.amounts != due.amounts:
        yield Fact("amount", shown.amounts, due.amounts)
    if facts.request.requester not in shown.people:
        yield Fact("requester", shown.people, facts.request.requester)
    elif not due.people <= shown.people <= due.people | extra:
        yield Fact("people", shown.people, due.people)
    if shown.records != due.records:
        yield Fact("record", shown.records, due.records)
    if not due.requests <= shown.requests:
        yield Fact("request", shown.requests, due.requests)


def _of_texts(shown: Shown, facts: Facts) -> Iterator[Fact]:
    """What people or Ottu said, which the card repeats, and when."""
    request = facts.request
    if request.reason and _told(request.reason) not in shown.text:
        yield Fact("reason", shown.text, request.reason)
    if request.rule_name and plain(literal(request.rule_name)) not in shown.text:
        yield Fact("rule", shown.text, request.rule_name)
    if request.detail and request.state in _TOLD and not facts.word and _told(request.detail) not in shown.text:
        yield Fact("detail", shown.text, request.detail)
    due = {int(datetime.fromisoformat(at).timestamp()) for at in (request.created_at, request.figures_at) if at}
    if not due <= shown.times:
        yield Fact("time", shown.times, due)


def _told(text: str) -> str:
    return plain(cut(literal(text), LONGEST_REASON_SHOWN)).removesuffix(".")


def _without_repetition(found: list[Fact]) -> list[Fact]:
    """Each fact once: an amount that differs in the title differs among all amounts too."""
    return list({fact.name: fact for fact in reversed(found)}.values())[::-1]
