"""What the bots still have to do, as their database says."""

from __future__ import annotations

from approvals.store import Store


def is_busy(store: Store) -> bool:
    """Has somebody a job in hand, or is one due?"""
    sql = "SELECT 1 FROM work_jobs WHERE done_at IS NULL AND (owner IS NOT NULL OR due_at <= :now) LIMIT 1"
    return bool(store.rows(sql, now=store.now()))
