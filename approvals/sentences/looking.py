"""What Ottu says of a transaction: what can be done in its state, what is left, and why it cannot be read."""

from __future__ import annotations

from approvals.request import Operation

THE_TRANSACTION = "The transaction"

# Which operation would work

UNPAID = "Nothing was paid yet: cancel or expire would work."
CASH_ON_DELIVERY = "It is cash on delivery: cancel would work."
PARTLY_CAPTURED = "It is partly captured: refund works on what was captured, capture on the rest."
HELD = "The amount is held, not taken: capture or void would work."
PAID = "Refund would work."
ALL_OVER = "Nothing can be done with it any more."


def not_possible(*, name: str, state: str, operation: Operation, advice: str) -> str:
    return f"{name} is {state}: {operation} is not possible. {advice}"


# What is left

CAPTURED_ALREADY = "It is captured already: refund would work."
REFUNDED_ALREADY = "All of it was refunded before."


def waits_at_bank(*, amount: str) -> str:
    return f"{amount} waits at the bank."


def nothing_left(*, operation: Operation, name: str, why: str) -> str:
    return f"Nothing is left to {operation} of {name}. {why}"


def too_much(*, typed: str, left: str, operation: Operation, name: str, most: str) -> str:
    return f"{typed} is too much: {left} is left to {operation} of {name}. Type {most} or less, or full."


def left_unknown(*, operation: Operation) -> str:
    return (
        f"What is left to {operation} could not be read from Ottu just now, so `full` is not possible. "
        "Type the amount, or try again in 30 minutes."
    )


def wrong_currency(*, name: str, currency: str, asked: str) -> str:
    return f"{name} is in {currency}, not {asked}. Give the amount in {currency}."


# Answers that cannot be relied on

ANOTHER_TRANSACTION = (
    "Ottu answered with another transaction than you asked for. Nothing was done; tell whoever runs this bot."
)
ANOTHER_RETRIEVED = "Ottu answered with another transaction than was asked for."
NO_SESSION_ID = "Ottu answered with a session id that is none. Tell whoever runs this bot."


def too_little(*, reference: str) -> str:
    return (
        f"Ottu did not say enough about {reference} (session, state or currency is missing). "
        "Look it up in Ottu's dashboard."
    )


def hold_not_said(*, name: str) -> str:
    return f"Ottu did not say how much is held for {name}. Try later."


# Ottu refuses to tell, or cannot now. `why`: one of the sentences below, or of the gateway's own.

INQUIRIES_SPENT = "Ottu allows only a few inquiries"
THROTTLED = "Ottu throttles inquiries for this transaction"
LAST_ANSWER = "Ottu allows no new inquiry yet; this is the last answer."


def no_such_session(*, session_id: str) -> str:
    return f"Ottu knows no transaction {session_id}. Check the session id."


def not_shown(*, why: str) -> str:
    return f"Ottu refused to show the transaction: {why}"


def no_payment(*, reference: str) -> str:
    return f"Ottu knows no payment for {reference}. Check the number; a session id has 40 hex digits."


def never_tried(*, reference: str) -> str:
    return f"{reference} exists, but nobody has tried to pay it yet. Cancel or expire would work."


def no_disclosure_url(*, reference: str) -> str:
    return f"Ottu has no disclosure URL for {reference}. Give one: /ottu inquiry {reference} --disclose URL"


def not_allowed(*, reference: str) -> str:
    return f"Ottu allows no inquiry for {reference} in its present state. Look it up in Ottu's dashboard."


def inquiry_refused(*, reference: str, why: str) -> str:
    return f"Ottu refused the inquiry for {reference}: {why}"


def try_again_in(*, why: str, minutes: int) -> str:
    return f"{why}. Try again in {f'{minutes} minutes' if minutes > 1 else 'a minute'}."


def try_again_soon(*, why: str) -> str:
    return f"{why} Try again in a few minutes."
