"""An unknown outcome, through the real bot: read first, act second, people last; money never moves twice."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from approvals.request import Ending, Outcome, Request, State
from tests.approvals.hooked import a_hook
from tests.bot.world import ALICE, BOB, CEM, OUT, World, a_world, with_timing

FAST = with_timing(deadline_seconds=0.6, settle_seconds=0.7, inquiry_gap_seconds=0.1)
TO_COME = with_timing(deadline_seconds=0.6)  # the settle window and Ottu's gap as they are in earnest
KEYS = pytest.mark.parametrize("key_stored", ["begin", "success"])


@asynccontextmanager
async def doubting(folder: Path, policy: str = FAST, key_stored: str = "begin") -> AsyncIterator[World]:
    """A world that is quick to settle. At its end every request has moved money at most once, with its own key."""
    async with a_world(folder, policy=policy) as world:
        world.ottu.configure(key_stored=key_stored, throttle_scale=0.00005)
        world.ottu.create("SMALL", "9.000", "KWD")
        world.ottu.create("TRIED", "3.000", "KWD", "attempted")
        yield world
        keys = [line.tracking_key for line in world.ottu.ledger if line.tracking_key]
        assert len(keys) == len(set(keys))
        assert set(keys) <= {request.tracking_key for request in world.requests()}
        world.check_record()


async def unanswered(world: World, text: str, fault: str = "drop_before", user: str = ALICE, **more: Any) -> Request:
    """Asked, approved where it must be, sent, and not answered: the request, and it is unknown."""
    world.ottu.fault(fault, match=text.split()[1], **more)
    request = await world.ask(text, user)
    if request.state is State.PENDING:
        await world.press(BOB, "approve", world.card(request.id))
    await world.until(lambda: any(e.to_state == State.UNKNOWN for e in world.store.events(request.id)))
    return request


def sent(world: World, request: Request) -> list[tuple[dict[str, Any], str | None]]:
    """What was sent to Ottu for a request: each body with its Tracking-Key."""
    everything = [r for r in world.ottu.requests if r.path.endswith("/operation/")]
    return [(r.body, r.tracking_key) for r in everything if r.body.get("session_id") == request.session_id]


async def looked(world: World, request: Request, found: str, looks: int = 1) -> Request:
    """Wait until the bot has looked so often, with that finding, and the card says so."""

    def readings() -> int:
        return sum(e.kind == "reading" and e.facts["found"] == found for e in world.store.events(request.id))

    await world.until(lambda: readings() == looks)
    return await world.reaches(State.UNKNOWN, request.id)


def buttons(world: World, request: Request) -> set[str]:
    return {element["action_id"] for _, element in world.card(request.id).elements}


# --- read first

LOST = [
    ("ORD123", {"fault": "drop_after"}),
    ("SMALL", {"fault": "status", "status": 502}),
    ("USD55", {"fault": "garbage"}),
    ("JPY100", {"fault": "dripping", "drip_seconds": 0.05}),
    ("AUTH7", {"fault": "disagree", "changes": {"session_id": "f" * 40}}),
]


async def test_what_moved_is_found_by_an_inquiry_and_not_sent_again(tmp_path: Path) -> None:
    """However the answer was lost: one new child of the same amount since the card was read."""
    async with doubting(tmp_path) as world:
        requests = [
            await unanswered(world, f"{'capture' if order == 'AUTH7' else 'refund'} {order} 5", **fault)  # type: ignore[arg-type]  # the faults' own fields
            for order, fault in LOST
        ]
        for request in requests:
            after = await world.reaches(State.SUCCEEDED, request.id)
            assert (after.attempt, after.doubtful_attempt, after.answered_minor) == (1, 1, request.amount_minor)
            assert len(sent(world, request)) == 1
            await world.until(lambda request=request: len(world.results_of(request.id)) == 2)  # type: ignore[misc]  # a default
            unknown, done = world.results_of(request.id)
            assert "Outcome unknown" in unknown.text
            assert f"{'Captured' if request.reference == 'AUTH7' else 'Refunded'} 5" in done.text
        assert sorted(order for _, order, _, _ in world.moved()) == sorted(order for order, _ in LOST)


async def test_what_the_bank_decides_is_found_queued_and_looked_after(tmp_path: Path) -> None:
    async with doubting(tmp_path) as world:
        request = await unanswered(world, "refund Q42 5.000", "drop_after")
        await world.reaches(State.QUEUED, request.id)
        assert world.moved() == []
        world.ottu.settle_queued(request.session_id or "")
        await world.reaches(State.SUCCEEDED, request.id, hurry=("queued",))
        assert world.moved() == [("refund", "Q42", "5.000", "KWD")]


@pytest.mark.parametrize(("decides", "state"), [("refunded", State.SUCCEEDED), ("refund_rejected", State.FAILED)])
async def test_a_queued_refund_ends_by_retrieving_it(tmp_path: Path, decides: Any, state: State) -> None:
    """Without a webhook, and without an inquiry, of which Ottu allows few."""
    async with a_world(tmp_path) as world:
        world.ottu.configure(children_retrievable=True)
        world.ottu.fault("queued")
        await world.approved()
        request = await world.reaches(State.QUEUED)
        asked = len(world.inquiries_sent())
        world.ottu.settle_queued(request.session_id or "", state=decides)
        after = await world.reaches(state, hurry=("queued",))
        assert after.detail == f"Ottu says that the queued refund is {decides}"
        assert len(world.inquiries_sent()) == asked
        world.check_record()


async def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    """The window begins anew, because only this process's own clock can be trusted."""
    async with doubting(tmp_path) as world:
        request = await unanswered(world, "refund ORD123 5.000", "drop_after")
        await world.stop()
        begun = time.monotonic()
        await world.start()
        await world.reaches(State.SUCCEEDED, request.id)
        assert time.monotonic() - begun > 0.35
        assert len(world.operations_sent()) == 1


