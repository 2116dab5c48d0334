"""App Home: what waits for one person, what they asked for, what is in doubt. Slack's mark-up."""

from __future__ import annotations

from collections.abc import Sequence

# On top


def counts(*, waiting: int, mine: int, doubt: int) -> str:
    return f"⏳ *{waiting}* for you to decide · 🙋 *{mine}* of yours open · ❓ *{doubt}* in doubt"


def stopped(*, why: str) -> str:
    """`why`: why nothing is executed now."""
    return f"⏸️ Nothing is sent to Ottu now: {why}. Decisions go on."


def how_to_ask(*, channels: Sequence[str]) -> str:
    where = " or ".join(channels)
    return f"To ask: `/ottu` opens a form; or type `/ottu refund ORD123 5.000` in {where}. `/ottu help` shows more."


# The lists

WAITING = "For you to decide"
MINE = "Your requests"
DOUBT = "In doubt"
RECENT = "What others asked, ended lately"
NOTHING_WAITS = "Nothing waits for you. ✨"
NOTHING_MINE = "You have asked for nothing lately."
NEWER = "Newer"
OLDER = "Older"


def heading(*, title: str, count: int, page: int, pages: int) -> str:
    """Plain text."""
    return f"{title} ({count})" + (f", page {page} of {pages}" if pages > 1 else "")


# One request


def headline(*, is_test: bool, symbol: str, title: str) -> str:
    return f"{'🧪 TEST · ' if is_test else ''}{symbol} *{title}*"


def stands(*, name: str, state: str, at: str, requester: str | None, why: str) -> str:
    """`name`: of the request, linked to its card. `requester`: None where the reader asked. `why` may be empty."""
    asked = f" · asked by {requester}" if requester else ""
    return f"{name} · {state} {at}{asked}" + (f"\n{why}" if why else "")


def waits(*, name: str, requester: str, at: str, missing: int, until: str, approvers: Sequence[str]) -> str:
    """`missing`: approvals. `approvers`: who have given theirs."""
    given = f" · approved by {', '.join(approvers)}" if approvers else ""
    more = f"{missing} approval{'s' if missing != 1 else ''} needed, until {until}"
    return f"{name} · asked by {requester} {at}{given}\n{more}"


# For whom there is nothing to do here

WHAT_IT_IS = (
    "*Refunds, captures and voids on Ottu, each approved by a second person.* One person asks in Slack, another "
    "approves, and the bot does it once and says what really happened."
)
NOT_FOR_YOU = "It is for full members of this workspace alone, so there is nothing to see for you here."
NO_ROLE = "You are in none of the groups that may ask or approve. Whoever runs this bot can add you."


def who_can_ask(*, groups: Sequence[str], people: Sequence[str], more: int) -> str:
    """`more`: so many people besides those named."""
    named = f": {', '.join(people)}{f' and {more} more' if more else ''}" if people else ""
    return f"These can ask: {', '.join(groups)}{named}."
