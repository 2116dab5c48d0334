"""Symbols and Slack's mark-up: everything a person typed is escaped, and only a mention makes a name light up.

The words stand in the catalogue, `approvals.sentences`.
"""

from __future__ import annotations

import re

from approvals.request import State

SYMBOLS: dict[State, str] = {
    State.CHECKING: "🔎",
    State.PENDING: "⏳",
    State.APPROVED: "👍",
    State.EXECUTING: "⚙️",
    State.QUEUED: "🏦",
    State.UNKNOWN: "❓",
    State.REFUSED: "🚫",
    State.REJECTED: "❌",
    State.WITHDRAWN: "↩️",
    State.EXPIRED: "⌛",
    State.LAPSED: "💤",
    State.SUCCEEDED: "✅",
    State.FAILED: "⛔",
}

_HALF_ENTITY = re.compile(r"&[a-z]{0,3}$")


def escape(text: str) -> str:
    """Text as Slack shows it literally: nobody is mentioned, nothing is linked."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def literal(text: str) -> str:
    """Escaped, and without what Slack's mark-up would read as bold, italics, code or a line of its own."""
    return escape(" ".join(text.split())).translate({ord(c): f"{c}\u200b" for c in "*_~`"})


def person(user: str) -> str:
    """A mention."""
    return f"<@{user}>"


def sentence(text: str) -> str:
    """One of our own sentences, in which people stand as `@U012ABC`, ready for Slack."""
    return re.sub(r"(?<![\w.@])@([UW][A-Z0-9]{2,})\b", r"<@\1>", escape(text))


def cut(text: str, most: int) -> str:
    """At most so many characters; escaped text stays escaped, because an entity is left out whole."""
    return text if len(text) <= most else _HALF_ENTITY.sub("", text[: most - 1]) + "…"
