"""Sends operations, and translates what comes back; `reader` and `webhook` translate the other answers.

Every exception of the gateway becomes an ending that says what is proven, by the table in `approvals.request`.
"""

from __future__ import annotations

import logging
from decimal import Decimal

import ottu
from approvals import money
from approvals.reading import SESSION_ID
from approvals.request import Ending, Operation, Outcome, Request
from approvals.sentences import executing

log = logging.getLogger("bot.perform")


async def send(client: ottu.Client, request: Request, claimed_at: float) -> Outcome:
    """Send the operation of a claimed request, once, and say what is proven by what came back."""
    try:
        answer = await client.operation(
            request.operation.value,
            session_id=request.session_id,
            order_no=None if request.session_id else request.reference,
            amount=_amount(request),
            destination=request.destination if request.destination != "pg" else None,
            tracking_key=request.tracking_key,
            claimed_at=claimed_at,
        )
    except ottu.OttuError as error:
        return outcome_of_error(error)
    except Exception as error:  # whatever it was, the request may have reached Ottu
        log.error("unexpected", extra={"facts": {"request": request.id, "error": type(error).__name__}})
        return Outcome(Ending.UNKNOWN, executing.unexpected(error=type(error).__name__))
    return outcome_of(request, answer)


def _amount(request: Request) -> str | None:
    if request.operation not in {Operation.REFUND, Operation.CAPTURE}:
        return None
    if request.amount_minor is None or request.currency is None:
        raise ValueError(f"{request.id} has no amount: nothing is sent, because Ottu would take everything")
    return money.to_decimal_text(request.amount_minor, request.currency)


def outcome_of_error(error: ottu.OttuError) -> Outcome:
    """What an error of the gateway proves."""
    match error:
        case ottu.NotSent():
            return Outcome(Ending.NOT_SENT, error.why)
        case ottu.Throttled():
            return Outcome(Ending.NOT_EXECUTED, executing.SLOW_DOWN, retry_after_seconds=error.retry_after_seconds)
        case ottu.Unauthorized():
            return Outcome(Ending.UNAUTHORIZED, executing.CREDENTIALS_NOT_ACCEPTED)
        case ottu.Refused():
            return Outcome(Ending.REFUSED, error.detail)
        case ottu.NoAnswer():
            return Outcome(Ending.UNKNOWN, error.why)
    return Outcome(Ending.UNKNOWN, str(error))


def outcome_of(request: Request, answer: ottu.OperationAnswer) -> Outcome:
    """What a 2xx answer proves. One of something else than was approved proves nothing."""
    difference = _difference(request, answer)
    reference, detail = answer.reference_number, answer.detail or ""
    if difference:
        return Outcome(Ending.DISAGREES, executing.answer_of_another(difference=difference))
    answered = money.minor_or_none(_answered(answer), request.currency)
    match answer.verdict:
        case ottu.Verdict.SUCCEEDED:
            return Outcome(Ending.SUCCEEDED, detail, answered, reference)
        case ottu.Verdict.QUEUED:
            return Outcome(Ending.QUEUED, detail, answered, reference, _child(request, answer))
        case ottu.Verdict.FAILED:
            return Outcome(Ending.FAILED, detail or executing.DECLINED, answered, reference)
    return Outcome(Ending.UNKNOWN, executing.UNCLEAR_ANSWER)


def _child(request: Request, answer: ottu.OperationAnswer) -> str | None:
    """The session id of the transaction that the operation made, by which it can be looked up later."""
    name = answer.txn.session_id if answer.txn else None
    return name if name and name != request.session_id and SESSION_ID.fullmatch(name) else None


def _answered(answer: ottu.OperationAnswer) -> Decimal | None:
    if answer.amount is not None:
        return answer.amount
    return answer.txn.amount if answer.txn else None


def _difference(request: Request, answer: ottu.OperationAnswer) -> executing.Difference | None:
    """Which of operation, session, amount and currency the answer contradicts."""
    if answer.operation not in (None, request.operation.value):
        return "operation"
    if answer.session_id is not None and request.session_id is not None and answer.session_id != request.session_id:
        return "transaction"
    currency = answer.txn.currency_code if answer.txn else None
    if currency is not None and request.currency is not None and currency != request.currency:
        return "currency"
    for amount in (answer.amount, answer.txn.amount if answer.txn else None):
        if amount is None or request.amount_minor is None:
            continue
        if money.minor_or_none(amount, request.currency) != request.amount_minor:
            return "amount"
    return None
