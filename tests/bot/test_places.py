"""Where a command or a click counts, and what is made of payloads that are forged, old, broken or sent twice."""

from __future__ import annotations

import asyncio
import copy
import logging
import sqlite3
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from approvals.request import Request, State
from bot.web import MOST_BODY_BYTES
from sandbox.slack_delivery import Ack, Delivery, signature
from tests.bot.world import ALICE, BOB, CEM, GEN, OTHER, OUT, World, a_world

# --- where commands are taken


@pytest.mark.parametrize("text", ["refund ORD123 5.000", "cancel LINK9", "inquiry ORD123"])
@pytest.mark.parametrize("channel", [OTHER, "D01ALICE"])
async def test_nothing_is_asked_for_but_in_the_listed_channels(world: World, channel: str, text: str) -> None:
    """Not in another channel, not in a direct message: the answer says where, and Ottu is asked nothing.

    And that the form gets there from anywhere, of what it can ask for.
    """
    await world.type(ALICE, text, channel=channel)
    told = await world.told_something(ALICE, f"Go to <#{GEN}>")
    assert ("type `/ottu` alone here, and fill in the form" in told) == ("inquiry" not in text)
    await world.quiet()
    assert world.refused_attempts() == ["channel"]
    assert (world.requests(), list(world.ottu.requests)) == ([], [])


@pytest.mark.parametrize("channel", [OTHER, "D01ALICE"])
async def test_the_record_is_read_from_anywhere(world: World, channel: str) -> None:
    request = await world.ask()
    await world.type(ALICE, "status ORD123", channel=channel)
    await world.told_something(ALICE, f"*{request.id}*")
    assert world.refused_attempts() == []


# --- where clicks count


def _value(request: Request) -> str:
    return f"{request.id}:{request.digest}"


@pytest.mark.parametrize("action", ["approve", "unapprove", "withdraw", "details"])
async def test_a_button_counts_on_its_own_card_alone(world: World, action: str) -> None:
    """Not in another channel, not on another message of the same channel."""
    request = await world.ask("refund ORD123 16.000")
    copied = world.slack.say(BOB, OTHER, "a card that somebody made")
    beside = world.slack.say(BOB, GEN, "another")
    user = ALICE if action == "withdraw" else BOB
    for message in (copied, beside):
        await world.slack.click(user, message.channel, message.ts, action, crafted=True, value=_value(request))
    await world.until(lambda: len(world.refused_attempts()) == 2)
    await world.until(lambda: world.told(user).count("That is not the card of") == 2)
    assert world.refused_attempts() == ["wrong_place", "wrong_place"]
    assert world.nothing_done()


@pytest.mark.parametrize("app", ["A09ANOTHER", "", None])
async def test_the_button_of_another_app_is_nothing(world: World, app: str | None) -> None:
    await world.ask()
    await world.press(BOB, "approve", api_app_id=app)
    await world.told_something(BOB, "belongs to another app")
    assert world.refused_attempts() == ["foreign_app"]
    assert world.nothing_done()


@pytest.mark.parametrize("action", ["approve", "unapprove", "withdraw", "details"])
async def test_a_button_that_shows_other_terms_is_stale(world: World, action: str) -> None:
    """What was seen is what is done: the button's digest must be the row's."""
    request = await world.ask("refund ORD123 16.000")
    user = ALICE if action == "withdraw" else BOB
    for digest in ("0" * 32, ""):
        await world.press(user, action, crafted=True, value=f"{request.id}:{digest}")
    await world.until(lambda: world.told(user).count("of an older card") == 2)
    assert world.refused_attempts() == ["stale", "stale"]
    assert world.nothing_done()


async def test_a_rejection_counts_from_its_card_and_terms_alone(world: World) -> None:
    """The form carries both, and a forged one is refused like a forged button."""
    request, card = await world.ask(), world.card()
    forged = {
        "stale": f"{request.id}|{'0' * 32}|{card.channel}|{card.ts}",
        "wrong_place": f"{request.id}|{request.digest}|{OTHER}|{card.ts}",
        "no_request": f"R-ZZZZ|{request.digest}|{card.channel}|{card.ts}",
    }
    for metadata in forged.values():
        await world.press(BOB, "reject")
        await world.slack.wait_for(lambda: world.slack.seen_by(BOB).views)
        await world.slack.submit_view(BOB, None, {"reason": "no"}, view={"private_metadata": metadata})
    await world.until(lambda: len(world.refused_attempts()) == 3)
    assert world.refused_attempts() == list(forged)
    assert world.nothing_done()


async def test_a_button_of_a_request_that_is_not_there(world: World) -> None:
    """The made-up name is in the record, cut short."""
    await world.ask()
    await world.press(BOB, "approve", crafted=True, value="R-ZZZZ" * 300)
    await world.told_something(BOB, "There is no request")
    (event,) = [event for event in world.running.store.events() if event.kind == "refused_attempt"]
    assert event.facts == {"wanted": "approve", "why": "no_request", "named": ("R-ZZZZ" * 4)[:20]}
    assert world.nothing_done()


