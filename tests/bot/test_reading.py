"""Reading a transaction, through the real client: what Ottu does not say is not made up."""

from __future__ import annotations

import pytest

from approvals.request import State
from tests.bot.world import ALICE, World

SESSION = "a" * 40


def session_of(world: World, order: str) -> str:
    found = world.ottu.book.find(order_no=order)
    assert found is not None
    return found.session_id


async def test_a_transaction_that_ottu_does_not_show_is_refused_in_its_own_words(world: World) -> None:
    """Refused for another reason than that there is none: the person reads which."""
    world.ottu.fault("status", endpoint="retrieve", status=403, when="before", body={"detail": "Not yours to see."})
    await world.type(ALICE, f"refund {SESSION} 5.000")
    assert "Not yours to see." in await world.told_something(ALICE, "Not yours")
    assert world.request().state is State.REFUSED


async def test_an_answer_about_another_session_is_refused(world: World) -> None:
    """Asked for one, told of another: nothing of it may come onto a card."""
    another = {
        "session_id": "b" * 40,
        "order_no": "ORD123",
        "state": "paid",
        "amount": "20.000",
        "currency_code": "KWD",
    }
    world.ottu.fault("status", endpoint="retrieve", status=200, when="before", body=another)
    await world.type(ALICE, f"refund {session_of(world, 'ORD123')} 5.000")
    await world.until(lambda: world.requests() and world.request().state is State.REFUSED)
    assert world.cards() == []


@pytest.mark.parametrize("said", [{"amount": "39.000"}, {"session_id": "b" * 40}, {"order_no": "OTHER"}, {}])
async def test_figures_of_an_inquiry_that_disagrees_are_not_shown(world: World, said: dict[str, str]) -> None:
    """The card then says that the rest was not checked, as if the inquiry had not been made."""
    answer = {
        "state": "paid",
        "amount": "20.000",
        "currency_code": "KWD",
        "settled_amount": "20.000",
        "transactions": [],
        **said,
    }
    world.ottu.fault("status", endpoint="inquiry", status=200, when="before", body=answer)
    await world.type(ALICE, f"refund {session_of(world, 'ORD123')} 5.000")
    await world.until(world.card)
    assert ("not checked" in world.card_text()) == bool(said)


@pytest.mark.parametrize("fault", ["drop_before", "throttled"])
async def test_a_probe_that_ottu_does_not_answer_says_nothing_of_the_credentials(world: World, fault: str) -> None:
    """Executions stopped by a 401 go on when the credentials are accepted, not when Ottu is merely silent."""
    world.ottu.fault("unauthorized")
    await world.approved()
    await world.until(world.running.tasks.execution.stopped)
    world.ottu.fault(fault, endpoint="retrieve", count=3)
    await world.until(lambda: any("0" * 40 in request.path for request in world.ottu.requests), hurry=("probe",))
    await world.quiet()
    assert world.running.tasks.execution.stopped()
    await world.until(lambda: not world.running.tasks.execution.stopped(), hurry=("probe",))
