"""What docs/audit.md and docs/audit-columns.md say of exports, the stream and the record is what the program does."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.audit import ChainKey
from approvals.choice import Choice
from approvals.derived import IN_PLACE
from approvals.export import TABLES, Column, as_line, cell, event_line
from approvals.policy_in_force import ADOPTED, REFUSED
from bot.__main__ import parser
from bot.export import ABOUT, FORMS, export_record
from bot.settings import AuditSettings
from tests.approvals.factories import KEY, open_desk
from tests.approvals.records import a_record

ROOT = Path(__file__).parents[1]
AUDIT = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
COLUMNS = (ROOT / "docs" / "audit-columns.md").read_text(encoding="utf-8")
EXPORTS = AUDIT.split("\n## `audit export`\n")[1].split("\n## ")[0]
STREAM = AUDIT.split("\n## `audit stream`\n")[1].split("\n## ")[0]
HOLDS: dict[str, list[type[int] | type[str]]] = {
    "text": [str],
    "time": [str],
    "JSON": [str],
    "number": [int],
    "amount": [int, str],
}


def rows_under(heading: str) -> Iterator[list[str]]:
    """The cells of the table under that heading, without its head."""
    section = COLUMNS.split(f"\n## {heading}\n", 1)[1].split("\n#", 1)[0]
    for line in re.findall(r"^\| `.*\|$", section, re.MULTILINE):
        yield [part.strip() for part in line.strip("|").split("|")]


def code(text: str, name: str) -> Callable[..., Any]:
    """The function of that name, from the block of Python that defines it."""
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if f"def {name}(" in block]
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - our own documentation
    return names[name]  # type: ignore[no-any-return]  # that it is a function is what the test is about


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_explained_with_what_it_holds(table: str) -> None:
    explained: dict[str, Column] = {}
    for names, holds, meaning in rows_under(table):
        assert meaning
        kinds = HOLDS[holds.removesuffix(" or empty")]
        columns = re.findall(r"`(\w+)`", names)
        always = not holds.endswith(" or empty")
        explained |= {name: Column(kind, always=always) for name, kind in zip(columns, kinds, strict=True)}
    assert list(explained.items()) == list(TABLES[table].items())


def test_every_kind_of_event_is_explained() -> None:
    """Those that are no state: what changes a row in its place, and whatever else is written into the chain."""
    sources = [path.read_text(encoding="utf-8") for part in ("approvals", "bot") for path in (ROOT / part).glob("*.py")]
    written = {kind for source in sources for kind in re.findall(r"\.record\(\s*\"(\w+)\"", source)}
    explained = [name for names, _ in rows_under("Kinds of events") for name in re.findall(r"`(\w+)`", names)]
    assert sorted(explained) == sorted(written | IN_PLACE.keys() | {ADOPTED, REFUSED})


def test_the_queries_that_it_shows_answer_on_the_database_and_on_an_export(tmp_path: Path) -> None:
    """Each gives something of a record that has something of everything."""
    desk = open_desk(tmp_path)
    request = a_record(desk).dinars
    queries = [query for block in re.findall(r"```sql\n(.*?)```", AUDIT, re.DOTALL) for query in block.split(";\n")]
    export_record(AuditSettings(tmp_path / "bot.db", tmp_path, b""), "sqlite", tmp_path / "export.db", Choice())
    for database in ("bot.db", "export.db"):
        with contextlib.closing(sqlite3.connect(tmp_path / database)) as connection:
            for query in filter(str.strip, queries):
                assert connection.execute(query.replace("R-7K2M", request)).fetchall(), query


def test_every_command_is_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["audit", "--help"])
    commands = set(re.findall(r"^    (\w+)  ", capsys.readouterr().out, re.MULTILINE))
    assert set(re.findall(r"^\| \[`audit (\w+)`\]", AUDIT, re.MULTILINE)) == commands


def test_every_form_and_file_is_named() -> None:
    forms = dict(re.findall(r"^\| `(\w+)` \| a (?:folder|file): (.*) \|$", EXPORTS, re.MULTILINE))
    assert list(forms) == list(FORMS)
    for form in ("csv", "jsonl"):
        assert re.findall(r"`([\w.]+)`", forms[form]) == [*(f"{table}.{form}" for table in TABLES), f"{ABOUT}.json"]
    assert re.findall(r"`([\w.]+)`", forms["sqlite"]) == [*TABLES, ABOUT, "requests_readable"]


def test_every_option_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    for command, text in (("export", EXPORTS), ("stream", STREAM)):
        with pytest.raises(SystemExit):
            parser().parse_args(["audit", command, "--help"])
        options = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) - {"--help"}
        assert options == set(re.findall(r"(?<![\w-])--[a-z]+", text))


@given(st.text(st.sampled_from("='+-@;\t\r\n\0a＝")) | st.text())
def test_the_way_back_from_a_cell_that_it_shows_is_right(text: str) -> None:
    assert TEXT_OF(cell(text)) == text


TEXT_OF = code(EXPORTS, "text_of")


@pytest.mark.parametrize("key", [KEY, ChainKey()])
def test_the_check_of_the_chain_that_it_shows_finds_what_was_altered(tmp_path: Path, key: ChainKey) -> None:
    desk = open_desk(tmp_path, key=key)
    a_record(desk)
    lines = [as_line(event_line(row)) for row in desk.store.chosen("events", Choice())]
    desk.store.database.close()
    breaks = code(STREAM, "breaks")
    assert list(breaks(lines, key.secret)) == []
    first = json.loads(lines[1])
    assert list(breaks(lines[2:], key.secret, first["hash"], first["seq"])) == []
    assert list(breaks([*lines[:3], *lines[4:]], key.secret)) == [5]
    fourth = json.loads(lines[3])
    for name in ("at", "kind", "actor", "request", "from_state", "to_state", "version", "data", "prev", "hash"):
        altered = as_line({**fourth, name: f"{fourth[name]}0"})
        assert 4 in breaks([*lines[:3], altered, *lines[4:]], key.secret), name


def test_the_line_that_it_shows_has_the_shape_of_the_schema() -> None:
    """But for what it leaves out."""
    (shown,) = re.findall(r"```json\n(.*?)```", STREAM, re.DOTALL)
    line = json.loads(shown)
    schema = json.loads((ROOT / "docs" / "event.schema.json").read_text(encoding="utf-8"))
    assert list(line) == schema["required"]
    whole = "0" * 64
    jsonschema.validate(line | {"prev": whole, "hash": whole}, schema)
