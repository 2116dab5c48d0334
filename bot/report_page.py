"""The monthly report as one HTML page that needs nothing else: no script, no picture, no font from anywhere.

Pure: the same figures give the same page. Every value goes through `bot.markup`, which writes text as text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from approvals.report import Figures
from bot.markup import Part, document, tag
from bot.report_operations import operations
from bot.report_troubles import troubles
from bot.report_words import DONE_NOUNS, amount, counted, duration, moment

# Nothing may be loaded or run, whatever should ever find its way into the page.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
DIFFERENCES_SHOWN_MOST = 20


@dataclass(frozen=True)
class Proof:
    """What verifying the record gave, at the head that the figures were read at."""

    host: str  # of Ottu, to which the database belongs
    seq: int
    head: str
    last_at: str | None  # the time of the last event
    differences: tuple[str, ...]  # the first of them
    differences_count: int
    is_keyed: bool


def page(figures: Figures, proof: Proof) -> str:
    """The whole page."""
    month = figures.month
    nothing = tag("p", f"Nothing was asked, decided or refused in {month.name}.", class_="note")
    body = [nothing] if figures.is_empty else [*operations(figures), *troubles(figures)]
    return document(
        f"Payment operations, {month.name}",
        files("bot").joinpath("report_style.css").read_text(encoding="utf-8"),
        POLICY,
        _verdict(proof),
        tag("main", *_heading(figures, proof), *_figures(figures), *body),
        _footer(proof),
    )


def _verdict(proof: Proof) -> Part:
    head = tag("code", f"{proof.seq}:{proof.head}")
    if proof.differences_count:
        found = counted(proof.differences_count, "difference")
        listed = [tag("li", difference) for difference in proof.differences]
        more = proof.differences_count - len(listed)
        return tag(
            "div",
            tag(
                "span", tag("strong", "✗ This record does not verify:"), f" {found} in {proof.seq} events; head ", head
            ),
            tag("span", tag("ul", *listed, tag("li", f"and {more} more: ottu-bot audit verify") if more else None)),
            class_="verdict bad",
            role="alert",
        )
    said = f" 0 differences in {counted(proof.seq, 'event')}; head "
    return tag("p", tag("span", tag("strong", "✓ This record verified:"), said, head), class_="verdict")


def _heading(figures: Figures, proof: Proof) -> list[Part]:
    month = figures.month
    last_at = proof.last_at
    is_over = last_at is not None and last_at >= month.end
    until = f"The record’s last event is of {moment(last_at)}." if last_at else "The record is empty."
    return [
        tag("h1", f"Payment operations, {month.name}"),
        tag("p", f"{proof.host} · {month.days[0]} to {month.days[-1]}, all times in UTC", class_="note"),
        None if is_over else tag("p", until, class_="note"),
    ]


def _figures(figures: Figures) -> Iterator[Part]:
    """The numbers for people who read no further."""
    times = figures.approval_times
    open_ = sum(spell.ended_at is None for spell in figures.unknown)
    found = [_figure("Requests asked", str(figures.requests))]
    if times.median_seconds is not None and times.percentile_95_seconds is not None:
        found.append(_figure("Median time to approval", duration(times.median_seconds)))
        found.append(_figure("95 % approved within", duration(times.percentile_95_seconds)))
    found.append(_figure("Refused attempts", str(figures.refused_attempts)))
    found.append(_figure("Alarms", str(figures.alarms), look="bad" if figures.alarms else ""))
    note = f"{open_} still open, {len(figures.unknown) - open_} closed" if figures.unknown else ""
    found.append(_figure("Unknown outcomes", str(len(figures.unknown)), note, "bad" if open_ else ""))
    yield tag("dl", *found, class_="figures")
    if figures.moved:
        yield tag("dl", *_amounts(figures), class_="figures amounts")


def _amounts(figures: Figures) -> Iterator[Part]:
    """The money that moved, the most frequent first."""
    for kind, moved in sorted(figures.moved.items(), key=lambda one: (-one[1].count, one[0])):
        name = DONE_NOUNS[kind.operation] + (" in Ottu’s sandbox" if kind.is_sandbox else "")
        number, _, currency = amount(moved.amount_minor, kind.currency).partition("\u00a0")
        value = tag("span", number, " ", tag("span", currency, class_="unit"))
        yield _figure(name, value, counted(moved.count, kind.operation), "money")


def _figure(name: str, value: Part, note: str = "", look: str = "") -> Part:
    return tag(
        "div",
        tag("dt", name),
        tag("dd", value, class_="value"),
        tag("dd", note, class_="note") if note else None,
        class_=f"figure {look}".strip(),
    )


def _footer(proof: Proof) -> Part:
    key = (
        "The chain is keyed: nobody without AUDIT_KEY can rewrite it unnoticed."
        if proof.is_keyed
        else "Without AUDIT_KEY, whoever can write to the file can write all of it anew: compare the head with Slack’s."
    )
    return tag(
        "footer",
        tag("h2", "How to read this"),
        tag(
            "p",
            "What was asked counts in the month in which it was asked; its outcome is as the record stands at the head "
            "above. Money counts on the day on which it was proven to have moved, by the amount that Ottu answered. "
            "Amounts of different currencies are never added up. The time to approval runs from the card in the "
            "channel to the last approval that was needed. People are shown by their Slack ids: the record has no "
            "names.",
        ),
        tag("p", key),
    )
