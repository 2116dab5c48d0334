"""The payment gateway Ottu: its operations, its inquiry, its retrieve. Knows nothing of Slack or approvals.

async with Client("https://example.ottu.net", ApiKey(key)) as client:
    try:
        answer = await client.operation(
            "refund", session_id=session_id, amount="5.000", tracking_key="R-7K2M", claimed_at=awake_seconds()
        )
    except Refused as refusal:  # a clear no: nothing was done by this call
        print(refusal.detail)
    except NoAnswer:  # it may have been done: never send again without looking
        ...
    else:
        print(answer.verdict)  # Verdict.SUCCEEDED, QUEUED, FAILED or UNCLEAR
"""

from ottu.client import Client, awake_seconds
from ottu.errors import (
    ClaimTooOld,
    InquiryReason,
    LookupFailed,
    NoAnswer,
    NotSent,
    OttuError,
    Refused,
    Throttled,
    Unauthorized,
)
from ottu.models import Child, ChildState, Inquiry, OperationAnswer, Retrieved, Transaction, Verdict, read_document
from ottu.outgoing import ApiKey, Basic
from ottu.webhooks import SIGNED_FIELDS, signature, signed_fields, verify

__all__ = [
    "SIGNED_FIELDS",
    "ApiKey",
    "Basic",
    "Child",
    "ChildState",
    "ClaimTooOld",
    "Client",
    "Inquiry",
    "InquiryReason",
    "LookupFailed",
    "NoAnswer",
    "NotSent",
    "OperationAnswer",
    "OttuError",
    "Refused",
    "Retrieved",
    "Throttled",
    "Transaction",
    "Unauthorized",
    "Verdict",
    "awake_seconds",
    "read_document",
    "signature",
    "signed_fields",
    "verify",
]
