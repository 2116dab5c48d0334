"""The grammar of `/ottu` for texts that nobody thought of: nothing breaks it, and every command can be typed."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from approvals.money import currencies, decimals, to_decimal_text
from approvals.request import AMOUNT_OPERATIONS, Operation
from bot.commands import (
    USAGE,
    Ask,
    Close,
    Command,
    CommandError,
    Help,
    History,
    Inquire,
    Pause,
    Reference,
    Reject,
    Status,
    Withdraw,
    contains_card_number,
    parse,
)

SESSION = "0123456789abcdef0123456789abcdef01234567"
ANY_CHARACTER = st.characters(exclude_categories=())
WORDS = st.sampled_from(
    [
        *USAGE,
        *["full", "5.000", "5,000", "KWD", "ORD1", "R-7K2M", "order:", "session:", SESSION, '"', "“", "succeeded", "-"],
        *["--wallet", "—disclose", "https://hooks.example.com/x", "<@U1|bob>", "<!here>", "&lt;", "\u202e", "\x00"],
    ]
)


@given(st.text(ANY_CHARACTER) | st.lists(WORDS | st.text(ANY_CHARACTER, max_size=5), max_size=12).map(" ".join))
def test_any_text_is_a_command_or_a_refusal_and_safe_to_keep(text: str) -> None:
    """Nothing that a person types breaks the bot, and nothing that it keeps can mislead a reader or hold a card."""
    kept = answer_or_command(text)
    assert kept
    assert not contains_card_number(kept)
    assert not any(unicodedata.category(character) in {"Cc", "Cs"} for character in kept)


def answer_or_command(text: str) -> str:
    """All that is shown or kept of a text."""
    try:
        return f"{parse(text)}"
    except CommandError as refusal:
        return str(refusal)


VISIBLE = st.characters(categories=["L", "N", "P", "S"], exclude_characters='"“”')
ORDER_NUMBERS = (
    st.text(VISIBLE | st.just(" "), min_size=1, max_size=128)
    .filter(lambda value: bool(value.strip()) and not contains_card_number(value))
    .map(lambda value: Reference("order", value))
)
SESSION_IDS = st.text("0123456789abcdef", min_size=40, max_size=40).map(lambda value: Reference("session", value))
REFERENCES = ORDER_NUMBERS | SESSION_IDS
REQUEST_IDS = st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=4, max_size=8).map(lambda value: f"R-{value}")
REASONS = (
    st.lists(st.text(VISIBLE, min_size=1, max_size=12), max_size=8)
    .map(lambda words: " ".join(["because", *words]))
    .filter(lambda reason: not contains_card_number(reason) and not re.search(r"(?<!\S)[-–—]", reason))
)


@st.composite
def money_requests(draw: st.DrawFn) -> Ask:
    """A refund or capture, with or without each of its parts."""
    operation = draw(st.sampled_from(sorted(AMOUNT_OPERATIONS)))
    currency = draw(st.none() | st.sampled_from(sorted(currencies())))
    minor = draw(st.integers(1, 10 ** (9 + decimals(currency or "KWD"))))
    amount = draw(st.sampled_from(["full", to_decimal_text(minor, currency or "KWD")]))
    wallet = operation is Operation.REFUND and draw(st.booleans())
    reason = draw(REASONS | st.just(""))
    return Ask(operation, draw(REFERENCES), amount, currency, "wallet" if wallet else "pg", reason)


WHOLE = st.sampled_from([Operation.VOID, Operation.CANCEL, Operation.EXPIRE, Operation.DELETE])
WHOLE_REQUESTS = st.builds(Ask, WHOLE, REFERENCES, st.none(), st.none(), st.just("pg"), REASONS | st.just(""))
OTHERS: st.SearchStrategy[Command] = st.one_of(
    WHOLE_REQUESTS,
    st.builds(Inquire, REFERENCES, st.just(True), st.none() | st.just("https://hooks.example.com/x?a=1&b=2")),
    st.builds(Inquire, REFERENCES, st.just(False), st.none()),
    st.builds(Status, REFERENCES | REQUEST_IDS),
    st.builds(History, REFERENCES),
    st.builds(Withdraw, REFERENCES | REQUEST_IDS),
    st.builds(Reject, REQUEST_IDS, REASONS),
    st.builds(Close, REQUEST_IDS, st.sampled_from(["succeeded", "failed"]), REASONS),
    st.builds(Pause, REASONS | st.just("")),
    st.builds(Help, st.none() | st.sampled_from(sorted(USAGE))),
)


def spell(command: Command) -> str:
    """The command as a person types it and as Slack sends it."""
    match command:
        case Ask():
            parts = [command.operation.value, command.reference, command.amount, command.currency]
            parts += ["--wallet" if command.destination == "wallet" else None, command.reason]
        case Inquire():
            parts = ["inquiry", command.reference, "--disclose" if command.disclose else None, command.disclosure_url]
        case Status(target=target) | Withdraw(target=target):
            parts = [type(command).__name__, target]
        case Close():
            parts = ["close", command.request, command.outcome, command.evidence]
        case _:
            parts = [type(command).__name__, *vars(command).values()]
    typed = " ".join(part.typed if isinstance(part, Reference) else part for part in parts if part)
    return typed.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@given(money_requests() | OTHERS)
def test_every_command_can_be_typed(command: Command) -> None:
    """Whatever the reference, amount and reason, there is a line that means exactly this command."""
    text = spell(command)
    if not contains_card_number(text):
        assert parse(text) == command
