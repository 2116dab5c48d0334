"""`doctor` and `policy check`: a green line for what works, a red one that says what to do for what does not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot import doctor
from bot.app import read_policy
from tests.bot.world import ALICE, BOB, CEM, GEN, KEY, POLICY, World, a_world

SCOPES = set(doctor.SCOPES)


@pytest.fixture
async def idle(tmp_path: Path) -> AsyncIterator[World]:
    """A local Slack and a local Ottu, and no bot."""
    async with a_world(tmp_path, started=False) as world:
        yield world


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


async def test_a_rule_that_nobody_can_satisfy_is_red(idle: World) -> None:
    idle.policy = POLICY.replace(f'leads = ["{BOB}", "{CEM}"]', f'leads = ["{BOB}"]')
    assert red(await lines(idle))


async def test_a_user_group_that_cannot_be_read_is_red(idle: World) -> None:
    idle.policy = POLICY.replace(f'leads = ["{BOB}", "{CEM}"]', 'leads = ["S0LEADS"]')
    assert any("group leads" in line for line in red(await lines(idle)))


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
        env={**idle.variables, "OTTU_API_KEY": key},
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == status, said.decode()
    assert key not in said.decode()
