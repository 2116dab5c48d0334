"""`backup` and `restore`: what they refuse, whom they ask first, and what they leave where it was."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from approvals.request import State
from bot.acquaintance import CannotStart
from bot.backup import backup, restore
from bot.marker import SUFFIX
from tests.bot.test_restored import run
from tests.bot.world import World, a_world
from tests.proofs.troubles import damage


@pytest.fixture
async def ended(tmp_path: Path) -> AsyncIterator[World]:
    """A bot that has been stopped, with one request that waits for its approval."""
    async with a_world(tmp_path) as world:
        await world.ask()
        await world.quiet()
        await world.stop()
        yield world


def states(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return [state for (state,) in connection.execute("SELECT state FROM requests")]


def forget_markers(folder: Path) -> None:
    for marker in folder.glob(f"*{SUFFIX}"):
        marker.unlink()


# --- backup


async def test_where_nothing_can_be_copied_or_written_nothing_is_left(ended: World, tmp_path: Path) -> None:
    """A backup that is not one must not lie there like one."""
    with pytest.raises(CannotStart, match="could not be made"):
        backup(ended.settings, tmp_path / "nowhere" / "copy.db")
    (tmp_path / "bot.db").write_bytes(b"noise" * 4000)
    with pytest.raises(CannotStart, match="could not be made"):
        backup(ended.settings, tmp_path / "copy.db")
    (tmp_path / "bot.db").unlink()
    with pytest.raises(CannotStart, match="nothing to copy"):
        backup(ended.settings, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


# --- restore: who is asked


@pytest.mark.parametrize(("answer", "status", "after"), [("yes\n", 0, "unknown"), ("y\n", 1, "pending")])
async def test_it_asks_first_and_only_yes_is_yes(
    ended: World, tmp_path: Path, answer: str, status: int, after: str
) -> None:
    """Every open request becomes unknown by it: nothing less than the whole word will do."""
    done, said = await run(ended, "restore", answer=answer)
    assert done == status, said
    assert states(tmp_path / "bot.db") == [after]


async def test_where_nobody_can_be_asked_nothing_is_done(ended: World, tmp_path: Path) -> None:
    status, said = await run(ended, "restore")  # its standard input is at its end
    assert (status, "add --yes" in said) == (2, True)
    assert states(tmp_path / "bot.db") == ["pending"]


# --- restore: what is put back


async def test_a_database_that_was_put_in_place_by_hand_is_adopted(ended: World, tmp_path: Path) -> None:
    """Carried to a new machine, without its markers: named as a restore before the bot starts, not found out by it."""
    forget_markers(tmp_path)
    assert restore(ended.settings, None, sure=True) == 0
    await ended.start()
    request = await ended.reaches(State.UNKNOWN)
    assert request.restored == 1
    assert [event.kind for event in ended.store.events()].count("restored") == 1
    ended.check_record()


async def test_a_damaged_copy_is_not_put_back(ended: World, tmp_path: Path) -> None:
    backup(ended.settings, tmp_path / "copy.db")
    damage(tmp_path / "copy.db", "events")
    with pytest.raises(CannotStart, match="is damaged"):
        restore(ended.settings, tmp_path / "copy.db", sure=True)
    assert states(tmp_path / "bot.db") == ["pending"]


async def test_what_was_there_before_is_kept_each_time(ended: World, tmp_path: Path) -> None:
    """Restoring the wrong copy, and then another one, loses neither the right database nor the first of them."""
    backup(ended.settings, tmp_path / "copy.db")
    for _ in range(2):
        assert restore(ended.settings, tmp_path / "copy.db", sure=True) == 0
    assert states(tmp_path / "bot.db.before-restore-1") == ["pending"]
    assert states(tmp_path / "bot.db.before-restore-2") == ["unknown"]
    assert states(tmp_path / "bot.db") == ["unknown"]


async def test_a_copy_is_put_where_nothing_was(ended: World, tmp_path: Path) -> None:
    """On a new machine there is no database to be kept, and nobody who could be running on it."""
    backup(ended.settings, tmp_path / "copy.db")
    ended.environment["DATABASE_URL"] = f"sqlite:///{tmp_path / 'new.db'}"
    assert restore(ended.settings, tmp_path / "copy.db", sure=True) == 0
    assert states(tmp_path / "new.db") == ["unknown"]
    assert not (tmp_path / "new.db.before-restore-1").exists()


async def test_a_copy_may_have_any_name(ended: World, tmp_path: Path) -> None:
    """SQLite takes what is opened for reading as an address, in which `?`, `#` and `%` mean something else."""
    copy = tmp_path / "50%41 of #1?.db"
    assert backup(ended.settings, copy) == 0
    assert restore(ended.settings, copy, sure=True) == 0
    assert states(tmp_path / "bot.db") == ["unknown"]
