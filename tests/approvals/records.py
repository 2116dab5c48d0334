"""A record with something of everything in it, made by the services: what exports and proofs are tried on."""

from __future__ import annotations

from dataclasses import dataclass

from approvals.closing import Closing
from approvals.reading import Reading
from approvals.request import Ending, Outcome

from .factories import ALICE, BOB, CEM, MEMBERS, Desk, a_reading, refused, session
from .unknowns import sent

FORMULA = '=HYPERLINK("http://evil.example","click")'
ARABIC = "قطعة مكسورة 😀\nsecond line, \"quoted\";=1+1\r\n\tand 'more'"
EVIDENCE = "@SUM(1+1)*cmd|' /C calc'!A0"


@dataclass(frozen=True)
class Names:
    """The requests of that record."""

    dinars: str
    dollars: str
    yen: str
    refused: str


def a_record(desk: Desk) -> Names:
    """Four requests: dinars paid back, dollars waiting, yen closed by two people, one refused. And a pause."""
    dinars = desk.claimed(reason=FORMULA)
    desk.execution.settle(dinars.id, 1, Outcome(Ending.SUCCEEDED, "done", 5_000, "REF-1"))
    in_dollars = a_payment(desk, 2, "+USD55", "USD", 2_000)
    dollars = desk.pending(in_dollars, reference="+USD55", asked_amount="2.50", reason=ARABIC)
    with refused("self_approval") as own:
        desk.approve(dollars, ALICE)
    desk.service.refused_attempt(ALICE, "approve", own.value, dollars.id)
    in_yen = a_payment(desk, 3, "00123", "JPY", 500)
    yen = sent(desk, in_yen, reference="00123", asked_amount="7", requester=BOB, reason="'already quoted")
    close = Closing(desk.service).close
    for person in (ALICE, CEM):
        close(yen.id, person, "succeeded", EVIDENCE, MEMBERS, may_fail=True)
    not_paid = desk.pending(a_reading(session_id=session(4), order_no="N4", state="failed"), reference="N4")
    desk.execution.pause(CEM, "lunch")
    return Names(dinars.id, dollars.id, yen.id, not_paid.id)


def a_payment(desk: Desk, number: int, order_no: str, currency: str, paid_minor: int) -> Reading:
    """A payment of which nothing was given back."""
    return a_reading(
        session_id=session(number),
        order_no=order_no,
        currency=currency,
        amount_minor=paid_minor,
        settled_minor=paid_minor,
        refunded_minor=0,
        children=(),
        read_at=desk.store.now(),
    )
