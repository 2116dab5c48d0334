"""`audit channel`: finds nothing where nothing is wrong, says what it cannot see, and gets through a slow Slack."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from approvals.request import State
from bot.acquaintance import CannotStart
from bot.channel_history import Progress
from bot.channel_messages import EMOJI, Message, read
from bot.words import SYMBOLS
from tests.bot.channels import audited, begun, card_of
from tests.bot.test_channel_tampering import as_rogue
from tests.bot.world import ALICE, AUDIT, BOB, CEM, GEN, World, a_world, with_timing
from tests.measured import measured

ROOT = Path(__file__).parents[2]
NOT_REACHED = "older than the oldest message that was reached"


def test_every_symbol_of_a_card_is_known_by_the_name_that_slack_stores() -> None:
    assert {symbol.rstrip("\ufe0f") for symbol in SYMBOLS.values()} <= EMOJI.keys()


def test_no_message_keeps_the_audit_from_its_end() -> None:
    """Whoever can write in the channel could else make every later audit wait, by as many messages as they like."""
    began = time.process_time()
    read("1," * 20_000, [])
    assert time.process_time() - began < 1


async def history(world: World) -> None:
    """All that can stand in a channel: paused, two approvals, repeated, unknown, closed by hand, queued, withdrawn."""
    begun(world)
    await world.type(CEM, "pause a closing of the books over 5.000 KWD")
    await world.told_something(CEM, "Paused")
    waiting = await world.approved("refund ORD123 5.000")
    await world.reaches(State.APPROVED, waiting.id)
    assert (await audited(world)).told() == []
    await world.resume(CEM)
    await world.reaches(State.SUCCEEDED, waiting.id, hurry=("execute",))
    two = await world.ask("refund Q42 16.000 reason: the *first* <of> two & https://example.com")
    for action, stands in (("approve", 1), ("unapprove", 0), ("approve", 1)):
        await world.press(BOB, action, world.card(two.id))
        await world.until(lambda stands=stands: len(world.store.approvals(two.id)) == stands)  # type: ignore[misc]  # a default
    await world.press(CEM, "approve", world.card(two.id))
    await world.reaches(State.QUEUED, two.id)
    world.ottu.fault("drop_before", match="USD55")
    lost = await world.approved("refund USD55 9.00")
    await world.reaches(State.UNKNOWN, lost.id)
    await world.until(lambda: any(e.kind == "reading" for e in world.store.events(lost.id)), hurry=("close",))
    await world.type(CEM, f"close {lost.id} failed looked in the dashboard, <@{ALICE}> saw 9.00 USD")
    await world.until(lambda: any(e.kind == "close_proposed" for e in world.store.events(lost.id)))
    await world.quiet()
    assert (await audited(world)).told() == []
    await world.type(BOB, f"close {lost.id} failed the gateway shows nothing")
    await world.reaches(State.FAILED, lost.id)
    back = await world.ask("refund JPY100 700")
    await world.type(ALICE, f"withdraw {back.id}")
    await world.reaches(State.WITHDRAWN, back.id)
    await world.ask("refund ORD123 5.000")
    await world.type(ALICE, "refund ORD123 99.000")  # refused: it never gets a card
    await world.quiet()


FAST = with_timing(deadline_seconds=0.6, settle_seconds=0.7, inquiry_gap_seconds=0.1)


async def test_whatever_happened_a_true_history_agrees(tmp_path: Path) -> None:
    """From Slack, and from exports with and without metadata."""
    async with a_world(tmp_path, policy=FAST) as world:
        world.ottu.configure(throttle_scale=0.00005)
        await history(world)
        world.slack.export(tmp_path / "whole")
        world.slack.export(tmp_path / "bare", with_metadata=False)
        for export in (None, tmp_path / "whole", tmp_path / "bare"):
            one = await audited(world, export=export)
            assert one.found["differences"] == one.found["beyond_reach"] == one.found["other_words"] == []
            assert one.status == 0
            assert one.found["counts"]["card"] == 5
            assert one.found["counts"]["result"] == 4


async def test_an_export_without_metadata_is_compared_by_what_it_shows(told: World, tmp_path: Path) -> None:
    world = told
    message = world.results()[0]
    message.text = message.text.replace("5.000", "6.000")
    message.blocks[0]["text"]["text"] = message.blocks[0]["text"]["text"].replace("5.000", "6.000")
    world.slack.export(tmp_path / "bare", with_metadata=False)
    found = await audited(world, export=tmp_path / "bare")
    assert found.told() == [("differs", "result", "amount"), ("differs", "result", "state")]
    assert found.found["differences"][0]["link"] is None


async def test_the_marks_that_an_earlier_version_wrote_into_notifications_are_no_difference(told: World) -> None:
    """The first versions sent what is bold in the message as `*bold*` in its notification, too."""
    for message in told.results():
        headline, *others = message.text.split("\n")
        message.text = "\n".join([f"*{headline}*", *others])
    assert (await audited(told)).told() == []


async def test_an_export_that_ended_earlier_says_so(told: World, tmp_path: Path) -> None:
    """What happened after the last message in it need not be there, and a card that moved on since is not behind."""
    world = told
    world.slack.export(tmp_path / "export")
    await world.press(BOB, "approve", world.card(world.requests()[2].id))
    await world.until(lambda: len(world.results()) == 3)
    found = await audited(world, export=tmp_path / "export")
    assert found.found["differences"] == []


@pytest.mark.parametrize("content", [None, "{}", "not json", "[[[["])
async def test_what_is_no_export_is_refused(told: World, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "channels.json").write_text(content)
    with pytest.raises(CannotStart, match=r"channels\.json"):
        await audited(told, export=tmp_path)


@pytest.mark.parametrize("name", ["../payments", "..", ".", ""])
async def test_an_export_never_leads_out_of_its_folder(told: World, tmp_path: Path, name: str) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "channels.json").write_text(json.dumps([{"id": GEN, "name": name}]))
    (tmp_path / "payments").mkdir()
    for folder in ("payments", "export", "."):
        (tmp_path / folder / "2026-01-01.json").write_text("no json")
    found = await audited(told, export=tmp_path / "export")
    assert {channel["unreadable"] for channel in found.found["channels"]} == {"it is not in the export"}


# --- what cannot be seen


async def test_what_retention_removed_is_beyond_reach_unless_nothing_was_removed(told: World) -> None:
    second = told.cards()[1]
    told.slack.state.messages[:] = [m for m in told.slack.state.messages if m.channel != GEN or m.ts >= second.ts]
    found = await audited(told)
    assert (found.status, found.told()) == (0, [])
    assert found.beyond() == {("card", NOT_REACHED), ("result", NOT_REACHED)}
    assert {one["request"] for one in found.found["beyond_reach"]} == {told.requests()[0].id}
    strict = await audited(told, whole=True)
    assert strict.told() == [("missing", "card", None), ("missing", "result", None)]


@pytest.mark.parametrize(("private", "why"), [(False, "not_in_channel"), (True, "channel_not_found")])
async def test_a_channel_that_the_bot_has_left_is_beyond_reach(told: World, private: bool, why: str) -> None:
    told.slack.add_channel(GEN, "payments", [ALICE, BOB], is_private=private)
    found = await audited(told)
    assert (found.status, found.told()) == (0, [])
    assert {one["why"] for one in found.found["beyond_reach"]} == {f"the channel cannot be read: {why}"}
    assert {one["request"] for one in found.found["beyond_reach"]} == {request.id for request in told.requests()}


async def test_a_missing_scope_is_no_clean_audit(told: World) -> None:
    told.slack.state.scopes.discard("channels:history")
    with pytest.raises(CannotStart, match="missing_scope"):
        await audited(told)


async def test_a_channel_that_the_policy_no_longer_names_is_read_too(told: World) -> None:
    told.policy = told.policy.replace('requests = ["C01GEN"]', 'requests = ["C09OTHER"]')
    assert (await audited(told)).found["counts"]["card"] == 3


# --- a card that lags


async def test_a_card_behind_its_row_is_behind_but_not_at_once(told: World) -> None:
    told.slack.fault("chat.update", "500", times=1000)
    waiting = told.requests()[2]
    await told.press(BOB, "approve", told.card(waiting.id))
    await told.until(lambda: len(told.results()) == 3)
    assert (await audited(told, fresh=60)).told() == []
    found = await audited(told)
    assert found.told() == [("behind", "card", None)]
    assert "the card shows version 2, the record is at version 5" in found.found["differences"][0]["sentence"]


# --- a slow Slack


async def test_threads_that_the_history_has_shown_whole_are_not_asked_for(told: World) -> None:
    """Slack allows 50 of these calls a minute, and most cards have one reply, which the channel shows too."""
    told.slack.state.calls.clear()
    await audited(told)
    asked = [call.arguments["ts"] for call in told.slack.state.calls if call.method == "conversations.replies"]
    assert asked == [card_of(told, "USD55").ts]  # a rejection stands in the thread alone
    told.slack.say(ALICE, GEN, "and why?", card_of(told, "ORD123").ts)
    told.slack.state.calls.clear()
    await audited(told)
    asked = [call.arguments["ts"] for call in told.slack.state.calls if call.method == "conversations.replies"]
    assert asked == [card_of(told, "USD55").ts, card_of(told, "ORD123").ts]


def talk(world: World, count: int) -> None:
    for number in range(count):
        world.slack.say(ALICE, GEN, f"something else, {number}")


async def test_slack_is_asked_as_slowly_as_it_wants(told: World) -> None:
    """429 in the middle of a history, of a thread and of the introduction, and an answer that is lost."""
    talk(told, 450)
    for method, kind in {
        "auth.test": "ratelimited",
        "conversations.history": "ratelimited",
        "conversations.replies": "500",
    }.items():
        told.slack.fault(method, kind, seconds=2)
    begun_at = time.monotonic()
    assert (await audited(told)).told() == []
    assert time.monotonic() - begun_at > 4
    assert told.slack.state.faults == []
    read = [call for call in told.slack.state.calls if call.method == "conversations.history" and not call.error]
    assert len({call.arguments.get("latest") for call in read if call.arguments["channel"] == GEN}) == 3


def run(world: World, *arguments: str) -> subprocess.Popen[str]:
    """The command itself, in a process of its own."""
    (world.folder / "policy.toml").write_text(world.policy, encoding="utf-8")
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "bot", "audit", "channel", "--fresh", "0", *arguments],
        cwd=world.folder,
        env={**measured(), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **world.variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_an_interrupted_reading_goes_on_where_it_stopped(told: World, number: signal.Signals) -> None:
    """The process is ended after the history; nothing of what people talk about stands in its state file."""
    talk(told, 450)
    told.slack.fault("conversations.replies", "hang", times=1000, seconds=60)
    state = told.folder / "audit.state"
    process = run(told, "--state", str(state))
    await told.until(lambda: any(call.method == "conversations.history" for call in told.slack.state.calls))
    await told.until(lambda: state.exists() and state.read_text().count('"oldest"') == 3)
    process.send_signal(number)
    assert ("goes on from here" in process.communicate()[1]) == (number != signal.SIGKILL)
    with state.open("a") as file:
        file.write('{"channel": "half a li')
    assert "something else" not in state.read_text()
    assert state.stat().st_mode & 0o077 == 0
    told.slack.state.faults.clear()
    told.slack.state.calls.clear()
    assert (await audited(told, state=state)).told() == []
    again = [call.arguments["channel"] for call in told.slack.state.calls if call.method == "conversations.history"]
    assert again == [AUDIT]
    assert not state.exists()


@pytest.mark.parametrize("content", ["", '{"version": 1', '{"version":1,"started_at":0}\n'])
async def test_a_state_file_of_something_else_is_not_believed(told: World, tmp_path: Path, content: str) -> None:
    state = tmp_path / "state"
    state.write_text(content)
    assert (await audited(told, state=state)).found["counts"]["card"] == 3


async def test_a_state_file_that_others_can_write_is_not_believed(told: World, tmp_path: Path) -> None:
    """Whoever may write beside the database could else have the audit read what Slack never said."""
    me = told.slack.state.bot_user
    identity = {"team": told.slack.state.team_id, "user": me, "channels": [GEN, AUDIT]}
    first = {"version": 1, "started_at": time.time(), **identity}
    pages = [{"channel": c, "name": "x", "count": 1, "oldest": str(time.time()), "done": True} for c in (GEN, AUDIT)]
    state = tmp_path / "state"
    text = "".join(json.dumps(line) + "\n" for line in (first, *pages))
    for mode, cards in ((0o600, 0), (0o644, 3), (0o620, 3)):  # the first: it would be believed
        state.write_text(text)
        state.chmod(mode)
        assert (await audited(told, state=state)).found["counts"].get("card", 0) == cards
    (tmp_path / "elsewhere").write_text(text)
    (tmp_path / "elsewhere").chmod(0o600)
    state.symlink_to(tmp_path / "elsewhere")
    assert (await audited(told, state=state)).found["counts"]["card"] == 3
    assert (tmp_path / "elsewhere").exists()


async def test_a_slip_with_the_state_file_costs_no_file(told: World) -> None:
    """Neither the database's file nor any other of theirs is taken for an old state, and deleted."""
    (told.folder / "notes").write_text("[1]\n")
    for name in ("notes", "bot.db"):
        before = (told.folder / name).read_bytes()
        with pytest.raises(CannotStart, match="name another file"):
            await audited(told, state=told.folder / name)
        assert (told.folder / name).read_bytes() == before


