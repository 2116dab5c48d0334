"""Amounts: minor units, decimals by currency, and the spelling a person types. Refuses, never rounds.

An amount is an `int` in the currency's minor unit everywhere in this program (5.000 KWD is 5000); a float is never
involved. Every refusal is a `Refusal` of kind `amount` or `currency` whose text says what to type.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from decimal import Context, Decimal, Inexact
from types import MappingProxyType

from approvals.request import Refusal
from approvals.sentences import amounts

# ISO 4217 as published on 2026-01-01, which Ottu's documentation follows. Left out: the codes with four decimals (CLF,
# UYW), because Ottu reads at most three, and those that are no money (XAU, XDR, XTS, XXX …). ANG and BGN ended in
# 2025 and stay, because what was paid in them can still be refunded.
_CODES_BY_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF
        CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF
        IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN
        MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS
        SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
}
_DECIMALS = MappingProxyType({code: places for places, codes in _CODES_BY_DECIMALS.items() for code in codes.split()})

MOST_DECIMALS = 3
_WHOLE_DIGITS = 13  # Ottu's schema; with three decimals the minor units stay far below 2**63
_TYPED_CHARACTERS = 40  # longer than any amount with marks: not worth reading
_EXACT = Context(prec=_WHOLE_DIGITS + MOST_DECIMALS, traps=[Inexact])

# A leading zero is refused: it is the mark of an order number that was typed in the amount's place (`00123`).
_AMOUNT = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?")
_EXPONENT = re.compile(r"[0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]{1,2}")
_EXAMPLES = {0: "5", 2: "5.00", MOST_DECIMALS: "5.000"}


def currencies() -> Mapping[str, int]:
    """Every currency that can be asked for, with its number of decimals (0, 2 or 3). Read-only."""
    return _DECIMALS


def decimals(currency: str) -> int:
    """How many digits follow the point: 0, 2 or 3. A code that is not an upper-case ISO 4217 one is refused."""
    places = _DECIMALS.get(currency)
    if places is None:
        raise Refusal(amounts.UNKNOWN_CURRENCY, kind="currency")
    return places


def check_amount(text: str) -> None:
    """Refuse what is no amount in any currency, for use before the currency is known."""
    if not _is_amount(text, MOST_DECIMALS):
        raise _refusal(text, None, MOST_DECIMALS)


def parse_amount(text: str, currency: str) -> int:
    """Read a typed amount, such as `5.000`, as minor units. More than zero; fewer decimals will do, more will not."""
    places = decimals(currency)
    if not _is_amount(text, places):
        raise _refusal(text, currency, places)
    return from_decimal(Decimal(text), currency)


def from_decimal(value: Decimal, currency: str) -> int:
    """Turn a figure of Ottu's or the policy's, in whole units, into minor units. Zero is possible, a negative is not.

    Exact or refused: a figure with more decimals than the currency has is never rounded.
    """
    places = decimals(currency)
    if not value.is_finite() or value < 0 or value >= 10**_WHOLE_DIGITS:
        raise Refusal(amounts.negative_or_long(digits=_WHOLE_DIGITS), kind="amount")
    if not value:
        return 0
    try:
        return int(value.scaleb(places, _EXACT).to_integral_exact(context=_EXACT))
    except Inexact:
        raise Refusal(amounts.most_decimals(currency=currency, places=places), kind="amount") from None


def minor_or_none(value: Decimal | None, currency: str | None) -> int | None:
    """Minor units, exactly; None where there is no value, no currency, or no exact amount."""
    if value is None or currency is None:
        return None
    try:
        return from_decimal(value, currency)
    except (Refusal, ValueError, ArithmeticError):
        return None


def to_decimal_text(amount_minor: int, currency: str) -> str:
    """Spell minor units as Ottu takes them, with all the decimals of the currency: 5000 in KWD is `5.000`."""
    return with_decimals(amount_minor, decimals(currency))


def with_decimals(amount_minor: int, places: int) -> str:
    """Spell minor units with so many decimals, for whoever has them beside the amount: 5000 with 3 is `5.000`."""
    sign = "-" if amount_minor < 0 else ""
    digits = str(abs(amount_minor)).rjust(places + 1, "0")
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else sign + digits


def show(amount_minor: int, currency: str) -> str:
    """Spell minor units for a person: 5000 in KWD is `5.000 KWD`."""
    return f"{to_decimal_text(amount_minor, currency)} {currency}"


def _is_amount(text: str, places: int) -> bool:
    match = _AMOUNT.fullmatch(text)
    if not match or len(match[1]) > _WHOLE_DIGITS:
        return False
    return len(match[2] or "") <= places and Decimal(text) > 0


def _refusal(text: str, currency: str | None, places: int) -> Refusal:
    """Say what to type: the one amount that the text can mean, or both, or what an amount looks like."""
    spelled = _plain(text) if len(text) <= _TYPED_CHARACTERS else ""
    readings = sorted(_readings(spelled, places), key=Decimal)
    match = _AMOUNT.fullmatch(text)
    too_precise = match is not None and len(match[2] or "") > places
    if len(readings) == 2:
        spellings = [amounts.spelled(reading=reading, words=_in_words(reading)) for reading in readings]
        sentence = amounts.which_one(readings=spellings)
    elif too_precise:  # `5.125` in USD: to name its one reading, `5125`, would lead astray
        same = readings and Decimal(readings[0]) == Decimal(text)
        sentence = amounts.type_this(amount=readings[0]) if same else amounts.type_such_as(example=_EXAMPLES[places])
    elif readings:
        sentence = amounts.type_as(reading=readings[0])
    else:
        sentence = amounts.what_is_one(digits=_WHOLE_DIGITS, example=_EXAMPLES[places])
    if too_precise:
        sentence = amounts.too_precise(currency=currency, places=places, advice=sentence)
    return Refusal(sentence, kind="amount")


def _readings(spelled: str, places: int) -> set[str]:
    """Every amount that the text can mean; each of its marks may be the decimal point or may part thousands."""
    if _EXPONENT.fullmatch(spelled):
        spelled = f"{Decimal(spelled):f}"
    if _is_amount(spelled, places):
        return {spelled}
    found = set()
    for point, comma in ((",", "."), (".", ",")):
        whole = rf"[0-9]*|[1-9][0-9]{{0,2}}(?:\{comma}[0-9]{{3}})+"
        if match := re.fullmatch(rf"({whole})(?:\{point}([0-9]+))?", spelled):
            found.add(_tidy(match[1].replace(comma, ""), match[2] or "", places))
    return {reading for reading in found if _is_amount(reading, places)}


def _tidy(whole: str, fraction: str, places: int) -> str:
    """Spell one reading without needless zeros; what still has too many decimals is left for the caller to drop."""
    if not fraction[places:].strip("0"):
        fraction = fraction[:places]
    return (whole.lstrip("0") or "0") + (f".{fraction}" if fraction else "")


def _plain(text: str) -> str:
    """Spell digits and marks of any script in ASCII, and leave out a sign, spaces, `_`, `'` and a mark at the end."""
    marks = {"٫": ".", "．": ".", "٬": ",", "،": ",", "，": ","}
    digits = (str(unicodedata.decimal(character, marks.get(character, character))) for character in text)
    return re.sub(r"[_'’\s]", "", "".join(digits)).lstrip("+-−–—").rstrip(".,;:")


def _in_words(reading: str) -> str:
    """`five` for `5.000`, `five thousand` for `5000`, nothing where words would be no help."""
    value = Decimal(reading)
    if value != int(value):
        return ""
    thousands, rest = divmod(int(value), 1000)
    if thousands == 0 and rest < 100:
        return amounts.number(below_hundred=rest)
    return amounts.thousands(below_hundred=thousands) if rest == 0 and thousands < 100 else ""