async def test_ottu_does_not_answer_the_inquiry_at_first(tmp_path: Path) -> None:
    """No answer to a read is no finding: it is asked again, within the three that Ottu allows."""
    async with doubting(tmp_path) as world:
        request = await unanswered(world, "refund ORD123 5.000", "drop_after")
        world.ottu.fault("status", endpoint="inquiry", status=503, when="before")
        await world.reaches(State.SUCCEEDED, request.id)
        assert len(world.inquiries_sent()) == 3


async def test_before_the_window_is_over_nothing_is_read_or_sent(tmp_path: Path) -> None:
    """The card says what is awaited, and until when: the gap between two inquiries is longer than the window."""
    async with doubting(tmp_path, policy=TO_COME) as world:
        request = await unanswered(world, "refund SMALL full")
        await world.reaches(State.UNKNOWN, request.id)
        reads = len(world.inquiries_sent())
        world.hurry("close")  # as if our own clock were far ahead
        await world.quiet()
        assert (len(world.inquiries_sent()), len(world.operations_sent())) == (reads, 1)
        waits = re.search(r"The bot waits until <!date\^(\d+)\^", world.card_text())
        assert waits is not None
        assert 1790 < int(waits[1]) - time.time() <= 1860
        assert "is not sent again before" in world.card_text()
        assert buttons(world, request) == {"close", "details"}


async def test_an_unpaid_link_is_looked_up_after_the_window_alone(tmp_path: Path) -> None:
    """To retrieve it costs no inquiry, so that there is no gap to wait for."""
    async with doubting(tmp_path, policy=TO_COME) as world:
        await unanswered(world, "cancel TRIED")
        await world.reaches(State.UNKNOWN)
        waits = re.search(r"The bot waits until <!date\^(\d+)\^", world.card_text())
        assert waits is not None
        assert 590 < int(waits[1]) - time.time() <= 600


# --- act second: what limits itself


