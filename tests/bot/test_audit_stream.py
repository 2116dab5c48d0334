"""`audit stream` as a log shipper uses it: every event once, in order, whatever ends it and whoever tampers."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import select
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from approvals.choice import Choice
from approvals.export import event_line
from approvals.request import State
from bot.acquaintance import CannotStart
from bot.settings import AuditSettings
from bot.stream import BATCH_EVENTS, stream_record
from tests.approvals.factories import KEY, Desk, open_desk
from tests.approvals.records import a_record
from tests.measured import measured

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "event.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """The bot's own connection, open while the stream is read."""
    opened = open_desk(tmp_path)
    a_record(opened)
    yield opened
    opened.store.database.close()


@pytest.fixture
def settings(desk: Desk) -> AuditSettings:
    return AuditSettings(desk.path, desk.path.parent, b"")


def expected(desk: Desk) -> list[dict[str, Any]]:
    return [event_line(row) for row in desk.store.chosen("events", Choice())]


def lines(text: bytes) -> list[dict[str, Any]]:
    assert text.endswith(b"\n") or not text
    return [json.loads(line) for line in text.splitlines()]


def to_file(settings: AuditSettings, file: Path, after: int = 0) -> list[dict[str, Any]]:
    assert stream_record(settings, file, after, follow=False) == 0
    return lines(file.read_bytes())


# --- the lines


def test_every_line_is_as_the_schema_says(desk: Desk, settings: AuditSettings, tmp_path: Path) -> None:
    """And the schema knows every state. Gap-free, in order; the tables' own words for what people typed."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    checker = jsonschema.Draft202012Validator(SCHEMA)
    said = to_file(settings, tmp_path / "out.jsonl")
    for line in said:
        checker.validate(line)
        assert list(line) == SCHEMA["required"] == list(SCHEMA["properties"])
    assert said == expected(desk)
    assert [line["seq"] for line in said] == list(range(1, desk.store.head()[0] + 1))
    assert {line["amount"]["decimal"] for line in said if line["amount"]} == {"5.000", "2.50", "7"}
    assert SCHEMA["$defs"]["state"]["enum"] == [None, *State]


@pytest.mark.parametrize("change", [{"seq": 0}, {"amount": {"minor": 5}}, {"to_state": "done"}, {"more": 1}])
def test_the_schema_refuses_what_is_no_event(
    settings: AuditSettings, tmp_path: Path, change: dict[str, object]
) -> None:
    line = to_file(settings, tmp_path / "out.jsonl")[0]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(line | change, SCHEMA)


def test_whoever_has_the_lines_and_the_key_verifies_the_chain(settings: AuditSettings, tmp_path: Path) -> None:
    """By what docs/audit.md says, without any of the program's own code."""
    prev = "0" * 64
    for line in to_file(settings, tmp_path / "out.jsonl"):
        names = "seq at request kind actor from_state to_state version data key_id prev"
        text = json.dumps([line[name] for name in names.split()], ensure_ascii=False, separators=(",", ":")).encode()
        assert line["hash"] == hmac.new(KEY.secret, text, hashlib.sha256).hexdigest()
        assert line["prev"] == prev
        prev = line["hash"]


