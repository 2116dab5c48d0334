"""What the monthly report says of all that went another way: refusals, alarms, outcomes in doubt. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from approvals.doubts import Spell
from approvals.report import Figures, Stop
from bot.markup import Element, Part, isolated, tag
from bot.report_pieces import Row, table, time, words
from bot.report_words import STOPS, WAYS, duration, moment, money_of, refusal, transaction

LISTED_MOST = 500  # of alarms and of spells: a page that people read


def troubles(figures: Figures) -> list[Part]:
    """The sections; what did not happen is said in a sentence."""
    return [
        *_refused(figures),
        *_stops(figures.stops),
        *_spells(
            "Unknown outcomes",
            figures.unknown,
            "No answer is never taken for “no”. Each of these was looked into before anything was sent again.",
            "None: every answer was clear.",
        ),
        *_spells("Queued at the bank", figures.queued, "Ottu took these; the bank decides.", "None."),
    ]


def _refused(figures: Figures) -> Iterable[Part]:
    yield tag("h2", "Refused attempts")
    if not figures.refused:
        yield tag("p", "Nobody tried what they may not.", class_="note")
        return
    rows: list[Row] = [
        [refusal(one.why), one.person, isolated(one.wanted.replace("_", " ")), number]
        for one, number in sorted(figures.refused.items())
    ]
    yield table("Attempts that the bot refused, by kind and person", ["Why", "Person", "Wanted", "times"], rows, 1)


def _stops(stops: Sequence[Stop]) -> Iterable[Part]:
    yield tag("h2", "Alarms and stops")
    if not stops:
        yield tag("p", "No alarm was raised, and executions were never paused.", class_="note")
        return
    rows: list[Row] = [
        [STOPS[stop.kind], time(stop.at), words(*_said(stop)), stop.request_id or "–", str(stop.seq)]
        for stop in stops[:LISTED_MOST]
    ]
    heads = ["What", "When (UTC)", "What was said", "Request", "Event"]
    yield table("Alarms, pauses and their ends, in the order of the record", heads, rows, numbers=1)
    yield _more(len(stops))


def _said(stop: Stop) -> Iterable[Part]:
    """The sentence of the event, and its facts behind it."""
    facts = {name: value for name, value in stop.facts.items() if name not in {"why", "reason"} and value is not None}
    yield isolated(str(stop.facts.get("why") or stop.facts.get("reason") or ""))
    if stop.actor != "bot":
        yield f" By {stop.actor}."
    for name, value in facts.items():
        yield tag("br")
        yield f"{name.replace('_', ' ')}: "
        yield isolated(str(value))


def _spells(title: str, found: Sequence[Spell], about: str, none: str) -> Iterable[Part]:
    yield tag("h2", title)
    yield tag("p", about if found else none, class_="note")
    if found:
        yield tag("ul", *map(_spell, found[:LISTED_MOST]), class_="spells")
        yield _more(len(found))


def _spell(spell: Spell) -> Element:
    request = spell.request
    headline = (f"{request.operation.capitalize()} {money_of(request)}".strip(), " · ", isolated(transaction(request)))
    facts = tag("dl", *(part for name, *said in _facts(spell) for part in (tag("dt", name), tag("dd", *said))))
    people = f", asked by {request.requester}" + (
        f", approved by {' and '.join(spell.approvers)}" if spell.approvers else ""
    )
    look = "box spell" + (" open" if spell.ended_at is None else "")
    return tag("li", tag("h3", *headline), tag("p", request.id, people), facts, class_=look)


def _facts(spell: Spell) -> Iterable[Sequence[Part]]:
    yield ["Began", moment(spell.began_at), *((": ", isolated(spell.began_because)) if spell.began_because else ())]
    for send in spell.sends:
        who = "by the bot, once" if send.actor == "bot" else f"as {send.actor} decided"
        yield ["Sent again", f"{moment(send.at)}, with the same key, {who}"]
    if spell.ended_at is None or spell.ended_as is None or spell.way is None:
        yield ["Still open", "as the record stands"]
        if spell.proposed_by:
            yield ["Proposed", f"by {spell.proposed_by}; another person must say the same"]
        return
    yield ["Closed", f"{moment(spell.ended_at)} as {spell.ended_as.value}, after {duration(spell.lasted_seconds)}"]
    yield ["By", WAYS[spell.way] + (f": {' and '.join(spell.people)}" if spell.people else "")]
    for who, evidence in zip(spell.people or ("",) * len(spell.evidence), spell.evidence, strict=True):
        yield ["Evidence", f"{who}: " if who else None, isolated(evidence)]
    if spell.reference_number:
        yield ["Reference", isolated(str(spell.reference_number))]


def _more(number: int) -> Part:
    rest = number - LISTED_MOST
    return tag("p", f"And {rest} more, which the record holds.", class_="note") if rest > 0 else None
