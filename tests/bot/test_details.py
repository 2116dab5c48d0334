"""Details and `/ottu status`: the same facts, private: rule, people, figures, what happened, what was asked before."""

from __future__ import annotations

import re

import pytest

from approvals.request import State
from tests.bot.world import ALICE, BOB, CEM, GEN, OUT, World

DATE = r"<!date\^\d+\^\{date_short_pretty\} \{time\}\|[0-9: -]+ UTC>"


async def told_by(world: World, user: str, how: str, request_id: str) -> str:
    """What one press or command tells that person, all pages."""
    before = world.private(user)

    def new() -> list[str]:
        told = [message.text for message in world.private(user) if all(message is not one for one in before)]
        return told if any(f"*{request_id}*" in text for text in told) else []

    if how == "details":
        await world.press(user, "details", world.card(request_id))
    else:
        await world.type(user, f"status {request_id}")
    await world.until(new)
    await world.quiet()
    return "\n".join(new())


@pytest.mark.parametrize("how", ["details", "status"])
async def test_all_that_is_known_is_told_privately(world: World, how: str) -> None:
    await world.approved("refund ORD123 2.000 &lt;b&gt;first&lt;/b&gt;")
    first = await world.reaches(State.SUCCEEDED)
    await world.type(ALICE, "refund ORD123 99.000 too much")
    await world.told_something(ALICE, "is too much")
    request = await world.ask("refund ORD123 16.000 second")
    await world.press(BOB, "approve", world.card(request.id))
    await world.until(lambda: world.store.approvals(request.id))
    channel = len(world.slack.messages(GEN))
    told = await told_by(world, CEM, how, request.id)
    assert f"*{request.id}* ⏳ Waiting for approval" in told
    assert re.search(rf"Refund 16\.000 KWD · ORD123, asked by <@{ALICE}> {DATE}", told)
    assert "Reason: second" in told
    rule = "Rule “large refunds”: every refund above 15.000 KWD. May ask: agents. 2 different people of leads, agents"
    assert f"{rule} must approve, never the one who asked." in told
    assert f"1 more approval needed. Can approve: <@{CEM}>. You can." in told
    figures = "Transaction: ORD123 · State at Ottu: paid · Amount: 20.000 KWD"
    assert f"{figures} · Paid: not checked · Left to refund: not checked · read <!date" in told  # no inquiry so soon
    before = await told_by(world, CEM, "status", first.id)
    assert f"{figures} · Paid: 20.000 KWD · Left to refund: 20.000 KWD · read <!date" in before
    assert f"Session: `{request.session_id}`" in told
    assert re.search(rf"{DATE} submitted → checking by <@{ALICE}>", told)
    assert re.search(rf"{DATE} approval → pending by <@{BOB}>", told)
    last = list(world.store.events(request.id))[-1]
    assert f"_record {last.seq}:{last.hash[:8]}_" in told  # where the record tells it
    assert "*Other requests for this transaction* (2)" in told
    assert re.search(rf"🚫 R-\w+ refund · ORD123 · Refused {DATE} · <@{ALICE}>", told)
    assert re.search(rf"✅ \S*{first.id}>? refund 2\.000 KWD · ORD123 · Done {DATE} · <@{ALICE}>", told)
    assert len(world.slack.messages(GEN)) == channel
    reasons = {
        ALICE: "Not you, because you asked.",
        BOB: "You have approved already.",
        OUT: "You may not do this. The policy lets agents, leads do it.",
    }
    for user, why in reasons.items():
        if user == OUT:
            await world.press(OUT, "details", world.card(request.id))
            await world.told_something(OUT, why)
            assert request.id not in world.told(OUT)
        else:
            assert why in await told_by(world, user, how, request.id)


async def test_an_unknown_one_says_who_can_close_it(world: World) -> None:
    world.ottu.fault("drop_after")
    request = await world.approved()
    await world.reaches(State.UNKNOWN)
    told = await told_by(world, CEM, "details", request.id)
    assert f"Can close it by hand, two of them together: <@{BOB}>, <@{CEM}>. You can." in told
    assert f"Tracking-Key: `{world.request().tracking_key}`" in told
    assert "Not you, because you asked." in await told_by(world, ALICE, "details", request.id)


async def test_a_late_click_names_the_time_in_the_readers_zone(world: World) -> None:
    request = await world.approved()
    await world.reaches(State.SUCCEEDED)
    await world.press(CEM, "approve", crafted=True, value=f"{request.id}:{request.digest}")
    told = await world.told_something(CEM, "is succeeded")
    assert re.search(rf"{request.id} is succeeded \(approved by <@{BOB}>\) since {DATE}\. You cannot approve it", told)


async def test_an_arabic_order_number_and_reason_turn_nothing_around(world: World) -> None:
    """They stand in isolates beside Latin text; what is copied from code holds none; notifications are plain."""
    order, reason = "طلب_12", "تالف *جدا* 3"
    world.ottu.create(order, "20.000", "KWD")
    request = await world.ask(f"refund {order} 5.000 {reason}")
    card = world.card(request.id)
    assert card.blocks[0]["text"]["text"] == f"⏳ Refund 5.000 KWD · \u2068{order}\u2069"
    assert f"\u2068`{order}`\u2069" in world.card_text(request.id)
    assert "\u2068تالف *\u200bجدا*\u200b 3\u2069" in world.card_text(request.id)
    assert card.text == f"⏳ Refund 5.000 KWD · \u2068{order}\u2069: Waiting for approval ({request.id})"
    told = await told_by(world, CEM, "status", request.id)
    assert f"Refund 5.000 KWD · \u2068`{order}`\u2069, asked by" in told
    await world.type(BOB, f"history {order}")
    assert f"Requests for \u2068{order.replace('_', '_' + chr(0x200B))}\u2069" in await world.told_something(
        BOB, "Requests for"
    )
    await world.press(BOB, "approve", card)
    await world.reaches(State.SUCCEEDED)
    (result,) = await world.until(world.results)
    assert f"Refunded 5.000 KWD of \u2068{order}\u2069." in result.text
    assert "*" not in result.text
    assert "`" not in result.text


async def test_a_name_with_an_underscore_can_be_copied_and_typed_again(world: World) -> None:
    """Nothing that cannot be seen is in what the card shows of it."""
    world.ottu.create("ORD_1_a", "20.000", "KWD")
    request = await world.ask("refund ORD_1_a 5.000")
    shown = re.search(r"\*Transaction\*\\n`([^`]*)`", world.card_text(request.id))
    assert shown is not None
    await world.type(CEM, f"status {shown[1]}")
    await world.told_something(CEM, f"*{request.id}* ⏳")
