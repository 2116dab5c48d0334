"""Inquiries are scarce, and full of personal data: few are sent, their answers are shared, and nothing personal stays.

Ottu refuses them in a payment's first 10 minutes, then allows one per 30 minutes, at most three.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from approvals.request import State
from sandbox.ottu_answers import CARD, INITIATOR, PG_PARAMS
from sandbox.ottu_book import PAYER
from tests.bot.world import ALICE, BOB, CEM, GEN, World, a_world, with_timing

# --- the budget of inquiries


async def test_a_card_costs_one_inquiry_and_a_session_id_no_more(world: World) -> None:
    """Whichever name was typed; approving, executing and every later look-up by status cost none."""
    await world.approved("refund ORD123 5.000")
    await world.reaches(State.SUCCEEDED)
    await world.type(ALICE, "status ORD123")
    await world.told_something(ALICE, "Session:")
    assert len(world.inquiries_sent()) == 1
    payment = world.ottu.book.find(order_no="USD55")
    assert payment is not None
    asked = await world.ask(f"refund {payment.session_id} 5.00")
    assert world.inquiries_sent() == [{"order_no": "ORD123"}, {"session_id": payment.session_id}]
    assert asked.left_minor == 4999


async def test_without_an_inquiry_the_card_says_not_checked(world: World) -> None:
    """The second refund of a day: two inquiries stay reserved for an unknown outcome, so the figure is missing."""
    first = await world.approved("refund ORD123 5.000")
    await world.reaches(State.SUCCEEDED, first.id)
    second = await world.ask("refund ORD123 6.000")
    assert second.left_minor is None
    assert second.is_full is None
    assert "*Left to refund*\\nnot checked" in world.card_text(second.id)
    assert len(world.inquiries_sent()) == 1
    await world.press(ALICE, "withdraw", world.card(second.id))
    await world.reaches(State.WITHDRAWN, second.id)
    await world.type(ALICE, "refund ORD123 full")
    await world.told_something(ALICE, "`full` is not possible")
    assert len(world.inquiries_sent()) == 1


async def test_a_fresh_answer_is_shared(world: World) -> None:
    """An inquiry that somebody asked for serves the card that follows, as long as nothing was sent in between."""
    await world.type(CEM, "inquiry ORD123")
    await world.told_something(CEM, "20.000 KWD")
    asked = await world.ask("refund ORD123 full")
    assert asked.amount_minor == 20000
    assert len(world.inquiries_sent()) == 1


async def test_at_most_three_inquiries_a_day_reach_ottu(tmp_path: Path) -> None:
    """Whichever name is typed, and over a restart; afterwards the last answer is given, with its time."""
    async with a_world(tmp_path, policy=with_timing(inquiry_gap_seconds=0.05)) as world:
        world.ottu.configure(throttle=False)
        payment = world.ottu.book.find(order_no="ORD123")
        assert payment is not None
        for number in range(1, 6):
            await world.type(ALICE, "inquiry ORD123" if number % 2 else f"inquiry {payment.session_id}")
            await world.until(lambda number=number: world.told(ALICE).count("Asked <!date^") == number)  # type: ignore[misc]  # a default
            await world.until(lambda: gap_is_over(world))
            if number == 2:
                await world.stop()
                await world.start()
        assert len(world.inquiries_sent()) == 3
        assert world.told(ALICE).count("this is the last answer") == 2


def gap_is_over(world: World) -> bool:
    (row,) = world.store.rows(
        "SELECT (julianday('now') - julianday(max(sent_at))) * 86400 AS seconds FROM work_inquiries"
    )
    return float(row["seconds"]) > 0.06


async def test_while_a_request_is_open_two_inquiries_are_reserved(tmp_path: Path) -> None:
    """They may be needed to find out what became of the money."""
    async with a_world(tmp_path, policy=with_timing(inquiry_gap_seconds=0.05)) as world:
        world.ottu.configure(throttle=False)
        await world.ask("refund ORD123 5.000")
        await world.until(lambda: gap_is_over(world))
        await world.type(ALICE, "inquiry ORD123")
        await world.told_something(ALICE, "this is the last answer")
        assert len(world.inquiries_sent()) == 1


# --- /ottu inquiry


async def test_an_inquiry_tells_state_amounts_gateway_and_children(world: World) -> None:
    """To the person who asked, and to nobody else; no card, no request, no lock."""
    await world.ottu.dashboard("refund", "ORD123", "12.000")
    ack = await world.type(BOB, "inquiry ORD123")
    assert "Asking Ottu about ORD123" in ack.text
    told = await world.told_something(BOB, "Asked <!date^")
    for part in ("*ORD123*: paid, 20.000 KWD", "refunded 12.000 KWD", "ottu", "sandbox", "• refunded 12.000 KWD", "🧪"):
        assert part in told
    assert world.requests() == []
    assert world.slack.messages(GEN) == []
    assert world.told(ALICE) == ""
    await world.ask("refund ORD123 1.000")


ADVICE = [
    ("inquiry NOPE", "Ottu knows no payment for NOPE"),
    ("inquiry LINK9", "nobody has tried to pay it yet"),
    ("inquiry ORD123 --disclose", "Ottu has no disclosure URL for ORD123"),
    ("inquiry GONE", "Ottu allows no inquiry for GONE in its present state"),
    ("inquiry ORD123 --disclose https://evil.example.com/", "not on the policy's list"),
    ("inquiry NEW1", "Ottu throttles inquiries for this transaction. Try again in"),
]


async def test_ottus_refusals_of_an_inquiry_come_as_advice(world: World) -> None:
    world.ottu.create("GONE", "9.000", "KWD", "canceled", attempted=True)
    world.ottu.create("NEW1", "9.000", "KWD", age_seconds=0)
    for text, says in ADVICE:
        await world.type(ALICE, text)
        await world.told_something(ALICE, says)
    assert world.requests() == []
    assert len(world.inquiries_sent()) == len(ADVICE) - 1  # the host that is not listed cost none


# --- nothing personal

PERSONAL = [
    *(text for name, text in PAYER.items() if name not in {"customer_address_country", "customer_address_postal_code"}),
    *(str(value) for value in INITIATOR.values() if value != INITIATOR["id"]),
    *(str(CARD[name]) for name in ("number", "token", "name_on_card", "customer_id", "brand")),
    *PG_PARAMS.values(),
    "customer_",
    "initiator",
    "pg_response",
]


def everything_stored(folder: Path) -> str:
    """The database's files, byte by byte."""
    return b"".join(path.read_bytes() for path in folder.iterdir()).decode(errors="replace")


