"""What Ottu's answers say: lenient in, strict out.

A field that is missing or null is None. A field of the wrong type is None too, and is named in `unreadable`: no answer
raises an exception, and none is read as something that it does not say. Fields that are not modelled are dropped, and
personal data is never modelled: no `customer_*`, `card_*`, `token`, `initiator`, `pg_params` or `pg_response`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal, DecimalException
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

SENTENCE_LIMIT = 300  # characters of Ottu's words that a person is shown
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")
# An e-mail address, a telephone number in international form, or as many digits as a card has.
_PERSONAL = re.compile(r"\S+@\S+|(?<!\w)\+\d(?:[ -]?\d){6,14}(?!\w)|(?<!\w)\d(?:[ -]?\d){12,18}(?!\w)")
_AMOUNT = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,10})?")


def plain(text: str) -> str:
    """Foreign text as one line for people: no control characters, nothing personal, at most 300 characters."""
    line = _PERSONAL.sub("[…]", " ".join(_CONTROL.sub(" ", text).split()))
    return line if len(line) <= SENTENCE_LIMIT else line[: SENTENCE_LIMIT - 1] + "…"


def read_document(body: bytes) -> dict[str, object]:
    """A JSON object whose numbers with a point are Decimals. Raises ValueError for all else; also for a name twice."""
    try:
        document = json.loads(
            body.decode(), parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_distinct
        )
    except (ValueError, DecimalException, RecursionError) as error:
        problem = f"not readable as JSON ({type(error).__name__})"
    else:
        if isinstance(document, dict):
            return document
        problem = "not a JSON object"
    raise ValueError(problem)  # out here, without context: a JSON error holds the whole text


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number")


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name is given twice")
    return document


def _amount(value: object) -> Decimal:
    """Text or a number as a Decimal. A float is refused, because it is not the amount that was sent."""
    if isinstance(value, str | int | Decimal) and _AMOUNT.fullmatch(str(value)):
        return Decimal(value)
    raise ValueError("not an amount")


def _child_state(value: object) -> object:
    return ChildState(value.strip().lower()) if isinstance(value, str) else value


class ChildState(StrEnum):
    """The states of a child transaction, after Ottu's API description. One that is not here is unreadable."""

    PAID = "paid"  # a capture
    REFUNDED = "refunded"
    REFUND_QUEUED = "refund_queued"  # the bank decides later
    REFUND_REJECTED = "refund_rejected"
    VOIDED = "voided"


Amount = Annotated[Decimal, BeforeValidator(_amount)]
Name = Annotated[str, StringConstraints(max_length=128)]  # identifiers, exactly as sent
Word = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, max_length=40)]
Currency = Annotated[str, StringConstraints(to_upper=True, pattern="^[A-Za-z]{3}$")]
Sentence = Annotated[str, AfterValidator(plain)]
AnyChildState = Annotated[ChildState, BeforeValidator(_child_state)]


class Answer(BaseModel):
    """The base of what is read. `unreadable` names the fields that were there and could not be understood."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)

    unreadable: Annotated[frozenset[str], Field(exclude=True)] = frozenset()

    @classmethod
    def read(cls, document: Mapping[str, object]) -> Self:
        """Read a JSON object. Never raises: what cannot be read is left out and named."""
        known = {name: value for name, value in document.items() if value is not None and name != "unreadable"}
        try:
            return cls.model_validate(known)
        except ValidationError as error:
            unreadable = frozenset(str(problem["loc"][0]) for problem in error.errors(include_input=False))
        readable = {name: value for name, value in known.items() if name not in unreadable}
        return cls.model_validate({**readable, "unreadable": unreadable})


class Transaction(BaseModel):
    """The child transaction that an operation made."""

    model_config = Answer.model_config

    session_id: Name | None = None
    order_no: Name | None = None
    amount: Amount | None = None
    currency_code: Currency | None = None
    state: AnyChildState | None = None


class Child(Transaction):
    """A child transaction in an inquiry. Without amount, currency and state it cannot be read."""

    amount: Amount
    currency_code: Currency
    state: AnyChildState


class Verdict(StrEnum):
    """What an operation's answer says when all its fields are taken together."""

    SUCCEEDED = "succeeded"
    QUEUED = "queued"  # the gateway took the refund, the bank decides
    FAILED = "failed"
    UNCLEAR = "unclear"  # unreadable, mixed, or silent


