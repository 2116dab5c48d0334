"""The program's own commands: what they print, their exit status, and that the demo shows what it promises."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bot import demo
from bot.__main__ import main
from bot.app import Bot
from tests.bot.world import ALICE, World, a_world


@pytest.fixture
def as_operator(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The environment of this process is that of the running bot."""
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(world.folder)
    return world


async def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit status and output of a command, run beside the bot."""
    status = await asyncio.to_thread(main, words)
    captured = capsys.readouterr()
    return status, captured.out + captured.err


@pytest.mark.usefixtures("as_operator")
async def test_policy_check_and_doctor_say_that_all_is_well(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out = await said(capsys, "policy", "check")
    assert (status, "is well formed" in out, "can approve: U02BOB, U03CEM" in out) == (0, True, True)
    status, out = await said(capsys, "doctor")
    assert (status, "RED" in out, "accepts the credentials" in out) == (0, False, True)


async def test_policy_check_says_when_slack_cannot_be_asked(
    as_operator: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only where groups are Slack's is it asked at all."""
    policy = as_operator.folder / "policy.toml"
    policy.write_text(policy.read_text().replace('leads = ["U02BOB", "U03CEM"]', 'leads = ["S0LEADS"]'))
    as_operator.slack.fault("usergroups.users.list", "500", times=5)
    status, out = await said(capsys, "policy", "check")
    assert (status, "Slack could not be asked" in out) == (1, True)


async def test_audit_verify_finds_nothing_and_then_what_was_altered(
    as_operator: World, capsys: pytest.CaptureFixture[str]
) -> None:
    await as_operator.ask()
    await as_operator.quiet()
    status, out = await said(capsys, "audit", "verify")
    assert (status, "0 differences in" in out) == (0, True)
    connection = sqlite3.connect(as_operator.folder / "bot.db")
    connection.executescript("DROP TRIGGER requests_fixed; UPDATE requests SET reason = 'x', version = version + 1;")
    connection.close()
    status, out = await said(capsys, "audit", "verify")
    assert (status, "reason" in out) == (1, True)


async def test_a_backup_is_made_while_the_bot_runs_and_put_back_only_when_it_does_not(
    as_operator: World, capsys: pytest.CaptureFixture[str]
) -> None:
    await as_operator.ask()
    copy = str(as_operator.folder / "copy.db")
    assert (await said(capsys, "backup", copy))[0] == 0
    assert (await said(capsys, "backup", copy))[0] == 2
    status, out = await said(capsys, "restore", copy, "--yes")
    assert (status, "is running" in out) == (2, True)
    await as_operator.stop()
    status, out = await said(capsys, "restore", copy, "--yes")
    assert (status, "was pending, is unknown" in out) == (0, True)


async def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    status, out = await said(capsys, "version")
    assert (status, out.startswith("ottu-bot")) == (0, True)


@pytest.mark.usefixtures("as_operator")
async def test_a_wrong_setting_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTTU_BASE_URL", "ftp://nowhere")
    status, out = await said(capsys, "run")
    assert (status, out.count("\n"), "OTTU_BASE_URL" in out) == (2, 1, True)


async def test_a_signal_ends_it_in_order(tmp_path: Path) -> None:
    """SIGTERM, sent to this very process: the bot takes it, and nobody else does."""
    async with a_world(tmp_path, started=False) as world:
        bot = Bot.build(world.settings)
        running = asyncio.create_task(bot.run())
        await world.slack.connected()
        await world.type(ALICE, "pending")
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running, 10)


def test_the_demo_moves_money_once_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """What a newcomer sees first: both ledgers, and that they agree."""
    assert demo.main(stay=False) == 0
    out = capsys.readouterr().out
    assert "Alice types:" in out
    assert "They agree: the money moved once." in out
    assert out.count("refund   ORD123      5.000 KWD") == 2


AT_A_TERMINAL = """
import signal, sys
from bot.__main__ import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # who starts the tests may ignore it
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("words", "when", "status"), [(["demo"], "Ctrl-C ends it.", 0), (["demo", "--once"], "Alice types", 130)]
)
def test_the_demo_at_a_terminal_ends_by_ctrl_c_without_a_traceback(words: list[str], when: str, status: int) -> None:
    """It stays for a browser and says where the page is; stopped half-way it is no success."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", AT_A_TERMINAL, *words]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)  # noqa: S603 - our own words
    os.close(theirs)
    try:
        said = read_until(ours, when)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == status
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert ("has a page: http://127.0.0.1:" in said) == (status == 0)
    assert "Traceback" not in said


def read_until(terminal: int, text: str) -> str:
    """What a terminal shows, until it has shown that."""
    said = ""
    while text not in said:
        said += os.read(terminal, 4096).decode()
    return said
