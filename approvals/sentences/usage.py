"""How each command is typed, with an example, and the notes of the help: plain text with code spans."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from approvals.sentences.request_form import MESSAGE_SHORTCUT, SHORTCUT


class Line(NamedTuple):
    """One command: how it is typed, an example of it, and what it does."""

    usage: str
    example: str
    about: str


COMMANDS: Mapping[str, Line] = MappingProxyType(
    {
        "refund": Line(
            "/ottu refund <reference> <amount|full> [CUR] [--wallet] [reason …]",
            "/ottu refund ORD123 5.000 KWD damaged on arrival",
            "Asks to give money back; `full` is all that is left, `--wallet` pays it into the customer's wallet.",
        ),
        "capture": Line(
            "/ottu capture <reference> <amount|full> [CUR] [reason …]",
            "/ottu capture ORD123 full",
            "Asks to take money that is held.",
        ),
        "void": Line("/ottu void <reference> [reason …]", "/ottu void ORD123", "Asks to release the whole hold."),
        "cancel": Line(
            "/ottu cancel <reference> [reason …]", "/ottu cancel ORD123", "Asks to cancel an unpaid transaction."
        ),
        "expire": Line("/ottu expire <reference> [reason …]", "/ottu expire ORD123", "Asks to end an unpaid link."),
        "delete": Line(
            "/ottu delete <reference> [reason …]", "/ottu delete ORD123", "Asks to remove a transaction from Ottu."
        ),
        "inquiry": Line(
            "/ottu inquiry <reference> [--disclose [URL]]",
            "/ottu inquiry ORD123",
            "Asks the gateway how a transaction stands; `--disclose` has Ottu send what it knows to the merchant.",
        ),
        "status": Line(
            "/ottu status <reference | request>", "/ottu status R-7K2M", "Shows a request, or a transaction's requests."
        ),
        "pending": Line("/ottu pending", "/ottu pending", "Lists every open request."),
        "history": Line(
            "/ottu history <reference>", "/ottu history ORD123", "Lists every request made for a transaction."
        ),
        "withdraw": Line(
            "/ottu withdraw <request | reference>", "/ottu withdraw R-7K2M", "Takes back what you asked for."
        ),
        "reject": Line(
            "/ottu reject <request> <reason>", "/ottu reject R-7K2M already refunded", "Says no to a request."
        ),
        "close": Line(
            "/ottu close <request> succeeded|failed <evidence>",
            "/ottu close R-7K2M succeeded bank reference 884512",
            "Says how an unknown or queued one ended; a second person confirms it.",
        ),
        "pause": Line("/ottu pause [reason]", "/ottu pause gateway maintenance", "Stops every execution."),
        "resume": Line("/ottu resume", "/ottu resume", "Lets executions go on."),
        "help": Line("/ottu help [operation]", "/ottu help refund", "Shows this."),
    }
)
FORM = (
    f"`/ottu` alone opens a form; so do the shortcuts “{SHORTCUT}”, in the menu of the line you type in, and "
    f"“{MESSAGE_SHORTCUT}”, in the menu of a message that names an order."
)
NOTES = (
    "`<reference>` is an order number or a session id of 40 hexadecimal digits; `order:…` or `session:…` says which. "
    'Put one with spaces in quotes: `"ORD 123"`.',
    "An amount is plain digits with at most one point, such as `5.000`. A currency, such as `KWD`, may follow it.",
    "Your Slack id and the reason that you type are kept in the record. Type no customer data and no card number.",
)


def example(*, text: str) -> str:
    return f"Example: `{text}`"
