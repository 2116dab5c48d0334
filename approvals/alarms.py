"""Alarms: what people must look at, written into the record and told in the audit channel."""

from __future__ import annotations

from collections.abc import Mapping

from approvals.store import Store
from approvals.work import Work


def raise_alarm(store: Store, work: Work, why: str, facts: Mapping[str, object], request_id: str | None = None) -> None:
    """An event of kind `alarm`, and a job that tells it. `why` is a sentence; `facts` hold nothing personal."""
    with store.transaction():
        event = store.record("alarm", "bot", request_id=request_id, data={"why": why, **facts})
        work.add(f"alarm:{event.seq}", "alarm", {"seq": event.seq})
