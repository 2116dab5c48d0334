"""What the bot reads of a transaction before anybody is asked to approve, and how sparing it is with inquiries.

A refused request never gets a card: its requester is told why, and what would work instead.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from approvals.request import Request, State
from tests.bot.world import ALICE, BOB, CEM, World, a_world, with_timing

FAST = with_timing(inquiry_gap_seconds=0.2)


async def refused(world: World, text: str, *says: str, user: str = ALICE) -> Request:
    """Type what cannot be: the requester is told each of `says`, there is no card, and Ottu gets no operation."""
    before = len(world.requests())
    await world.type(user, text)
    await world.until(lambda: len(world.requests()) > before and world.requests()[-1].state is State.REFUSED)
    told = await world.told_something(user, world.requests()[-1].id)
    for words in says:
        assert words in told
    assert world.operations_sent() == []
    return world.requests()[-1]


async def turned_away(world: World, text: str, *says: str, user: str = ALICE) -> None:
    """Type what is not even accepted: no request at all."""
    before = len(world.requests())
    answers = world.told(user).count(says[0])
    await world.type(user, text)
    await world.until(lambda: world.told(user).count(says[0]) > answers)
    for words in says:
        assert words in world.told(user)
    assert len(world.requests()) == before


# --- full, and what is left


async def test_full_is_worked_out_shown_and_sent_as_a_figure(world: World) -> None:
    """Ottu would take everything where no amount is sent; here people approve the very figure that is sent."""
    await world.ottu.dashboard("refund", "ORD123", "12.000")
    asked = await world.ask("refund ORD123 full")
    assert (asked.amount_minor, asked.left_minor, asked.refunded_minor) == (8000, 8000, 12000)
    assert "Refund 8.000 KWD" in world.card_text()
    assert "12.000 KWD" in world.card_text()
    await world.press(BOB, "approve")
    request = await world.reaches(State.SUCCEEDED)
    assert world.operations_sent() == [{"operation": "refund", "session_id": request.session_id, "amount": "8.000"}]
    (result,) = await world.until(world.results)
    assert "Left to refund: 0.000 KWD" in result.text


async def test_what_waits_at_the_bank_is_not_left(world: World) -> None:
    """A queued refund may still be paid out, so that `full` leaves it alone."""
    await world.ottu.dashboard("refund", "Q42", "40.000")  # this gateway queues every refund
    asked = await world.ask("refund Q42 full")
    assert (asked.amount_minor, asked.queued_minor, asked.refunded_minor) == (2000, 40000, 0)
    assert "(+ 40.000 KWD queued)" in world.card_text()


async def test_a_partly_captured_payment_refunds_what_was_taken_and_captures_the_rest(world: World) -> None:
    await world.ottu.dashboard("capture", "AUTH7", "4.500")
    refund = await world.ask("refund AUTH7 full")
    assert (refund.amount_minor, refund.taken_minor) == (4500, 4500)
    await world.press(ALICE, "withdraw")
    await world.reaches(State.WITHDRAWN, refund.id)
    capture = await world.approved("capture AUTH7 full")
    assert capture.amount_minor == 8000
    await world.reaches(State.SUCCEEDED, capture.id)
    assert world.moved()[-1] == ("capture", "AUTH7", "8.000", "KWD")


async def test_nothing_left_is_refused_and_says_why(world: World) -> None:
    await world.ottu.dashboard("refund", "ORD123", None)
    await refused(world, "refund ORD123 full", "Nothing is left to refund of ORD123", "All of it was refunded before")
    await world.ottu.dashboard("refund", "Q42", None)
    await refused(world, "refund Q42 1.000", "Nothing is left to refund of Q42", "42.000 KWD waits at the bank")
    await world.ottu.dashboard("capture", "AUTH7", None)
    await refused(world, "capture AUTH7 full", "Nothing is left to capture", "refund would work")


IMPOSSIBLE = [
    ("refund ORD123 20.001", ["20.001 KWD is too much: 20.000 KWD is left", "Type 20.000 or less, or full"]),
    ("capture AUTH7 12.501", ["12.501 KWD is too much: 12.500 KWD is left to capture"]),
    ("refund ORD123 5.00 USD", ["ORD123 is in KWD, not USD", "Give the amount in KWD"]),
    ("refund USD55 5.001", ["USD has 2 decimals"]),
    ("refund JPY100 1.5", ["JPY has no decimals"]),
    ("refund NOPE 1.000", ["Ottu knows no payment for NOPE", "Check the number"]),
    (f"refund {'e' * 40} 1.000", ["Ottu knows no transaction eeeeee", "Check the session id"]),
    ("cancel NO-SUCH-LINK", ["Ottu knows no payment for NO-SUCH-LINK"]),
]
WRONG_STATE = [
    ("capture ORD123 1.000", "ORD123 is paid: capture is not possible. Refund would work."),
    ("void ORD123", "void is not possible. Refund would work."),
    ("cancel ORD123", "cancel is not possible. Refund would work."),
    ("expire ORD123", "expire is not possible. Refund would work."),
    (
        "refund AUTH7 1.000",
        "AUTH7 is authorized: refund is not possible. The amount is held, not taken: capture or void",
    ),
    ("cancel AUTH7", "cancel is not possible. The amount is held, not taken: capture or void would work"),
    ("void PARTLY", "refund works on what was captured, capture on the rest"),
    ("refund TRIED 1.000", "TRIED is attempted: refund is not possible. Nothing was paid yet: cancel or expire"),
    ("capture LAPSED 1.000", "Nothing can be done with it any more"),
    ("refund LINK9 1.000", "LINK9 exists, but nobody has tried to pay it yet. Cancel or expire would work"),
    ("void LINK10", "LINK10 exists, but nobody has tried to pay it yet. Cancel or expire would work"),
]


async def test_what_cannot_be_is_refused_with_what_to_do(world: World) -> None:
    """Too much, another currency, too many decimals, not known: for the requester alone, without a card."""
    for text, says in IMPOSSIBLE:
        await refused(world, text, *says)
    assert world.cards() == []
    assert world.results() == []


async def test_in_the_wrong_state_it_names_the_operation_that_would_work(world: World) -> None:
    world.ottu.create("PARTLY", "9.000", "KWD", "authorized")
    await world.ottu.dashboard("capture", "PARTLY", "1.000")
    world.ottu.create("TRIED", "9.000", "KWD", "attempted")
    world.ottu.create("LAPSED", "9.000", "KWD", "failed")
    world.ottu.create("LINK10", "9.000", "KWD", "created")
    moved = world.moved()
    for text, says in WRONG_STATE:
        await refused(world, text, says)
    assert world.moved() == moved
    assert world.cards() == []


async def test_a_link_that_nobody_tried_to_pay_can_be_cancelled_by_its_number(world: World) -> None:
    """Ottu's inquiry knows nothing of it, so the number goes as typed; one open request per number all the same."""
    await world.type(CEM, "pause")
    await world.told_something(CEM, "Paused")
    await world.type(ALICE, "cancel LINK9")
    first = await world.reaches(State.APPROVED)
    assert (first.session_id, first.order_no) == (None, "LINK9")
    await turned_away(world, "expire LINK9", first.id, "One at a time", user=BOB)
    await world.resume(CEM)
    await world.reaches(State.SUCCEEDED, hurry=("execute",))
    assert world.operations_sent() == [{"operation": "cancel", "order_no": "LINK9"}]