# --- payloads that no person in front of Slack can send


async def _send(world: World, payload: dict[str, Any], kind: str = "interactive") -> Ack:
    """A signed payload of our making."""
    delivery = Delivery("slash_commands" if kind == "command" else "interactive", payload, BOB, GEN)
    return await world.slack.outbox.send(world.slack.outbox.signed(delivery))


ODD: list[Any] = [None, "", 0, -1, True, 1.5, [], ["x"], {}, {"id": {}}, "x" * 5000, "<!channel>", "\x00", "\ud800"]
DECISIVE = [
    ("user",),
    ("user", "id"),
    ("user", "team_id"),
    ("api_app_id",),
    ("actions",),
    ("actions", 0),
    ("actions", 0, "action_id"),
    ("actions", 0, "value"),
    ("channel",),
    ("channel", "id"),
    ("message",),
    ("message", "ts"),
]
BESIDE = [
    ("type",),
    ("team",),
    ("team", "id"),
    ("container",),
    ("trigger_id",),
    ("response_url",),
    ("enterprise",),
    ("is_enterprise_install",),
    ("state",),
    ("token",),
    ("actions", 0, "type"),
    ("actions", 0, "block_id"),
    ("actions", 0, "text"),
]


def _fresh(world: World, payload: dict[str, Any], *copied: dict[str, Any]) -> dict[str, Any]:
    """The payload with a trigger of its own, unless it has an odd one: the same one again would be no new click."""
    if payload["trigger_id"] not in [base["trigger_id"] for base in copied]:
        return payload
    return payload | {"trigger_id": world.slack.state.new_trigger(BOB)}


def _with(payload: dict[str, Any], path: tuple[str | int, ...], odd: object) -> dict[str, Any]:
    """The payload with one value replaced."""
    changed: Any = copy.deepcopy(payload)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = odd
    return dict(changed)


async def test_a_forged_click_of_every_kind_does_nothing_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is missing or odd: a private answer or silence, and the next real click is decided as ever."""
    async with a_world(tmp_path, "http") as world:
        await world.ask("refund ORD123 16.000")
        await world.press(OUT, "approve")  # anything that counts without being checked would be refused all the same
        harmless = world.slack.deliveries[-1].payload
        await world.press(BOB, "approve", crafted=True, value="R-ZZZZ:x")
        base = world.slack.deliveries[-1].payload
        base["actions"][0]["value"] = _value(world.request())
        base["container"] = {"type": "message"}  # where the place is not in the payload, it is read from here
        forged = [_with(base, path, odd) for path in DECISIVE for odd in ODD]
        forged += [_with(harmless, path, odd) for path in BESIDE for odd in ODD]
        for payload in forged:
            await _send(world, _fresh(world, payload, base, harmless))
        await world.until(lambda: not world.running.work.counts().get("click"))
        assert world.nothing_done()
        await _send(world, _fresh(world, base, base))  # not odd in anything, so it counts
        await world.press(CEM, "approve")
        await world.reaches(State.SUCCEEDED)
        assert world.moved() == [("refund", "ORD123", "16.000", "KWD")]
        world.check_record()
    assert [
        record for record in caplog.records if record.name == "bot.worker" and record.levelno >= logging.ERROR
    ] == []


async def test_a_forged_command_of_every_kind_does_nothing_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_world(tmp_path, "http") as world:
        await world.type(OUT, "refund ORD123 5.000")
        base = world.slack.deliveries[-1].payload
        odd = ["", "x" * 5000, "<!channel>", "\x00", "{}", "None"]
        for name in base:
            for value in odd:
                trigger = world.slack.state.new_trigger(OUT)
                await _send(world, {**base, "trigger_id": trigger, name: value}, "command")
        await world.until(lambda: not world.running.work.counts().get("command"))
        assert (world.requests(), world.operations_sent()) == ([], [])
        await world.ask()
    assert [
        record for record in caplog.records if record.name == "bot.worker" and record.levelno >= logging.ERROR
    ] == []


async def test_an_action_or_a_form_that_the_bot_does_not_know_is_nothing(tmp_path: Path) -> None:
    async with a_world(tmp_path, "http") as world:
        request = await world.ask()
        ack = await world.press(BOB, "explode", crafted=True, value=_value(request))
        assert ack.error == "http_service_error"
        await world.press(BOB, "reject")
        await world.slack.wait_for(lambda: world.slack.seen_by(BOB).views)
        ack = await world.slack.submit_view(BOB, None, {"reason": "no"}, view={"callback_id": "approve_form"})
        assert ack.error == "http_service_error"
        assert world.nothing_done()


# --- twice, and too late


async def test_a_click_that_slack_delivers_twice_is_one(either: World) -> None:
    """The same trigger id; over HTTP, the very same signed request."""
    world = either
    await world.ask()
    await world.press(BOB, "approve")
    pressed = world.slack.deliveries[-1]
    for _ in range(3):
        assert (await world.slack.resend(pressed)).ok
    await world.reaches(State.SUCCEEDED)
    assert (await world.slack.resend(pressed)).ok
    await world.quiet()
    assert world.moved() == [("refund", "ORD123", "5.000", "KWD")]
    assert (world.refused_attempts(), world.told(BOB)) == ([], "")


async def test_a_command_that_slack_delivers_twice_is_one(either: World) -> None:
    """Also at the same instant, and also after the request has come to its end."""
    world = either
    await world.type(ALICE, "refund ORD123 5.000")
    typed = world.slack.deliveries[-1]
    await asyncio.gather(*(world.slack.resend(typed) for _ in range(4)))
    await world.reaches(State.PENDING)
    await world.press(BOB, "approve")
    await world.reaches(State.SUCCEEDED)
    await world.slack.resend(typed)
    await world.quiet()
    assert len(world.requests()) == len(world.cards()) == len(world.moved()) == 1


async def test_a_click_older_than_a_minute_does_not_count(world: World) -> None:
    """Nobody's yes of an hour ago is carried out when Slack, or the bot, comes back."""
    await world.ask()
    world.slack.fault("users.info", "500", times=1000)
    await world.press(BOB, "approve")
    await world.until(lambda: world.running.store.rows("SELECT 1 FROM work_jobs WHERE kind = 'click' AND tries > 0"))
    await world.stop()
    _make_older(world, seconds=61)
    world.slack.state.faults.clear()
    await world.start()
    await world.told_something(BOB, "Press again")
    assert world.refused_attempts() == ["too_old"]
    assert world.nothing_done()
    await world.press(BOB, "approve")
    await world.reaches(State.SUCCEEDED)


