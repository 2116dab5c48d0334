"""The inquiry: its throttle and its refusals, after Ottu's description of the endpoint and its older document."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime

from sandbox.ottu_book import Book, Transaction
from sandbox.ottu_requests import ApiError, InquiryRequest
from sandbox.ottu_settings import Settings

GRACE_SECONDS = 600  # refused in the first ten minutes of a payment
GAP_SECONDS = 1800  # then once in half an hour
MOST_PER_PAYMENT = 3
MOST_PER_WINDOW = 30  # over all payments
WINDOW_SECONDS = 60
ALLOWED_STATES = ("pending", "attempted", "failed", "expired", "paid", "authorized")


class Throttle:
    """Counts the inquiries that were let through, whatever they were answered with."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._all: list[float] = []
        self._by_payment: defaultdict[str, list[float]] = defaultdict(list)

    def admit(self, transaction: Transaction | None) -> None:
        """Count one more; ApiError 429, with `Retry-After` where waiting helps, when it is one too many."""
        if not self._settings.throttle:
            return
        now, scale = self._clock().timestamp(), self._settings.throttle_scale
        self._all = [moment for moment in self._all if moment > now - WINDOW_SECONDS * scale]
        if len(self._all) >= MOST_PER_WINDOW:
            raise throttled(self._all[0] + WINDOW_SECONDS * scale - now)
        if transaction is not None:
            self._admit_payment(transaction, now, scale)
        self._all.append(now)

    def _admit_payment(self, transaction: Transaction, now: float, scale: float) -> None:
        earlier = self._by_payment[transaction.session_id]
        if len(earlier) >= MOST_PER_PAYMENT:
            raise throttled(None)
        possible = transaction.created_at.timestamp() + GRACE_SECONDS * scale
        if earlier:
            possible = max(possible, earlier[-1] + GAP_SECONDS * scale)
        if now < possible:
            raise throttled(possible - now)
        earlier.append(now)


def throttled(wait_seconds: float | None) -> ApiError:
    """429; `wait_seconds` None: waiting does not help."""
    if wait_seconds is None:
        return ApiError(429, {"detail": "Request was throttled."})
    whole = max(1, math.ceil(wait_seconds))
    detail = f"Request was throttled. Expected available in {whole} seconds."
    return ApiError(429, {"detail": detail}, {"Retry-After": str(whole)})


def inquire(request: InquiryRequest, book: Book, throttle: Throttle) -> Transaction:
    """The payment that may be looked at. ApiError: throttled, or one of the four refusals that Ottu names."""
    found = book.find(session_id=request.lookup.session_id, order_no=request.lookup.order_no)
    throttle.admit(found)
    if found is None:
        raise _refused("No payment attempts found for this Lookup")
    if request.disclose_to_merchant and request.disclosure_url is None:
        raise _refused(f"No disclosure url found for order {found.order_no}")
    if not found.attempted and found.state in ("created", "pending", "expired"):
        raise _refused(f"payment attempts for order {found.order_no}")
    if found.state not in ALLOWED_STATES:
        raise _refused("Operation is not allowed")
    return found


def _refused(detail: str) -> ApiError:
    return ApiError(400, {"detail": detail, "result": "failed"})