async def test_the_advice_to_cancel_can_be_followed_at_once(world: World) -> None:
    """The refused refund used up the inquiry of this half hour; cancelling needs no other."""
    await refused(world, "refund LINK9 1.000", "Cancel or expire would work")
    await world.type(ALICE, "cancel LINK9")
    await world.until(lambda: [r for r in world.requests() if r.state is State.SUCCEEDED])
    assert world.operations_sent() == [{"operation": "cancel", "order_no": "LINK9"}]
    assert len(world.inquiries_sent()) == 1


# --- by either name, one request


async def test_by_session_id_and_by_order_number_it_is_the_same_transaction(world: World) -> None:
    payment = world.ottu.book.find(order_no="ORD123")
    assert payment is not None
    by_session = await world.approved(f"refund {payment.session_id} 5.000")
    await world.reaches(State.SUCCEEDED, by_session.id)
    by_order = await world.approved("refund order:ORD123 6.000", by=CEM)
    await world.reaches(State.SUCCEEDED, by_order.id)
    assert [request.order_no for request in world.requests()] == ["ORD123"] * 2
    assert {request.session_id for request in world.requests()} == {payment.session_id}
    assert [line.session_id for line in world.ottu.ledger] == [payment.session_id] * 2


@pytest.mark.parametrize("first", ["order", "session"])
async def test_the_second_request_on_a_transaction_is_refused_and_names_the_first(world: World, first: str) -> None:
    payment = world.ottu.book.find(order_no="ORD123")
    assert payment is not None
    names = {"order": "ORD123", "session": payment.session_id}
    open_one = await world.ask(f"refund {names.pop(first)} 5.000")
    (other,) = names.values()
    for text in (f"refund {open_one.reference} 1.000", f"refund {other} 1.000", f"capture {other} full", "void ORD123"):
        await turned_away(world, text, open_one.id, "One at a time", f"<@{ALICE}>", user=CEM)
    assert world.refused_attempts() == ["already_open"] * 4


