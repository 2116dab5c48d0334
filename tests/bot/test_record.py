"""The record as it is opened for whoever only reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.record import reading
from bot.settings import AuditSettings
from tests.approvals.factories import open_desk


@pytest.mark.parametrize("name", ["what?mode=rwc", "50%41", "a#b", "المدفوعات"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    """SQLite takes the file as an address, in which `?`, `#` and `%` mean something else."""
    folder = tmp_path / name
    folder.mkdir()
    desk = open_desk(folder)
    desk.store.record("paused", "U03CEM", data={"reason": "x"})
    with reading(AuditSettings(folder / "bot.db", folder, desk.store.key.secret)) as store:
        assert store.head() == desk.store.head()
