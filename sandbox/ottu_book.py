"""The payments that the local Ottu knows, with their money, exact to the currency's decimals."""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from decimal import Decimal
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# Decimals by currency as Ottu's documentation has them, after ISO 4217. Others are refused, not guessed.
DECIMALS = {
    **dict.fromkeys(("KWD", "BHD", "OMR", "IQD", "JOD", "LYD", "TND"), 3),
    **dict.fromkeys(("USD", "EUR", "GBP", "AED", "SAR", "QAR", "EGP", "INR", "TRY"), 2),
    **dict.fromkeys(("JPY", "KRW"), 0),
}

ParentState = Literal[
    "created", "pending", "attempted", "authorized", "paid", "failed", "canceled", "expired", "invalided", "cod"
]
ChildState = Literal["paid", "refunded", "refund_queued", "refund_rejected", "voided"]

# Made up, and easy to search for: none of it may ever be seen in a channel, a log or the bot's record.
PAYER = {
    "customer_id": "payer-7781",
    "customer_first_name": "Layla",
    "customer_last_name": "Payersdottir",
    "customer_email": "layla.payersdottir@example.com",
    "customer_phone": "+96550007781",
    "customer_address_line1": "Block 7, Payer Street 81",
    "customer_address_line2": "Floor 3",
    "customer_address_city": "Salmiya",
    "customer_address_state": "Hawalli",
    "customer_address_country": "KW",
    "customer_address_postal_code": "20017",
}


def exact_amount(text: str, currency: str) -> Decimal:
    """`text` ("5.000", "5", ".5") as money in `currency`. ValueError, with Ottu's kind of sentence, when it is none."""
    if not re.fullmatch(r"-?[0-9]{0,13}(\.[0-9]{0,3})?", text) or not re.search(r"[0-9]", text):
        raise ValueError("A valid number is required.")
    places = DECIMALS[currency]
    if len(text.partition(".")[2]) > places:
        raise ValueError(f"Ensure that there are no more than {places} decimal places.")
    amount = Decimal(text)
    if amount <= 0:
        raise ValueError(f"Ensure this value is greater than or equal to {amount_text(_smallest(currency), currency)}.")
    return amount.quantize(_smallest(currency))


def amount_text(amount: Decimal, currency: str) -> str:
    """Money as Ottu writes it, with all of the currency's decimals: `5.000`."""
    return f"{amount:.{DECIMALS[currency]}f}"


def _smallest(currency: str) -> Decimal:
    return Decimal(1).scaleb(-DECIMALS[currency])


class Child(BaseModel):
    """What an operation leaves behind."""

    session_id: str = Field(default_factory=lambda: secrets.token_hex(20))
    amount: Decimal
    state: ChildState
    destination: Literal["pg", "wallet"] = "pg"
    created_at: datetime


class Transaction(BaseModel):
    """A payment (Ottu: parent transaction). Its state stays `authorized` after captures and a void: children tell."""

    model_config = ConfigDict(extra="forbid")

    order_no: str = Field(min_length=1, max_length=128)
    amount: Decimal
    currency: str
    state: ParentState = "paid"
    session_id: str = Field(default_factory=lambda: secrets.token_hex(20), pattern=r"^[0-9a-f]{40}$")
    created_at: datetime
    attempted: bool | None = None  # did anybody try to pay; None: what the state implies
    pg_code: str = "sandbox-knet"
    gateway_name: str = "ottu_sandbox"
    gateway_currency: str | None = None  # what the customer paid in, where that is not `currency`
    unsupported: frozenset[str] = frozenset()  # operations that this payment's gateway cannot do
    refunds_queue: bool = False  # the bank decides later on every refund
    has_wallet: bool = True
    webhook_url: str | None = None  # for payment events, named when the payment was created
    payer: dict[str, str] = Field(default_factory=lambda: dict(PAYER))
    children: list[Child] = []
    deleted: bool = False

    @field_validator("currency")
    @classmethod
    def _known_currency(cls, currency: str) -> str:
        if currency not in DECIMALS:
            raise ValueError(f"the sandbox knows {', '.join(DECIMALS)}")
        return currency

    @field_validator("amount", mode="before")
    @classmethod
    def _exact(cls, amount: object) -> object:
        if not isinstance(amount, str | Decimal):
            raise ValueError("an amount is a string, never a JSON number")  # noqa: TRY004 - pydantic reads ValueError
        return amount

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self.amount = exact_amount(str(self.amount), self.currency)
        if self.attempted is None:
            self.attempted = self.state not in {"created", "cod", "canceled"}
        return self

    def total(self, *states: ChildState) -> Decimal:
        """The sum of the children in one of `states`."""
        return sum((child.amount for child in self.children if child.state in states), Decimal(0))

    @property
    def received(self) -> Decimal:
        """What the merchant got: the payment, or what was captured of it."""
        return self.amount if self.state == "paid" else self.total("paid")

    @property
    def refundable(self) -> Decimal:
        """What is left to refund; a queued refund already counts."""
        return self.received - self.total("refunded", "refund_queued")

    @property
    def capturable(self) -> Decimal:
        """What is still held."""
        if self.state != "authorized" or self.total("voided"):
            return Decimal(0)
        return self.amount - self.total("paid")

    def text(self, amount: Decimal) -> str:
        """An amount of this payment as Ottu writes it."""
        return amount_text(amount, self.currency)

    def as_json(self) -> dict[str, object]:
        """For the control interface: amounts are strings, and what is left is worked out."""
        plain = self.model_dump(mode="json")
        plain["unsupported"] = sorted(self.unsupported)
        return {**plain, "refundable": self.text(self.refundable), "capturable": self.text(self.capturable)}


class Book:
    """All payments, by session id and by order number."""

    MOST = 100_000

    def __init__(self) -> None:
        self._by_session: dict[str, Transaction] = {}

    def add(self, transaction: Transaction) -> Transaction:
        """ValueError when the order number or session id is taken."""
        if len(self._by_session) >= self.MOST:
            raise ValueError(f"the sandbox keeps at most {self.MOST} payments")
        if transaction.session_id in self._by_session or self.find(order_no=transaction.order_no):
            raise ValueError(f"{transaction.order_no} exists already")
        self._by_session[transaction.session_id] = transaction
        return transaction

    def find(self, *, session_id: str | None = None, order_no: str | None = None) -> Transaction | None:
        """The payment that is not deleted, by either of its two names; None when there is none."""
        if session_id is not None:
            found = self._by_session.get(session_id)
        else:
            found = next(
                (one for one in self._by_session.values() if one.order_no == order_no and not one.deleted), None
            )
        return None if found is None or found.deleted else found

    def all(self) -> list[Transaction]:
        """Every payment, the deleted ones too, in the order of their making."""
        return list(self._by_session.values())
