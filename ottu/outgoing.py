"""What is sent to Ottu, checked before it is sent: addresses, credentials, bodies. Pure; errors are ValueErrors."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

OPERATIONS = frozenset({"refund", "capture", "void", "cancel", "expire", "delete"})
AMOUNT_OPERATIONS = frozenset({"refund", "capture"})
DESTINATIONS = frozenset({"pg", "wallet"})
ORDER_NO_LIMIT = 128  # characters; Ottu's API description
URL_LIMIT = 200  # characters; Ottu's API description, of webhook_url
_SESSION_ID = re.compile(r"[0-9a-fA-F]{40}")
_AMOUNT = re.compile(r"[0-9]{1,13}(\.[0-9]{1,3})?")
_HOST = r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?"
_BASE_URL = re.compile(rf"(?P<scheme>(?i:https?))://{_HOST}(/[A-Za-z0-9._~/-]*)?")
_PROXY = re.compile(rf"https?://([!-~]*@)?{_HOST}/?")
_URL = re.compile(r"https?://[!-~]+")
_HEADER_VALUE = re.compile(r"[!-~]{1,512}")


@dataclass(frozen=True)
class ApiKey:
    """Ottu's private key: it may do everything, and Ottu asks nobody else."""

    key: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _HEADER_VALUE.fullmatch(self.key):
            raise ValueError("The API key must be 1 to 512 ASCII characters without spaces.")

    def header(self) -> str:
        """The value of the Authorization header."""
        return f"Api-Key {self.key}"


@dataclass(frozen=True)
class Basic:
    """A user of Ottu, whose permissions are granular (`payment.refund` …)."""

    username: str = field(repr=False)
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.username or not self.password or ":" in self.username:
            raise ValueError("The user name and the password must not be empty, and the user name has no colon.")

    def header(self) -> str:
        """The value of the Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def check_base_url(base_url: str) -> str:
    """The base URL without a last slash: https, or plain http to a loopback address. Raises ValueError."""
    match = _BASE_URL.fullmatch(base_url)
    if match is None or int(match["port"] or 0) > 65_535:
        raise ValueError("The base URL must be https://host, without a user name, a query or a fragment.")
    if match["scheme"].lower() == "http" and not _is_loopback(match["host"].strip("[]")):
        raise ValueError("The base URL must begin with https:// (plain http is for a loopback address only).")
    return base_url.rstrip("/")


def check_proxy(proxy: str | None) -> str | None:
    """A proxy's URL, which may hold a user name and a password. Raises ValueError, which does not quote it."""
    if proxy is not None and not _PROXY.fullmatch(proxy):
        raise ValueError("The proxy must be http://host:port or https://host:port.")
    return proxy


def operation_body(
    operation: str,
    session_id: str | None,
    order_no: str | None,
    amount: str | None,
    destination: str | None,
    extra: Mapping[str, object] | None,
) -> bytes:
    """The JSON body of an operation; `amount` goes out as a string. Raises ValueError for what Ottu would not take."""
    if operation not in OPERATIONS:
        raise ValueError(f"The operation must be one of {', '.join(sorted(OPERATIONS))}.")
    body: dict[str, object] = {"operation": operation, **_reference(session_id, order_no)}
    if operation in AMOUNT_OPERATIONS:
        body["amount"] = _checked_amount(amount, operation)
    elif amount is not None:
        raise ValueError(f"{operation} takes no amount.")
    if destination is not None:
        if operation != "refund" or destination not in DESTINATIONS:
            raise ValueError("A destination is for refund only, and is pg or wallet.")
        body["destination"] = destination
    if extra is not None:
        body["extra"] = dict(extra)
    return _json(body)


def inquiry_body(session_id: str | None, order_no: str | None, options: Mapping[str, bool | str | None]) -> bytes:
    """The JSON body of an inquiry, with the options that are not None. Raises ValueError."""
    for name, value in options.items():
        if isinstance(value, str) and (len(value) > URL_LIMIT or not _URL.fullmatch(value)):
            raise ValueError(f"{name} must be an http(s) address of at most {URL_LIMIT} characters.")
    return _json(
        {**_reference(session_id, order_no), **{name: value for name, value in options.items() if value is not None}}
    )


def session_path(session_id: str) -> str:
    """The path under which Ottu's checkout shows a transaction. Raises ValueError."""
    return f"/b/checkout/v1/pymt-txn/{_checked_session_id(session_id)}/"


def tracking(tracking_key: str | None) -> dict[str, str]:
    """The Tracking-Key header, where there is a key. Raises ValueError."""
    if tracking_key is None:
        return {}
    if len(tracking_key) > 128 or not _HEADER_VALUE.fullmatch(tracking_key):
        raise ValueError("The Tracking-Key must be 1 to 128 ASCII characters without spaces.")
    return {"Tracking-Key": tracking_key}


def _reference(session_id: str | None, order_no: str | None) -> dict[str, str]:
    if (session_id is None) == (order_no is None):
        raise ValueError("Exactly one of session_id and order_no is needed.")
    if session_id is not None:
        return {"session_id": _checked_session_id(session_id)}
    if not order_no or len(order_no) > ORDER_NO_LIMIT:
        raise ValueError(f"An order number has 1 to {ORDER_NO_LIMIT} characters.")
    return {"order_no": order_no}


def _checked_session_id(session_id: str) -> str:
    if not _SESSION_ID.fullmatch(session_id):
        raise ValueError("A session id has 40 hex digits.")
    return session_id


def _checked_amount(amount: str | None, operation: str) -> str:
    if amount is None:
        raise ValueError(f"{operation} needs an amount: without one, Ottu takes all that is left.")
    if not _AMOUNT.fullmatch(amount) or Decimal(amount) <= 0:
        raise ValueError("An amount is a string of at most 13 digits before and 3 after the point, and more than 0.")
    return amount


def _json(body: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(body, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError):
        raise ValueError("extra must be plain JSON: text, finite numbers, lists and objects.") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
