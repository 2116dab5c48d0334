"""What was typed cannot be read: commands, references, options, reasons, fields. Each says what to type."""

from __future__ import annotations

from typing import Literal

# Texts and characters

CARD_NUMBER = (
    "That looks like a card number, so nothing of it was kept. Type the order number or the session id instead."
)
INVISIBLE = "There is an invisible character in it: type it instead of pasting it."
INVISIBLE_IN_REFERENCE = "There is an invisible character in the reference: type it instead of pasting it."


def too_long(*, most: int) -> str:
    return f"Type at most {most} characters."


def reason_too_long(*, most: int) -> str:
    return f"Type at most {most} characters of reason or evidence."


# References

ONE_REFERENCE = "Type one order number or session id, and nothing after it."
CLOSE_QUOTES = 'Close the quotes, and type a space after them: `"ORD 123"`.'
NO_REFERENCE = "Type an order number or a session id, such as `ORD123`."
SHORT_SESSION = "A session id is 40 hexadecimal digits: type all of them."
MENTION = "A mention is no order number: type one such as `ORD123`."


def long_reference(*, most: int) -> str:
    return f"An order number has at most {most} characters."


# Amounts and currencies

CURRENCY_AFTER = "The currency comes after the amount, as in `5.000 KWD`."


def space_after_currency(*, currency: str) -> str:
    return f"Type a space after the currency: `{currency}`."


def space_before_currency(*, amount: str, currency: str) -> str:
    return f"Type a space before the currency: `{amount} {currency}`."


def always_whole(*, command: str, reference: str) -> str:
    return f"{command} always takes the whole; type `/ottu {command} {reference}`."


# Commands and options. `how`: one of the two last of these, which say how a command is typed.

DISCLOSURE_URL = "The address begins with `https://`: type it as in `--disclose https://hooks.example.com/ottu`."


def unknown_command(*, nearest: str | None) -> str:
    return f"There is no such command{_nearest(nearest)} Type `/ottu help` for all of them."


def unknown_option(*, nearest: str | None) -> str:
    return f"There is no such option{_nearest(nearest)} Where it belongs to the reason, type a space after the dash."


def _nearest(nearest: str | None) -> str:
    return f"; did you mean `{nearest}`?" if nearest else "."


def option_of_another(*, option: str, command: str, how: str) -> str:
    return f"`{option}` is only for {command}. {how}"


def reference_first(*, how: str) -> str:
    return f"The reference comes before the options. {how}"


def no_amount_no_reason(*, command: str, how: str) -> str:
    return f"{command} takes no amount and no reason. {how}"


def nothing_more(*, command: str, how: str) -> str:
    return f"{command} takes nothing more. {how}"


def nothing_after(*, command: str) -> str:
    return f'{command} takes nothing after that; quote what has spaces: `/ottu {command} "ORD 123"`.'


def is_a_request(*, request_id: str) -> str:
    return f"That is a request: type `/ottu status {request_id}`."


def as_here(*, usage: str) -> str:
    return f"Type `{usage}`."


def as_here_for_example(*, usage: str, example: str) -> str:
    return f"Type `{usage}`, for example `{example}`."


# Under a field of a form, or instead of the form

CARD_NUMBER_IN_FIELD = "This looks like a card number. Leave it out."
EMPTY_FIELD = "Say why."


def form_not_opened(*, form: Literal["reject", "close"], request_id: str) -> str:
    rest = {"reject": "<reason>", "close": "succeeded|failed <evidence>"}[form]
    return f"The form did not open. Press again, or type `/ottu {form} {request_id} {rest}`."
