"""Reading what a caller sends, with Ottu's own kinds of refusal: `{"field": ["reason", …]}`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

EXTERNAL = ("refund", "capture", "void")  # these reach the payment gateway
INTERNAL = ("cancel", "expire", "delete")  # these stay inside Ottu


class ApiError(Exception):
    """An answer that is no success: a status, a JSON body, headers."""

    def __init__(self, status: int, body: dict[str, object], headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


def field_error(name: str, reason: str) -> ApiError:
    """The 400 of Ottu's validation."""
    return ApiError(400, {name: [reason]})


@dataclass(frozen=True)
class Lookup:
    """Which payment: one of the two is set."""

    order_no: str | None = None
    session_id: str | None = None


@dataclass(frozen=True)
class OperationRequest:
    """The body of an operation, its form checked; the payment and its rules are not looked at yet."""

    operation: str
    lookup: Lookup
    amount: str | None = None  # left out: all, or all that is left
    destination: str = "pg"
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class InquiryRequest:
    """The body of an inquiry: the fields of the older document and of the newer one."""

    lookup: Lookup
    disclose_to_merchant: bool = False
    disclosure_url: str | None = None
    notify_webhook_url: bool = False
    webhook_url: str | None = None


def parse(raw: bytes) -> Any:
    """JSON, and nothing that only Python takes for it (NaN, half a surrogate pair). ValueError for all else."""
    try:
        value = json.loads(raw, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("too deep") from error
    json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair has no UTF-8 and could not be answered
    return value


def json_object(raw: bytes) -> dict[str, Any]:
    """The body as an object; ApiError 400 for anything else."""
    try:
        body = parse(raw)
    except ValueError as error:
        raise ApiError(400, {"detail": "JSON parse error"}) from error
    if not isinstance(body, dict):
        raise field_error("non_field_errors", "Invalid data. Expected a dictionary.")
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def read_operation(body: dict[str, Any]) -> OperationRequest:
    """ApiError 400 when a field is missing or of another form than Ottu's OpenAPI file gives it."""
    operation = _text(body, "operation", most=32)
    if operation is None:
        raise field_error("operation", "This field is required.")
    if operation not in EXTERNAL + INTERNAL:
        raise field_error("operation", f'"{operation}" is not a valid choice.')
    amount = body.get("amount")
    if amount is not None and not isinstance(amount, str):
        raise field_error("amount", "A valid number is required.")  # a decimal string; Ottu's client sends no number
    destination = body.get("destination", "pg")
    if destination not in ("pg", "wallet"):
        raise field_error("destination", f'"{destination}" is not a valid choice.')
    if destination == "wallet" and operation != "refund":
        raise field_error("destination", "The wallet is only available for refunds.")
    extra = body.get("extra", {})
    if not isinstance(extra, dict):
        raise field_error("extra", "Expected a dictionary of items.")
    return OperationRequest(operation, _lookup(body), amount, destination, extra)


def read_inquiry(body: dict[str, Any]) -> InquiryRequest:
    """ApiError 400 when a field is missing or of another form than documented."""
    return InquiryRequest(
        _lookup(body),
        disclose_to_merchant=_flag(body, "disclose_to_merchant"),
        disclosure_url=_url(body, "disclosure_url"),
        notify_webhook_url=_flag(body, "notify_webhook_url"),
        webhook_url=_url(body, "webhook_url"),
    )


def _lookup(body: dict[str, Any]) -> Lookup:
    lookup = Lookup(_text(body, "order_no", most=128), _text(body, "session_id", most=128))
    if (lookup.order_no is None) == (lookup.session_id is None):
        raise field_error("non_field_errors", "Exactly one of order_no and session_id must be provided.")
    return lookup


def _text(body: dict[str, Any], name: str, *, most: int) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise field_error(name, "Not a valid string.")
    if not value.strip():
        raise field_error(name, "This field may not be blank.")
    if len(value) > most:
        raise field_error(name, f"Ensure this field has no more than {most} characters.")
    return value


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise field_error(name, "Must be a valid boolean.")
    return value


def _url(body: dict[str, Any], name: str) -> str | None:
    value = _text(body, name, most=200)
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        valid = False
    if not valid:
        raise field_error(name, "Enter a valid URL.")
    return value
