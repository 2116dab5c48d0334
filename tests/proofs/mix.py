"""What must have occurred in a survey of worlds: a promise about something that never happened proves nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from approvals.request import MOVES, Ending, State
from tests.proofs import themes
from tests.proofs.postman import FORGED, RELABELLED
from tests.proofs.scripted_ottu import READ_FAULTS
from tests.proofs.scripted_slack import FAULTS

# Allowed, and made by nobody: what could not be sent so often ends from `executing`, at the settlement of its last try.
UNUSED = {(State.APPROVED, State.FAILED)}
SURVEY_SEEDS = 1_000  # from so many worlds on, everything must have occurred
FROZEN = ("operation", "reading", "slack", "transaction")
CRASHED = ("operation", "reading", "slack", "disk", "marker", "card updated, not noted", "message posted, not noted")
OTHERS = (
    "machine sleeps",
    "database locked",
    "locked by one that is frozen",
    "disk full",
    "ottu: no connection",
    "ottu: connecting timed out",
    "ottu: 401",
    "ottu: inquiry throttled",
    "sent again",
    "a known key answers: success",
    "a known key answers: failed",
    "contradicted",
    "closed by two people",
    "dashboard operation",
    "stranger told",
    "limit judged",
    "refused by the limit",
    "presses:resend",
    "presses:withdraw",
    "presses:unapprove",
    "closes:failed",
    "closes:succeeded",
    "money: success",
    "money: failed",
    "money: queued",
    "money: rejected",
)


def expected() -> Iterator[str]:
    """The names of the counts of all that must occur: states, moves, endings, faults, webhooks."""
    yield from (f"state: {state}" for state in State)
    # The restore procedure has its own tests; here nothing is put back from a copy.
    moves = {(state, to) for state, following in MOVES.items() for to in following} - UNUSED
    yield from (f"move: {state} > {to}" for state, to in sorted(moves))
    yield from (f"ending: {ending}" for ending in Ending)
    yield from (f"ottu operation: {way}" for way in themes.WAYS)
    yield from (f"ottu read: {kind}" for kind in READ_FAULTS)
    yield from (f"slack: {kind}" for kind in FAULTS)
    yield from (f"trouble: {kind}" for kind in themes.TROUBLES)
    yield from (f"webhook {when}" for when in ("at once", "soon", "late", "very late", "lost", "repeated"))
    yield from (f"webhook relabelled: {kind}" for kind in RELABELLED)
    yield from (f"webhook forged: {said}" for said in FORGED)
    yield from (f"crash: {where}" for where in CRASHED)
    yield from (f"freeze: {where}" for where in FROZEN)
    yield from (f"theme: {theme.name}" for theme in themes.THEMES)
    yield from OTHERS


def rarest(counts: Counter[str]) -> tuple[str, int]:
    """What occurred least often of all that must."""
    name = min(expected(), key=lambda what: counts[what])
    return name, counts[name]


def missing(counts: Counter[str], seeds: int) -> list[str]:
    """What never occurred, though there were worlds enough; nothing is said of fewer."""
    return [what for what in expected() if not counts[what]] if seeds >= SURVEY_SEEDS else []
