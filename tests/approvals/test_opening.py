"""How the database is opened: durable, whole, and by several processes at once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from approvals import sqlite
from approvals.audit import ChainKey
from approvals.request import State
from approvals.store import Store

from .factories import (
    Desk,
    another,
    database_refuses,
    found,
    open_desk,
    put_in,
)


def test_the_settings_that_make_a_commit_durable_are_on(desk: Desk) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    assert wanted == sqlite.DURABLE
    assert {name: desk.store.rows(f"PRAGMA {name}")[0][name] for name in wanted} == wanted


def test_a_database_that_does_not_take_the_settings_is_not_used() -> None:
    """One in memory has no log that could be written ahead."""
    with pytest.raises(RuntimeError, match="did not take the durable settings"):
        sqlite.open_database(Path(":memory:"))


def test_a_file_that_is_no_database_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "bot.db").write_text("this is something else, and long enough to be looked at" * 20)
    with pytest.raises(sqlite3.DatabaseError):
        sqlite.open_database(tmp_path / "bot.db").close()


def test_opening_again_keeps_what_is_there(tmp_path: Path) -> None:
    desk = open_desk(tmp_path)
    request = put_in(desk.store, State.PENDING)
    desk.store.database.close()
    with another(desk) as other:
        assert found(other.store.get(request.id)) == request
        with database_refuses("a request is never deleted"):
            other.sql("DELETE FROM requests")


@pytest.mark.parametrize("released_seconds", [0.1, None])
def test_a_database_that_another_process_is_just_making_is_waited_for_a_little(
    tmp_path: Path, released_seconds: float | None
) -> None:
    """SQLite lets the switch to WAL fail at once beside a reader of the old journal, whatever its time-out is."""
    with closing(sqlite3.connect(tmp_path / "bot.db", check_same_thread=False)) as other:
        other.execute("CREATE TABLE held (fact TEXT)")
        other.execute("BEGIN IMMEDIATE")
        if released_seconds is None:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                sqlite.open_database(tmp_path / "bot.db")
            return
        timer = threading.Timer(released_seconds, other.rollback)
        timer.start()
        sqlite.open_database(tmp_path / "bot.db").close()
        timer.join()


OPEN_WHEN_TOLD = """
import sys
from pathlib import Path
from approvals.sqlite import open_database
print("ready", flush=True)
sys.stdin.readline()
database = open_database(Path(sys.argv[1]))
print(database.execute("SELECT count(*) FROM requests").fetchone()[0])
"""


def test_two_processes_may_make_the_database_at_once(tmp_path: Path) -> None:
    """The first start of two replicas: one of them makes the tables, the other finds them."""
    path = tmp_path / "bot.db"
    command = [sys.executable, "-W", "ignore", "-c", OPEN_WHEN_TOLD, str(path)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own words
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in processes] == ["0\n"] * len(processes)
    assert [process.returncode for process in processes] == [0] * len(processes)
    store = Store(sqlite.open_database(path), ChainKey())
    assert put_in(store, State.PENDING).version == 2
    store.database.close()


# --- what became of the files


def a_database(folder: Path) -> Path:
    """One with a request in it, closed."""
    desk = open_desk(folder)
    put_in(desk.store, State.PENDING)
    desk.store.database.close()
    return folder / "bot.db"


def test_a_damaged_file_is_found_before_anything_is_decided_by_it(tmp_path: Path) -> None:
    """One page is garbage, as a dying disk leaves it. Whole, the same file is sound."""
    path = a_database(tmp_path)
    with closing(sqlite3.connect(path)) as plain:
        (number,) = plain.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'approvals'").fetchone()
        (page_bytes,) = plain.execute("PRAGMA page_size").fetchone()
    database = sqlite.open_database(path)
    sqlite.check_sound(database)
    database.close()
    with path.open("r+b") as file:
        file.seek((number - 1) * page_bytes)
        file.write(b"\xff" * page_bytes)
    database = sqlite.open_database(path)
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        sqlite.check_sound(database)
    database.close()


@pytest.mark.parametrize("ending", ["", "-wal"])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_moved_or_replaced_is_noticed(desk: Desk, ending: str, replaced: bool) -> None:
    """SQLite itself would go on writing to the file that has no name any more."""
    desk.store.check_in_place()
    path = Path(f"{desk.path}{ending}")
    path.rename(f"{path}.elsewhere")
    if replaced:
        path.write_bytes(b"another one")
    with pytest.raises(sqlite3.OperationalError, match="moved or deleted" + (", and there is another" * replaced)):
        desk.store.check_in_place()


def test_what_stood_in_a_log_that_was_deleted_is_saved(desk: Desk, tmp_path: Path) -> None:
    """Only the connection that wrote it has it yet: it is brought into the file, and found there."""
    request = put_in(desk.store, State.PENDING)
    Path(f"{desk.path}-wal").unlink()
    sqlite.rescue(desk.store.database)
    copy = tmp_path / "copy.db"
    copy.write_bytes(desk.path.read_bytes())
    with closing(sqlite3.connect(copy)) as plain:
        assert plain.execute("SELECT id FROM requests").fetchall() == [(request.id,)]


@pytest.mark.parametrize("version", range(1, 4))
def test_a_file_of_an_earlier_version_is_as_that_version_made_it(tmp_path: Path, version: int) -> None:
    """Such as a backup: it may only be read, and is not brought up to date."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        database = Database(connection, execute_plugins=False)
        names = [one.name for one in sqlite.migrations.pending(database)]
        sqlite.migrations.apply(database, stop_before=names[version : version + 1])
        connection.commit()
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        assert list(sqlite.differences(Database(connection, execute_plugins=False))) == []
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM _sqlite_migrations")
        connection.execute("CREATE TRIGGER later AFTER INSERT ON _sqlite_migrations BEGIN DELETE FROM work_facts; END")
        connection.execute("DROP INDEX requests_by_state")
        found = list(sqlite.differences(Database(connection, execute_plugins=False)))
        assert "index requests_by_state is missing" in found
        assert "trigger later was added" in found
