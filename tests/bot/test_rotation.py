"""Credentials that come from files are renewed while the bot runs: no restart, nothing lost, nothing shown."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import ottu
from approvals.policy import load
from approvals.policy_in_force import InForce
from approvals.request import State
from bot import log
from bot.app import ottu_client
from bot.credentials import Credentials
from bot.reader import NOBODY
from bot.settings import RENEWABLE, Settings, read_settings
from sandbox.ottu import create_ottu
from sandbox.serving import serve
from sandbox.slack_state import State as SlackState
from tests.bot.world import BOB, CEM, KEY, POLICY, World, a_world

WRONG = "not-the-right-key"
HOOK_KEY = "hook-key-1"
STARTING = SlackState()


@asynccontextmanager
async def with_files(folder: Path, mode: str = "socket", **changes: Any) -> AsyncIterator[World]:
    """A bot, running, whose every credential came from a file: `write` puts a new one into it."""
    values = {
        "SLACK_BOT_TOKEN": STARTING.bot_token,
        "OTTU_API_KEY": KEY,
        "OTTU_WEBHOOK_KEY": HOOK_KEY,
        **(
            {"SLACK_APP_TOKEN": STARTING.app_token}
            if mode == "socket"
            else {"SLACK_SIGNING_SECRET": STARTING.signing_secret}
        ),
    }
    for name, value in values.items():
        file_of(folder, name).write_text(f"{value}\n")
    named = {f"{name}_FILE": str(file_of(folder, name)) for name in values}
    async with a_world(folder, mode, environment={**dict.fromkeys(values, ""), **named}, **changes) as world:
        yield world


def file_of(folder: Path, name: str) -> Path:
    return folder / name.lower()


def write(world: World, name: str, value: str) -> None:
    """Replace a credential as its file's owner should: by a rename."""
    new = world.folder / "new"
    new.write_text(f"{value}\n")
    new.replace(file_of(world.folder, name))


# --- Ottu


async def test_a_wrong_key_stops_executions_and_a_right_one_lets_them_go_on(tmp_path: Path) -> None:
    """The refund of the wrong key failed, provably unexecuted; the next waits until the file holds a good key."""
    async with with_files(tmp_path) as world:
        first = await world.ask()
        second = await world.ask("refund USD55 9.99", CEM)
        bot = world.running
        write(world, "OTTU_API_KEY", WRONG)
        await world.press(BOB, "approve", world.card(first.id))
        await world.reaches(State.FAILED, first.id)
        await world.press(BOB, "approve", world.card(second.id))
        await world.reaches(State.APPROVED, second.id)
        world.hurry("probe", "execute")
        await world.quiet()
        assert bot.tasks.execution.stopped() == "Ottu refused the credentials"

        write(world, "OTTU_API_KEY", KEY)
        await world.until(lambda: bot.tasks.execution.stopped() is None, hurry=("probe",))
        await world.until(lambda: world.request(second.id).state is State.SUCCEEDED, hurry=("execute",))
        assert world.running is bot
        assert world.moved() == [("refund", "USD55", "9.99", "USD")]
        assert len(world.operations_sent()) == 2
        world.check_record()


async def test_a_new_password_is_in_the_next_call(tmp_path: Path) -> None:
    """Basic authentication: the password's file changes, the user's name is as it was given."""
    password = tmp_path / "password"
    password.write_text("old")
    async with serve(create_ottu(username="bot", password="new").app) as url:
        settings = read_settings(
            {
                "SLACK_BOT_TOKEN": "xoxb-1",
                "SLACK_APP_TOKEN": "xapp-1",
                "OTTU_BASE_URL": url,
                "OTTU_USERNAME": "bot",
                "OTTU_PASSWORD_FILE": str(password),
            },
            {},
        )
        credentials = Credentials(settings)
        async with ottu_client(credentials, InForce(load(POLICY, loopback=True))) as client:
            with pytest.raises(ottu.Unauthorized):
                await client.retrieve(NOBODY)
            password.write_text("new")
            with pytest.raises(ottu.Refused, match="Not found"):
                await client.retrieve(NOBODY)
        assert "Ym90Om5ldw==" in credentials.now().secrets()  # bot:new as it is sent, for the log to take out


async def test_a_new_webhook_key_counts_at_once_and_the_old_one_no_more(tmp_path: Path) -> None:
    async with with_files(tmp_path) as world:
        assert (await _hook(world, HOOK_KEY), await _hook(world, "hook-key-2")) == (200, 401)
        write(world, "OTTU_WEBHOOK_KEY", "hook-key-2")
        assert (await _hook(world, HOOK_KEY), await _hook(world, "hook-key-2")) == (401, 200)


async def _hook(world: World, key: str) -> int:
    event: dict[str, object] = {"order_no": "ORD123", "reference_number": "R1", "state": "paid"}
    async with httpx.AsyncClient(trust_env=False) as client:
        signed = {**event, "signature": ottu.signature(event, key)}
        return (await client.post(f"{world.running.address}/ottu/webhook", json=signed)).status_code


