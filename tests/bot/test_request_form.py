"""The form that asks: it gives the command that one could have typed, says what is wrong where it is, and fits."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.request import AMOUNT_OPERATIONS, Operation
from approvals.sentences import request_form as words
from approvals.sentences import typed as typed_words
from bot import commands, prefill, request_form
from bot.prefill import ASKED, Prefill
from bot.request_form import FieldErrors
from bot.words import escape
from sandbox.slack_blocks import view_problems
from sandbox.slack_forms import form_values
from sandbox.slack_records import View
from tests.bot.test_commands_properties import WHOLE_REQUESTS, money_requests, spell
from tests.bot.test_views import TYPED

ONE, SEVERAL = ["C01GEN"], ["C01GEN", "C09OTHER"]
SESSION = "0123456789abcdef0123456789abcdef01234567"


def submitted(known: Prefill, channels: list[str] = ONE, /, **typed: Any) -> request_form.Asked:
    """The form as it opens, with what a person changed in it, submitted."""
    content = request_form.build(known, channels).to_dict()
    values = form_values(View("V1", "U01ALICE", content, "1.a", "V1"), typed)
    return request_form.parse(content | {"state": {"values": values}}, channels)


def errors(known: Prefill, channels: list[str] = ONE, /, **typed: Any) -> dict[str, str]:
    with pytest.raises(FieldErrors) as wrong:
        submitted(known, channels, **typed)
    return wrong.value.errors


# --- the same as a line that is typed


@settings(deadline=None)  # a busy machine may be slow for once
@given(money_requests() | WHOLE_REQUESTS)
def test_the_form_filled_in_from_a_line_gives_what_the_line_gives(ask: commands.Ask) -> None:
    """Whatever the reference, the amount and the reason; and it stays the same on its way through the inbox."""
    line = spell(ask)
    if commands.contains_card_number(line):
        return
    known = prefill.of_line(line)
    assert known is not None
    asked = submitted(known)
    assert asked == request_form.Asked(ask, "C01GEN")
    assert request_form.of_payload(request_form.as_payload(asked.ask)) == commands.parse(line)
    assert commands.parse(escape(prefill.spelled(known).removeprefix("/ottu "))) == ask


def test_what_was_known_can_be_changed_in_every_field() -> None:
    known = Prefill(Operation.VOID, "ORD1", reason="mistaken")
    changed = {"operation": "refund", "reference": "ORD 2", "amount": " Full  KWD", "destination": "wallet"}
    ask = commands.Ask(Operation.REFUND, commands.Reference("order", "ORD 2"), "full", "KWD", "wallet", "two lines")
    asked = submitted(known, SEVERAL, **changed, reason="two\nlines", channel="C09OTHER")
    assert asked == request_form.Asked(ask, "C09OTHER")


# --- what is wrong stands at its field

WRONG_AMOUNTS = ["5,000", "1,5", "-5", "+5", "5e3", "5.0000", "5.", ".5", "0", "0.000", "00123", "1_000", "٥.٠٠٠", "５"]
WRONG_AMOUNTS += ["5.000.000", "1.234,56", "abc", "5KWD", "KWD", "99999999999999", "9" * 60, "NaN", "0x10", "1'000"]
REFUND = Prefill(Operation.REFUND, "ORD1", "5.000")


@pytest.mark.parametrize("amount", WRONG_AMOUNTS)
@pytest.mark.parametrize("currency", ["", " KWD", " JPY", " USD"])
def test_a_wrong_amount_is_answered_as_in_a_line_and_at_its_field(amount: str, currency: str) -> None:
    """In plain text: a field shows marks of code as they are."""
    with pytest.raises(commands.CommandError) as typed:
        commands.parse(f"refund ORD1 {amount}{currency}")
    assert errors(REFUND, amount=f"{amount}{currency}") == {"amount": str(typed.value).replace("`", "")}


@pytest.mark.parametrize(
    ("field", "text", "sentence"),
    [
        ("operation", None, None),  # Slack itself insists
        ("reference", "session:abc", typed_words.SHORT_SESSION),
        ("reference", '"ORD 1" 2', typed_words.ONE_REFERENCE),
        ("reference", "@bob", typed_words.MENTION),
        ("reference", " ", typed_words.NO_REFERENCE),
        ("reference", "x" * 129, "An order number has at most 128 characters."),
        ("reference", "OR\u200bD", typed_words.INVISIBLE_IN_REFERENCE),
        ("reference", "4111 1111 1111 1111", typed_words.CARD_NUMBER_IN_FIELD),
        ("amount", None, words.AMOUNT_MISSING),
        ("amount", "5.000 10.000", words.ONLY_AMOUNT),
        ("amount", "5.000 kwd", words.ONLY_AMOUNT),
        ("amount", "full of errors", words.ONLY_AMOUNT),
        ("amount", "4111111111111111", typed_words.CARD_NUMBER_IN_FIELD),
        ("reason", "x" * 501, "Type at most 500 characters of reason or evidence."),
        ("reason", "card 4111-1111-1111-1111", typed_words.CARD_NUMBER_IN_FIELD),
        ("reason", "he said \u202ekcab", typed_words.INVISIBLE),
        ("reason", "late --walet", words.OPTION_IN_REASON),
        ("reason", "--wallet", words.OPTION_IN_REASON),
        ("channel", "C02AUDIT", words.ANOTHER_CHANNEL),
    ],
)
def test_what_can_be_known_here_is_said_at_its_field(field: str, text: str | None, sentence: str | None) -> None:
    if sentence is not None:
        assert errors(REFUND, SEVERAL, **{field: text}) == {field: sentence.replace("`", "")}


def test_everything_that_is_wrong_is_said_at_once() -> None:
    known = Prefill(Operation.VOID, "session:1", "5", to_wallet=True, reason="--x")
    assert set(errors(known)) == {"reference", "amount", "destination", "reason"}
    assert errors(Prefill(Operation.VOID, "ORD1", "5")) == {
        "amount": "A void always takes the whole: leave this empty."
    }
    assert errors(Prefill(Operation.CAPTURE, "ORD1", "5", to_wallet=True)) == {"destination": words.WALLET_ONLY_REFUND}


def test_a_card_number_that_is_spread_over_fields_is_found() -> None:
    known = Prefill(Operation.VOID, "4111 1111 1111", reason="1111 is what they said")
    assert errors(known) == {"reference": typed_words.CARD_NUMBER_IN_FIELD}


FIELDS = st.text(max_size=60) | st.sampled_from(["full", "5.000 KWD", SESSION, "ORD1", "4111 1111", "1111 1111", "—x"])


@settings(deadline=None)  # a busy machine may be slow for once
@given(st.sampled_from(ASKED), FIELDS, FIELDS, FIELDS)
def test_whatever_is_typed_is_a_command_or_errors_at_fields(
    operation: Operation, reference: str, amount: str, reason: str
) -> None:
    """And what is kept holds no card number, and could have been typed in one line."""
    content = request_form.build(Prefill(operation), ONE).to_dict()
    texts = {"reference": reference, "amount": amount, "reason": reason}
    values = form_values(View("V1", "U01ALICE", content, "1.a", "V1"), texts, checked=False)
    found = asked_or_errors(content | {"state": {"values": values}})
    if isinstance(found, dict):
        assert found.keys() <= texts.keys()
        assert all(found.values())
    else:
        assert not commands.contains_card_number(f"{found}")
        assert (found.amount is not None) == (operation in AMOUNT_OPERATIONS)


def asked_or_errors(view: dict[str, Any]) -> commands.Ask | dict[str, str]:
    try:
        return request_form.parse(view, ONE).ask
    except FieldErrors as wrong:
        return wrong.errors


# --- within Slack's limits


@pytest.mark.parametrize("typed", TYPED)
def test_the_form_is_within_slacks_limits_at_its_longest(typed: str) -> None:
    """However much is known, and however many channels there are."""
    text = TYPED[typed] * 2
    channels = [f"C{number:010d}" for number in range(500)]
    for operation, count in itertools.product([None, *ASKED], [1, 2, 500]):
        known = Prefill(operation, text, text, to_wallet=True, reason=text, channel=channels[-1], note=text)
        view = request_form.build(known, channels[:count]).to_dict()
        assert view_problems(view, "modal") == []
        assert not re.search(r"<|>|&(?!amp;|lt;|gt;)", view["blocks"][0]["text"]["text"])
        assert view["callback_id"] == "request_form"
        named = [block["block_id"] for block in view["blocks"] if block["type"] == "input"]
        fields = ["operation", "reference", "amount", "destination", "reason"]
        assert named == [*fields, *(["channel"] if count > 1 else [])]


@pytest.mark.parametrize(("opened_from", "chosen"), [("C09OTHER", "C09OTHER"), ("C01GEN", "C01GEN"), ("D1", "C01GEN")])
def test_the_channel_is_the_one_in_which_one_is_else_the_first(opened_from: str, chosen: str) -> None:
    assert submitted(Prefill(Operation.VOID, "ORD1", channel=opened_from), SEVERAL).channel == chosen
    assert submitted(Prefill(Operation.VOID, "ORD1", channel=opened_from), ONE).channel == "C01GEN"
