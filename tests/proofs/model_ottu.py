"""The truth beside the bot, for the proof by a model: what Ottu did, and all that it says of it, as the bot reads it.

Every word of this Ottu is a document with personal fields, reduced by the program's own functions on its way in.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import ottu
from approvals.hooks import Hook
from approvals.inquiries import Stored
from approvals.money import to_decimal_text
from approvals.reading import Reading
from approvals.request import Operation, Outcome, Request
from bot.perform import outcome_of, outcome_of_error
from bot.reader import reading_of, storable
from bot.webhook import hook_of
from ottu.refusals import read_refusal
from sandbox.ottu_answers import CARD, INITIATOR, PG_PARAMS
from sandbox.ottu_book import PAYER
from tests.approvals.factories import session

WHOLE_MINOR = 200_000  # of every transaction that is paid
OTHERS_MINOR = 7_000  # nobody asks this bot for so much
CURRENCY = "KWD"
EMAIL = PAYER["customer_email"]
PERSONAL_FIELDS: dict[str, Any] = {
    **PAYER,
    "initiator": INITIATOR,
    "pg_params": PG_PARAMS,
    "pg_response": PG_PARAMS,
    "token": CARD,
}
PERSONAL = [
    *(text for name, text in PAYER.items() if name not in {"customer_address_country", "customer_address_postal_code"}),
    *(str(value) for name, value in INITIATOR.items() if name != "id"),
    *PG_PARAMS.values(),
    *(str(CARD[name]) for name in ("number", "token", "name_on_card")),
]

# What is heard of one send, weighted. "lost": the answer never comes. "unnamed": it names no reference and no child.
WORDS = [
    "done",
    "done, lost",
    "done, unnamed",
    "queued",
    "queued, unnamed",
    "queued, lost",
    "lost",
    "lost",
    "asked again",
    "declined",
    "not sent",
    "throttled",
    "refused",
    "unauthorized",
    "disagreeing",
]
RESULTS = {"done": "success", "queued": "queued", "rejected": "rejected"}
CHILDREN = {"done": "refunded", "queued": "refund_queued", "rejected": "refund_rejected"}
SILENCE = Outcome(outcome_of_error(ottu.NoAnswer("it went away")).ending, "no answer")


@dataclass
class Deed:
    """One operation that Ottu did, or has handed to the bank. `request_id` is empty for somebody else's."""

    request_id: str
    session_id: str
    order_no: str
    amount_minor: int
    became: str  # done, queued, rejected
    number: int

    @property
    def child(self) -> str:
        return session(100 + self.number)

    @property
    def reference(self) -> str:
        return f"REF-{self.number}"

    @property
    def amount(self) -> str:
        return to_decimal_text(self.amount_minor, CURRENCY)