def test_a_reading_goes_on_whatever_people_wrote(tmp_path: Path) -> None:
    """Also where it holds what other programs take for the end of a line."""
    identity = {"team": "T1", "user": "U1", "channels": [GEN]}
    first = Progress.resumed(tmp_path / "state", identity)
    said = Message(GEN, "1.000001", None, "U2", False, False, "ottu_request", {}, "a\u2028b\x85c\x0bd\x1ce")
    first.add({"channel": GEN, "count": 1, "messages": [asdict(said)]})
    assert Progress.resumed(tmp_path / "state", identity).messages == {(GEN, "1.000001"): said}


# --- the report


async def test_the_report_says_where_to_look(told: World) -> None:
    """As a person reads it: a line for each channel, for each difference with its link, and the sum."""
    world = told
    card = world.cards()[0]
    result = world.results()[1]
    world.slack.state.messages.remove(result)
    card.blocks[0]["text"]["text"] = card.blocks[0]["text"]["text"].replace("5.000", "50.000")
    process = run(world)
    await world.until(lambda: process.poll() is not None)
    said, errors = process.communicate()
    assert (process.returncode, errors) == (1, "")
    first, second = world.requests()[:2]
    seq, head = world.store.head()
    link = f"https://local.slack.com/archives/{GEN}/p{card.ts.replace('.', '')}"
    oldest = {c: next(m.ts for m in world.slack.messages(c)) for c in (GEN, AUDIT)}
    since = {c: f"{datetime.fromtimestamp(float(ts), UTC):%Y-%m-%d %H:%M:%S} UTC" for c, ts in oldest.items()}
    event = next(e.seq for e in world.store.events(second.id) if e.to_state == State.REJECTED)
    assert said.splitlines() == [
        f"{GEN} payments: 5 messages, back to {since[GEN]}",
        f"{AUDIT} audit: 2 messages, back to {since[AUDIT]}",
        f"DIFFERENCE  {first.id} card  differs: amount: it shows Refund 50.000 KWD; the record says Refund "
        f"5.000 KWD  {link}",
        f"DIFFERENCE  {second.id} result  missing: no message tells of event {event}, rejected  {GEN}",
        "2 differences, 0 beyond reach; compared 3 cards, 1 results, 0 heads, 1 alarms with the record to "
        f"{seq}:{head}",
    ]