async def test_two_that_turn_out_to_be_one_transaction(world: World) -> None:
    """Asked at the same moment by both names: only reading tells, and then the second is refused."""
    payment = world.ottu.book.find(order_no="ORD123")
    assert payment is not None
    world.ottu.fault("slow", endpoint="inquiry", count=2, seconds_before=0.2)
    await world.type(ALICE, "refund ORD123 5.000")
    await world.type(CEM, f"refund {payment.session_id} 5.000")
    await world.until(lambda: sorted(r.state for r in world.requests()) == [State.PENDING, State.REFUSED])
    kept, lost = sorted(world.requests(), key=lambda request: request.state)
    told = await world.told_something(lost.requester, "One at a time")
    assert kept.id in told


# --- when Ottu cannot be read now


async def test_a_fresh_payment_waits_says_until_when_and_goes_on_by_itself(tmp_path: Path) -> None:
    """Ottu refuses inquiries in a payment's first minutes. The request is kept; nobody has to ask again."""
    async with a_world(tmp_path, policy=FAST) as world:
        world.ottu.configure(throttle_scale=0.001)  # the first 0.6 seconds instead of the first ten minutes
        world.ottu.create("NEW1", "9.000", "KWD", age_seconds=0)
        await world.type(ALICE, "refund NEW1 2.000")
        told = await world.told_something(ALICE, "It waits, and is tried again")
        waiting = world.request()
        assert waiting.state is State.CHECKING
        assert "Ottu throttles inquiries for this transaction. It waits" in told
        assert "<!date^" in told
        assert f"/ottu withdraw {waiting.id}" in told
        assert world.cards() == []
        await world.reaches(State.PENDING)
        assert world.told(ALICE).count("It waits") == 1  # told once, however often it is tried


async def test_what_waits_can_be_withdrawn(world: World) -> None:
    world.ottu.fault("throttled", endpoint="inquiry", retry_after="3600")
    await world.type(ALICE, "refund ORD123 2.000")
    await world.told_something(ALICE, "It waits")
    await world.type(ALICE, "withdraw ORD123")
    await world.told_something(ALICE, "is withdrawn")
    world.hurry("check")
    await world.quiet()
    assert world.request().state is State.WITHDRAWN
    assert world.cards() == []


@pytest.mark.parametrize("kind", ["throttled", "drop_before", "garbage"])
async def test_what_waits_goes_on_after_a_restart(tmp_path: Path, kind: str) -> None:
    """Neither the request nor the promise to go on by itself depends on the process."""
    async with a_world(tmp_path, policy=FAST) as world:
        world.ottu.fault(kind, endpoint="inquiry", retry_after="1", when="before")
        await world.type(ALICE, "refund ORD123 2.000")
        await world.told_something(ALICE, "It waits")
        await world.stop()
        await world.start()
        assert world.request().state is State.CHECKING
        await world.reaches(State.PENDING, hurry=("check",))


async def test_ottu_does_not_answer_reads(world: World) -> None:
    """Refused credentials, broken connections, pages instead of JSON: a read is asked again, and nothing is refused."""
    payment = world.ottu.book.find(order_no="ORD123")
    assert payment is not None
    for kind in ("unauthorized", "drop_before", "garbage", "status"):
        world.ottu.fault(kind, endpoint="retrieve")
    await world.type(ALICE, f"refund {payment.session_id} 2.000")
    await world.told_something(ALICE, "It waits")
    await world.reaches(State.PENDING, hurry=("check",))
    assert len([r for r in world.ottu.requests if r.method == "GET"]) == 5


async def test_another_transaction_than_asked_for_is_refused(world: World) -> None:
    """An answer about somebody else's payment must not become a card."""
    world.ottu.fault("disagree", endpoint="inquiry", changes={"order_no": "USD55"})
    await refused(world, "refund ORD123 1.000", "another transaction than you asked for")
