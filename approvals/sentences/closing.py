"""Closing an unknown outcome by hand, and sending it again: what was noted, and why somebody's word does not count."""

from __future__ import annotations

from collections.abc import Sequence

# One says it, another says the same


def noted(*, request_id: str, outcome: str) -> str:
    return f"Noted: you say that {request_id} {outcome}. Another person must say the same."


def closed(*, request_id: str, outcome: str) -> str:
    return f"{request_id} is closed as {outcome}."


MAY_NOT_CLOSE = "You may not close this: neither asking nor approving is yours by its rule."
NO_EVIDENCE = "Say what you saw: the reference number, or where and when you looked."
TOO_EARLY_TO_FAIL = "It is too early to call it failed: it may still be under way. Try again later."
SAID_ALREADY = "You have said so already; another person must say the same."
ONE_MUST_APPROVE = "One of the two must be somebody who may approve. Ask one of them."


def not_open(*, stands: str) -> str:
    return f"{stands} Only an unknown or queued one is closed by hand."


def own_request(*, request_id: str) -> str:
    return f"You asked for {request_id}, so two others must close it."


# Sending it again with the same key

LOOKS_AGAIN = "The last look at Ottu is too old to rest on. The bot looks again; press when the card has changed."
TOO_EARLY_TO_SEND = "It is too early: the first one may still be under way. Try again later."


def nothing_sent_now(*, stopped: str) -> str:
    """`stopped`: why, from `executing`."""
    return f"Nothing is sent now: {stopped}. Press again when that is over."


def own_resend(*, request_id: str) -> str:
    return f"You asked for {request_id}, so somebody else must decide to send it again."


def others_decide(*, rule: str, groups: Sequence[str]) -> str:
    return f"You may not decide this: the rule “{rule}” lets {', '.join(groups)}."


def not_sent_again(*, stands: str) -> str:
    return f"{stands} It cannot be sent again."
