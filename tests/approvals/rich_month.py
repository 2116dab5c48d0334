"""A month in which everything happened that a report can tell: for pages that people look at."""

from __future__ import annotations

import random

from approvals.following import BOT
from approvals.request import Operation, State
from approvals.store import Store, later

from .diary import Diary
from .factories import ALICE, BOB, CEM, DENIZ, OUT

CAPTURE, CANCEL, VOID = Operation.CAPTURE, Operation.CANCEL, Operation.VOID
ARABIC = "العميل أعاد المنتج"
EVIL = "<img src=x onerror=document.title='owned'>"


def write_rich_month(store: Store, month: str = "2025-03") -> Diary:
    """The same for the same month, whenever it is written."""
    store.record(
        "database_created", BOT, data={"ottu_base_url": "https://shop.ottu.net"}, at=f"{month}-01T00:00:00.000Z"
    )
    diary = Diary(store, month)
    _usual(diary)
    _not_done(diary)
    _doubts(diary)
    _refusals_and_alarms(diary)
    return diary


def _usual(diary: Diary) -> None:
    """Some of each working day, of three currencies and four operations."""
    chance = random.Random(2025)  # noqa: S311 - no secret: the same numbers each time
    for day in range(1, 23):
        for _ in range(chance.choice((1, 2, 3, 5, 7)) if day % 7 not in {6, 0} else chance.choice((0, 1))):
            asked = f"{day:02} {chance.randint(7, 17):02}:{chance.randint(0, 59):02}:00"
            waited = later(diary.at(asked), seconds=min(chance.lognormvariate(6, 1.3), 80_000) + 5)
            currency = chance.choices(("KWD", "SAR", "USD"), (7, 3, 1))[0]
            operation = chance.choices((Operation.REFUND, CAPTURE, VOID), (8, 2, 1))[0]
            minor = chance.randint(1, 180) * (500 if currency == "KWD" else 250)
            asker, decider = chance.choice((ALICE, ALICE, BOB, DENIZ)), chance.choice((CEM, CEM, OUT))
            diary.done(asked, waited, minor, currency, operation=operation, requester=asker, person=decider)
    for day in (4, 11, 12):
        request = diary.asked(f"{day:02} 12:00:00", operation=CANCEL, asked_amount=None)
        diary.moved(request, State.WITHDRAWN, f"{day:02} 12:01:00", ALICE)


def _not_done(diary: Diary) -> None:
    for day, why in ((3, "wrong order"), (10, ARABIC), (17, EVIL)):
        diary.moved(
            diary.pending(f"{day:02} 09:30:00"), State.REJECTED, f"{day:02} 09:45:00", CEM, changes={"detail": why}
        )
    diary.moved(diary.pending("05 18:00:00", requester=BOB), State.EXPIRED, "06 18:00:00")
    diary.moved(diary.asked("08 11:00:00"), State.REFUSED, "08 11:00:02", note={"why": "too_much"})
    failed = diary.sent(diary.approved(diary.pending("09 10:00:00"), "09 10:05:00"), "09 10:05:00")
    diary.answered(failed, State.FAILED, "09 10:05:02", detail="Ottu: amount exceeds the remaining balance")
    diary.pending("22 16:00:00", 12_500)


def _doubts(diary: Diary) -> None:
    """One unknown outcome for each way in which it can end, and one that lasts; queued ones."""
    hook = {"by": "webhook", "reference_number": "REF-77"}
    unknown = diary.unknown("04 10:00:00", "04 10:06:00", 42_000)
    diary.moved(
        unknown,
        State.SUCCEEDED,
        "04 10:09:30",
        note=hook,
        changes={"answered_minor": 42_000, "reference_number": "REF-77"},
    )

    unknown = diary.unknown("08 13:00:00", "08 13:20:00", 7_500, "SAR")
    child = {"detail": "Ottu's inquiry shows a new child: refunded", "answered_minor": 7_500}
    diary.moved(unknown, State.SUCCEEDED, "08 13:52:00", note={"by": "reading"}, changes=child)

    unknown = diary.unknown("12 09:00:00", "12 09:10:00", 18_000, operation=VOID)
    diary.answered(diary.sent(unknown, "12 09:42:00"), State.SUCCEEDED, "12 09:42:03")

    unknown = diary.unknown("15 15:00:00", "15 15:30:00", 96_250)
    seen = (CEM, f"Ottu's dashboard at 16:08: no refund {EVIL}"), (BOB, ARABIC)
    diary.closed_by_two(unknown, State.FAILED, "15 16:10:00", "16 08:05:00", *seen)

    diary.unknown("21 17:00:00", "21 17:05:00", 33_000, reference=EVIL)

    queued = diary.sent(diary.approved(diary.pending("18 10:00:00", 60_000), "18 10:12:00"), "18 10:12:00")
    queued = diary.answered(queued, State.QUEUED, "18 10:12:04", answered_minor=60_000, reference_number="REF-90")
    diary.moved(queued, State.SUCCEEDED, "20 06:30:00", note={"by": "webhook"}, changes={"answered_minor": 60_000})


def _refusals_and_alarms(diary: Diary) -> None:
    for day in (3, 9, 16):
        diary.refused(f"{day:02} 10:00:00", "self_approval", BOB)
    diary.refused("05 11:00:00", "not_allowed", ALICE)
    diary.refused("06 11:00:00", "outsider", "U0GUEST", "command")
    diary.refused("13 12:00:00", "stale", CEM)
    diary.refused("14 12:00:00", "blocked", DENIZ, "delete")
    why = "An operation that nobody asked this bot for."
    diary.alarm("19 14:00:00", why, operation="refund", amount="15.000", currency="KWD", order_no=EVIL)
    diary.store.record("paused", CEM, data={"reason": f"looking into it {ARABIC}"}, at=diary.at("19 14:05:00"))
    diary.store.record("resumed", CEM, at=diary.at("19 15:10:00"))
