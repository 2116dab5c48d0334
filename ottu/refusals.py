"""Reading how Ottu says no: the bodies of 400, 403, 404, 405 and 422, and the Retry-After of a 429.

Ottu's API description and documentation show four shapes: `{"detail", "operation", "result": "failed"}`, `{"detail"}`,
`{"field": ["reason", …]}` and `{"error": {"type", "code", "message", "field"}}`. A body that is none of them proves
nothing. Of each only the text made for people is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ottu.errors import InquiryReason, LookupFailed, OttuError, Refused
from ottu.models import RESULTS, Verdict, plain

REFUSAL_STATUSES = frozenset({400, 403, 404, 405, 422})
RETRY_AFTER_LIMIT_SECONDS = 86_400.0
VERDICT_FIELDS = frozenset({"operation", "result", "success"})
GENERAL_FIELDS = frozenset({"detail", "non_field_errors"})  # reasons that are about no field
_REASONS_LIMIT = 10
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,40}")
_PERSONAL_FIELD = re.compile(r"customer|card|token|initiator|pg_|billing|shipping|e?mail|phone")
_INQUIRY_REASONS = {
    "no payment attempts found for this lookup": InquiryReason.UNKNOWN_TRANSACTION,
    "payment attempts for order": InquiryReason.NO_ATTEMPT,
    "no payment attempts for order": InquiryReason.NO_ATTEMPT,
    "no disclosure url found for order": InquiryReason.NO_DISCLOSURE_URL,
    "operation is not allowed": InquiryReason.NOT_ALLOWED,
}


def read_refusal(status: int, document: Mapping[str, object], asked: str | None = None) -> OttuError | None:
    """The refusal in a body, or None where there is none that can be relied on.

    `asked` is the operation that was asked for: a refusal that names another one is not the refusal of ours. A body
    that says that it went well is no refusal.
    """
    named = document.get("operation")
    operation = named.strip().lower() if isinstance(named, str) else None
    if operation == "operation_tracking":
        return LookupFailed(status)
    if operation is None and named is not None and not _texts(named):
        return None  # unreadable; a list of texts would be the reasons for refusing the field `operation`
    if operation is not None and asked is not None and operation != asked:
        return None
    if not _says_no(document):
        return None
    reasons = list(_reasons(document))
    if not reasons:
        return None
    shown = [f"{field}: {text}" if field else text for field, text in reasons if not _PERSONAL_FIELD.match(field)]
    return Refused(
        status,
        plain("; ".join(shown[:_REASONS_LIMIT])) or f"Ottu refused this ({status}) without a reason that can be shown.",
        operation=None if operation is None else plain(operation),
        reason=next((reason for _, text in reasons if (reason := _inquiry_reason(text))), None),
    )


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """The wait that a Retry-After header names, in seconds or as a date, from 0 to a day; None where it names none."""
    text = (header or "").strip()
    if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,6})?", text):
        return min(float(text), RETRY_AFTER_LIMIT_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), RETRY_AFTER_LIMIT_SECONDS)


def _reasons(document: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Pairs of field name (or "") and text. None at all where any part of a body of field errors is something else."""
    error = document.get("error")
    for text in (document.get("detail"), error.get("message") if isinstance(error, dict) else None):
        if isinstance(text, str) and text.strip():
            yield "", text
            return
    fields = {
        name: _texts(value) for name, value in document.items() if isinstance(value, list) or name not in VERDICT_FIELDS
    }
    if all(_FIELD.fullmatch(name) and texts for name, texts in fields.items()):
        for name, texts in fields.items():
            yield from (("" if name in GENERAL_FIELDS else name, text) for text in texts)


def _texts(value: object) -> list[str]:
    """The texts of a list of texts; none for anything else."""
    texts = value if isinstance(value, list) else []
    return texts if all(isinstance(text, str) and text.strip() for text in texts) else []


def _says_no(document: Mapping[str, object]) -> bool:
    """Nothing in the body says that it went well, or says what cannot be read."""
    result, success = document.get("result"), document.get("success")
    result_is_no = result is None or (isinstance(result, str) and RESULTS.get(result.strip().lower()) is Verdict.FAILED)
    return result_is_no and (success is None or success is False)


def _inquiry_reason(text: str) -> InquiryReason | None:
    said = " ".join(text.lower().split())
    return next((reason for start, reason in _INQUIRY_REASONS.items() if said.startswith(start)), None)
