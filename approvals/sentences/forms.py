"""The forms that ask for words: titles, fields, hints, buttons. Slack shows 24 characters of a title and a button."""

from __future__ import annotations

BACK = "Back"
THIS_REQUEST = "This request"

# A rejection

REJECT = "Reject"
WHY = "Why?"
WHY_HINT = "Stays in the record and in the channel, with your name. No card or customer data."


def reject_title(*, request_id: str) -> str:
    return f"Reject {request_id}"


# An unknown outcome

WHAT_HAPPENED = "What happened?"
IT_SUCCEEDED = "It succeeded"
IT_FAILED = "It failed"
HOW_KNOWN = "How do you know?"
HOW_KNOWN_HINT = "The reference number, or where and when you looked. Two people must say the same."
SAY_SO = "Say so"


def close_title(*, request_id: str) -> str:
    return f"Close {request_id}"
