"""Symbols and Slack's mark-up: everything a person typed is escaped, and only a mention makes a name light up.

The words stand in the catalogue, `approvals.sentences`.
"""

from __future__ import annotations

import re
from datetime import datetime

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

_HALF = re.compile(r"&[a-z]{0,3}$|<[^<>]*$")  # an entity, a mention or a time
_PERSON = re.compile(r"(?<![\w.@])@([UW][A-Z0-9]{2,})\b")
_TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")  # as it is stored
_MARKS = {ord(c): f"{c}\u200b" for c in "*_~`"}
_OWN_MARKS = re.compile(r"(<[^<>]*>)|`([^`\u200b]*)`|[*_~`](?!\u200b)")
# Text from right to left, by Unicode's blocks; and a stretch of it, with the digits that belong to it.
_RTL = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
_HAS_RTL = re.compile(f"[{_RTL}]")
_STRETCH = re.compile(rf"[{_RTL}](?:[{_RTL}\d\s/_.,-]*[{_RTL}\d])?")
_REORDERS = dict.fromkeys(map(ord, "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))
_ISOLATE, _END = "\u2068", "\u2069"  # Unicode: first strong isolate, pop directional isolate


def escape(text: str) -> str:
    """Text as Slack shows it literally: nobody is mentioned, nothing is linked."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def isolated(text: str) -> str:
    """Text beside ours, in its own direction: Arabic turns nothing around that stands before or after it.

    Characters of its own that reorder are left out. Where nothing goes from right to left, nothing is added.
    """
    bare = text.translate(_REORDERS)
    return f"{_ISOLATE}{bare}{_END}" if _HAS_RTL.search(bare) else bare


def literal(text: str) -> str:
    """Escaped, and without what Slack's mark-up would read as bold, italics, code or a line of its own."""
    return escape(isolated(" ".join(text.split()))).translate(_MARKS)


def code(text: str) -> str:
    """An identifier to be copied: with nothing in it that cannot be seen."""
    bare = " ".join(text.translate(_REORDERS).split()).replace("`", "'")
    shown = f"`{escape(bare)}`"
    return f"{_ISOLATE}{shown}{_END}" if _HAS_RTL.search(bare) else shown


def identifier(text: str) -> str:
    """The name of a transaction within a line; as code only where `literal` would put something into it."""
    return literal(text) if literal(text) == escape(text) else code(text)


def person(user: str) -> str:
    """A mention."""
    return f"<@{user}>"


def moment(at: str) -> str:
    """A time in the reader's own time zone, by Slack's date token; UTC where that is not shown."""
    seconds = int(datetime.fromisoformat(at).timestamp())
    return f"<!date^{seconds}^{{date_short_pretty}} {{time}}|{at[:16].replace('T', ' ')} UTC>"


def sentence(text: str) -> str:
    """One of our own sentences, in which people stand as `@U012ABC` and times as they are stored, ready for Slack."""
    ready = _PERSON.sub(r"<@\1>", escape(text.translate(_REORDERS)))
    ready = _TIME.sub(lambda match: _moment_or_text(match[0]), ready)
    return _STRETCH.sub(lambda match: f"{_ISOLATE}{match[0]}{_END}", ready)


def _moment_or_text(at: str) -> str:
    try:
        return moment(at)
    except ValueError:  # somebody typed what only looks like one
        return at


def plain(text: str) -> str:
    """Slack's mark-up without its marks: for notifications and screen readers. Mentions and times stay tokens."""
    bare = _OWN_MARKS.sub(lambda match: match[1] or match[2] or "", text)
    return re.sub("(?<=[*_~`])\u200b", "", bare)


def cut(text: str, most: int) -> str:
    """At most so many characters; escaped text stays escaped, because an entity or a token is left out whole."""
    if len(text) <= most:
        return text
    end = "…" if text[: most - 1].count(_ISOLATE) == text[: most - 1].count(_END) or most < 2 else f"…{_END}"
    return _HALF.sub("", text[: most - len(end)]) + end
