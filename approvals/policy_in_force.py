"""The policy that counts now: one holder, which every part asks at use, so that a new one counts everywhere at once.

Which policies counted, since when, and which were refused, is part of the record.
"""

from __future__ import annotations

from approvals.alarms import raise_alarm
from approvals.following import BOT
from approvals.policy import Policy
from approvals.sentences import alarms
from approvals.store import Store, seconds_between
from approvals.work import Work

ADOPTED, REFUSED = "policy_adopted", "policy_refused"  # the kinds of the events
ONE_MISTAKE_SECONDS = 60.0  # in which all processes of the database have seen it


class InForce:
    """Whoever decides keeps this, and never what is in it."""

    def __init__(self, policy: Policy) -> None:
        self.now = policy
        self.longest_deadline_seconds = policy.timing.deadline_seconds

    def put(self, policy: Policy) -> None:
        """Another one counts from now on. A call that is under way keeps the deadline with which it began."""
        self.now = policy
        self.longest_deadline_seconds = max(self.longest_deadline_seconds, policy.timing.deadline_seconds)


def record_adopted(store: Store, policy: Policy, file_hash: str | None) -> None:
    """Write down which policy counts from now on, unless it is the last that was adopted: by the former start, or by
    another process of this database. `file_hash`: SHA-256 of the file, in hex."""
    with store.transaction():
        last = store.last_event_of(ADOPTED)
        if last is None or last.facts["file"] != file_hash:
            store.record(ADOPTED, BOT, data={"file": file_hash, "policy": policy.hash})


def record_refused(store: Store, work: Work, why: str, file_hash: str | None) -> None:
    """Write down and tell the audit channel that a changed file is not used: once, whoever reads it, and once
    more where the same comes back after a while (that the file was mended in between is no event).

    `why`: what is wrong, and what to write. `file_hash`: None where the file cannot be read.
    """
    with store.transaction():
        last = store.last_event_of(ADOPTED, REFUSED)
        is_same = last is not None and last.kind == REFUSED and last.facts["file"] == file_hash
        if last is not None and is_same and seconds_between(last.at, store.now()) <= ONE_MISTAKE_SECONDS:
            return
        store.record(REFUSED, BOT, data={"why": why, "file": file_hash})
        raise_alarm(store, work, alarms.policy_refused(why=why), {"file": file_hash})
