"""The main job through the real Bolt app, in both connection modes: from the command to the result in the channel."""

from __future__ import annotations

from approvals.request import State
from tests.bot.world import ALICE, BOB, GEN, World, read_rows


async def test_a_refund_asked_approved_and_done_once(either: World) -> None:
    world = either
    ack = await world.type(ALICE, "refund ORD123 5.000 damaged in transit")
    assert "refund 5.000 of ORD123" in ack.text
    await world.reaches(State.PENDING)
    assert world.operations_sent() == []

    await world.press(BOB, "approve")
    request = await world.reaches(State.SUCCEEDED)
    await world.until(world.results)

    assert world.moved() == [("refund", "ORD123", "5.000", "KWD")]
    assert world.operations_sent() == [{"operation": "refund", "session_id": request.session_id, "amount": "5.000"}]
    assert [r.tracking_key for r in world.ottu.requests if r.path.endswith("/operation/")] == [request.tracking_key]
    world.check_record()


async def test_the_result_is_a_reply_in_the_thread_that_the_channel_sees_too(world: World) -> None:
    """Who asked, who decided, the amount answered, reference number, Tracking-Key, what is left."""
    await world.approved()
    request = await world.reaches(State.SUCCEEDED)
    (result,) = await world.until(world.results)
    assert result.thread_ts == world.card().ts
    assert result.reply_broadcast
    for part in (f"<@{ALICE}>", f"<@{BOB}>", "5.000 KWD", request.reference_number, request.tracking_key, "15.000 KWD"):
        assert part is not None
        assert part in result.text
    assert result.metadata is not None
    assert result.metadata["event_payload"]["request"] == request.id
    assert result.metadata["event_payload"]["state"] == "succeeded"


async def test_the_card_asks_again_and_repeats_the_amount(world: World) -> None:
    await world.ask()
    (buttons,) = [block for block in world.card().blocks if block.get("block_id") == "decision"]
    approve = next(e for e in buttons["elements"] if e["action_id"] == "approve")
    assert "5.000 KWD" in approve["confirm"]["title"]["text"]
    assert {e["action_id"] for e in buttons["elements"]} == {"approve", "reject", "details", "withdraw"}


async def test_a_rejection_asks_for_the_reason_and_sends_nothing(either: World) -> None:
    world = either
    await world.ask()
    await world.press(BOB, "reject")
    await world.slack.wait_for(lambda: world.slack.seen_by(BOB).views)
    await world.slack.submit_view(BOB, None, {"reason": {"reason": "duplicate of ticket 7"}})
    await world.reaches(State.REJECTED)
    await world.until(world.results)
    assert "duplicate of ticket 7" in world.results()[0].text
    assert world.operations_sent() == []


async def test_the_requester_withdraws(world: World) -> None:
    await world.ask()
    await world.press(ALICE, "withdraw")
    await world.reaches(State.WITHDRAWN)
    assert world.operations_sent() == []


async def test_details_are_private(world: World) -> None:
    await world.ask()
    await world.press(BOB, "details")
    told = await world.told_something(BOB, "Can approve")
    assert "agents" in told
    assert world.told(ALICE).count("Can approve") == 0


async def test_a_person_reads_the_record_with_plain_sql(world: World) -> None:
    await world.approved()
    request = await world.reaches(State.SUCCEEDED)
    rows = read_rows(
        world.folder / "bot.db", "SELECT id, state, amount, currency, requester, approved_by FROM requests_readable"
    )
    assert rows == [(request.id, "succeeded", "5.000", "KWD", ALICE, BOB)]


async def test_nobody_else_sees_the_acknowledgement(world: World) -> None:
    await world.type(ALICE, "refund ORD123 5.000")
    assert all("Got it" not in m.text for m in world.slack.messages(GEN))


async def test_the_card_says_which_ottu_and_card_result_and_answer_say_that_it_is_a_test(world: World) -> None:
    """Where Ottu says `is_sandbox`: nobody takes an exercise for money, or one account for another."""
    await world.ask()
    host = world.ottu_url.removeprefix("http://")
    assert f"🧪 *TEST* · {world.request().id} · {host}" in world.card_text()
    await world.press(BOB, "approve")
    await world.reaches(State.SUCCEEDED)
    assert f"🧪 *TEST* · {world.request().id} · {host}" in world.card_text()
    (result,) = await world.until(world.results)
    assert "🧪 TEST · " in result.text
    await world.type(ALICE, "inquiry ORD123")
    await world.told_something(ALICE, "🧪 TEST · *ORD123*")