LINE = "R-1\r\x1b[2K\n0 differences, 0 beyond reach; compared\u009b2J"


async def test_no_message_writes_lines_of_the_report(told: World) -> None:
    """Another app, which anybody may add, names a request that clears the terminal and says that all is well."""
    metadata = {"event_type": "ottu_request", "event_payload": {"request": LINE, "seq": LINE, "version": LINE}}
    as_rogue(told, told.cards()[0], metadata=metadata)
    process = run(told)
    await told.until(lambda: process.poll() is not None)
    said = process.communicate()[0]
    assert all(line.isprintable() for line in said.split("\n"))
    assert not any(line.startswith("0 differences") for line in said.split("\n"))
    assert process.returncode == 1
    process = run(told, "--json")
    await told.until(lambda: process.poll() is not None)
    assert process.communicate()[0].isascii()


async def test_without_a_token_only_an_export_is_read(told: World) -> None:
    told.environment["SLACK_BOT_TOKEN"] = ""
    process = run(told)
    await told.until(lambda: process.poll() is not None)
    assert process.communicate()[1] == "ottu-bot: SLACK_BOT_TOKEN is missing; write the bot token, xoxb-…\n"
    told.slack.export(told.folder / "export")
    process = run(told, "--export", "export")
    await told.until(lambda: process.poll() is not None)
    assert process.returncode == 0, process.communicate()
    process.communicate()
