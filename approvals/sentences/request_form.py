"""The form that asks for an operation: its fields, what may be wrong with each, and what is said around it.

Slack shows plain text here, 24 characters of a title or a button, and 75 of an option.
"""

from __future__ import annotations

from collections.abc import Sequence

# What the form shows

TITLE = "New request"
SEND = "Ask"
CLOSE = "Cancel"
OPERATION = "What is to be done?"
REFERENCE = "Order number or session id"
REFERENCE_HINT = "As it stands at Ottu. Forty hexadecimal digits are read as a session id."
AMOUNT = "Amount"
AMOUNT_SHOWN = "5.000 KWD, or full"
AMOUNT_HINT = "For a refund or a capture: full is all that is left. The others always take the whole."
DESTINATION = "Where does the money go?"
TO_GATEWAY = "Back the way it was paid"
TO_WALLET = "Into the customer's wallet (refunds only)"
REASON = "Reason"
REASON_HINT = "Kept in the record with your Slack id, and shown on the card. No customer data, no card number."
CHANNEL = "Where is it decided?"


def channels(*, channels: Sequence[str]) -> str:
    return f"Requests are taken in {', '.join(channels)}."


CARD_NUMBER_LEFT_OUT = "There is what looks like a card number in it, so nothing of it was taken over."

# Under its field

CHOOSE_OPERATION = "Choose what is to be done."
AMOUNT_MISSING = "Type an amount such as 5.000, or full."
ONLY_AMOUNT = "Type an amount and, after it, a currency such as KWD: nothing more."
OPTION_IN_REASON = (
    "What begins with dashes is an option, and the fields above are in its place: take it out, or type a space after "
    "the dash."
)
ANOTHER_CHANNEL = "Requests are not taken there. Choose one of the channels named above."


def takes_the_whole(*, command: str) -> str:
    return f"A {command} always takes the whole: leave this empty."


WALLET_ONLY_REFUND = "Only a refund can go to the wallet."

# With the form, or instead of it

OPENS = (
    "Fill in the form. If none opens, type for example `/ottu refund ORD123 5.000 KWD damaged on arrival`; "
    "`/ottu help` shows every command."
)
AGAIN = "Same again, corrected"


def did_not_open(*, typed: str) -> str:
    return f"The form did not open. Try again, or type `{typed}`."


def only_the_requester(*, requester: str, request_id: str) -> str:
    return f"Only @{requester}, who asked for {request_id}, can use that button. Type `/ottu` to ask for something."


def got_it(*, asked: str, reference: str, channel: str) -> str:
    return f"🔎 Got it: {asked}. Reading {reference} from Ottu first; the card comes in {channel}."


SHORTCUT = "New request"
MESSAGE_SHORTCUT = "Request from message"
