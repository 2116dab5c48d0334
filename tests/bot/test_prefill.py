"""What a form is opened with: all that is known, never a card number, and whatever the text, no error."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from approvals.request import Operation
from approvals.sentences.request_form import CARD_NUMBER_LEFT_OUT
from bot import prefill, request_form
from bot.card_numbers import contains_card_number
from bot.prefill import Prefill
from sandbox.slack_blocks import view_problems

SESSION = "0123456789abcdef0123456789ABCDEF01234567"
CARD = "4111 1111 1111 1111"

MESSAGES: dict[str, tuple[Operation | None, str, str]] = {
    "Please refund ORD123, 5.000 KWD, it came broken": (Operation.REFUND, "ORD123", "5.000 KWD"),
    "customer wants KWD 5.000 back for INV-2026/17.": (None, "INV-2026/17", "5.000 KWD"),
    "order no. 48213 must be refunded (12.5 USD)": (None, "48213", "12.5 USD"),
    "Order #48213: cancel": (Operation.CANCEL, "48213", ""),
    f"void {SESSION} please": (Operation.VOID, SESSION, ""),
    'capture "ORD 9 b" for 1,000 KWD': (Operation.CAPTURE, "ORD 9 b", "1,000 KWD"),
    "refund or void ORD9?": (None, "ORD9", ""),
    "<@U01ALICE> look at <https://shop.example/x|ORD77>": (None, "", ""),  # a mention and a link name no order
    "R-7K2M was about `ORD5`": (None, "ORD5", ""),
    "⏳ Refund 5.000 KWD · ORD123: Waiting for approval (R-7K2M)": (Operation.REFUND, "ORD123", "5.000 KWD"),
    "that is 5.000KWD for 100 VIP guests": (None, "", "5.000 KWD"),
    "lunch?": (None, "", ""),
    "": (None, "", ""),
    f"refund {CARD} of ORD123, 5.000 KWD": (None, "", ""),
}


@pytest.mark.parametrize("text", MESSAGES)
def test_a_message_names_what_it_names(text: str) -> None:
    known = prefill.of_message({"text": text})
    assert (known.operation, known.reference, known.amount) == MESSAGES[text]


def test_of_a_message_nothing_else_is_taken_over() -> None:
    """The rest of it may be about a customer."""
    known = prefill.of_message({"text": "refund ORD123 5.000 KWD to Sara, sara@example.com, +965 5555 1234"})
    assert known == Prefill(Operation.REFUND, "ORD123", "5.000 KWD")


def test_what_a_program_has_attached_is_read_too() -> None:
    message = {"text": "", "attachments": [{"fallback": "ORD8 failed, 3.5 USD"}, "?", {"text": None}]}
    assert prefill.of_message(message) == Prefill(None, "ORD8", "3.5 USD")


LINES: dict[str, Prefill | None] = {
    "": None,
    "help": None,
    "pending now": None,
    "inquiry": None,
    "refnd ORD123": None,
    "refund": Prefill(Operation.REFUND),
    "REFUND ORD123": Prefill(Operation.REFUND, "ORD123"),
    "refund ORD123 5,000 damaged in transit": Prefill(Operation.REFUND, "ORD123", "5,000", reason="damaged in transit"),
    "refund ORD123 5.000KWD late": Prefill(Operation.REFUND, "ORD123", "5.000KWD", reason="late"),
    "refund ORD123 KWD 5.000 late": Prefill(Operation.REFUND, "ORD123", "5.000 KWD", reason="late"),
    "refund ORD123 -5 USD": Prefill(Operation.REFUND, "ORD123", "-5 USD"),
    "refund ORD123 damaged": Prefill(Operation.REFUND, "ORD123", reason="damaged"),
    "refund ORD123 --wallet": Prefill(Operation.REFUND, "ORD123", to_wallet=True),
    "refund ORD123 —wallet late": Prefill(Operation.REFUND, "ORD123", to_wallet=True, reason="late"),
    "refund ORD123 5 --walet": Prefill(Operation.REFUND, "ORD123", "5", reason="--walet"),
    'refund "ORD 1 full': Prefill(Operation.REFUND, '"ORD 1 full'),
    'capture "ORD 1"': Prefill(Operation.CAPTURE, "ORD 1"),
    f"capture order:{SESSION}": Prefill(Operation.CAPTURE, f"order:{SESSION}"),
    "void ORD123 5.000": Prefill(Operation.VOID, "ORD123", "5.000"),
    f"refund ORD123 {CARD}": Prefill(Operation.REFUND, note=CARD_NUMBER_LEFT_OUT),
}


@pytest.mark.parametrize("line", LINES)
def test_what_was_typed_stands_in_its_field(line: str) -> None:
    assert prefill.of_line(line) == LINES[line]


PIECES = st.sampled_from(
    [
        *["refund", "void", "ORD123", SESSION, "5.000", "KWD", "full", '"', "“", "order", "#", "--wallet", "—x", "\n"],
        *["&lt;", "<@U01ALICE>", "<https://x.example|y>", CARD, "4111-1111", "11111111", "٤١١١", "1", "-", " "],
    ]
)
TEXTS = st.one_of(st.text(max_size=400), st.lists(PIECES, max_size=12).map("".join), st.lists(PIECES).map(" ".join))


@settings(deadline=None)  # a busy machine may be slow for once
@given(TEXTS)
@example("order 4111 1111 1111 1111")
@example("“4111111111111111”")
@example("ORD4111111111111111 5.000 KWD")
@example('"4111 1111" 11111111.00 KWD')
@example("&lt;" * 3000)
@example("A1" * 5000)
@example("1." * 5000 + "KWD")
def test_whatever_the_text_a_form_comes_of_it_and_no_card_number(text: str) -> None:
    """From a message and from a line; and Slack would show the form."""
    found = [prefill.of_message({"text": text}), prefill.of_line(text), prefill.of_line(f"refund {text}")]
    for known in filter(None, found):
        for part in (known.reference, known.amount, known.reason, f"{known.reference} {known.amount} {known.reason}"):
            assert not contains_card_number(part)
        assert not contains_card_number(prefill.spelled(known))
        view = request_form.build(known, ["C01GEN", "C09OTHER"]).to_dict()
        assert view_problems(view, "modal") == []


@pytest.mark.parametrize(
    "text",
    [
        'Please call "Sara +96555512345"',
        'her address is "sara77@example.com"',
        "order sara77@example.com",
        "refund to “+965 5555 1234”",
        'phone "555 123 4567"',
    ],
)
def test_how_a_customer_is_reached_is_no_order_number(text: str) -> None:
    """It would stand in the form, in the command that is told where no form opens, and at a slip in the record."""
    assert prefill.of_message({"text": text}).reference == ""


@pytest.mark.parametrize("space", [" ", "\n", "\u00a0", "no ", "order ", "order no : "])
def test_no_message_keeps_the_program_from_its_work(space: str) -> None:
    """Whoever writes a message, and anybody who uses the shortcut on it, would else stop the loop for hours."""
    began = time.process_time()
    prefill.of_message({"text": f"order{space * 10_000}x"})
    assert time.process_time() - began < 2
