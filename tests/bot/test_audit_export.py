"""`audit export` as an auditor calls it: each form read back by what will read it, written whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from approvals.choice import Choice
from approvals.export import TABLES, event_line, record, text_of
from approvals.request import State
from bot.__main__ import main
from bot.acquaintance import CannotStart
from bot.export import FORMS, export_record, from_time, until_time
from bot.record import reading
from bot.settings import AuditSettings
from tests.approvals.factories import KEY, Desk, open_desk
from tests.approvals.records import ARABIC, EVIDENCE, FORMULA, Names, a_record
from tests.bot.world import read_rows
from tests.measured import measured


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """The bot's own connection, open while the export is made."""
    opened = open_desk(tmp_path)
    yield opened
    opened.store.database.close()


@pytest.fixture
def names(desk: Desk) -> Names:
    return a_record(desk)


@pytest.fixture
def settings(desk: Desk) -> AuditSettings:
    return AuditSettings(desk.path, desk.path.parent, KEY.secret)


def rows_of(desk: Desk, table: str) -> list[dict[str, Any]]:
    return [record(table, row) for row in desk.store.chosen(table, Choice())]


def the_about(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "export.json").read_text(encoding="utf-8")))


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        head, *rows = csv.reader(file)
        return [dict(zip(head, row, strict=True)) for row in rows]


# --- the forms


@pytest.mark.usefixtures("names")
def test_csv_is_read_back_as_it_was_and_nothing_in_it_is_a_formula(
    desk: Desk, settings: AuditSettings, tmp_path: Path
) -> None:
    """Arabic, emoji, quotes, commas and ends of lines in what people typed, and amounts as plain numbers."""
    folder = tmp_path / "out"
    assert export_record(settings, "csv", folder, Choice()) == 0
    for table, columns in TABLES.items():
        cells = read_csv(folder / f"{table}.csv")
        expected = [{name: "" if v is None else str(v) for name, v in row.items()} for row in rows_of(desk, table)]
        ours = {name for name in columns if name.endswith("_decimal")}
        back = [{name: v if name in ours else text_of(v) for name, v in row.items()} for row in cells]
        assert back == expected
        assert not [v for row in cells for v in row.values() if v.startswith(("=", "+", "-", "@", "\t", "\r"))]
    reasons = {row["reason"] for row in read_csv(folder / "requests.csv")}
    assert "'" + FORMULA in reasons
    assert {text_of(reason) for reason in reasons} >= {FORMULA, ARABIC}