@dataclass
class Truth:
    """It does an operation once for each Tracking-Key, but to a wallet; and it may forget to say so."""

    deeds: list[Deed] = field(default_factory=list)
    by_key: dict[str, Deed] = field(default_factory=dict)
    cancels: Counter[str] = field(default_factory=Counter)  # by session id
    cancelled_for: set[str] = field(default_factory=set)  # request ids
    changes: int = 0

    # --- what happened

    def became(self, request_id: str) -> str | None:
        """What came of a request: done, queued, rejected; None where nothing was done."""
        if request_id in self.cancelled_for:
            return "done"
        said = {deed.became for deed in self.deeds if deed.request_id == request_id}
        return next((word for word in RESULTS if word in said), None)

    def of_request(self, request_id: str) -> Deed | None:
        return next((deed for deed in reversed(self.deeds) if deed.request_id == request_id), None)

    def times_moved(self) -> Counter[str]:
        """How often money moved, or is to move, for each request."""
        return Counter(deed.request_id for deed in self.deeds if deed.request_id and deed.became != "rejected")

    def queued(self) -> list[Deed]:
        return [deed for deed in self.deeds if deed.became == "queued"]

    def decide(self, deed: Deed, became: str) -> None:
        """The bank has decided."""
        deed.became = became
        self.changes += 1

    def by_somebody_else(self, session_id: str, order_no: str) -> Deed:
        """A refund by the dashboard."""
        return self._done(Deed("", session_id, order_no, OTHERS_MINOR, "done", len(self.deeds)))

    def _done(self, deed: Deed) -> Deed:
        self.deeds.append(deed)
        self.changes += 1
        return deed

    # --- one send

    def send(self, request: Request, what: str, *, forgets_key: bool = False) -> Outcome:
        """Perhaps it is done; what is heard of it. `forgets_key`: it takes a repetition for a new operation."""
        word, *more = what.split(", ")
        key = request.tracking_key or ""
        deed = None if forgets_key or request.destination == "wallet" else self.by_key.get(key)
        if request.operation is Operation.CANCEL:
            return self._cancel(request, word, more)
        if word in {"done", "queued"} and deed is None:
            if (request.amount_minor or 0) > self._left_minor(request.session_id or ""):
                return _refused(request)
            made = Deed(request.id, request.session_id or "", request.order_no or "", 0, word, len(self.deeds))
            deed = self.by_key[key] = self._done(replace(made, amount_minor=request.amount_minor or 0))
        if "lost" in more or word == "lost" or (word == "asked again" and deed is None):
            return SILENCE
        if deed is not None and word in {"done", "queued", "asked again"}:
            return self._said(request, self.document(deed, is_named="unnamed" not in more))
        return self._not_done(request, word)

    def _cancel(self, request: Request, word: str, more: list[str]) -> Outcome:
        name = request.session_id or ""
        if word in {"done", "queued"} and not self.cancels[name]:
            self.cancels[name] += 1
            self.cancelled_for.add(request.id)
            self.changes += 1
        if "lost" in more or word == "lost" or (word == "asked again" and request.id not in self.cancelled_for):
            return SILENCE
        if word in {"done", "queued", "asked again"}:
            if request.id not in self.cancelled_for:
                return _refused(request)
            return self._said(request, {"operation": "cancel", "result": "success", "detail": f"Told {EMAIL}."})
        return self._not_done(request, word)

    def _left_minor(self, session_id: str) -> int:
        taken = sum(d.amount_minor for d in self.deeds if d.session_id == session_id and d.became != "rejected")
        return WHOLE_MINOR - taken

    def _not_done(self, request: Request, word: str) -> Outcome:
        """A no, true or false: it may be the answer to the repetition of what was done."""
        errors: dict[str, ottu.OttuError] = {
            "not sent": ottu.NotSent("the name was not found"),
            "throttled": ottu.Throttled(5.0),
            "unauthorized": ottu.Unauthorized(),
        }
        if word in errors:
            return outcome_of_error(errors[word])
        if word == "refused":
            return _refused(request)
        if word == "disagreeing":
            another = "capture" if request.operation is Operation.REFUND else "refund"
            return self._said(request, {"operation": another, "result": "success", "success": True})
        declined = {"operation": request.operation.value, "result": "failed", "success": False}
        return self._said(request, {**declined, "detail": f"{EMAIL} has no card"})

    @staticmethod
    def _said(request: Request, document: dict[str, Any]) -> Outcome:
        return outcome_of(request, ottu.OperationAnswer.read({**PERSONAL_FIELDS, **document}))

    # --- what it says of a deed

    @staticmethod
    def document(deed: Deed, *, became: str | None = None, is_named: bool = True) -> dict[str, Any]:
        """The answer, and the webhook. `became`: as it was at another time."""
        word = became or deed.became
        txn = {"amount": deed.amount, "currency_code": CURRENCY, "state": CHILDREN[word], "order_no": deed.order_no}
        return {
            "amount": deed.amount,
            "operation": "refund",
            "order_no": deed.order_no,
            "session_id": deed.session_id,
            "result": RESULTS[word],
            "success": word != "rejected",
            "reference_number": deed.reference if is_named else None,
            "txn": {**txn, "session_id": deed.child if is_named else None, **PAYER},
            "detail": f"The card of {EMAIL} ({PAYER['customer_phone']}).",
        }

    def told(self, deed: Deed, how: str = "right") -> Hook:
        """A webhook of it: right, or as it was once, or one that proves nothing."""
        document = self.document(deed, became="queued" if how == "as it was" else None)
        if how not in {"right", "as it was"}:
            document |= {"reference_number": f"REF-{how}-{deed.request_id}", "result": "success", "success": True}
            document["txn"] |= {"state": "refunded"}
        if how == "another amount":
            document["amount"] = document["txn"]["amount"] = "1.000"
        if how == "of a payment":
            document["state"] = "paid"
        hook = hook_of({**PERSONAL_FIELDS, "source": "input", **document})
        unsigned = {"result"} if how == "forged" else set()
        return replace(hook, signed=tuple(name for name in hook.signed if name not in unsigned))

    # --- what it shows

    def show(self, session_id: str, order_no: str, now: str, *, hides: str = "") -> Reading:
        """A paid transaction, by an inquiry; `hides`: as it was before Ottu did anything for that request."""
        children = [
            {**PAYER, "session_id": d.child, "amount": d.amount, "currency_code": CURRENCY, "state": CHILDREN[d.became]}
            for d in self.deeds
            if d.session_id == session_id and not (hides and d.request_id == hides)
        ]
        whole = to_decimal_text(WHOLE_MINOR, CURRENCY)
        said = {"amount": whole, "settled_amount": whole, "transactions": children, "state": "paid"}
        return self._read({**said, "session_id": session_id, "order_no": order_no}, now)

    def show_unpaid(self, session_id: str, order_no: str, now: str) -> Reading:
        """One that nobody has paid: its children are not read."""
        state = "canceled" if self.cancels[session_id] else "pending"
        said = {"amount": to_decimal_text(WHOLE_MINOR, CURRENCY), "state": state}
        return self._read({**said, "session_id": session_id, "order_no": order_no}, now)

    def show_child(self, child: str, now: str) -> Reading:
        """A refund looked up by its own session id."""
        deed = next(deed for deed in self.deeds if deed.child == child)
        said = {"amount": deed.amount, "state": CHILDREN[deed.became], "session_id": child}
        return self._read({**said, "order_no": deed.order_no}, now)

    @staticmethod
    def _read(document: dict[str, Any], now: str) -> Reading:
        whole = {**PERSONAL_FIELDS, "currency_code": CURRENCY, "gateway_name": "knet", "is_sandbox": True, **document}
        return reading_of(Stored(now, storable(ottu.Inquiry.read(whole))))


def _refused(request: Request) -> Outcome:
    body = {"detail": f"Nothing is left for {EMAIL}", "operation": request.operation.value, "result": "failed"}
    error = read_refusal(400, {**body, "customer_email": [EMAIL]}, request.operation.value)
    assert isinstance(error, ottu.Refused)
    return outcome_of_error(error)
