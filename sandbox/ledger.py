"""The sandbox's own account of money that really moved: what tests and the demo compare the bot's record with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Movement:
    """One movement of money at the gateway. A void counts: it releases what was held."""

    seq: int  # 1, 2, 3 … without gaps
    at: str  # ISO 8601, UTC
    kind: str  # refund, capture, void
    session_id: str  # of the payment
    order_no: str
    amount: str  # in the currency's own decimals: "5.000"
    currency: str
    destination: str  # pg or wallet
    tracking_key: str | None  # None where the request carried none: an operation made in a dashboard, for one
    child_session_id: str

    def as_json(self) -> dict[str, object]:
        return asdict(self)


class Ledger:
    """An append-only list of movements."""

    def __init__(self) -> None:
        self._movements: list[Movement] = []

    def __iter__(self) -> Iterator[Movement]:
        return iter(tuple(self._movements))

    def __len__(self) -> int:
        return len(self._movements)

    def __getitem__(self, index: int) -> Movement:
        return self._movements[index]

    def add(
        self,
        kind: str,
        *,
        at: str,
        session_id: str,
        order_no: str,
        amount: str,
        currency: str,
        destination: str,
        tracking_key: str | None,
        child_session_id: str,
    ) -> Movement:
        """Write one movement down; returns it with its number."""
        movement = Movement(
            seq=len(self._movements) + 1,
            at=at,
            kind=kind,
            session_id=session_id,
            order_no=order_no,
            amount=amount,
            currency=currency,
            destination=destination,
            tracking_key=tracking_key,
            child_session_id=child_session_id,
        )
        self._movements.append(movement)
        return movement
