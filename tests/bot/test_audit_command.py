"""`audit verify` as an auditor calls it: without any secret of Slack or Ottu, writing nothing, against known heads."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from approvals.audit import Event
from approvals.request import State
from approvals.verify import differences
from bot.acquaintance import CannotStart
from bot.audit import UNREADABLE, progress, verify_record
from bot.record import reading
from bot.settings import AuditSettings
from tests.approvals.factories import KEY, open_desk
from tests.bot.world import ALICE, BOB, World


async def settled(world: World) -> AuditSettings:
    """A record with a refund in it, and nobody writing any more."""
    await world.ask()
    await world.press(BOB, "approve")
    await world.until(world.results)
    await world.quiet()
    await world.stop()
    return AuditSettings(world.folder / "bot.db", world.folder, b"")


async def test_a_record_agrees_with_itself_with_its_marker_and_with_what_slack_shows(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = await settled(world)
    payload = (world.results()[0].metadata or {})["event_payload"]
    shown = f"{payload['seq']}:{payload['head'][:8]}"
    assert verify_record(settings, anchors=[shown, f"record {shown}"]) == 0
    said = capsys.readouterr().out
    assert "0 differences in 7 events" in said
    assert "without AUDIT_KEY" in said


async def test_a_tail_that_was_cut_off_is_missed_by_the_marker_and_by_who_has_read_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = await settled(world)
    connection = sqlite3.connect(settings.database_path)
    for table in ("approvals", "events", "requests"):
        connection.execute(f"DROP TRIGGER {table}_stay")
    connection.execute("DELETE FROM approvals")
    connection.execute("DELETE FROM events WHERE seq > 1")
    connection.execute("DELETE FROM requests")
    connection.commit()
    connection.close()
    assert verify_record(settings, anchors=["1:" + "0" * 8, "6:" + "0" * 8]) == 1
    said = capsys.readouterr().out
    assert "the marker of a send says" in said
    assert "event 1: --anchor says 00000000, which the record does not contain; it has " in said
    assert "event 6: --anchor says 00000000, which the record does not contain; it ends at event 1" in said


def test_a_record_with_a_key_is_not_proven_without_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever forgot the key is told so, and of all the events in one line, however many there are."""
    desk = open_desk(tmp_path)
    desk.pending()
    desk.store.database.close()
    assert verify_record(AuditSettings(tmp_path / "bot.db", tmp_path, b"")) == 1
    first, *others = capsys.readouterr().out.splitlines()
    assert first == f"events 1 to 2: were written with another key ({KEY.id})"
    assert others[0].startswith("1 differences in 2 events")
    assert others[1] == UNREADABLE


@pytest.mark.parametrize("anchor", ["6", "x:12345678", "6:123", "6:not-hex-digits", "٦:12345678"])
async def test_what_is_no_head_is_refused(world: World, anchor: str) -> None:
    settings = await settled(world)
    with pytest.raises(CannotStart, match="SEQ:HASH"):
        verify_record(settings, anchors=[anchor])


def test_a_missing_or_unreadable_file_is_no_clean_record(tmp_path: Path) -> None:
    """A wrong path must not look like an audit without findings, nor be made."""
    with pytest.raises(CannotStart, match="is not there"):
        verify_record(AuditSettings(tmp_path / "none.db", tmp_path, b""))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "noise.db").write_bytes(b"noise" * 1000)
    with pytest.raises(CannotStart, match="cannot be read"):
        verify_record(AuditSettings(tmp_path / "noise.db", tmp_path, b""))


def test_progress_is_shown_at_a_terminal_and_nowhere_else() -> None:
    """A log or a mail of a nightly audit is no place for a bar."""
    master, slave = os.openpty()
    with open(slave, "w", encoding="utf-8") as terminal, progress(10, file=terminal, quick_seconds=0) as bar:  # noqa: PTH123 - a descriptor
        os.read(master, 10_000)  # the empty bar
        bar.update(4)
        bar.refresh()
        assert "4/10" in os.read(master, 10_000).decode()
    os.close(master)
    file = io.StringIO()
    with progress(10, file=file, quick_seconds=0) as bar:
        bar.update(10)
    assert file.getvalue() == ""


async def test_it_may_be_verified_while_the_bot_goes_on(world: World) -> None:
    """It sees one state of the database: a move in the middle of it is no difference."""
    await world.ask()
    with reading(AuditSettings(world.folder / "bot.db", world.folder, b"")) as store:

        def moves(events: Iterator[Event]) -> Iterator[Event]:
            for event in events:
                yield event
                world.store.record("inquiry", BOB)
                if event.seq == 1:
                    world.running.tasks.service.withdraw(world.request().id, ALICE)

        assert list(differences(store, watch=moves)) == []
    assert world.request().state is State.WITHDRAWN