@KEYS
async def test_what_cannot_be_done_twice_is_sent_again_once_by_itself(tmp_path: Path, key_stored: str) -> None:
    """A full refund, a full capture, a void, of which nothing is to be seen: the same body with the same key."""
    async with doubting(tmp_path, key_stored=key_stored) as world:
        world.ottu.create("HELD", "8.000", "KWD", "authorized")
        requests = [await unanswered(world, text) for text in ("refund SMALL full", "void AUTH7", "capture HELD full")]
        for request in requests:
            after = await world.reaches(State.SUCCEEDED, request.id)
            first, second = sent(world, request)
            assert first == second
            assert first[1] == after.tracking_key
            assert (after.attempt, after.doubtful_attempt) == (2, 1)
        assert [order for _, order, _, _ in world.moved()] == ["SMALL", "AUTH7", "HELD"]


@KEYS
async def test_a_gateway_that_is_slower_than_the_window_does_not_do_it_twice(tmp_path: Path, key_stored: str) -> None:
    """The first send is still at the gateway when the second one comes: whichever takes the money, it is one."""
    policy = with_timing(deadline_seconds=0.6, settle_seconds=0.7, inquiry_gap_seconds=0.1)
    async with doubting(tmp_path, policy, key_stored) as world:
        request = await unanswered(world, "refund SMALL full", "slow", seconds_before=2.0)
        await world.reaches(State.SUCCEEDED, request.id)
        await world.until(world.moved)
        await world.until(lambda: all(r.status is not None for r in world.ottu.requests))  # the first one's too
        assert len(sent(world, request)) == 2
        assert world.moved() == [("refund", "SMALL", "9.000", "KWD")]


SECOND = [
    {"kind": "drop_before"},
    {"kind": "status", "status": 400, "when": "before"},
    {"kind": "status", "status": 404, "when": "before"},
    {"kind": "failed"},
    {"kind": "throttled", "retry_after": "1"},
    {"kind": "tracking"},
]


async def test_whatever_is_no_success_leaves_it_unknown_after_a_second_send(tmp_path: Path) -> None:
    """A refusal may be the answer to the first one's success. Nothing is sent a third time but by a person."""
    async with doubting(tmp_path) as world:
        requests = []
        for number, fault in enumerate(SECOND):
            world.ottu.create(f"ROW{number}", "9.000", "KWD")
            requests.append(await unanswered(world, f"refund ROW{number} full"))
            world.ottu.fault(**fault, match=f"ROW{number}")  # type: ignore[arg-type]  # the faults' own fields
        for request in requests:
            after = await looked(world, request, "nothing_new", 2)
            assert (after.attempt, after.doubtful_attempt) == (2, 1)
        await world.quiet()
        for request in requests:
            assert len(sent(world, request)) == 2
            assert world.request(request.id).state is State.UNKNOWN
            assert "resend" in buttons(world, request)
        assert world.moved() == []


async def test_a_late_answer_to_the_first_send_still_counts(tmp_path: Path) -> None:
    """Another process has given the attempt up; the one that waits for Ottu's answer gets it, and settles it."""
    async with doubting(tmp_path, with_timing(settle_seconds=5, deadline_seconds=2)) as world:
        world.ottu.fault("slow", seconds_before=0.15)
        request = await world.approved()
        await world.until(world.operations_sent)
        world.running.tasks.execution.give_up(request.id, 1, "it did not come back in time")
        await world.reaches(State.UNKNOWN, request.id)
        after = await world.reaches(State.SUCCEEDED, request.id)
        assert (after.attempt, after.reference_number is not None) == (1, True)
        assert world.moved() == [("refund", "ORD123", "5.000", "KWD")]