# --- Slack


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_a_new_bot_token_posts_cards_and_opens_forms(tmp_path: Path, mode: str) -> None:
    """What was typed while Slack refused the old one waits, and no listener keeps the token of the start."""
    async with with_files(tmp_path, mode) as world:
        world.slack.state.bot_token = "xoxb-renewed"
        await world.type(CEM, "refund ORD123 5.000")
        await world.until(lambda: [c for c in world.slack.state.calls if c.error == "invalid_auth"])
        assert world.requests() == []

        write(world, "SLACK_BOT_TOKEN", "xoxb-renewed")
        await world.until(world.card, hurry=("command", "check", "card"))
        await world.press(BOB, "reject")
        await world.until(lambda: [c for c in world.slack.state.calls if c.method == "views.open" and not c.error])


async def test_a_new_app_token_opens_the_next_connection(tmp_path: Path) -> None:
    async with with_files(tmp_path) as world:
        world.slack.state.app_token = "xapp-renewed"
        write(world, "SLACK_APP_TOKEN", "xapp-renewed")
        before = list(world.slack.outbox.sockets)
        await world.slack.disconnect()
        await world.until(lambda: [s for s in world.slack.outbox.sockets if s not in before])
        await world.ask()


async def test_a_new_signing_secret_counts_at_once_and_the_old_one_no_more(tmp_path: Path) -> None:
    async with with_files(tmp_path, "http") as world:
        await world.ask()
        write(world, "SLACK_SIGNING_SECRET", "renewed")
        refused = await world.press(BOB, "approve")
        assert refused.status == 401
        assert world.nothing_done()

        world.slack.state.signing_secret = "renewed"
        write(world, "SLACK_SIGNING_SECRET", " ")  # no secret: the one before it still holds
        await world.press(BOB, "approve")
        await world.reaches(State.SUCCEEDED)


# --- a file that holds none


def _missing(path: Path) -> None:
    path.unlink()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _holding(content: bytes) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.write_bytes(content)

    return spoil


SPOILT: dict[str, Callable[[Path], None]] = {
    "missing": _missing,
    "a pipe": _pipe,
    "a directory": _directory,
    "empty": _holding(b""),
    "blank": _holding(b" \n"),
    "no text": _holding(b"\xff\xfe"),
    "two lines": _holding(b"hush\nhush\n"),
    "no key": _holding(b"Api-Key hush\n"),
    "too long for a header": _holding(b"hush" * 200),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
async def test_the_old_value_stays_where_a_file_holds_none_and_one_line_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    async with with_files(tmp_path) as world:
        await world.ask()
        spoil(file_of(tmp_path, "OTTU_API_KEY"))
        write(world, "SLACK_BOT_TOKEN", "xoxb-renewed")  # the other files are read all the same
        world.slack.state.bot_token = "xoxb-renewed"
        await world.press(BOB, "approve")
        await world.reaches(State.SUCCEEDED)
        said = [record for record in caplog.records if record.getMessage() == "credential_kept"]
        assert len(said) == 1
        facts = said[0].__dict__["facts"]
        assert facts["setting"] == "OTTU_API_KEY"
        assert "hush" not in facts["why"]


def test_what_was_given_as_a_pipe_is_read_once(tmp_path: Path) -> None:
    """A shell's `<(…)`: whoever reads it again gets nothing, or waits for ever."""
    reading, writing = os.pipe()
    os.write(writing, b"key")
    os.close(writing)
    try:
        settings = _settings(tmp_path, {"OTTU_API_KEY_FILE": f"/dev/fd/{reading}"})
    finally:
        os.close(reading)
    assert settings.files == {}
    assert Credentials(settings).now() is settings


def test_files_of_other_settings_are_read_at_the_start_only(tmp_path: Path) -> None:
    """With another database or AUDIT_KEY in the middle of the run, the chain of events would not hold."""
    file = tmp_path / "audit_key"
    file.write_text("sixteen letters!")
    settings = _settings(tmp_path, {"OTTU_API_KEY": "key", "AUDIT_KEY_FILE": str(file)})
    file.write_text("sixteen others!!")
    assert "AUDIT_KEY" not in RENEWABLE
    assert Credentials(settings).now() is settings


def _settings(folder: Path, changes: dict[str, str]) -> Settings:
    given = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "OTTU_BASE_URL": "https://shop.ottu.net"}
    return read_settings({**given, "DATABASE_URL": f"sqlite:///{folder / 'bot.db'}", **changes}, {})


# --- the log


@contextmanager
def logged(secrets: tuple[str, ...]) -> Iterator[io.StringIO]:
    """What the bot's own log would hold."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(log.JsonLines(secrets))
    logging.getLogger().addHandler(handler)
    try:
        yield text
    finally:
        logging.getLogger().removeHandler(handler)


def test_a_new_credential_is_taken_out_of_the_log_and_so_is_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("first-key")
    settings = _settings(tmp_path, {"OTTU_API_KEY_FILE": str(file)})
    credentials = Credentials(settings)
    with logged(settings.secrets()) as text:
        file.write_text("second-key")
        now = credentials.now().ottu_api_key
        assert now
        logging.getLogger("bot.test").error("first-key, %s", now.get_secret_value())
    assert json.loads(text.getvalue().splitlines()[-1])["event"] == "***, ***"
    assert "second-key" not in repr(credentials.now())
