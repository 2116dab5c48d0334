"""The signature of Ottu's webhooks.

Ottu's documentation: HMAC-SHA256, in hex, over name + value of the fields below that are present and not empty, in
alphabetical order of their names. Everything else in a webhook, session id, operation and success among it, is *not*
signed: believe it only where it agrees with what is known from elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from decimal import Decimal

SIGNED_FIELDS = (
    "amount",
    "currency_code",
    "customer_address_city",
    "customer_address_country",
    "customer_address_line1",
    "customer_address_line2",
    "customer_address_postal_code",
    "customer_address_state",
    "customer_email",
    "customer_first_name",
    "customer_last_name",
    "customer_phone",
    "gateway_account",
    "gateway_name",
    "order_no",
    "reference_number",
    "result",
    "state",
)
# "amount", "result" and "state" are left out, because they are words that occur in names and addresses.
_TELLTALE_NAMES = tuple(name for name in SIGNED_FIELDS if "_" in name)


def signed_fields(payload: Mapping[str, object]) -> dict[str, str]:
    """The signed fields that are present and not empty, in the order in which they are signed.

    It holds customer data where the payload does: take single fields from it, and never log it.
    Raises ValueError where a signed field is neither text nor a number, or is a float: its digits are not the sender's.
    """
    present = ((name, payload[name]) for name in SIGNED_FIELDS if payload.get(name) not in (None, ""))
    return {name: _text(name, value) for name, value in present}


def signature(payload: Mapping[str, object], key: str) -> str:
    """The signature of a payload in lower-case hex. Raises ValueError for an empty key, and as `signed_fields` does."""
    if not key:
        raise ValueError("The webhook key is empty.")
    message = "".join(name + value for name, value in signed_fields(payload).items())
    return hmac.new(_octets(key), _octets(message), hashlib.sha256).hexdigest()


def verify(payload: Mapping[str, object], key: str) -> bool:
    """True where the payload's own `signature` is genuine, in constant time. False for an empty key. No errors.

    Names and values are signed without separators, so that a genuine signature also fits a payload whose fields are cut
    elsewhere (`gateway_name: "Xorder_noY"` for `gateway_name: "X", order_no: "Y"`). A value that holds the name of
    another signed field is therefore refused.
    """
    given = payload.get("signature")
    try:
        expected, fields = signature(payload, key), signed_fields(payload)
    except ValueError:
        return False
    if not isinstance(given, str) or any(_is_cut_elsewhere(name, value) for name, value in fields.items()):
        return False
    return hmac.compare_digest(_octets(given), _octets(expected))


def _is_cut_elsewhere(name: str, value: str) -> bool:
    return any(other in value for other in _TELLTALE_NAMES if other != name)


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"The signed field {name} is neither text nor a number.")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # JSON can hold half a surrogate pair: a wrong signature, not a crash