@pytest.mark.parametrize("what", ["a further send", "a webhook"])
async def test_an_answer_to_a_question_from_before_is_no_finding(tmp_path: Path, what: str) -> None:
    """Nothing new was there before that; of what came since, the answer knows nothing."""
    async with doubting(tmp_path) as world:
        request = await unanswered(world, "refund ORD123 5.000")
        world.ottu.fault("slow", endpoint="inquiry", seconds_before=0.3)
        asked = len(world.inquiries_sent())
        await world.until(lambda: len(world.inquiries_sent()) > asked)
        execution = world.running.tasks.execution
        if what == "a webhook":
            execution.hooks.receive(a_hook(session_id=request.session_id, signed=()))
        else:
            claimed = execution.claim_again(request.id, world.request(request.id).version, CEM)
            assert claimed is not None
            execution.settle(request.id, claimed.attempt, Outcome(Ending.UNKNOWN, "no answer"))
        world.ottu.fault("slow", endpoint="inquiry", seconds_before=5)
        await asyncio.sleep(0.4)
        assert [e.kind for e in world.store.events(request.id) if e.kind == "reading"] == []


# --- act second: what could be done twice is sent again by a person alone


@KEYS
async def test_a_partial_one_is_sent_again_by_an_approver_and_nobody_else(tmp_path: Path, key_stored: str) -> None:
    async with doubting(tmp_path, key_stored=key_stored) as world:
        request = await unanswered(world, "refund ORD123 5.000", user=CEM)
        await looked(world, request, "nothing_new")
        assert "Nothing new was found at Ottu. It can be sent again with the same key" in world.card_text()
        for user, says in ((CEM, "You asked for"), (ALICE, "lets leads"), (OUT, "lets leads")):
            await world.press(user, "resend")
            await world.told_something(user, says)
        assert len(sent(world, request)) == 1
        await world.press(BOB, "resend")
        after = await world.reaches(State.SUCCEEDED, request.id)
        first, second = sent(world, request)
        assert first == second
        assert (first[1], after.attempt) == (after.tracking_key, 2)
        assert [e.actor for e in world.store.events(request.id) if e.to_state == State.EXECUTING] == ["bot", BOB]
        assert world.moved() == [("refund", "ORD123", "5.000", "KWD")]


async def test_two_who_press_it_at_once_send_it_once(tmp_path: Path) -> None:
    async with doubting(tmp_path) as world:
        request = await unanswered(world, "refund ORD123 5.000")
        await looked(world, request, "nothing_new")
        card = world.card()
        for user in (BOB, CEM, BOB):
            await world.press(user, "resend", card, crafted=True, value=f"{request.id}:{request.digest}")
        await world.reaches(State.SUCCEEDED, request.id)
        await world.quiet()
        assert len(sent(world, request)) == 2


async def test_a_refund_to_the_wallet_is_never_sent_again(tmp_path: Path) -> None:
    """A second one would credit twice. There is no button, and a made-up click is refused; two people close it."""
    async with doubting(tmp_path) as world:
        texts = ("refund ORD123 5.000 --wallet", "refund SMALL full --wallet")
        requests = [await unanswered(world, text) for text in texts]
        for request in requests:
            await looked(world, request, "nothing_new")
            assert "resend" not in buttons(world, request)
            click = {"crafted": True, "value": f"{request.id}:{request.digest}"}
            await world.press(CEM, "resend", world.card(request.id), **click)
            await world.until(lambda request=request: f"{request.id} is unknown" in world.told(CEM))  # type: ignore[misc]  # a default
        assert world.told(CEM).count("It cannot be sent again") == 2
        await world.quiet()
        for request in requests:
            assert len(sent(world, request)) == 1
            await closed_by_two(world, request, "failed")


async def test_before_it_was_looked_up_there_is_no_button(tmp_path: Path) -> None:
    async with doubting(tmp_path, policy=TO_COME) as world:
        request = await unanswered(world, "refund ORD123 5.000")
        await world.reaches(State.UNKNOWN)
        await world.press(CEM, "resend", crafted=True, value=f"{request.id}:{request.digest}")
        await world.told_something(CEM, "It cannot be sent again")
        assert len(sent(world, request)) == 1


