"""A database that was put back from a copy sends nothing: what it takes for unsent may have been sent long ago."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

from approvals.request import State
from bot.marker import SUFFIX
from tests.bot.world import ALICE, BOB, CEM, World
from tests.measured import measured

ROOT = Path(__file__).parents[2]


def copy(world: World, target: Path) -> None:
    source, copied = sqlite3.connect(world.folder / "bot.db"), sqlite3.connect(target)
    source.backup(copied)
    source.close()
    copied.close()


def put_back(world: World, source: Path) -> None:
    for name in ("bot.db", "bot.db-wal", "bot.db-shm"):
        (world.folder / name).unlink(missing_ok=True)
    shutil.copy(source, world.folder / "bot.db")


async def copied_before_the_send(world: World, target: Path) -> None:
    """A copy that says `approved`, of a refund that is done by the time the bot is stopped."""
    await world.ask()
    await world.type(CEM, "pause")
    await world.told_something(CEM, "Paused")
    await world.press(BOB, "approve")
    await world.reaches(State.APPROVED)
    copy(world, target)
    await world.resume(CEM)
    await world.reaches(State.SUCCEEDED)
    await world.quiet()
    await world.stop()


async def test_a_copy_from_before_the_send_sends_nothing(world: World, tmp_path: Path) -> None:
    """The copy says `approved`; the refund was done after it was made."""
    await copied_before_the_send(world, tmp_path / "copy.db")
    put_back(world, tmp_path / "copy.db")

    await world.start()
    request = await world.reaches(State.UNKNOWN)
    assert request.restored == 1
    await world.until(lambda: any("put back from a copy" in m.text for m in world.slack.messages("C02AUDIT")))
    await world.resume(CEM)
    world.hurry("close", "execute")
    await world.quiet()
    assert world.moved() == [("refund", "ORD123", "5.000", "KWD")]
    assert world.request().state is State.UNKNOWN
    world.check_record()


async def test_a_restored_request_is_closed_by_two_people(world: World, tmp_path: Path) -> None:
    await world.ask()
    copy(world, tmp_path / "copy.db")
    await world.press(BOB, "approve")
    await world.reaches(State.SUCCEEDED)
    await world.quiet()
    await world.stop()
    put_back(world, tmp_path / "copy.db")
    await world.start()
    request = await world.reaches(State.UNKNOWN)
    await world.type(BOB, f"close {request.id} succeeded saw it in the dashboard")
    await world.told_something(BOB, "Another person must say the same")
    await world.type(CEM, f"close {request.id} succeeded reference 4711")
    assert (await world.reaches(State.SUCCEEDED)).restored == 1
    world.check_record()


@pytest.mark.parametrize("gone", ["none", "the marker of another database"])
async def test_an_ordinary_start_is_no_restore(world: World, gone: str) -> None:
    if gone != "none":
        (world.folder / f"other{SUFFIX}").write_text('{"database": "x", "owner": "h:1:1", "seq": 99, "hash": "f"}')
    await world.approved()
    await world.reaches(State.SUCCEEDED)
    await world.quiet()
    await world.stop()
    await world.start()
    assert world.request().restored == 0
    assert world.running.tasks.execution.stopped() is None


async def test_requests_without_a_marker_are_a_restore(world: World) -> None:
    """A copy that was carried to another machine."""
    await world.ask()
    await world.quiet()
    await world.stop()
    for marker in world.folder.glob(f"*{SUFFIX}"):
        marker.unlink()
    await world.start()
    await world.reaches(State.UNKNOWN)


async def test_what_was_not_even_read_is_told_to_its_requester(world: World) -> None:
    """From `checking` there is no card; the person is told."""
    world.ottu.fault("throttled", endpoint="inquiry", retry_after="3600")
    await world.type(ALICE, "refund ORD123 5.000")
    await world.told_something(ALICE, "waits")
    await world.stop()
    for marker in world.folder.glob(f"*{SUFFIX}"):
        marker.unlink()
    await world.start()
    await world.told_something(ALICE, "Outcome unknown")
    assert world.request().state is State.UNKNOWN


async def test_nothing_is_sent_where_the_marker_cannot_be_written(world: World) -> None:
    await world.ask()
    shutil.rmtree(world.folder / "state", ignore_errors=True)
    world.running.executing.marker.path = world.folder / "not-there" / "marker"
    await world.press(BOB, "approve")
    await world.until(lambda: world.request().misses == 1)
    assert world.operations_sent() == []


async def run(world: World, *arguments: str, answer: str = "") -> tuple[int | None, str]:
    """A tool of the program, with the bot's environment."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        *arguments,
        env={**measured(), **world.variables},
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(answer.encode())
    return process.returncode, said.decode()


async def test_backup_and_restore_by_command(world: World, tmp_path: Path) -> None:
    request = await world.ask()
    copied = tmp_path / "copy.db"
    assert (await run(world, "backup", str(copied)))[0] == 0
    assert (await run(world, "backup", str(copied)))[0] == 2  # never over another one
    status, said = await run(world, "restore", str(copied), "--yes")
    assert (status, "is running" in said) == (2, True)
    await world.stop()
    assert (await run(world, "restore", str(copied), answer="no\n"))[0] == 1
    status, said = await run(world, "restore", str(copied), "--yes")
    assert status == 0, said
    assert f"{request.id} refund ORD123: was pending, is unknown" in said
    status, said = await run(world, "audit", "verify")
    assert (status, "0 differences" in said) == (0, True)
    await world.start()
    assert world.running.tasks.execution.is_paused()  # until somebody has looked
    await world.reaches(State.UNKNOWN)


async def test_a_file_that_is_no_copy_is_refused(world: World, tmp_path: Path) -> None:
    await world.stop()
    (tmp_path / "noise.db").write_bytes(b"noise" * 5000)
    status, said = await run(world, "restore", str(tmp_path / "noise.db"), "--yes")
    assert (status, "no database of this bot" in said) == (2, True)


async def test_audit_verify_finds_an_altered_row(world: World) -> None:
    await world.ask()
    await world.quiet()
    await world.stop()
    connection = sqlite3.connect(world.folder / "bot.db")
    connection.execute("DROP TRIGGER requests_fixed")
    connection.execute("UPDATE requests SET requester = 'U09DAVE', version = version + 1")
    connection.commit()
    connection.close()
    status, said = await run(world, "audit", "verify")
    assert status == 1
    assert "requester" in said


async def test_another_event_in_the_same_place_is_a_restore(world: World) -> None:
    """The copy has come as far as what was sent, but by another way: its number fits, its hash does not."""
    await world.approved()
    await world.reaches(State.SUCCEEDED)
    await world.quiet()
    marker = world.running.executing.marker.path
    await world.stop()
    said = json.loads(marker.read_text(encoding="utf-8"))
    marker.write_text(json.dumps({**said, "hash": "0" * 64}), encoding="utf-8")
    await world.start()
    assert world.running.tasks.execution.is_paused()


async def test_a_marker_that_cannot_be_read_says_nothing(world: World) -> None:
    """Cut short, or of another program: beside one that can be read it does no harm."""
    (world.folder / f"cut{SUFFIX}").write_text('{"database": "x", "ow')
    (world.folder / f"foreign{SUFFIX}").write_text('{"something": "else"}')
    await world.ask()
    await world.quiet()
    await world.stop()
    await world.start()
    assert world.running.tasks.execution.stopped() is None
