"""A database that cannot be written, a channel that is closed, a refused start: it is said, and made good later."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from approvals.request import State
from approvals.sentences import private
from bot.acquaintance import CannotStart
from bot.app import Bot
from sandbox.slack_records import Channel
from tests.bot.test_webhooks import a_document, hooked, post, signed
from tests.bot.world import ALICE, BOB, CEM, GEN, OTHER, POLICY, World, a_world

# --- the database


@contextmanager
def locked(world: World) -> Iterator[None]:
    """Another program has the database, and does not let go."""
    connection = sqlite3.connect(world.folder / "bot.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


async def test_what_cannot_be_written_down_is_not_accepted(world: World) -> None:
    """Neither a command nor a form; nothing of it happens later, and what was there before goes on."""
    request = await world.ask()
    await world.press(BOB, "reject")
    await world.slack.wait_for(lambda: world.slack.seen_by(BOB).views)
    await world.quiet()
    with locked(world):
        ack = await world.type(ALICE, "refund USD55 1.00")
        form = await world.slack.submit_view(BOB, None, {"reason": "no"})
        click = await world.press(CEM, "approve")
    assert ack.text == private.NOT_ACCEPTED
    assert form.errors == {"reason": private.NOT_ACCEPTED}
    assert click.error  # not acknowledged: Slack's own warning stands beside the button
    await world.told_something(CEM, private.CLICK_NOT_ACCEPTED)
    await world.quiet()
    assert world.nothing_done(request.id)
    assert len(world.requests()) == 1
    await world.press(CEM, "approve")
    await world.reaches(State.SUCCEEDED)


async def test_what_was_taken_when_the_database_was_locked_is_done_when_it_is_free(world: World) -> None:
    """Neither its decision nor that it waits could be written: it is not ours for ever, and needs no restart."""
    request = await world.ask()
    await world.quiet()
    world.slack.fault("users.info", "hang", seconds=1.0)
    assert (await world.press(BOB, "approve")).ok
    await world.until(lambda: world.running.worker.running["inbox"])
    with locked(world):
        await world.until(lambda: not world.running.worker.running["inbox"])
    assert world.nothing_done(request.id)
    world.hurry("click")
    await world.reaches(State.SUCCEEDED, hurry=("click",))
    assert world.moved() == [("refund", "ORD123", "5.000", "KWD")]


async def test_an_answer_is_written_down_when_the_database_is_free_again(world: World) -> None:
    """Ottu has said that it is done; however long another program holds the file, that is not forgotten."""
    world.ottu.fault("slow", seconds_after=0.5)
    await world.approved()
    await world.until(world.moved)
    with locked(world):
        await asyncio.sleep(3)
    await world.reaches(State.SUCCEEDED)
    assert len(world.operations_sent()) == 1


async def test_a_database_that_is_locked_while_we_get_acquainted_makes_nobody_deaf(world: World) -> None:
    """Who we are is asked again: without it no person could be vouched for, and no socket would be opened."""
    with locked(world):
        meeting = asyncio.create_task(world.running.acquaintance.meet())
        await asyncio.sleep(1.5)
    await asyncio.wait_for(meeting, 10)


async def test_a_webhook_that_cannot_be_written_down_is_sent_again_by_ottu(tmp_path: Path) -> None:
    async with hooked(tmp_path) as world:
        with locked(world):
            assert await post(world, signed(a_document())) == 503
        assert await post(world, signed(a_document())) == 200
        await world.until(lambda: any(event.kind == "alarm" for event in world.store.events()))


async def test_a_command_that_cannot_be_decided_is_tried_and_then_given_up_aloud(world: World) -> None:
    """A mistake of ours, or a damaged table: the person hears of it, it is on record, and the rest goes on."""
    await world.ask()
    await world.until(lambda: (card := world.running.work.card(world.request().id)) and card.permalink)
    await world.quiet()
    world.store.database.execute("ALTER TABLE approvals RENAME TO elsewhere")
    await world.type(BOB, f"status {world.request().id}")
    await world.until(lambda: private.WENT_WRONG in world.told(BOB), 15, hurry=("command",))
    world.store.database.execute("ALTER TABLE elsewhere RENAME TO approvals")
    assert [event.kind for event in world.store.events()].count("gave_up") == 1
    await world.type(BOB, f"status {world.request().id}")
    await world.told_something(BOB, "Can approve")


# --- a channel that is closed to the bot


def _close(channel: Channel, how: str, bot_user: str) -> None:
    if how == "archived":
        channel.is_archived = True
    else:
        channel.members.remove(bot_user)


def _open(channel: Channel, bot_user: str) -> None:
    channel.is_archived = False
    if bot_user not in channel.members:
        channel.members.append(bot_user)


@pytest.mark.parametrize("how", ["archived", "without the bot"])
async def test_a_card_that_cannot_be_posted_is_said_and_posted_when_the_channel_is_open(world: World, how: str) -> None:
    channel, me = world.slack.state.channels[GEN], world.slack.state.bot_user
    await world.type(ALICE, "pending")  # what Slack knows of us is known
    _close(channel, how, me)
    await world.type(ALICE, "refund ORD123 5.000", crafted=how == "archived")
    told = await world.told_something(ALICE, "cannot be posted in the channel")
    assert world.request().state is State.PENDING
    assert told.count("cannot be posted") == 1
    _open(channel, me)
    await world.until(world.card, hurry=("card",))
    assert len(world.cards()) == 1


@pytest.mark.parametrize("how", ["archived", "without the bot"])
async def test_money_does_not_wait_for_the_channel_and_the_result_comes_once(world: World, how: str) -> None:
    """The card comes right, and the result stands in the thread once, when Slack lets us in again."""
    channel, me = world.slack.state.channels[GEN], world.slack.state.bot_user
    await world.ask()
    await world.quiet()
    _close(channel, how, me)
    await world.press(BOB, "approve", crafted=how == "archived")
    await world.until(lambda: world.request().state is State.SUCCEEDED)
    await world.quiet()
    assert world.moved() == [("refund", "ORD123", "5.000", "KWD")]
    assert world.results() == []
    _open(channel, me)
    await world.until(world.results, hurry=("card", "notice"))
    await world.reaches(State.SUCCEEDED, hurry=("card", "notice"))
    await world.quiet()
    assert (len(world.cards()), len(world.results())) == (1, 1)


# --- a start that Slack refuses, or makes wait


@pytest.mark.parametrize(
    ("setting", "value"), [("SLACK_BOT_TOKEN", "xoxb-of-nobody"), ("SLACK_APP_TOKEN", "xapp-of-nobody")]
)
async def test_a_refused_token_ends_the_start_and_names_its_setting(tmp_path: Path, setting: str, value: str) -> None:
    async with a_world(tmp_path, started=False, environment={setting: value}) as world:
        with pytest.raises(CannotStart, match=setting):
            await Bot.build(world.settings).serve(asyncio.Event())


async def test_a_rule_that_slacks_groups_satisfy_for_nobody_ends_the_start(tmp_path: Path) -> None:
    policy = POLICY.replace(f'leads = ["{BOB}", "{CEM}"]', 'leads = ["S0LEADS"]')
    async with a_world(tmp_path, started=False, policy=policy) as world:
        with pytest.raises(CannotStart, match="POLICY_FILE"):
            await Bot.build(world.settings).serve(asyncio.Event())


async def test_a_policy_file_that_is_missing_and_a_port_that_is_taken_end_the_start(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        port = world.running.address.rsplit(":", 1)[1]
        taken = {"PORT": port, "DATABASE_URL": f"sqlite:///{tmp_path / 'other.db'}"}
        async with a_world(tmp_path, started=False, environment=taken) as second:
            with pytest.raises(CannotStart, match="PORT"):
                await Bot.build(second.settings).serve(asyncio.Event())
            settings = second.settings
            (tmp_path / "policy.toml").unlink()
            with pytest.raises(CannotStart, match=r"policy\.example\.toml"):
                Bot.build(settings)


async def test_a_start_waits_for_a_slack_that_is_busy(tmp_path: Path) -> None:
    async with a_world(tmp_path, started=False) as world:
        world.slack.fault("auth.test", "ratelimited")
        await world.start()
        await world.type(ALICE, "pending", channel=OTHER)
        await world.told_something(ALICE, "Nothing is open")


async def test_health_and_figures_are_served(either: World) -> None:
    """For whoever watches the bot: alive, ready, how many requests in which state."""
    await either.ask()
    async with httpx.AsyncClient(trust_env=False, base_url=either.running.address) as client:
        assert (await client.get("/healthz")).text == "ok"
        assert (await client.get("/readyz")).status_code == 200
        assert 'ottu_bot_requests{state="pending"} 1' in (await client.get("/metrics")).text


async def test_a_start_waits_for_a_slack_that_does_not_answer(tmp_path: Path) -> None:
    """Neither to the first question nor when it is asked for a connection: both are asked again, and then it works."""
    async with a_world(tmp_path, started=False) as world:
        world.slack.fault("auth.test", "drop_before")
        world.slack.fault("apps.connections.open", "internal_error")
        await world.start()
        await world.type(ALICE, "pending")
        await world.told_something(ALICE, "Nothing is open")
        asked = [call.method for call in world.slack.state.calls]
        assert (asked.count("auth.test"), asked.count("apps.connections.open")) >= (3, 2)


async def test_a_card_that_cannot_be_made_is_given_up_aloud_and_tells_nobody_in_private(world: World) -> None:
    """A mistake of ours in a job that no person is waiting for: it stands in the record, and the rest goes on."""
    world.running.work.add("card:R-NONE", "card", {"request": "R-NONE"})
    await world.until(lambda: any(e.kind == "gave_up" for e in world.store.events()), hurry=("card",))
    (event,) = [event for event in world.store.events() if event.kind == "gave_up"]
    (alarm,) = [event for event in world.store.events() if event.kind == "alarm"]
    assert alarm.facts["job"] == event.facts["job"]
    assert event.facts["job"] == "card:R-NONE"
    await world.approved()
    await world.reaches(State.SUCCEEDED)


async def test_a_database_that_cannot_be_read_is_not_ready(world: World) -> None:
    """Whoever watches it learns that it decides nothing any more."""
    assert (await world.readyz())[0] == 200
    world.store.database.execute("ALTER TABLE work_facts RENAME TO elsewhere")
    status, parts = await world.readyz()
    world.store.database.execute("ALTER TABLE elsewhere RENAME TO work_facts")
    assert (status, parts["database"], parts["executing"]) == (503, False, False)


async def test_a_caller_who_leaves_in_the_middle_of_a_body_changes_nothing(either: World) -> None:
    host, port = either.running.address.removeprefix("http://").rsplit(":", 1)
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /slack/events HTTP/1.1\r\nHost: here\r\nContent-Length: 500\r\n\r\ncut")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await either.readyz())[0] == 200


async def test_several_connections_are_said_in_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Slack gives each click to one of them: a forgotten process that nobody reads would swallow some."""
    hello = {"type": "hello", "num_connections": 2, "connection_info": {}}
    await world.running.acquaintance.on_hello(None, hello, None)
    assert [record.getMessage() for record in caplog.records].count("several_connections") == 1
