"""Does a text hold what looks like a payment card's number? Such a text is refused, and neither stored nor logged.

Pure. A card number has an issuer's prefix and length and passes Luhn's check (ISO/IEC 7812). Spaces, dashes and
invisible characters between its digits do not hide it, nor do other scripts' digits, nor letters before and after it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_FEWEST_DIGITS, _MOST_DIGITS = 13, 19
_ISSUER = re.compile(
    r"""  4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})                                        # Visa
        | (?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)[0-9]*(?<=^[0-9]{16})     # Mastercard
        | 3[47][0-9]{13}                                                          # American Express
        | 3(?:0[0-5]|09|[689][0-9])[0-9]{11,16}                                   # Diners Club
        | 35(?:2[89]|[3-8][0-9])[0-9]{12,15}                                      # JCB
        | (?:5[06-8]|6)[0-9]{11,18}                                               # Maestro, Discover, UnionPay, RuPay
        | 8[12][0-9]{14,17}                                                       # UnionPay, RuPay
        | 220[0-4][0-9]{12,15}                                                    # Mir
        | 9682[0-9]{12}                                                           # mada
        | 9792[0-9]{12}                                                           # Troy
    """,
    re.VERBOSE,
)
# Ottu's session ids are 40 hexadecimal digits, among which a card number's digits occur by chance.
_SESSION_ID = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{40}(?![0-9a-fA-F])")
# A long order number and the amount typed after it are two things: `400000000000 5.000` is no card number. Shorter
# groups are read together with what follows (`4111 1111 1111 1111.50`).
_BEFORE_AMOUNT = re.compile(r"(?<=[0-9]{9}) +(?=[0-9]+\.[0-9]{1,3}(?![^ ]))")
_MARK_BETWEEN_GROUPS = re.compile(r"(?<=[0-9]{4})[._,/](?=[0-9]{4})")
_RUN = re.compile(r"[0-9](?:[ -]*[0-9])*")


def contains_card_number(text: str) -> bool:
    """True where the text holds the digits of a card number, however they are spaced or spelled."""
    plain = "".join(map(_plain, _SESSION_ID.sub("x", text)))
    plain = _MARK_BETWEEN_GROUPS.sub("-", _BEFORE_AMOUNT.sub(" x ", plain))
    return any(
        _ISSUER.fullmatch(candidate) and _passes_luhn(candidate)
        for run in _RUN.findall(plain)
        for candidate in _candidates(run)
    )


def _plain(character: str) -> str:
    """Spell any script's digit, space or dash in ASCII; drop what is invisible or only decorates the one before."""
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    category = unicodedata.category(character)
    if category.startswith("Z") or category == "Cc":
        return " "
    if category == "Pd" or character in "−⁃":
        return "-"
    return "" if category in {"Cf", "Mn", "Me"} else character


def _candidates(run: str) -> Iterator[str]:
    """Every sequence of whole groups of the run that has as many digits as a card number may have."""
    groups = re.findall(r"[0-9]+", run)
    for start in range(len(groups)):
        digits = ""
        for group in groups[start:]:
            digits += group
            if len(digits) > _MOST_DIGITS:
                break
            if len(digits) >= _FEWEST_DIGITS:
                yield digits


def _passes_luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0
