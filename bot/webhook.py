"""Ottu's operation webhooks: the signature is checked, the rest reduced to what is not personal, and written down.

`POST /ottu/webhook`. 200 once it is on disk; 401 for a wrong signature; 404 where no key is set.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

import ottu
from approvals.hooks import Hook, Hooks
from approvals.request import Ending
from approvals.work import Job, Work

log = logging.getLogger("bot.webhook")
OPERATION_FIELDS = frozenset({"operation", "txn", "success", "source"})  # a payment's event has none of them
ENDINGS = {
    ottu.Verdict.SUCCEEDED: Ending.SUCCEEDED,
    ottu.Verdict.QUEUED: Ending.QUEUED,
    ottu.Verdict.FAILED: Ending.FAILED,
}


def hook_of(document: Mapping[str, object]) -> Hook:
    """A verified webhook, reduced. Fields of wrong types count as not there, and then it proves nothing."""
    answer = ottu.OperationAnswer.read(document)
    txn = answer.txn
    amounts = {said.amount for said in (answer, txn) if said and said.amount is not None}
    currencies = {_text(document.get("currency_code")), txn.currency_code if txn else None} - {None}
    is_of_one = len(amounts) <= 1 and len(currencies) <= 1
    amount = answer.amount if answer.amount is not None else next(iter(amounts), None)
    return Hook(
        signed=tuple(sorted(ottu.signed_fields(document))),
        ending=ENDINGS.get(answer.verdict, Ending.UNKNOWN) if is_of_one else Ending.UNKNOWN,
        order_no=answer.order_no,
        session_id=answer.session_id,
        operation=answer.operation,
        amount=None if amount is None else format(amount, "f"),
        currency=_text(document.get("currency_code")) or next(iter(currencies), None),
        result=answer.result,
        state=(_text(document.get("state")) or "").strip().lower() or None,
        child_state=txn.state if txn else None,
        reference_number=answer.reference_number,
        source=_text(document.get("source")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 128 else None


def endpoint(work: Work, key: Callable[[], str]) -> Callable[[Request], Awaitable[Response]]:
    """The route: verify, write down, answer. `key` gives the one that holds at the moment."""

    async def receive(request: Request) -> Response:
        body = await request.body()
        try:
            document = ottu.read_document(body)
        except ValueError:
            return PlainTextResponse("not a JSON object", status_code=400)
        if not ottu.verify(document, key()):
            log.warning("webhook_refused", extra={"facts": {"bytes": len(body)}})
            return PlainTextResponse("the signature does not hold", status_code=401)
        try:
            _write(work, document, hashlib.sha256(body).hexdigest())
        except sqlite3.Error as error:
            log.error("not_accepted", extra={"facts": {"kind": "webhook", "error": str(error)}})
            return PlainTextResponse("not written", status_code=503)
        return PlainTextResponse("ok")

    return receive


def _write(work: Work, document: Mapping[str, object], digest: str) -> None:
    if OPERATION_FIELDS & document.keys():
        work.add(f"webhook:{digest}", "webhook", {"hook": hook_of(document).as_json()})
    elif reference := _text(document.get("reference_number")):
        work.note_reference(reference, None, "payment")  # an event of a payment: only its reference is of use


async def on_webhook(hooks: Hooks, job: Job) -> None:
    """What the worker does with a webhook from the inbox."""
    hooks.receive(Hook.from_json(str(job.payload["hook"])))
