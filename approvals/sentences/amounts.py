"""Amounts and currencies: what is wrong with one, and what to type instead."""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN_CURRENCY = "That is not a currency this bot knows: type a code such as `KWD`."

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve "
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"


def negative_or_long(*, digits: int) -> str:
    return f"That is no amount: it is negative or has over {digits} digits."


def most_decimals(*, currency: str, places: int) -> str:
    return f"An amount in {currency} has at most {places} decimals."


def which_one(*, readings: Sequence[str]) -> str:
    """`readings`: spelled by `spelled`."""
    return f"{' or '.join(readings)}? Type the one you mean."


def spelled(*, reading: str, words: str) -> str:
    """`words`: the same number in words, or nothing where they would be no help."""
    return f"`{reading}`" + (f" ({words})" if words else "")


def type_as(*, reading: str) -> str:
    return f"Type the amount as `{reading}`."


def what_is_one(*, digits: int, example: str) -> str:
    return f"An amount is more than zero, at most {digits} digits and one point, such as `{example}`."


def too_precise(*, currency: str | None, places: int, advice: str) -> str:
    """`currency` is None before it is known; `advice`: `which_one`, or one of the two below."""
    limit = f"{currency} has {places or 'no'} decimals" if currency else f"An amount has at most {places} decimals"
    return f"{limit}: {advice}"


def type_this(*, amount: str) -> str:
    return f"type `{amount}`."


def type_such_as(*, example: str) -> str:
    return f"type an amount such as `{example}`."


def number(*, below_hundred: int) -> str:
    """A number from 0 to 99 in words."""
    units = _UNITS.split()
    if below_hundred < len(units):
        return units[below_hundred]
    tens, ones = divmod(below_hundred, 10)
    return _TENS.split()[tens - 2] + (f"-{units[ones]}" if ones else "")


def thousands(*, below_hundred: int) -> str:
    return f"{number(below_hundred=below_hundred)} thousand"
