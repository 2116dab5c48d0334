"""The short form of the proof of contention."""

from __future__ import annotations

from pathlib import Path

from tests.proofs.contention import a_desk, broken, raced, whole_bots


def test_many_processes_on_one_file_move_everything_once(tmp_path: Path) -> None:
    """Asked, checked, decided, withdrawn and claimed by all at once: limits and quorums hold, nothing counts twice."""
    seen = raced(tmp_path, seed=7, requests=24, processes=4)
    desk = a_desk(tmp_path, 24, owner="elsewhere:0:0")
    try:
        assert broken(desk, seen, 24) == []
        assert sum(len(one.claimed) for one in seen) > 10
    finally:
        desk.store.database.close()


async def test_two_bots_on_one_file_refund_each_once(tmp_path: Path) -> None:
    assert await whole_bots(tmp_path, refunds=6, processes=2) == []
