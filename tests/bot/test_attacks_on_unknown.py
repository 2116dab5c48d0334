"""Ways to have an unknown outcome sent twice, or to stop its being closed, that were found in an earlier version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from approvals.request import Request, State
from approvals.store import later
from tests.bot.test_unknown import buttons, doubting, looked, unanswered
from tests.bot.test_webhooks import HMAC_KEY, a_document, hooked, post, signed, told_all, url_of
from tests.bot.world import BOB, CEM, POLICY, World, a_world, with_timing

MOVED = [("refund", "ORD123", "5.000", "KWD")]
TIMES: dict[str, Any] = {"deadline_seconds": 0.8, "settle_seconds": 0.85, "inquiry_gap_seconds": 0.1}
CALM = with_timing(**TIMES)
MAY_DELETE = 'ask = ["agents"]\napprove = ["leads"]\napprovals = 1'
DELETING = with_timing(POLICY.replace('block = "Delete is done by the platform team."', MAY_DELETE), **TIMES)


# --- what Ottu does not say

LISTS: list[Any] = [
    None,
    [{"session_id": "a:b c", "amount": "2.000", "currency_code": "KWD", "state": "refund_rejected"}],
]


@pytest.mark.parametrize("listed", LISTS, ids=["no list", "odd name"])
@pytest.mark.parametrize("text", ["refund ORD123 5.000", "refund SMALL 9.000"])
async def test_what_ottu_does_not_list_was_not_left_undone(tmp_path: Path, text: str, listed: Any) -> None:
    """It was done, and the list is missing or cannot be read. Neither the bot nor the button sends it again."""
    async with doubting(tmp_path, policy=CALM) as world:
        for _ in range(5):
            world.ottu.fault("disagree", endpoint="inquiry", changes={"transactions": listed})
        request = await unanswered(world, text, "drop_after")
        await looked(world, request, "unclear")
        assert buttons(world, request) == {"close", "details"}
        await world.quiet()
        assert (len(world.moved()), len(world.operations_sent())) == (1, 1)
        assert "gave_up" not in [event.kind for event in world.store.events()]


async def test_a_deletion_without_an_answer_is_for_people(tmp_path: Path) -> None:
    """Where a policy allows it: no reading tells whether it was done."""
    async with doubting(tmp_path, policy=DELETING) as world:
        request = await unanswered(world, "delete TRIED")
        await looked(world, request, "unreadable")
        assert buttons(world, request) == {"close", "details"}
        assert len(world.operations_sent()) == 1


# --- what somebody else signs, or does


async def test_a_webhook_cut_short_does_not_turn_queued_into_done(tmp_path: Path) -> None:
    """`txn` is not signed: without it, the webhook that says "queued at the bank" would say "done"."""
    async with hooked(tmp_path) as world:
        world.ottu.fault("queued")
        await world.approved()
        queued = await world.reaches(State.QUEUED)
        document = a_document(reference_number=queued.reference_number, session_id=queued.session_id)
        del document["txn"]
        assert await post(world, signed(document)) == 200
        await told_all(world)
        assert (world.request(), world.moved()) == (queued, [])


async def test_the_webhook_of_another_order_withdraws_nobodys_request(tmp_path: Path) -> None:
    """Its session id is not signed, and may be anybody's."""
    async with hooked(tmp_path) as world:
        request = await world.ask()
        document = a_document(order_no="OTHER", session_id=request.session_id)
        assert await post(world, signed(document)) == 200
        await told_all(world)
        assert world.request().state is State.PENDING


# --- the button "Send again"


async def test_an_old_look_at_ottu_is_renewed_before_anybody_rests_on_it(tmp_path: Path) -> None:
    async with doubting(tmp_path, policy=CALM) as world:
        await seen_long_ago(world)
        reads = len(world.inquiries_sent())
        await world.press(BOB, "resend")
        await world.told_something(BOB, "too old to rest on")
        await looked(world, world.request(), "nothing_new", 3)
        assert (len(world.inquiries_sent()), len(world.operations_sent())) == (reads + 1, 1)
        await world.press(BOB, "resend")
        await world.reaches(State.SUCCEEDED)
        assert world.moved() == MOVED


async def seen_long_ago(world: World) -> Request:
    """A refund of which nothing was found; the last look was two minutes ago, longer than another had to wait."""
    request = await unanswered(world, "refund ORD123 5.000")
    request = await looked(world, request, "nothing_new")
    last = next(event for event in reversed(list(world.store.events(request.id))) if event.kind == "reading")
    ago = later(world.store.now(), minutes=-2)
    note = {name: last.facts[name] for name in ("found", "state", "children", "attempt")}
    return world.store.move(request, State.UNKNOWN, actor="bot", kind="reading", note=note, at=ago)


async def test_what_was_pressed_right_before_a_pause_goes_out_after_it(tmp_path: Path) -> None:
    async with doubting(tmp_path, policy=CALM) as world:
        request = await unanswered(world, "refund ORD123 5.000")
        await pressed_and_paused(world, await looked(world, request, "nothing_new"))
        world.running.tasks.execution.resume(CEM)
        await world.reaches(State.SUCCEEDED, hurry=("resend",))
        assert world.moved() == MOVED


async def pressed_and_paused(world: World, request: Request) -> None:
    """The click was decided, and left its job; then somebody paused, before the job was begun."""
    world.running.tasks.execution.pause(CEM, "look first")
    payload = {"request": request.id, "version": request.version, "by": BOB}
    world.running.work.arm(f"resend:{request.id}:{request.version}", "resend", payload)
    await world.quiet()
    assert len(world.operations_sent()) == 1


async def test_what_a_stranger_did_during_the_pause_stops_it(tmp_path: Path) -> None:
    """Somebody mends it in Ottu's dashboard while nothing is sent: after the pause it would be done twice."""
    async with a_world(tmp_path, policy=CALM, environment={"OTTU_WEBHOOK_KEY": HMAC_KEY}) as world:
        world.ottu.configure(throttle_scale=0.00005, webhook_url=url_of(world), webhook_key=HMAC_KEY)
        request = await unanswered(world, "refund ORD123 5.000")
        await pressed_and_paused(world, await looked(world, request, "nothing_new"))
        await world.ottu.dashboard("refund", "ORD123", "4.000")
        await told_all(world)
        world.running.tasks.execution.resume(CEM)
        await world.until(lambda: "resend" not in buttons(world, request), hurry=("resend", "close"))
        await world.quiet()
        assert (len(world.operations_sent()), world.moved()) == (1, [("refund", "ORD123", "4.000", "KWD")])
        assert world.request().state is State.UNKNOWN