async def test_while_paused_nothing_is_sent_again(tmp_path: Path) -> None:
    """Neither by itself nor by the button, which says why; by itself it goes on afterwards."""
    async with doubting(tmp_path) as world:
        full, part = await unanswered(world, "refund SMALL full"), await unanswered(world, "refund ORD123 5.000")
        await world.type(CEM, "pause")
        await looked(world, full, "nothing_new")
        await looked(world, part, "nothing_new")
        await world.press(CEM, "resend", world.card(part.id))
        await world.told_something(CEM, f"Nothing is sent now: paused by <@{CEM}>")
        assert len(world.operations_sent()) == 2
        await world.type(CEM, "resume")
        await world.reaches(State.SUCCEEDED, full.id, hurry=("close",))
        assert world.request(part.id).state is State.UNKNOWN
        assert world.moved() == [("refund", "SMALL", "9.000", "KWD")]


# --- cancel and expire


LINKS = [
    ("cancel", "drop_after", "canceled", 1),
    ("cancel", "drop_before", "canceled", 2),
    ("expire", "drop_after", "expired", 1),
    ("expire", "drop_before", "expired", 2),
]


async def test_an_unpaid_link_is_closed_by_its_state(tmp_path: Path) -> None:
    """Done: nothing more is sent. Still as it was: it is sent once more."""
    async with doubting(tmp_path) as world:
        payments = [world.ottu.create(f"LINK{n}", "3.000", "KWD", "attempted") for n in range(20, 24)]
        requests = [
            await unanswered(world, f"{row[0]} {payment.order_no}", row[1])
            for row, payment in zip(LINKS, payments, strict=True)
        ]
        for request, payment, (_, _, becomes, sends) in zip(requests, payments, LINKS, strict=True):
            await world.reaches(State.SUCCEEDED, request.id)
            assert (len(sent(world, request)), payment.state) == (sends, becomes)


async def test_a_link_without_a_session_is_for_people(tmp_path: Path) -> None:
    """Nobody has tried to pay it, so that Ottu's inquiry knows nothing of it."""
    async with doubting(tmp_path) as world:
        request = await unanswered(world, "cancel LINK9")
        await looked(world, request, "unreadable")
        assert "Ottu cannot tell what became of it" in world.card_text()
        assert len(world.operations_sent()) == 1
        await closed_by_two(world, request, "failed")


# --- people last


async def closed_by_two(world: World, request: Request, outcome: str) -> None:
    """Cem says so by a command, Bob in the card's form."""
    await world.type(CEM, f"close {request.id} {outcome} looked in the dashboard at 11:00")
    await world.until(lambda: "looked in the dashboard at 11:00" in world.card_text(request.id))
    await by_form(world, BOB, request, outcome, "looked too")
    await world.reaches(State(outcome), request.id)


async def by_form(world: World, user: str, request: Request, outcome: str, evidence: str) -> Any:
    await world.press(user, "close", world.card(request.id))
    await world.until(lambda: world.slack.state.views.get(user))
    return await world.slack.submit_view(user, None, {"outcome": outcome, "evidence": evidence})


async def test_what_cannot_be_told_apart_is_closed_by_two_people(tmp_path: Path) -> None:
    """Somebody refunded the same amount in the dashboard: the card shows what is there, and both look."""
    async with doubting(tmp_path) as world:
        request = await unanswered(world, "refund ORD123 5.000", "drop_after")
        await world.ottu.dashboard("refund", "ORD123", "5.000")
        await looked(world, request, "unclear")
        text = world.card_text()
        assert "What Ottu shows cannot be told apart (refunded 5000" in text
        assert "Two people who have looked must close it by hand" in text
        assert buttons(world, request) == {"close", "details"}
        await by_form(world, CEM, request, "succeeded", "reference number 4711")
        await world.until(lambda: "reference number 4711" in world.card_text())
        assert f"<@{CEM}> says that it *succeeded*" in world.card_text()
        assert "Another person must say the same" in world.card_text()
        assert len(world.results_of(request.id)) == 1
        await by_form(world, BOB, request, "succeeded", "seen too")
        await world.reaches(State.SUCCEEDED)
        await world.until(lambda: len(world.results_of(request.id)) == 2)
        assert len(sent(world, request)) == 1
        assert buttons(world, request) == {"details"}


