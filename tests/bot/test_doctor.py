"""`doctor` and `policy check`: a green line for what works, a red one that says what to do for what does not."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from bot import doctor
from bot.policies import read_policy
from sandbox.serving import serve
from tests.bot.world import ALICE, BOB, CEM, GEN, KEY, POLICY, World, a_world
from tests.measured import measured
from tests.proofs.troubles import damage

UNKNOWN = '{"detail": "Not found."}'
SCOPES = set(doctor.SCOPES)


@pytest.fixture
async def idle(tmp_path: Path) -> AsyncIterator[World]:
    """A local Slack and a local Ottu, and no bot."""
    async with a_world(tmp_path, started=False) as world:
        yield world


@asynccontextmanager
async def answering_every_call(date: str) -> AsyncIterator[str]:
    """Something that is no Ottu, and whose answers have this Date, or none."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        line = f"Date: {date}\r\n" if date else ""
        writer.write(f"HTTP/1.1 404 Not Found\r\n{line}Connection: close\r\n\r\n{UNKNOWN}".encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def lines(world: World) -> list[str]:
    return [str(finding) for finding in await doctor.examine(world.settings, read_policy(world.settings))]


def red(found: list[str]) -> list[str]:
    return [line for line in found if line.startswith("RED")]


async def test_all_is_well(idle: World) -> None:
    found = await lines(idle)
    assert red(found) == []
    assert any(line.startswith("ok") and "accepts the credentials" in line for line in found)
    assert any("can approve: U02BOB, U03CEM" in line for line in found)


async def test_a_missing_scope_is_named_with_what_it_is_for(idle: World) -> None:
    idle.slack.state.scopes -= {"groups:history"}
    (line,) = red(await lines(idle))
    assert "groups:history is missing" in line


async def test_a_refused_slack_token(idle: World) -> None:
    idle.environment["SLACK_BOT_TOKEN"] = "xoxb-of-another-app"
    assert any("SLACK_BOT_TOKEN" in line for line in red(await lines(idle)))


async def test_a_refused_app_token(idle: World) -> None:
    idle.environment["SLACK_APP_TOKEN"] = "xapp-of-another-app"
    assert any("SLACK_APP_TOKEN" in line for line in red(await lines(idle)))


async def test_a_channel_without_the_bot_or_archived_or_unknown(idle: World) -> None:
    idle.slack.add_channel(GEN, "payments", [ALICE])
    assert any("/invite" in line for line in red(await lines(idle)))
    idle.slack.add_channel(GEN, "payments", [idle.slack.state.bot_user], is_archived=True)
    assert any("archived" in line for line in red(await lines(idle)))
    del idle.slack.state.channels[GEN]
    assert any("channel_not_found" in line for line in red(await lines(idle)))


async def test_ottu_refuses_the_credentials(idle: World) -> None:
    idle.environment["OTTU_API_KEY"] = "wrong-key"
    assert any("OTTU_API_KEY" in line for line in red(await lines(idle)))


async def test_ottu_is_not_there(idle: World) -> None:
    idle.environment["OTTU_BASE_URL"] = "http://127.0.0.1:9"
    assert any("OTTU_BASE_URL" in line for line in red(await lines(idle)))


async def test_slack_is_not_there(idle: World) -> None:
    idle.environment["SLACK_API_URL"] = "http://127.0.0.1:9/"
    assert any("SLACK_API_URL" in line for line in red(await lines(idle)))


def _ahead(seconds: float) -> float:
    return time.time() + seconds


async def test_a_clock_that_is_wrong_is_red(idle: World) -> None:
    """Signatures of Slack and clicks count for a while only: two minutes apart is too much, five seconds are not."""
    for ahead_seconds, said in [(120, 2), (-120, 2), (5, 0)]:
        there = partial(_ahead, ahead_seconds)
        idle.slack.state.clock = there
        async with serve(idle.ottu.app, clock=there) as url:
            idle.environment["OTTU_BASE_URL"] = url
            found = red(await lines(idle))
        assert len(found) == said
        for line, whose in zip(found, ("Slack's", "Ottu's"), strict=False):
            assert whose in line
            assert "set this machine's clock" in line


async def test_a_clock_that_cannot_be_compared_is_a_warning(idle: World) -> None:
    """Something in between may take the Date out, or write nonsense."""
    for date in ("", "yesterday"):
        async with answering_every_call(date) as url:
            idle.environment["OTTU_BASE_URL"] = url
            (line,) = [line for line in await lines(idle) if "clock against Ottu's" in line]
        assert line.startswith("warn")


async def test_the_webhook_key_is_looked_for(idle: World) -> None:
    """Without it the bot works, and learns outcomes by asking alone; a key is never shown."""
    (line,) = [line for line in await lines(idle) if "webhooks" in line]
    assert line.startswith("warn")
    assert "OTTU_WEBHOOK_KEY" in line
    idle.environment["OTTU_WEBHOOK_KEY"] = "test-webhook-key"
    (line,) = [line for line in await lines(idle) if "webhooks" in line]
    assert line.startswith("ok")
    assert "test-webhook-key" not in line


async def test_what_slack_answers_to_the_doctor_in_trouble(idle: World) -> None:
    """Each call of its own: a line that says which one, and no traceback."""
    for method, what in [
        ("apps.connections.open", "RED   Socket Mode: not reached"),
        ("conversations.info", f"RED   channel {GEN}: not reached"),
        ("usergroups.users.list", "RED   groups: Slack could not be asked"),
    ]:
        idle.policy = (
            POLICY.replace(f'leads = ["{BOB}", "{CEM}"]', 'leads = ["S0LEADS"]') if "group" in method else POLICY
        )
        idle.slack.fault(method, "drop_before", times=5)
        found = await lines(idle)
        assert any(line.startswith(what) for line in found), (method, found)
        idle.slack.state.faults.clear()


async def test_a_channel_shared_with_another_organisation_is_a_warning(idle: World) -> None:
    idle.slack.add_channel(GEN, "payments", [ALICE, idle.slack.state.bot_user], is_ext_shared=True)
    assert any(line.startswith(f"warn  channel {GEN}") and "organisation" in line for line in await lines(idle))


async def test_a_database_whose_directory_is_not_there_is_red(idle: World) -> None:
    idle.environment["DATABASE_URL"] = f"sqlite:///{idle.folder}/nowhere/bot.db"
    assert any("its directory does not exist" in line for line in red(await lines(idle)))


async def test_a_rule_that_nobody_can_satisfy_is_red(idle: World) -> None:
    idle.policy = POLICY.replace(f'leads = ["{BOB}", "{CEM}"]', f'leads = ["{BOB}"]')
    assert red(await lines(idle))


async def test_a_user_group_that_cannot_be_read_is_red(idle: World) -> None:
    idle.policy = POLICY.replace(f'leads = ["{BOB}", "{CEM}"]', 'leads = ["S0LEADS"]')
    found = red(await lines(idle))
    assert any("group leads" in line for line in found)
    assert any("S0LEADS in the group leads counts as nobody" in line for line in found)


async def test_a_damaged_database_is_red(idle: World) -> None:
    idle.settings.database_path.write_bytes(b"not a database" * 1000)
    assert any("database" in line for line in red(await lines(idle)))


async def test_the_database_of_a_running_bot_is_read_back(world: World) -> None:
    found = await lines(world)
    assert red(found) == []
    assert any("journal_mode wal, synchronous 2" in line for line in found)


@pytest.mark.parametrize(
    ("arguments", "key", "status"), [(("doctor",), KEY, 0), (("policy", "check"), KEY, 0), (("doctor",), "wrong", 1)]
)
async def test_the_commands_and_their_exit_status(
    idle: World, arguments: tuple[str, ...], key: str, status: int
) -> None:
    _ = idle.settings  # writes the policy file
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        *arguments,
        env={**measured(), **idle.variables, "OTTU_API_KEY": key},
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == status, said.decode()
    assert key not in said.decode()


async def test_what_slack_does_not_say_is_a_warning(idle: World) -> None:
    """Not whether the bot is in the channel; and over HTTP there is no connection to be tried."""
    idle.mode = "http"
    idle.slack.fault("conversations.info", "missing_scope", times=5)
    found = await lines(idle)
    assert red(found) == []
    assert any(line.startswith(f"warn  channel {GEN}") for line in found)
    assert not any("Socket Mode" in line for line in found)


async def test_a_database_with_a_damaged_page_is_red(world: World) -> None:
    await world.ask()
    await world.stop()
    damage(world.folder / "bot.db", "events")
    assert any("is damaged" in line and "restore a backup" in line for line in red(await lines(world)))
