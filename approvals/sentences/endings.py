"""How a request ended, calls to decide, alarms: replies in the thread and messages to channels. Slack's mark-up.

`title` is a card's headline; `why` comes without a full stop.
"""

from __future__ import annotations

from collections.abc import Sequence

from approvals.request import State
from approvals.sentences.cards import STATE_WORDS, TO_WALLET, record

# The headline of a result


def closed_by_hand(*, word: str, title: str) -> str:
    """`word`: what `cards.by_hand` says."""
    return f"*{word}.* {title}"


def succeeded(*, done: str, has_amount: bool, to_wallet: bool, transaction: str) -> str:
    """`done`: from `cards.done`. Without an amount it is the transaction itself: "Cancelled LINK9"."""
    return f"*{done}*{TO_WALLET if to_wallet else ''}{' of' if has_amount else ''} {transaction}."


def queued(*, title: str) -> str:
    return f"*Queued at the bank:* {title}. The bank decides; nothing to do."


def unknown(*, title: str, why: str) -> str:
    return f"*Outcome unknown:* {title}. {why}. It may have happened; the bot looks before anything is sent again."


def failed(*, title: str, why: str) -> str:
    return f"*Failed:* {title}. {why}. No money was moved."


def rejected(*, title: str, why: str) -> str:
    return f"*Rejected:* {title}. {why}"


def expired(*, title: str) -> str:
    return f"*Expired:* {title}. Nobody decided in time; nothing was sent. Ask again if it is still wanted."


def lapsed(*, title: str) -> str:
    return f"*Lapsed:* {title}. It could not be started in time; nothing was sent. Ask again if it is still wanted."


def otherwise(*, state: State, title: str, why: str) -> str:
    return f"*{STATE_WORDS[state]}:* {title}. {why}"


# Who asked, who decided

NO_APPROVAL_NEEDED = ", no approval needed by the rule"


def asked(*, person: str, decided: str) -> str:
    """`decided`: one of those below, or nothing."""
    return f"{person} asked{decided}."


def somebody_rejected(*, person: str) -> str:
    return f", {person} rejected"


def somebody_approved(*, people: str) -> str:
    return f", {people} approved"


# The facts below

REFERENCE_NUMBER = "Reference number"
TRACKING_KEY = "Tracking-Key"


def fact(*, name: str, value: str) -> str:
    return f"{name}: {value}"


# Calls to decide


def call(*, title: str, request_id: str, people: Sequence[str], again: bool) -> str:
    still = "Still waiting" if again else "Waiting"
    return f"⏳ {still} for a decision on {title} ({request_id}): {' '.join(people)}"


# An alarm in the audit channel


def alarm(*, request_id: str | None, why: str, at: str, facts: Sequence[str], seq: int, head: str) -> str:
    about = f"{request_id}: " if request_id else ""
    said = "\n".join(f"• {one}" for one in facts)
    return f"🚨 *Alarm* · {about}{why} {at}\n{said}\n_{record(seq=seq, head=head)}_"


def day_is_over(*, seq: int, head: str, short: str) -> str:
    return f"📌 *The record has {seq} events.* Head: `{head}`\n_{record(seq=seq, head=short)}_"


# A request that never had a card


def without_card(*, symbol: str, state: State, what: str, request_id: str, why: str) -> str:
    return f"{symbol} {STATE_WORDS[state]}: {what} ({request_id}). {why}"


OTTU_SILENT = "Ottu did not answer in time; nothing was sent. Ask again."


def card_not_posted(*, request_id: str, error: str) -> str:
    return (
        f"⚠️ The card of {request_id} cannot be posted in the channel: Slack says {error}. "
        "It is tried again every few minutes; ask an administrator to look (is the bot in the channel?)."
    )
