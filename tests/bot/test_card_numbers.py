"""A card number never gets in, however it is spelled; an ordinary order number or amount is not taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands import CommandError, contains_card_number, parse

# The networks' and processors' published test numbers.
NUMBERS = [
    "4111111111111111",
    "4222222222222",
    "4000000000000000006",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "6011111111111117",
    "30569309025904",
    "38520000023237",
    "3530111333300000",
    "6205500000000000004",
    "8171999900000000021",
    "6759649826438453",
    "5018000000000009",
    "2200000000000004",
    "9792030394440796",
]
SCRIPTS = ["0", "٠", "۰", "०", "０", "𝟎"]  # the zeros of scripts whose digits follow one another
MARKS = st.text(st.sampled_from(" -\u00a0\u2009\u3000\u2010\u2011–—−\u200b\u00ad\t\n"), max_size=3)


@st.composite
def spelled(draw: st.DrawFn) -> str:
    """A card number with any spaces, dashes and invisible characters between digits of any script."""
    text = ""
    for digit in draw(st.sampled_from(NUMBERS)):
        text += chr(ord(draw(st.sampled_from(SCRIPTS))) + int(digit)) + draw(MARKS)
    return text.strip()


@pytest.mark.parametrize("number", NUMBERS)
def test_each_network_is_known(number: str) -> None:
    assert contains_card_number(number)
    assert contains_card_number(f"ORD{number}x")


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111 5.000",
        "4111.1111.1111.1111",
        "4111_1111_1111_1111",
        "4111 1111 1111 1111.50",
        "3782 822463 10005",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "ORD 7: 4111 1111 1111 1111, 12/29",
        "2024-4111111111111111",
        "④①①①①①①①①①①①①①①①",
        "a" * 39 + " 4111111111111111",
        "a" * 41 + "4111111111111111",
    ],
)
def test_spaces_dashes_and_neighbours_do_not_hide_it(text: str) -> None:
    assert contains_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5.000 KWD",
        "9999999999999.999",
        "ORD123456 5.000",
        "2024-01-15 10:30 ORD 4111",
        "1700000000000",
        "+965 5123 4567",
        "4111111111111112",  # fails Luhn's check
        "0000000000000000",  # no issuer
        "4111111111111",  # too short for what it begins
        "41111111111111110000000000",  # part of a longer number
        "4111x1111x1111x1111",
        "400000000000 6.000",  # an order number, then an amount
        "550e8400-e29b-41d4-a716-446655440000",
        "4111111111111111" + "a" * 24,  # a session id
        "session:" + "4111111111111111" + "0" * 24 + " 5",
    ],
)
def test_ordinary_numbers_are_no_card_numbers(text: str) -> None:
    """A false alarm is a command that nobody can type."""
    assert not contains_card_number(text)


@given(
    spelled(),
    st.sampled_from(
        [
            "refund {} 5.000",
            "refund ORD{} 5.000",
            'refund "{}" 5.000',
            "refund order:{} 5.000",
            "refund ORD1 {}",
            "refund ORD1 {} KWD",
            "refund ORD1 5.000 card {} please",
            "void ORD1 {}",
            "inquiry ORD1 --disclose https://hooks.example.com/{}",
            "inquiry {}",
            "status {}",
            "reject R-7K2M {}",
            "close R-7K2M failed {}",
            "pause <tel:{}|call>",
            "<@U{}|x>",
            "help {}",
            "{}",
        ]
    ),
)
def test_no_command_and_no_answer_holds_a_card_number(number: str, command: str) -> None:
    """In whatever place it is typed, it is refused as what it is, and the answer does not repeat it."""
    with pytest.raises(CommandError) as refusal:
        parse(command.format(number))
    assert refusal.value.kind == "card_number"
    assert not any(character.isdigit() for character in str(refusal.value))


@pytest.mark.parametrize(
    "text",
    [
        "refund ORD1 5.000 4111 1111 --wallet 1111 1111",  # joined when the option is taken out
        "refund ORD1 4,222,222,222,222",  # joined in the spelling that would be offered
        "pause 4111<tel:1|1111>11111111",  # joined when Slack's markup is undone
    ],
)
def test_a_card_number_that_arises_on_the_way_is_found_too(text: str) -> None:
    with pytest.raises(CommandError) as refusal:
        parse(text)
    assert refusal.value.kind == "card_number"
