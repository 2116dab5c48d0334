"""Money: what is typed is what is meant, what is not clear is asked back, and nothing is ever rounded."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.money import (
    check_amount,
    currencies,
    decimals,
    from_decimal,
    parse_amount,
    show,
    to_decimal_text,
)
from approvals.request import Refusal

CODES = st.sampled_from(sorted(currencies()))
LOOKS_LIKE = "An amount is more than zero, at most 13 digits and one point, such as `5.000`."
FIVE = "`5.000` (five) or `5000` (five thousand)? Type the one you mean."


@pytest.mark.parametrize(
    ("places", "codes"),
    [
        (0, "JPY KRW CLP ISK VND UGX XAF XOF XPF"),
        (2, "USD EUR AED SAR QAR EGP INR GBP IRR YER"),
        (3, "KWD BHD OMR IQD JOD LYD TND"),
    ],
)
def test_each_currency_has_the_decimals_of_ottu_and_iso_4217(places: int, codes: str) -> None:
    """A wrong number of decimals moves ten or a thousand times the money."""
    assert {code: decimals(code) for code in codes.split()} == dict.fromkeys(codes.split(), places)


@pytest.mark.parametrize("code", ["kwd", "KW", "KWDX", "", "XAU", "XTS", "XXX", "XDR", "CLF", "UYW", "ZZZ", "КWD"])
def test_an_unknown_currency_is_refused(code: str) -> None:
    """Closed by default: no guess at two decimals. Codes with four decimals are more than Ottu reads."""
    with pytest.raises(Refusal, match="not a currency this bot knows: type a code such as `KWD`") as refusal:
        parse_amount("5", code)
    assert refusal.value.kind == "currency"


def test_the_table_holds_the_active_currencies_and_nothing_else() -> None:
    """A slip in the table (a code twice, a code cut in two) shows here."""
    assert len(currencies()) == 164
    assert all(re.fullmatch(r"[A-Z]{3}", code) for code in currencies())
    assert set(currencies().values()) == {0, 2, 3}


@pytest.mark.parametrize(
    ("typed", "currency", "minor"),
    [
        ("5.000", "KWD", 5000),
        ("5.0", "KWD", 5000),
        ("5", "KWD", 5000),
        ("0.500", "KWD", 500),
        ("0.001", "KWD", 1),
        ("5.05", "USD", 505),
        ("5", "JPY", 5),
        ("9999999999999.999", "KWD", 9_999_999_999_999_999),
    ],
)
def test_a_well_formed_amount_is_read_exactly(typed: str, currency: str, minor: int) -> None:
    check_amount(typed)
    assert parse_amount(typed, currency) == minor


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("5,000", FIVE),
        ("20,000", "`20.000` (twenty) or `20000` (twenty thousand)? Type the one you mean."),
        ("42,000", "`42.000` (forty-two) or `42000` (forty-two thousand)? Type the one you mean."),
        ("500,000", "`500.000` or `500000`? Type the one you mean."),
        ("12,500", "`12.500` or `12500`? Type the one you mean."),
        ("-5,000", FIVE),
        ("٥٬٠٠٠", FIVE),
        ("5,00", "Type the amount as `5.00`."),
        ("0,500", "Type the amount as `0.500`."),
        ("1,234,567", "Type the amount as `1234567`."),
        ("1.234.567", "Type the amount as `1234567`."),
        ("1,234.56", "Type the amount as `1234.56`."),
        ("1.234,56", "Type the amount as `1234.56`."),
        ("5.000,", "Type the amount as `5.000`."),
        ("5.", "Type the amount as `5`."),
        (".5", "Type the amount as `0.5`."),
        ("+5.000", "Type the amount as `5.000`."),
        ("-5.000", "Type the amount as `5.000`."),
        ("−5", "Type the amount as `5`."),
        ("5e3", "Type the amount as `5000`."),
        ("1_000", "Type the amount as `1000`."),
        ("1'000", "Type the amount as `1000`."),
        ("5\u00a0000", "Type the amount as `5000`."),
        ("٥٫٠٠٠", "Type the amount as `5.000`."),
        ("５．０００", "Type the amount as `5.000`."),
        ("00123", "Type the amount as `123`."),
        ("5.0000", "An amount has at most 3 decimals: type `5.000`."),
        ("5.0001", "An amount has at most 3 decimals: type an amount such as `5.000`."),
        ("5,,5", LOOKS_LIKE),
        ("1e99", LOOKS_LIKE),
        ("NaN", LOOKS_LIKE),
        ("Infinity", LOOKS_LIKE),
        ("five", LOOKS_LIKE),
        ("0", LOOKS_LIKE),
        ("0.000", LOOKS_LIKE),
        ("10000000000000", LOOKS_LIKE),
        ("", LOOKS_LIKE),
        ("-", LOOKS_LIKE),
        ("5²", LOOKS_LIKE),
        ("5\n", "Type the amount as `5`."),
        ("5" * 5000, LOOKS_LIKE),
    ],
)
def test_any_other_spelling_is_refused_with_the_right_one(typed: str, sentence: str) -> None:
    """Nothing is guessed: with one possible reading it is named, with two both are, and the person types it again."""
    with pytest.raises(Refusal) as refusal:
        check_amount(typed)
    assert (str(refusal.value), refusal.value.kind) == (sentence, "amount")


@pytest.mark.parametrize(
    ("typed", "currency", "sentence"),
    [
        ("5.0000", "KWD", "KWD has 3 decimals: type `5.000`."),
        ("5.1234", "KWD", "KWD has 3 decimals: type an amount such as `5.000`."),
        ("5.125", "USD", "USD has 2 decimals: type an amount such as `5.00`."),
        ("5.0", "JPY", "JPY has no decimals: type `5`."),
        ("5.5", "JPY", "JPY has no decimals: type an amount such as `5`."),
        (
            "5.000",
            "USD",
            "USD has 2 decimals: `5.00` (five) or `5000` (five thousand)? Type the one you mean.",
        ),
        ("5,000", "KWD", FIVE),
        ("12,500", "JPY", "Type the amount as `12500`."),
        ("1,234.56", "JPY", "An amount is more than zero, at most 13 digits and one point, such as `5`."),
    ],
)
def test_too_many_decimals_are_refused_and_never_rounded(typed: str, currency: str, sentence: str) -> None:
    """Only what the currency can hold is offered."""
    with pytest.raises(Refusal) as refusal:
        parse_amount(typed, currency)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    ("figure", "minor"),
    [
        ("5", 5000),
        ("5.0000", 5000),
        ("0", 0),
        ("-0", 0),
        ("0E+999999", 0),
        ("5E+3", 5_000_000),
        ("5." + "0" * 50, 5000),
    ],
)
def test_a_figure_from_outside_is_taken_when_it_is_exact(figure: str, minor: int) -> None:
    """Ottu may write more zeros than the currency has decimals."""
    assert from_decimal(Decimal(figure), "KWD") == minor


@pytest.mark.parametrize("figure", ["5.0001", "1E-999999", "-1", "NaN", "sNaN", "Infinity", "1E+13", "1E+999999"])
def test_a_figure_that_cannot_be_exact_is_refused(figure: str) -> None:
    """A figure that has to be rounded, or is no sum at all, must not become the terms of a request."""
    with pytest.raises(Refusal) as refusal:
        from_decimal(Decimal(figure), "KWD")
    assert refusal.value.kind == "amount"


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (5000, "KWD", "5.000 KWD"),
        (5, "KWD", "0.005 KWD"),
        (0, "USD", "0.00 USD"),
        (-5, "USD", "-0.05 USD"),
        (500, "JPY", "500 JPY"),
        (-500, "JPY", "-500 JPY"),
    ],
)
def test_an_amount_is_shown_with_all_its_decimals(minor: int, currency: str, shown: str) -> None:
    assert show(minor, currency) == shown


@given(st.integers(1, 10**13 - 1), st.data(), CODES)
def test_what_is_shown_can_be_typed(whole: int, data: st.DataObject, currency: str) -> None:
    """For every currency and amount, the spelling sent to Ottu is read back as the same minor units."""
    minor = whole * 10 ** decimals(currency) + data.draw(st.integers(0, 10 ** decimals(currency) - 1))
    text = to_decimal_text(minor, currency)
    check_amount(text)
    assert parse_amount(text, currency) == from_decimal(Decimal(text), currency) == minor
    assert minor < 2**63


@given(st.text(st.sampled_from("0123456789.,-+eE_' ٥５"), max_size=30) | st.text(max_size=50), CODES)
def test_every_offered_spelling_is_accepted(typed: str, currency: str) -> None:
    """Whatever is typed, the answer is an exact amount, or a refusal whose every suggestion is one."""
    places = decimals(currency)
    try:
        minor = parse_amount(typed, currency)
    except Refusal as refusal:
        suggestions = re.findall(r"`(.*?)`", str(refusal))
        assert suggestions
        assert all(parse_amount(suggestion, currency) > 0 for suggestion in suggestions)
    else:
        assert Decimal(typed).scaleb(places) == minor > 0