def test_standard_output_begins_after_the_event_that_is_named(
    desk: Desk, settings: AuditSettings, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    stream_record(settings, None, 0, follow=False)
    assert lines(capfdbinary.readouterr().out) == expected(desk)
    stream_record(settings, None, 3, follow=False)
    assert lines(capfdbinary.readouterr().out) == expected(desk)[3:]
    stream_record(settings, None, desk.store.head()[0], follow=False)
    assert capfdbinary.readouterr().out == b""


# --- going on in a file


def test_a_file_is_gone_on_with_after_its_last_line(desk: Desk, settings: AuditSettings, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    before = to_file(settings, file)
    assert to_file(settings, file) == before
    desk.execution.resume("U03CEM")
    assert to_file(settings, file, after=2) == expected(desk)
    assert len(expected(desk)) == len(before) + 1


def test_a_new_file_begins_after_the_event_that_is_named(desk: Desk, settings: AuditSettings, tmp_path: Path) -> None:
    """When the old one was put away."""
    assert to_file(settings, tmp_path / "out.jsonl", after=4) == expected(desk)[4:]


def test_wherever_a_line_was_cut_short_it_is_written_again(desk: Desk, settings: AuditSettings, tmp_path: Path) -> None:
    """Anywhere in the first line and the last two; at the ends of lines at each byte."""
    file = tmp_path / "out.jsonl"
    to_file(settings, file)
    whole = file.read_bytes()
    ends = [position + 1 for position, byte in enumerate(whole) if byte == ord("\n")]
    anywhere = [*range(0, ends[0], 29), *range(ends[-3], len(whole), 97)]
    for size in [*anywhere, *(end + off for end in ends[-3:-1] for off in range(-2, 3))]:
        file.write_bytes(whole[:size])
        stream_record(settings, file, 0, follow=False)
        assert file.read_bytes() == whole
    assert lines(whole) == expected(desk)


def test_more_events_than_are_read_at_once(desk: Desk, settings: AuditSettings, tmp_path: Path) -> None:
    with desk.store.transaction():
        for number in range(BATCH_EVENTS + 50):
            desk.store.record("alarm", "bot", data={"why": "x" * 300, "number": number})
    file = tmp_path / "out.jsonl"
    assert to_file(settings, file) == expected(desk)
    file.write_bytes(file.read_bytes()[:-100_000])
    assert to_file(settings, file) == expected(desk)


@pytest.mark.parametrize(
    "text",
    [
        b"notes of mine",
        b"notes of mine\n",
        b'{"seq":1,"hash":"00"}\n',
        b'{"schema":"ottu-bot/event/0","seq":1,"hash":"00"}\n',
        b"[1]\n",
        b"1\n",
        b"\xff\xfe\n",
    ],
)
def test_a_file_of_something_else_is_left_alone(settings: AuditSettings, tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "mine"
    file.write_bytes(text)
    with pytest.raises(CannotStart, match="name another file"):
        stream_record(settings, file, 0, follow=False)
    assert file.read_bytes() == text


def test_the_lines_of_another_record_are_not_gone_on_with(desk: Desk, settings: AuditSettings, tmp_path: Path) -> None:
    """Nor of this one, where its tail was cut off or it was written anew: the file knows what was there."""
    file = tmp_path / "out.jsonl"
    to_file(settings, file)
    desk.sql("DROP TRIGGER events_stay")
    desk.sql("DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)")
    before = file.read_bytes()
    with pytest.raises(CannotStart, match="does not contain event"):
        stream_record(settings, file, 0, follow=False)
    desk.store.record("resumed", "U03CEM")
    with pytest.raises(CannotStart, match="does not contain event"):
        stream_record(settings, file, 0, follow=False)
    assert file.read_bytes() == before


def test_an_event_that_is_missing_stops_it_before_the_gap(desk: Desk, settings: AuditSettings, tmp_path: Path) -> None:
    desk.sql("DROP TRIGGER events_stay")
    desk.sql("DELETE FROM events WHERE seq = 4")
    with pytest.raises(CannotStart, match="event 5 does not follow event 3"):
        stream_record(settings, tmp_path / "out.jsonl", 0, follow=False)
    assert [line["seq"] for line in lines((tmp_path / "out.jsonl").read_bytes())] == [1, 2, 3]


@pytest.mark.parametrize("data", ["[]", "1", '{"why":"\\ud83d"}'])
def test_an_event_that_cannot_be_read_stops_it_with_one_line(
    desk: Desk, settings: AuditSettings, tmp_path: Path, data: str
) -> None:
    desk.sql("DROP TRIGGER events_fixed")
    desk.sql("UPDATE events SET data = :data WHERE seq = 1", data=data)
    with pytest.raises(CannotStart, match="event 1 cannot be read"):
        stream_record(settings, tmp_path / "out.jsonl", 0, follow=False)


def test_an_event_that_is_not_there_yet_is_no_place_to_begin(desk: Desk, settings: AuditSettings) -> None:
    """A shipper that has seen more than there is must say so, not wait."""
    last = desk.store.head()[0]
    with pytest.raises(CannotStart, match=f"has no event {last + 1}; it ends at {last}"):
        stream_record(settings, None, last + 1, follow=False)


@pytest.mark.parametrize(
    ("place", "why"), [(".", "Is a directory"), ("no/out", "No such file"), ("/dev/null", "no file")]
)
def test_what_cannot_be_written_is_one_line(settings: AuditSettings, tmp_path: Path, place: str, why: str) -> None:
    with pytest.raises(CannotStart, match=why) as info:
        stream_record(settings, tmp_path / place, 0, follow=False)
    assert "\n" not in str(info.value)


# --- a process of its own


@asynccontextmanager
async def streaming(desk: Desk, *words: str, **how: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """`audit stream` with these words, with no setting but where the database is."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bot", "audit", "stream", *words),
        env={**measured(), "DATABASE_URL": f"sqlite:///{desk.path}", "PYTHONPATH": str(ROOT)},
        cwd=desk.path.parent,
        **{"stdout": PIPE, "stderr": PIPE, "limit": 2**20} | how,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not look():  # noqa: ASYNC110 - what it waits for is another process
            await asyncio.sleep(0.02)


async def next_line(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return dict(json.loads(await process.stdout.readline()))


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, bytes]:
    """Exit status, and what it complained of."""
    async with asyncio.timeout(20):
        _, complaint = await process.communicate()
    return process.returncode, complaint


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_following_writes_what_comes_until_it_is_told_to_stop(desk: Desk, number: signal.Signals) -> None:
    last = desk.store.head()[0]
    async with streaming(desk, "--follow", "--after", str(last - 1)) as process:
        assert (await next_line(process))["seq"] == last
        for _ in range(2):
            desk.store.record("resumed", "U03CEM")
        assert (await next_line(process))["seq"] == last + 1
        assert (await next_line(process))["seq"] == last + 2
        process.send_signal(number)
        assert await ended(process) == (0, b"")


async def test_following_into_a_file_leaves_whole_lines_and_is_gone_on_with(desk: Desk, tmp_path: Path) -> None:
    """One process at a time writes to it."""
    file = tmp_path / "out.jsonl"
    async with streaming(desk, "--follow", "--to", str(file)) as process:
        await until(lambda: file.exists() and file.read_bytes().count(b"\n") == desk.store.head()[0])
        async with streaming(desk, "--to", str(file)) as second:
            status, complaint = await ended(second)
            assert (status, b"another process is writing" in complaint) == (2, True)
        process.kill()
        await process.wait()
    desk.store.record("resumed", "U03CEM")
    async with streaming(desk, "--to", str(file)) as process:
        assert await ended(process) == (0, b"")
    assert lines(file.read_bytes()) == expected(desk)


@pytest.mark.parametrize("words", [(), ("--follow",)])
async def test_whoever_stops_reading_ends_it_cleanly(desk: Desk, words: tuple[str, ...]) -> None:
    """Also while it waits, with nothing to write."""
    with desk.store.transaction():
        for number in range(300):
            desk.store.record("alarm", "bot", data={"why": "x" * 500, "number": number})
    async with streaming(desk, *words) as process:
        await next_line(process)
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]  # the only way to close the pipe
        assert process.stderr is not None
        async with asyncio.timeout(20):
            assert (await process.wait(), await process.stderr.read()) == (0, b"")


async def test_it_can_be_stopped_where_nobody_takes_its_lines(desk: Desk) -> None:
    """A pipe that is full must not make it deaf."""
    with desk.store.transaction():
        for number in range(100):
            desk.store.record("alarm", "bot", data={"why": "x" * 500, "number": number})
    unread, pipe = os.pipe()
    async with streaming(desk, "--follow", stdout=pipe) as process:
        await until(lambda: not select.select([], [pipe], [], 0)[1])
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == (0, b"")
    os.close(unread)
    os.close(pipe)


async def test_a_database_that_was_put_back_from_a_copy_ends_it_with_a_complaint(desk: Desk, tmp_path: Path) -> None:
    """While it follows, too: the lines that are out already are not in that record any more."""
    last = desk.store.head()[0]
    async with streaming(desk, "--follow", "--after", str(last - 1), stdin=DEVNULL) as process:
        assert (await next_line(process))["seq"] == last
        other = open_desk(make(tmp_path / "other"))
        other.pending()
        other.store.database.close()
        desk.store.database.close()
        put_in_place(other.path, desk.path)
        status, complaint = await ended(process)
        assert (status, b"does not contain event" in complaint) == (2, True)


def put_in_place(copy: Path, path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
    copy.rename(path)


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder
