"""Reads transactions from Ottu within the budget of inquiries, and translates them into what `approvals` knows.

Nothing personal is kept: an inquiry's answer is reduced to state, amounts and children before it is stored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import ottu
from approvals import money
from approvals.inquiries import MOST, RESERVED, Inquiries, Stored
from approvals.reading import SESSION_ID, Child, Reading
from approvals.request import Refusal, Request
from approvals.sentences import looking
from approvals.store import Store

NOBODY = "0" * 40  # a session id that no transaction has: a harmless question


class Later(Exception):
    """Ottu cannot tell now; ask again after so many seconds. The text says why, for the person who waits."""

    def __init__(self, why: str, seconds: float | None = None) -> None:
        super().__init__(why)
        self.seconds = seconds


@dataclass(frozen=True)
class Reader:
    """Reads transactions within the budget of inquiries."""

    client: ottu.Client
    store: Store
    inquiries: Inquiries

    async def read(self, request: Request) -> Reading:
        """What a request needs to know of its transaction. Raises Refusal, or Later."""
        session_id = request.reference if request.reference_kind == "session" else None
        session_id = session_id or self.store.session_of_order(request.reference)
        if session_id is None:
            return await self._by_order(request)
        reading = await self.retrieve(session_id)
        if not request.operation.moves_money:
            return reading
        stored = self.inquiries.fresh(request.reference_kind, request.reference, session_id)
        if stored is None:
            stored = await self._inquiry_or_nothing(session_id)
        return _merged(reading, stored) if stored else reading

    async def probe(self) -> bool:
        """A harmless call: are the credentials accepted? Raises Later where Ottu cannot tell."""
        try:
            await self.retrieve(NOBODY)
        except Refusal:
            return True
        except Later as later:
            if isinstance(later.__cause__, ottu.Unauthorized):
                return False
            raise
        return True

    async def retrieve(self, session_id: str) -> Reading:
        """State, amount and currency of a transaction. Raises Refusal, or Later."""
        try:
            answer = await self.client.retrieve(session_id)
        except ottu.Refused as error:
            if error.status == 404:
                raise Refusal(looking.no_such_session(session_id=session_id), kind="not_found") from None
            raise Refusal(looking.not_shown(why=error.detail), kind="unreadable") from None
        except ottu.OttuError as error:
            raise _later(error) from error
        if answer.session_id not in (None, session_id):
            raise Refusal(looking.ANOTHER_RETRIEVED, kind="disagreeing_read")
        currency = _known_currency(answer.currency_code)
        return Reading(
            session_id=session_id,
            order_no=answer.order_no,
            state=answer.state,
            currency=currency,
            amount_minor=money.minor_or_none(answer.amount, currency),
            is_sandbox=answer.is_sandbox,
            gateway=answer.pg_code,
            read_at=self.store.now(),
        )

    async def _by_order(self, request: Request) -> Reading:
        """By one inquiry. For an unpaid link Ottu's inquiry knows nothing: cancel and expire then go by the number."""
        by_number = Reading(None, request.reference, None, None, None, self.store.now())
        if not request.operation.moves_money and self.inquiries.was_unpaid(request.reference):
            return by_number
        stored = self.inquiries.fresh("order", request.reference, None)
        try:
            stored = stored or await self.inquire("order", request.reference, most=MOST)
        except ottu.Refused as error:
            if error.reason is ottu.InquiryReason.UNKNOWN_TRANSACTION or request.operation.moves_money:
                raise Refusal(inquiry_advice(error, request.reference), kind="inquiry_refused") from None
            return by_number
        except ottu.OttuError as error:
            raise _later(error) from error
        return reading_of(stored)

    async def _inquiry_or_nothing(self, session_id: str) -> Stored | None:
        """The figures for the card, where the budget allows; without them the card says "not checked"."""
        try:
            return await self.inquire("session", session_id, most=MOST - RESERVED)
        except (Later, ottu.OttuError):
            return None

    async def inquire(self, kind: str, reference: str, *, most: int, **more: Any) -> Stored:
        """One inquiry within the budget. Raises Later where it forbids one now, OttuError as Ottu answers."""
        session_id = reference if kind == "session" else None
        number = self.inquiries.begin(kind, reference, session_id, most=most)
        if number is None:
            wait = self.inquiries.wait_seconds(kind, reference, session_id, most=most)
            raise Later(looking.INQUIRIES_SPENT, max(wait, 1.0))
        asked_at = self.store.now()  # what is read is at least as old as the question
        try:
            answer = await self.client.inquiry(
                session_id=session_id, order_no=None if session_id else reference, **more
            )
        except ottu.OttuError as error:
            asked = error.retry_after_seconds if isinstance(error, ottu.Throttled) else None
            self.inquiries.end(number, _outcome_of_inquiry(error), retry_after_seconds=asked)
            if isinstance(error, ottu.Throttled):
                wait = self.inquiries.wait_seconds(kind, reference, session_id, most=most)
                raise Later(looking.THROTTLED, max(wait, 1.0)) from error
            raise
        facts = storable(answer)
        self.inquiries.end(number, "answered", facts)
        if answer.reference_number:
            self.inquiries.note_reference(answer.reference_number)
        return Stored(asked_at, facts)


def _outcome_of_inquiry(error: ottu.OttuError) -> str:
    if isinstance(error, ottu.Refused):
        return "no_attempt" if error.reason is ottu.InquiryReason.NO_ATTEMPT else "refused"
    return {ottu.Throttled: "throttled", ottu.NotSent: "not_sent"}.get(type(error), "no_answer")


def _later(error: ottu.OttuError) -> Later:
    seconds = error.retry_after_seconds if isinstance(error, ottu.Throttled) else None
    return Later(str(error), seconds)


def storable(answer: ottu.Inquiry) -> dict[str, Any]:
    """An inquiry's answer without anything personal, as JSON; amounts as decimal texts."""
    readable = answer.transactions_readable
    return {
        **{
            name: _text(getattr(answer, name))
            for name in ("state", "result", "amount", "currency_code", "session_id", "order_no", "settled_amount")
        },
        **{
            name: _text(getattr(answer, name))
            for name in ("refunded_amount", "voided_amount", "gateway_account", "gateway_name", "reference_number")
        },
        "is_sandbox": answer.is_sandbox,
        "children": [
            {"session_id": c.session_id, "state": c.state, "amount": _text(c.amount), "currency_code": c.currency_code}
            for c in answer.transactions or []
        ]
        if readable
        else None,
    }


def _text(value: object) -> str | None:
    return None if value is None else format(value, "f") if isinstance(value, Decimal) else str(value)


def reading_of(stored: Stored) -> Reading:
    """A stored answer as a reading. What is not exact in its currency counts as not read."""
    facts = stored.answer
    currency = _known_currency(facts["currency_code"])

    def minor(name: str) -> int | None:
        return money.minor_or_none(Decimal(facts[name]), currency) if facts[name] is not None else None

    return Reading(
        session_id=facts["session_id"],
        order_no=facts["order_no"],
        state=facts["state"],
        currency=currency,
        amount_minor=minor("amount"),
        settled_minor=minor("settled_amount"),
        refunded_minor=minor("refunded_amount"),
        children=_children(facts["children"], currency),
        is_sandbox=facts["is_sandbox"],
        gateway=facts["gateway_name"],
        read_at=stored.sent_at,
    )


def _children(listed: list[dict[str, Any]] | None, currency: str | None) -> tuple[Child, ...] | None:
    """The children, or None where one of them cannot be trusted."""
    found: list[Child] = []
    for child in listed or []:
        amount = money.minor_or_none(Decimal(child["amount"]), currency) if child["amount"] is not None else None
        if amount is None or child["state"] is None or child["currency_code"] not in (None, currency):
            return None
        session = child["session_id"] if SESSION_ID.fullmatch(child["session_id"] or "") else None
        found.append(Child(session, child["state"], amount))
    return None if listed is None else tuple(found)


def _merged(reading: Reading, stored: Stored) -> Reading:
    """The state and currency just retrieved, with the figures of an inquiry, where the two agree."""
    inquiry = reading_of(stored)
    same_sums = (inquiry.currency, inquiry.amount_minor) == (reading.currency, reading.amount_minor)
    same_names = inquiry.session_id in (None, reading.session_id) and (
        inquiry.order_no is None or reading.order_no is None or inquiry.order_no == reading.order_no
    )
    if not (same_sums and same_names):
        return reading
    return replace(
        reading,
        settled_minor=inquiry.settled_minor,
        refunded_minor=inquiry.refunded_minor,
        children=inquiry.children,
        read_at=inquiry.read_at,
        is_sandbox=inquiry.is_sandbox if reading.is_sandbox is None else reading.is_sandbox,
        gateway=inquiry.gateway or reading.gateway,
    )


def _known_currency(code: str | None) -> str | None:
    """A currency whose decimals we know; anything else counts as not read."""
    return code if code in money.currencies() else None


def inquiry_advice(error: ottu.Refused, reference: str) -> str:
    """The four errors of Ottu's inquiry as advice to a person."""
    match error.reason:
        case ottu.InquiryReason.UNKNOWN_TRANSACTION:
            return looking.no_payment(reference=reference)
        case ottu.InquiryReason.NO_ATTEMPT:
            return looking.never_tried(reference=reference)
        case ottu.InquiryReason.NO_DISCLOSURE_URL:
            return looking.no_disclosure_url(reference=reference)
        case ottu.InquiryReason.NOT_ALLOWED:
            return looking.not_allowed(reference=reference)
    return looking.inquiry_refused(reference=reference, why=error.detail)
