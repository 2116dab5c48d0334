"""Each operation as it is sent: money by session id and exact amount, unpaid links without approvals, delete not."""

from __future__ import annotations

import pytest

from approvals.request import State
from tests.bot.test_outcomes import decision_buttons, sent_once, told_of_unknown
from tests.bot.world import ALICE, CEM, World

MONEY = [
    (
        "refund PURSE 5.000 --wallet",
        ("refund", "PURSE", "5.000", "KWD"),
        {"amount": "5.000", "destination": "wallet"},
    ),
    ("capture HELD1 10", ("capture", "HELD1", "10.000", "KWD"), {"amount": "10.000"}),
    ("capture HELD2 full", ("capture", "HELD2", "12.500", "KWD"), {"amount": "12.500"}),
    ("void HELD3", ("void", "HELD3", "12.500", "KWD"), {}),
    ("refund JPY100 250", ("refund", "JPY100", "250", "JPY"), {"amount": "250"}),
    ("refund USD55 0.5", ("refund", "USD55", "0.50", "USD"), {"amount": "0.50"}),
]


async def test_each_money_operation_is_sent_as_approved(world: World) -> None:
    """By session id, with the exact amount in the currency's decimals, and to the wallet only where that was said."""
    world.ottu.create("PURSE", "20.000", "KWD")
    for order in ("HELD1", "HELD2", "HELD3"):
        world.ottu.create(order, "12.500", "KWD", "authorized")
    for typed, moved, sent in MONEY:
        asked = await world.approved(typed)
        request = await world.reaches(State.SUCCEEDED, asked.id)
        assert world.moved()[-1] == moved
        assert world.operations_sent()[-1] == {"operation": moved[0], "session_id": request.session_id, **sent}
        (result,) = await world.until(lambda asked=asked: world.results_of(asked.id))  # type: ignore[misc]  # a default
        for shown in (result.text, world.card_text(asked.id)):
            assert ("to the wallet" in shown) == ("--wallet" in typed)
    assert [line.destination for line in world.ottu.ledger] == ["wallet", "pg", "pg", "pg", "pg", "pg"]
    assert len(world.operations_sent()) == len(MONEY)


async def test_what_only_the_gateway_knows_comes_back_as_its_reason(world: World) -> None:
    world.ottu.create("NOWALLET", "9.000", "KWD", has_wallet=False)
    world.ottu.create("NOREFUND", "9.000", "KWD", unsupported=frozenset({"refund"}))
    world.ottu.create("FOREIGN", "9.000", "KWD", gateway_currency="USD")
    for typed, says in (
        ("refund NOWALLET 1.000 --wallet", "no active wallet"),
        ("refund NOREFUND 1.000", "does not support refund"),
        ("refund FOREIGN 1.000", "foreign currency"),
    ):
        asked = await world.approved(typed)
        request = await world.reaches(State.FAILED, asked.id)
        assert says in (request.detail or "")
    assert world.moved() == []


@pytest.mark.parametrize(
    ("operation", "after", "done"),
    [("cancel", "canceled", "✅ Cancelled LINK9."), ("expire", "expired", "✅ Expired LINK9.")],
)
async def test_an_unpaid_link_needs_no_approval_and_has_no_decision_buttons(
    world: World, operation: str, after: str, done: str
) -> None:
    """Nobody tried to pay: Ottu knows no session for it yet, so that the order number is sent as typed."""
    await world.type(CEM, "pause for a look at the card")
    await world.told_something(CEM, "Paused")
    await world.type(ALICE, f"{operation} LINK9")
    waiting = await world.reaches(State.APPROVED)
    assert decision_buttons(world) == {"withdraw"}
    assert waiting.approvals_needed == 0
    await world.resume(CEM)
    request = await world.reaches(State.SUCCEEDED, hurry=("execute",))
    assert world.operations_sent() == [{"operation": operation, "order_no": "LINK9"}]
    found = world.ottu.book.find(order_no="LINK9")
    assert found is not None
    assert found.state == after
    (result,) = await world.until(world.results)
    assert result.text.startswith(done)
    assert "no approval needed by the rule" in result.text
    assert decision_buttons(world) == set()
    await sent_once(world, request)


async def test_an_attempted_link_is_cancelled_by_its_session(world: World) -> None:
    payment = world.ottu.create("TRIED", "3.000", "KWD", "attempted")
    await world.type(ALICE, "cancel TRIED")
    await world.reaches(State.SUCCEEDED)
    assert world.operations_sent() == [{"operation": "cancel", "session_id": payment.session_id}]
    assert payment.state == "canceled"


async def test_cancel_without_an_answer_is_unknown_too(world: World) -> None:
    world.ottu.fault("drop_before")
    await world.type(ALICE, "cancel LINK9")
    request = await world.reaches(State.UNKNOWN)
    await told_of_unknown(world, request)
    await sent_once(world, request)


async def test_delete_is_blocked_with_the_policys_sentence(world: World) -> None:
    """Neither a request nor a single call to Ottu; the attempt is in the record."""
    await world.type(ALICE, "delete LINK9")
    await world.told_something(ALICE, "Delete is done by the platform team.")
    assert world.requests() == []
    assert list(world.ottu.requests) == []
    assert world.refused_attempts() == ["blocked"]