async def test_a_click_of_a_moment_ago_counts_after_a_restart(world: World) -> None:
    await world.ask()
    world.slack.fault("users.info", "500", times=1000)
    await world.press(BOB, "approve")
    await world.until(lambda: world.running.store.rows("SELECT 1 FROM work_jobs WHERE kind = 'click' AND tries > 0"))
    await world.stop()
    _make_older(world, seconds=50)
    world.slack.state.faults.clear()
    await world.start()
    await world.reaches(State.SUCCEEDED)
    assert len(world.moved()) == 1


def _make_older(world: World, seconds: float) -> None:
    """As if the clicks that wait had come so many seconds earlier; they are due now."""
    connection = sqlite3.connect(world.folder / "bot.db")
    with connection:
        connection.execute(
            "UPDATE work_jobs SET due_at = created_at,"
            " created_at = strftime('%Y-%m-%dT%H:%M:%fZ', created_at, ?) WHERE kind = 'click'",
            [f"-{seconds} seconds"],
        )
    connection.close()


# --- requests that Slack did not sign


def _signed(world: World, body: str, *, age_seconds: float = 0, secret: str | None = None) -> dict[str, str]:
    timestamp = str(int(world.slack.state.clock() - age_seconds))
    return {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": signature(secret or world.slack.state.signing_secret, timestamp, body),
    }


async def _post(world: World, body: str, headers: dict[str, str]) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{world.running.address}/slack/events", data=body.encode(), headers=headers) as response,
    ):
        return response.status


async def test_what_slack_did_not_sign_is_refused(tmp_path: Path) -> None:
    """A wrong secret, another body, an old or unreadable timestamp, no signature at all; also for `ssl_check`."""
    async with a_world(tmp_path, "http") as world:
        await world.ask()
        await world.press(BOB, "details")
        body = world.slack.deliveries[-1].body.decode().replace("details", "approve")
        good = _signed(world, body)
        unsigned = {"Content-Type": good["Content-Type"]}
        assert await _post(world, body, _signed(world, body, secret="another")) == 401
        assert await _post(world, body + " ", good) == 401
        assert await _post(world, body, _signed(world, body, age_seconds=301)) == 401
        assert await _post(world, body, _signed(world, body, age_seconds=-301)) == 401
        assert await _post(world, body, unsigned) == 401
        assert await _post(world, "ssl_check=1", unsigned) == 401
        assert await _post(world, body, {**good, "X-Slack-Request-Timestamp": "yesterday"}) >= 400
        await world.quiet()
        assert world.nothing_done()


async def test_a_body_beyond_the_limit_is_refused_unread(tmp_path: Path) -> None:
    async with a_world(tmp_path, "http") as world:
        for size, status in ((MOST_BODY_BYTES, 404), (MOST_BODY_BYTES + 1, 413)):
            body = "x=" + "y" * (size - 2)
            assert await _post(world, body, _signed(world, body)) == status


async def test_in_socket_mode_nothing_is_taken_over_http(world: World) -> None:
    body = "command=%2Fottu&text=refund+ORD123+5.000"
    assert await _post(world, body, _signed(world, body)) == 404