RESULTS = {
    "success": Verdict.SUCCEEDED,
    "queued": Verdict.QUEUED,
    "failed": Verdict.FAILED,
    "rejected": Verdict.FAILED,
}
# What the child says, and of which operation it can be the child.
CHILD_STATES = {
    ChildState.PAID: ("capture", Verdict.SUCCEEDED),
    ChildState.REFUNDED: ("refund", Verdict.SUCCEEDED),
    ChildState.VOIDED: ("void", Verdict.SUCCEEDED),
    ChildState.REFUND_QUEUED: ("refund", Verdict.QUEUED),
    ChildState.REFUND_REJECTED: ("refund", Verdict.FAILED),
}


class OperationAnswer(Answer):
    """The answer to an operation, or its webhook. An internal operation has detail, operation, result."""

    amount: Amount | None = None
    session_id: Name | None = None
    order_no: Name | None = None
    operation: Word | None = None
    result: Word | None = None
    success: bool | None = None
    reference_number: Name | None = None
    is_sandbox: bool | None = None
    pg_code: Name | None = None
    txn: Transaction | None = None
    detail: Sentence | None = None

    @property
    def verdict(self) -> Verdict:
        """What the answer says of itself. That it is about what was asked for is for the caller to check."""
        said = self._said()
        if self.unreadable or not said:
            return Verdict.UNCLEAR
        if Verdict.QUEUED in said and said <= {Verdict.QUEUED, Verdict.SUCCEEDED}:
            return Verdict.QUEUED  # `success: true` beside it means that the gateway took the refund
        return said.pop() if len(said) == 1 else Verdict.UNCLEAR

    def _said(self) -> set[Verdict]:
        if self.result is None and self.success is None and self.operation is None:
            return set()  # a child alone does not say what it is the child of: `paid` is also the state of a payment
        said = set()
        if self.result is not None:
            said.add(RESULTS.get(self.result, Verdict.UNCLEAR))
        if self.success is not None:
            said.add(Verdict.SUCCEEDED if self.success else Verdict.FAILED)
        if self.txn is not None and self.txn.state is not None:
            operation, verdict = CHILD_STATES[self.txn.state]
            said.add(verdict if self.operation in (None, operation) else Verdict.UNCLEAR)
        return said


class Inquiry(Answer):
    """What Ottu and the gateway know of a transaction. `remaining_amount` is not read: nobody can refund it."""

    state: Word | None = None
    result: Word | None = None
    amount: Amount | None = None
    currency_code: Currency | None = None
    session_id: Name | None = None
    order_no: Name | None = None
    settled_amount: Amount | None = None
    refunded_amount: Amount | None = None
    voided_amount: Amount | None = None
    gateway_account: Name | None = None
    gateway_name: Name | None = None
    message: Sentence | None = None
    reference_number: Name | None = None
    is_sandbox: bool | None = None
    transactions: list[Child] | None = None

    @property
    def transactions_readable(self) -> bool:
        """False where they are missing or one could not be read: then nothing is said of the children.

        Ottu's schema does not require the field, so that its absence is no proof that there are none.
        """
        return self.transactions is not None and "transactions" not in self.unreadable


class Retrieved(Answer):
    """A transaction as Ottu's checkout knows it: no children, no sums."""

    state: Word | None = None
    amount: Amount | None = None
    currency_code: Currency | None = None
    order_no: Name | None = None
    session_id: Name | None = None
    pg_code: Annotated[Name | None, Field(validation_alias="settled_pg_code")] = None
    is_sandbox: bool | None = None
