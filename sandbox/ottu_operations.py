"""What the local Ottu does with an operation: its rules, its Tracking-Keys, and the money.

The rules are those of Ottu's operations document, at their strictest. The rules are asked twice, before and after the
gateway's time, since another operation may have come between.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Literal, cast

from sandbox.ledger import Ledger
from sandbox.ottu_answers import Outcome, Performed, external, failure, internal, time_text
from sandbox.ottu_book import Book, Child, ChildState, Transaction, exact_amount
from sandbox.ottu_requests import EXTERNAL, ApiError, Lookup, OperationRequest, field_error
from sandbox.ottu_settings import Settings

ACTS_ON = {
    "cancel": ("created", "pending", "attempted", "cod"),
    "expire": ("created", "pending", "attempted"),
}
CHILD_STATES: dict[tuple[str, Outcome], ChildState] = {
    ("capture", "success"): "paid",
    ("void", "success"): "voided",
    ("refund", "success"): "refunded",
    ("refund", "queued"): "refund_queued",
    ("refund", "rejected"): "refund_rejected",
}


class Operations:
    """One gateway: the payments, the keys it has stored, and the ledger of what moved."""

    def __init__(self, book: Book, ledger: Ledger, settings: Settings, clock: Callable[[], datetime]) -> None:
        self.book = book
        self.ledger = ledger
        self.settings = settings
        self.clock = clock
        self.performed: list[Performed] = []
        self._keys: dict[tuple[str, str], Performed] = {}  # by Tracking-Key and the payment's session id

    async def perform(
        self,
        request: OperationRequest,
        *,
        tracking_key: str | None = None,
        initiator: dict[str, object] | None = None,
        source: Literal["input", "pg"] = "input",
        outcome: Outcome | None = None,
        gateway_seconds: float = 0.0,
    ) -> tuple[dict[str, object], Performed | None]:
        """Do it, or look it up by its key. The answer's body, and what was performed now (None: nothing external).

        ApiError when it is refused. `outcome` overrules the gateway; `gateway_seconds` pass before the money moves.
        """
        transaction = self._transaction(request.lookup)
        if request.operation not in EXTERNAL:
            return self._internal(transaction, request.operation), None
        # A second refund to the wallet credits again, whatever its key: none is looked up, none is stored.
        key = None if request.destination == "wallet" else tracking_key
        stored = self._stored(key, request.lookup)
        if stored is not None:
            return self._latest(stored), None
        performed = self._begin(transaction, request, source, initiator, tracking_key)
        if key is not None and self.settings.key_stored == "begin":
            self._keys[key, transaction.session_id] = performed
        if gateway_seconds:
            await asyncio.sleep(gateway_seconds)
        self._finish(performed, request, outcome)
        succeeded = performed.outcome in ("success", "queued")
        if key is not None and self.settings.key_stored == "success" and succeeded:
            self._keys[key, transaction.session_id] = performed
        return external(performed, self.settings.webhook_key), performed

    def settle(self, session_id: str, child_session_id: str | None, state: ChildState) -> Performed:
        """The bank decides a queued refund; without a child's id the payment's oldest. ValueError: there is none."""
        for performed in self.performed:
            child = performed.child
            if child is None or child.state != "refund_queued" or performed.transaction.session_id != session_id:
                continue
            if child_session_id not in (None, child.session_id):
                continue
            child.state = state
            performed.outcome = "success" if state == "refunded" else "rejected"
            performed.at = self.clock()
            if state == "refunded":
                self._write(performed, child)
            return performed
        raise ValueError("no refund is queued there")

    def _transaction(self, lookup: Lookup) -> Transaction:
        found = self.book.find(session_id=lookup.session_id, order_no=lookup.order_no)
        if found is None:
            name = "order_no" if lookup.session_id is None else "session_id"
            raise field_error(name, "No payment transaction was found.")
        return found

    def _internal(self, transaction: Transaction, operation: str) -> dict[str, object]:
        if operation == "delete":
            transaction.deleted = True
        elif transaction.state not in ACTS_ON[operation]:
            raise ApiError(
                400, failure(operation, f"A payment that is {transaction.state} does not allow {operation}.")
            )
        else:
            transaction.state = "canceled" if operation == "cancel" else "expired"
        return internal(operation)

    def _stored(self, key: str | None, lookup: Lookup) -> Performed | None:
        """Only the same key *with the same session id* is a look-up: by order number it executes."""
        if key is None or lookup.session_id is None or self.settings.key_stored == "never":
            return None
        return self._keys.get((key, lookup.session_id))

    def _latest(self, stored: Performed) -> dict[str, object]:
        if stored.refusal is not None:
            raise ApiError(400, stored.refusal)
        if stored.outcome is None:
            raise ApiError(400, failure("operation_tracking", "The operation is still being processed."))
        return external(stored, self.settings.webhook_key)

    def _begin(
        self,
        transaction: Transaction,
        request: OperationRequest,
        source: Literal["input", "pg"],
        initiator: dict[str, object] | None,
        tracking_key: str | None,
    ) -> Performed:
        return Performed(
            transaction=transaction,
            operation=request.operation,
            amount=allowed_amount(transaction, request),
            destination=cast(Literal["pg", "wallet"], request.destination),
            reference_number=f"sandbox{secrets.token_hex(4).upper()}",
            at=self.clock(),
            source=source,
            initiator=initiator,
            tracking_key=tracking_key,
        )

    def _finish(self, performed: Performed, request: OperationRequest, outcome: Outcome | None) -> None:
        transaction = performed.transaction
        try:
            performed.amount = allowed_amount(transaction, request)
        except ApiError as error:
            performed.refusal = error.body
            raise
        queues = request.operation == "refund" and transaction.refunds_queue
        performed.outcome = outcome or ("queued" if queues else "success")
        performed.at = self.clock()
        self.performed.append(performed)
        state = CHILD_STATES.get((request.operation, performed.outcome))
        if state is None:
            return
        performed.child = Child(
            amount=performed.amount, state=state, destination=performed.destination, created_at=performed.at
        )
        transaction.children.append(performed.child)
        if performed.outcome == "success":
            self._write(performed, performed.child)

    def _write(self, performed: Performed, child: Child) -> None:
        transaction = performed.transaction
        self.ledger.add(
            performed.operation,
            at=time_text(performed.at),
            session_id=transaction.session_id,
            order_no=transaction.order_no,
            amount=transaction.text(performed.amount),
            currency=transaction.currency,
            destination=performed.destination,
            tracking_key=performed.tracking_key,
            child_session_id=child.session_id,
        )


def allowed_amount(transaction: Transaction, request: OperationRequest) -> Decimal:
    """What an external operation moves now. ApiError 400 when the payment does not allow it."""
    operation = request.operation

    def refuse(detail: str) -> ApiError:
        return ApiError(400, failure(operation, detail))

    if operation in transaction.unsupported:
        raise refuse(f"The payment gateway does not support {operation}.")
    if transaction.gateway_currency not in (None, transaction.currency):
        raise refuse("Operations are not available for payments in a foreign currency.")
    if request.destination == "wallet" and not (transaction.has_wallet and transaction.payer.get("customer_id")):
        raise refuse("The payment method has no active wallet service.")
    if operation == "refund":
        left, possible = (
            transaction.refundable,
            transaction.state in ("paid", "authorized") and transaction.received > 0,
        )
    elif operation == "capture":
        left, possible = transaction.capturable, transaction.state == "authorized"
    else:  # a void is always in full, whatever amount is sent, and only of what was never touched
        left, possible = transaction.amount, transaction.state == "authorized" and not transaction.children
    if not possible:
        raise refuse(f"The payment does not allow {operation} in its present state ({transaction.state}).")
    if left <= 0:
        raise refuse(f"Nothing is left to {operation}.")
    if request.amount is None or operation == "void":
        return left
    try:
        amount = exact_amount(request.amount, transaction.currency)
    except ValueError as error:
        raise field_error("amount", str(error)) from error
    if amount > left:
        raise refuse(f"The amount is more than the {transaction.text(left)} {transaction.currency} that is left.")
    return amount
