"""The card of a request: words for states and operations, labels, buttons, and where it stands. Slack's mark-up."""

from __future__ import annotations

from approvals.request import Operation, State

STATE_WORDS: dict[State, str] = {
    State.CHECKING: "Checking with Ottu",
    State.PENDING: "Waiting for approval",
    State.APPROVED: "Approved",
    State.EXECUTING: "Being sent to Ottu",
    State.QUEUED: "Queued at the bank",
    State.UNKNOWN: "Outcome unknown",
    State.REFUSED: "Refused",
    State.REJECTED: "Rejected",
    State.WITHDRAWN: "Withdrawn",
    State.EXPIRED: "Expired",
    State.LAPSED: "Lapsed",
    State.SUCCEEDED: "Done",
    State.FAILED: "Failed",
}
OPERATION_WORDS: dict[Operation, str] = {
    Operation.REFUND: "Refund",
    Operation.CAPTURE: "Capture",
    Operation.VOID: "Void",
    Operation.CANCEL: "Cancel",
    Operation.EXPIRE: "Expire",
    Operation.DELETE: "Delete",
    Operation.INQUIRY: "Inquiry",
}
DONE_WORDS: dict[Operation, str] = {
    Operation.REFUND: "Refunded",
    Operation.CAPTURE: "Captured",
    Operation.VOID: "Voided",
    Operation.CANCEL: "Cancelled",
    Operation.EXPIRE: "Expired",
    Operation.DELETE: "Deleted",
}


# The headline


def title(*, operation: Operation, amount: str, to_wallet: bool, transaction: str) -> str:
    """Plain text. `amount` may be empty."""
    what = f"{OPERATION_WORDS[operation]} {amount}".strip()
    return f"{what}{TO_WALLET if to_wallet else ''} · {transaction}"


TO_WALLET = " to the wallet"


def fallback(*, symbol: str, title: str, state: State, request_id: str) -> str:
    """For notifications and screen readers."""
    return f"{symbol} {title}: {STATE_WORDS[state]} ({request_id})"


# Where it stands: after the word for the state


def asked_by(*, person: str, at: str) -> str:
    return f"Asked by {person} {at}"


def approved_by(*, people: str) -> str:
    return f" · Approved by {people}"


def still_missing(*, missing: int, until: str) -> str:
    return f" · {missing} more approval{'s' if missing != 1 else ''} needed, until {until}"


def waits(*, why: str) -> str:
    return f" · waits: {why}. Nothing is sent until that is over."


def tried(*, why: str, times: int) -> str:
    return f" · not sent yet ({why}); tried {'once' if times == 1 else f'{times} times'}, goes on by itself"


GOES_NEXT = " · goes to Ottu next"
WAITS_FOR_OTTU = " · waiting for Ottu's answer"
BANK_DECIDES = " · the bank decides; this card will say how"
BY_THE_REQUESTER = " by the person who asked. Nothing was sent."
NOT_DECIDED = " · nobody decided in time. Nothing was sent; ask again if it is still wanted."
NOT_STARTED = " · it could not be started in time. Nothing was sent; ask again if it is still wanted."


def rejected_by(*, person: str, why: str) -> str:
    return f" by {person}: {why}"


def withdrawn(*, why: str) -> str:
    return f" · {why}. Nothing was sent."


def failed(*, why: str) -> str:
    return f" · {why}. No money was moved."


def done(*, operation: Operation, amount: str) -> str:
    """`amount`: that Ottu answered; may be empty."""
    return f"{DONE_WORDS[operation]} {amount}".strip()


def by_hand(*, state: State, people: list[str], evidence: str) -> str:
    return f"Closed by hand as {state} by {' and '.join(people)}: {evidence}"


# What is known of an unknown outcome

RESTORED = "The database was put back from a copy. It is never sent again: look it up in Ottu, and close it by hand."
NOTHING_NEW = "Nothing new was found at Ottu. It can be closed by hand by two people who have looked."
NOTHING_NEW_RESEND = (
    "Nothing new was found at Ottu. It can be sent again with the same key, or closed by hand by two people who have "
    "looked."
)
UNREADABLE = "Ottu cannot tell what became of it. Two people who have looked must close it by hand."


def proposed(*, person: str, outcome: str, evidence: str) -> str:
    return f"{person} says that it *{outcome}*: {evidence}\nAnother person must say the same: press *{CLOSE}*."


def unclear(*, seen: str) -> str:
    return f"What Ottu shows cannot be told apart ({seen}). Two people who have looked must close it by hand."


def looks_later(*, until: str | None) -> str:
    when = f" until {until}" if until else ""
    return f"It may or may not have happened. The bot waits{when}, then looks; it is not sent again before."


# The figures

TRANSACTION = "Transaction"
STATE_AT_OTTU = "State at Ottu"
AMOUNT = "Amount"
CAPTURED = "Captured"
PAID = "Paid"
REFUNDED_BEFORE = "Refunded before"
REASON = "Reason:"
NOT_READ = "not read"
NOT_CHECKED = "not checked"


def left_to(*, operation: Operation) -> str:
    return f"Left to {operation}"


def and_queued(*, amount: str) -> str:
    return f" (+ {amount} queued)"


def repetition(*, operation: Operation, amount: str, at: str, request_id: str) -> str:
    done = DONE_WORDS[operation].lower()
    return f"⚠️ *The same amount was {done} before:* {amount} {at}, {request_id}."


# The small print

TEST = "🧪 TEST · "
TEST_ON_CARD = "🧪 *TEST* · "


def small_print(*, is_test: bool, request_id: str, host: str, rule: str, read_at: str | None, record: str) -> str:
    read = f" · read {read_at}" if read_at else ""
    return f"{TEST_ON_CARD if is_test else ''}{request_id} · {host} · rule “{rule}”{read} · {record}"


def record(*, seq: int, head: str) -> str:
    """Where the record tells it, and the beginning of that event's hash."""
    return f"record {seq}:{head}"


# Buttons, and what they ask before they act

APPROVE = "Approve"
REJECT = "Reject"
UNAPPROVE = "Take my approval back"
WITHDRAW = "Withdraw"
DETAILS = "Details"
RESEND = "Send again with the same key"
SEND_AGAIN = "Send again"
CLOSE = "Close by hand"
BACK = "Back"
TAKE_BACK = "Take it back: "


def confirm_title(*, verb: str, operation: Operation, amount: str) -> str:
    """`verb`: one of the buttons above. `amount` may be empty."""
    return f"{verb} {operation} {amount}".strip() + "?"


def confirm_text(*, what: str, request_id: str) -> str:
    return f"{what} ({request_id})"


def confirm_button(*, verb: str, amount: str) -> str:
    return f"{verb} {amount}".strip()