async def test_nothing_personal_leaves_ottus_answers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither into Slack, nor into a log, nor onto the disk, whichever way a transaction is read or an answer ends."""
    caplog.set_level(logging.DEBUG, "bot")
    async with a_world(tmp_path) as world:
        payment = world.ottu.book.find(order_no="USD55")
        assert payment is not None
        await world.type(CEM, f"inquiry {payment.session_id}")
        await world.told_something(CEM, "49.99 USD")
        email = f"The card of {PAYER['customer_email']} ({PAYER['customer_phone']}, {CARD['token']}) was declined."
        for text, fault, state in (
            ("refund ORD123 5.000", None, State.SUCCEEDED),
            (f"refund {payment.session_id} 1.00", {"kind": "failed"}, State.FAILED),
            ("void AUTH7", {"kind": "disagree"}, State.UNKNOWN),
            ("refund JPY100 10", {"kind": "status", "status": 400, "body": {"detail": email}}, State.FAILED),
            ("refund Q42 1.000", None, State.QUEUED),
        ):
            if fault:
                world.ottu.fault(**fault)
            request = await world.approved(text)
            await world.reaches(state, request.id)
            await world.until(lambda request=request: world.results_of(request.id))  # type: ignore[misc]  # a default
            await world.type(ALICE, f"status {request.id}")
            await world.told_something(ALICE, f"*{request.id}*")
        slack = json.dumps([call.arguments for call in world.slack.state.calls], ensure_ascii=False, default=str)
        slack += world.slack.transcript() + world.told(ALICE) + world.told(CEM)
    logged = "\n".join(repr(vars(record)) for record in caplog.records if record.name.startswith("bot"))
    stored = everything_stored(tmp_path)
    assert "started" in logged
    assert "Refund 5.000 KWD" in slack
    assert "ORD123" in stored
    for where, text in {"Slack": slack, "the log": logged, "the disk": stored}.items():
        assert [word for word in PERSONAL if word in text] == [], where


async def test_an_address_on_the_policys_list_is_what_ottu_is_asked_to_send_to(world: World) -> None:
    await world.type(ALICE, "inquiry ORD123 --disclose https://hooks.example.com/found")
    await world.until(world.inquiries_sent)
    (body,) = world.inquiries_sent()
    assert (body["disclose_to_merchant"], body["disclosure_url"]) == (True, "https://hooks.example.com/found")


async def test_an_inquiry_that_ottu_does_not_answer_is_said_to_the_person(world: World) -> None:
    """Not kept waiting, and nothing made up: they read that it can be tried again."""
    world.ottu.fault("drop_before", endpoint="inquiry")
    await world.type(ALICE, "inquiry ORD123")
    assert "again" in await world.told_something(ALICE, "Ottu closed the connection")
