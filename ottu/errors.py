"""What can go wrong in a call to Ottu.

* OttuError
  x NotSent            nothing can have reached Ottu
    - ClaimTooOld      held back by us: the process had been frozen
  x NoAnswer           it may have reached Ottu, and we cannot tell what came of it
  x Refused            a readable "no" (400, 403, 404, 405, 422)
  x Throttled          429: not executed, ask again later
  x Unauthorized       401: the credentials were not accepted
  x LookupFailed       a look-up by Tracking-Key failed; says nothing about the operation

`NoAnswer` is not `Refused`: whoever treats a time-out as a refusal refunds twice. No error carries the request, because
its headers hold the credentials; what a person sees is `str(error)`.
"""

from __future__ import annotations

from enum import StrEnum


class InquiryReason(StrEnum):
    """The four errors of an inquiry that Ottu's documentation ("Operations, version 2") names by their text."""

    UNKNOWN_TRANSACTION = "unknown_transaction"  # "No payment attempts found for this Lookup"
    NO_ATTEMPT = "no_attempt"  # "payment attempts for order …": it exists, and nobody has tried to pay it
    NO_DISCLOSURE_URL = "no_disclosure_url"  # "No disclosure url found for order …"
    NOT_ALLOWED = "not_allowed"  # "Operation is not allowed"


class OttuError(Exception):
    """The base of all below. The text is a sentence for a person."""


class NotSent(OttuError):
    """Nothing can have reached Ottu: sending again is safe. `why` is a short phrase."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Nothing was sent to Ottu: {why}.")
        self.why = why


class ClaimTooOld(NotSent):
    """The claim on this operation was too old when the connection stood, so that nothing was written."""

    def __init__(self) -> None:
        super().__init__("too much time had passed since it was claimed")


class NoAnswer(OttuError):
    """The request may have reached Ottu, and there is no answer that can be relied on.

    `why` is a short phrase; `status` is the HTTP status where one arrived.
    """

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(f"Ottu gave no clear answer: {why}.")
        self.why = why
        self.status = status


class Refused(OttuError):
    """Ottu said no, readably. `detail` is for a person to read; `operation` is what the refusal names, if it does."""

    def __init__(
        self, status: int, detail: str, *, operation: str | None = None, reason: InquiryReason | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.operation = operation
        self.reason = reason


class Throttled(OttuError):
    """Ottu asks to slow down and has executed nothing. `retry_after_seconds` is None where Ottu names no time."""

    def __init__(self, retry_after_seconds: float | None) -> None:
        when = "later" if retry_after_seconds is None else f"in {retry_after_seconds:.0f} seconds"
        super().__init__(f"Ottu is throttling; try again {when}.")
        self.retry_after_seconds = retry_after_seconds


class Unauthorized(OttuError):
    """Ottu did not accept the API key, or the user name and password."""

    def __init__(self) -> None:
        super().__init__("Ottu did not accept the credentials (401). Check the API key, or the user name and password.")


class LookupFailed(OttuError):
    """Ottu could not look the Tracking-Key up (`operation: operation_tracking`). The operation may have been done."""

    def __init__(self, status: int) -> None:
        super().__init__("Ottu could not look up the Tracking-Key; that says nothing about the operation itself.")
        self.status = status