async def test_who_may_not_close_it_is_told_why(tmp_path: Path) -> None:
    """The requester, an outsider, and the same person twice; by command and by form; each attempt is recorded."""
    async with doubting(tmp_path) as world:
        request = await unanswered(world, "refund ORD123 5.000")
        await looked(world, request, "nothing_new")
        await by_form(world, ALICE, request, "succeeded", "I saw it")
        await world.told_something(ALICE, "so two others must close it")
        await world.type(ALICE, f"close {request.id} failed I saw it")
        await world.until(lambda: world.told(ALICE).count("so two others must close it") == 2)
        await world.type(OUT, f"close {request.id} succeeded I saw it")
        await world.told_something(OUT, "neither asking nor approving is yours")
        await world.type(CEM, f"close {request.id} failed at the gateway's site")
        await world.told_something(CEM, "Another person must say the same")
        await by_form(world, CEM, request, "failed", "again")
        await world.told_something(CEM, "You have said so already")
        assert world.request(request.id).state is State.UNKNOWN
        assert world.refused_attempts() == ["own_request", "own_request", "not_allowed", "twice"]


async def test_failed_is_too_early_before_the_window_is_over_and_succeeded_is_not(tmp_path: Path) -> None:
    async with doubting(tmp_path, policy=TO_COME) as world:
        request = await unanswered(world, "refund ORD123 5.000", "drop_after")
        await world.reaches(State.UNKNOWN)
        await world.type(CEM, f"close {request.id} failed nothing to be seen")
        await world.told_something(CEM, "too early to call it failed")
        await closed_by_two(world, request, "succeeded")
        assert world.running.store.rows("SELECT proposed_by, confirmed_by FROM closings") == [
            {"proposed_by": CEM, "confirmed_by": BOB}
        ]


async def test_evidence_is_needed_and_holds_no_card_number(tmp_path: Path) -> None:
    async with doubting(tmp_path, policy=TO_COME) as world:
        request = await unanswered(world, "refund ORD123 5.000", "drop_after")
        await world.reaches(State.UNKNOWN)
        ack = await by_form(world, CEM, request, "succeeded", "card 4111 1111 1111 1111")
        assert "looks like a card number" in ack.errors["evidence"]
        ack = await world.slack.submit_view(CEM, None, {"outcome": "succeeded", "evidence": "   "})
        assert ack.errors["evidence"]
        await world.slack.close_view(CEM)
        await world.type(CEM, f"close {request.id} succeeded")
        await world.quiet()
        assert world.store.rows("SELECT 1 FROM closings") == []


async def test_what_was_closed_by_hand_and_then_proven_otherwise_raises_an_alarm(tmp_path: Path) -> None:
    """Two people were wrong: the late answer changes nothing, and the audit channel is told."""
    async with doubting(tmp_path) as world:
        request = await unanswered(world, "refund ORD123 5.000")
        await looked(world, request, "nothing_new")
        await closed_by_two(world, request, "failed")
        after = world.request(request.id)
        await world.until(lambda: len(world.results_of(request.id)) == 2)
        world.running.tasks.execution.settle(request.id, 1, Outcome(Ending.SUCCEEDED, "", 5_000, "REF-LATE"))
        await world.until(lambda: any("A late answer says" in m.text for m in world.slack.messages("C02AUDIT")))
        assert world.request(request.id) == after


async def test_what_ottu_refuses_to_show_is_for_people(tmp_path: Path) -> None:
    """A refusal to tell is no word on the outcome: it stays unknown, nothing is sent again, and the card says so."""
    slower = with_timing(deadline_seconds=0.6, settle_seconds=2, inquiry_gap_seconds=0.1)
    async with doubting(tmp_path, slower) as world:
        request = await unanswered(world, "refund SMALL full")
        world.ottu.fault("status", endpoint="inquiry", status=403, when="before", match="SMALL", count=9)
        await looked(world, request, "unreadable")
        assert len(sent(world, request)) == 1