def test_json_lines_are_the_records_and_the_events_those_of_the_stream(
    desk: Desk, names: Names, settings: AuditSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    export_record(settings, "jsonl", folder, Choice())
    read = {
        table: [json.loads(line) for line in (folder / f"{table}.jsonl").read_bytes().splitlines()] for table in TABLES
    }
    assert read["events"] == [event_line(row) for row in desk.store.chosen("events", Choice())]
    for table in ("requests", "approvals", "closings"):
        assert read[table] == rows_of(desk, table)
    assert [row["evidence"] for row in read["closings"]] == [EVIDENCE]
    assert {row["request_id"] for row in read["approvals"]} == {names.dinars, names.yen}


def test_the_sqlite_file_is_typed_linked_indexed_and_readable(
    desk: Desk, names: Names, settings: AuditSettings, tmp_path: Path
) -> None:
    file = tmp_path / "out.db"
    export_record(settings, "sqlite", file, Choice())
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        for table, columns in TABLES.items():
            assert [dict(row) for row in connection.execute(f"SELECT * FROM {table}")] == rows_of(desk, table)  # noqa: S608
            there = {row["name"]: row for row in connection.execute(f"PRAGMA table_info({table})")}
            assert {name: (row["type"], bool(row["notnull"])) for name, row in there.items() if not row["pk"]} == {
                name: ("INTEGER" if column.kind is int else "TEXT", column.always)
                for name, column in list(columns.items())[1:]
            }
            keys = [tuple(row)[2:5] for row in connection.execute(f"PRAGMA foreign_key_list({table})")]
            assert keys == ([("requests", "request_id", "id")] if "request_id" in columns else [])
            assert connection.execute(f"PRAGMA index_list({table})").fetchall()
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        found = connection.execute("SELECT rowid FROM requests_fts WHERE requests_fts MATCH 'مكسورة'").fetchall()
        assert len(found) == 1
        about = {row["name"]: row["value"] for row in connection.execute("SELECT * FROM export")}
        seq, head = desk.store.head()
        assert (about["head"], about["requests"], about["people"]) == (f"{seq}:{head}", "4", None)
    readable = "SELECT id, amount, currency, amount_answered, approved_by FROM requests_readable ORDER BY id"
    assert read_rows(file, readable) == read_rows(desk.path, readable)
    assert (names.dinars, "5.000", "KWD", "5.000", "U03CEM") in read_rows(file, readable)


# --- what is chosen


def test_a_choice_is_one_of_whole_requests_and_says_so(
    names: Names, settings: AuditSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is chosen hangs together: no event or approval without its request."""
    choice = Choice(people=("U03CEM",), states=(State.SUCCEEDED,), since=from_time("2020-01-01"))
    for form in FORMS:
        export_record(settings, form, tmp_path / form, choice)
        assert "wrote 2 requests, " in capsys.readouterr().out
    about = the_about(tmp_path / "csv")
    assert (about["people"], about["states"], about["since"]) == ("U03CEM", "succeeded", "2020-01-01T00:00:00.000Z")
    assert (about["requests"], about["approvals"], about["closings"]) == (2, 2, 1)
    assert {row["id"] for row in read_csv(tmp_path / "csv" / "requests.csv")} == {names.dinars, names.yen}
    with closing(sqlite3.connect(tmp_path / "sqlite")) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("2026-11-24", "2026-11-24T00:00:00.000Z", "2026-11-25T00:00:00.000Z"),
        ("2026-11-24T13:30", "2026-11-24T13:30:00.000Z", "2026-11-24T13:30:00.000Z"),
        ("2026-11-24T13:30+03:00", "2026-11-24T10:30:00.000Z", "2026-11-24T10:30:00.000Z"),
        ("2026-11-24T13:30:00.250Z", "2026-11-24T13:30:00.250Z", "2026-11-24T13:30:00.250Z"),
    ],
)
def test_a_day_counts_whole_and_what_has_no_offset_is_utc(text: str, begins: str, ends: str) -> None:
    assert (from_time(text), until_time(text)) == (begins, ends)


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "24.11.2026", "", "9999-12-31", "0001-01-01T00:00+14:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is no time"):
        until_time(text)


@pytest.mark.usefixtures("desk")
def test_the_command_takes_all_of_it(
    names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the settings of an auditor: no secret of Slack or Ottu."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'bot.db'}")
    monkeypatch.chdir(tmp_path)
    words = "audit export --format csv --to out --from 2020-01-01 --until 2099-12-31 --person U01ALICE U02BOB"
    assert main([*words.split(), "--transaction", names.yen, "--state", "succeeded", "--state", "failed"]) == 0
    assert "wrote 1 requests, " in capsys.readouterr().out
    assert the_about(tmp_path / "out")["states"] == "succeeded failed"
    with pytest.raises(SystemExit):
        main(["audit", "export", "--format", "csv", "--to", "other", "--state", "done"])
    assert "choose from" in capsys.readouterr().err


# --- completely or not at all


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("there", ["file", "folder", "dangling link"])
def test_what_is_there_is_never_overwritten(settings: AuditSettings, tmp_path: Path, form: str, there: str) -> None:
    target = tmp_path / "out"
    match there:
        case "file":
            target.write_text("mine")
        case "folder":
            target.mkdir()
        case _:
            target.symlink_to(tmp_path / "elsewhere")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CannotStart, match="is there already"):
        export_record(settings, form, target, Choice())
    assert sorted(tmp_path.iterdir()) == before
    assert there != "file" or target.read_text() == "mine"


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("form", FORMS)
def test_where_nothing_can_be_written_it_says_so_in_one_line(
    settings: AuditSettings, tmp_path: Path, form: str
) -> None:
    (tmp_path / "no folder").write_text("")
    read_only = tmp_path / "read-only"
    read_only.mkdir(mode=0o500)
    places = ["no folder/out", "missing/out"] + (["read-only/out"] if os.geteuid() else [])
    for place in places:
        with pytest.raises(CannotStart, match=r"cannot be written: .*nothing was exported") as info:
            export_record(settings, form, tmp_path / place, Choice())
        assert "\n" not in str(info.value)


@pytest.mark.parametrize("form", FORMS)
def test_a_record_that_cannot_be_read_to_its_end_leaves_nothing(
    desk: Desk, settings: AuditSettings, tmp_path: Path, form: str
) -> None:
    """The terms of a request, altered by somebody who dropped the triggers, so that they are no terms."""
    names = a_record(desk)
    desk.sql("DROP TRIGGER events_fixed")
    desk.sql("UPDATE events SET data = '[]' WHERE request_id = :id AND from_state = 'checking'", id=names.yen)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CannotStart, match="audit verify"):
        export_record(settings, form, tmp_path / "out", Choice())
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_half_way_it_leaves_nothing(desk: Desk, tmp_path: Path, number: signal.Signals) -> None:
    """The real process, while it writes."""
    with desk.store.transaction():
        for seq in range(5_000):
            desk.store.record("alarm", "bot", data={"why": "x" * 100, "number": seq})
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", "audit", "export", "--format", "csv", "--to", "out"],
        env={**measured(), "DATABASE_URL": f"sqlite:///{desk.path}", "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and not has_begun(tmp_path):
        time.sleep(0.001)
    process.send_signal(number)
    _, complaint = process.communicate(timeout=20)
    assert (process.returncode, b"nothing was exported" in complaint, complaint.count(b"\n")) == (2, True, 1)
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def has_begun(folder: Path) -> bool:
    return any(path.stat().st_size for path in folder.glob(".out.*/out/events.csv"))


def test_a_missing_or_unreadable_database_makes_no_export(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="is not there"):
        export_record(AuditSettings(tmp_path / "none.db", tmp_path, b""), "csv", tmp_path / "out", Choice())
    (tmp_path / "noise.db").write_bytes(b"noise" * 1000)
    with pytest.raises(CannotStart, match="cannot be read"):
        export_record(AuditSettings(tmp_path / "noise.db", tmp_path, b""), "csv", tmp_path / "out", Choice())
    assert list(tmp_path.iterdir()) == [tmp_path / "noise.db"]


def test_the_export_is_of_one_moment_whatever_the_bot_writes_meanwhile(desk: Desk, settings: AuditSettings) -> None:
    """The tables agree: nothing is in one that is not yet in the others."""
    desk.pending()
    with reading(settings) as store:
        before = store.head()
        desk.execution.pause("U03CEM", "lunch")
        assert store.head() == before
        assert desk.store.head() != before
