"""The budget of inquiries: Ottu allows few, so each is written down first and its answer is shared.

Ottu's documentation: refused in a payment's first 10 minutes, then one per 30 minutes, at most 3 for a transaction;
30 a minute over all. Counted here per transaction over 24 hours; what Ottu throttled does not count, but makes us wait.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from approvals.request import State
from approvals.store import Store, is_within, later, seconds_between
from approvals.work import note_reference, others_acted

MOST = 3
RESERVED = 2  # kept for an unknown outcome while a request is open
MOST_A_MINUTE = 30
# Ottu may show the transaction otherwise a moment later.
_UNDER_WAY = ", ".join(f"'{state.value}'" for state in (State.EXECUTING, State.QUEUED, State.UNKNOWN))
THROTTLED_SECONDS = 600.0  # Ottu refuses any in a payment's first 10 minutes


@dataclass(frozen=True)
class Stored:
    """An answer that Ottu gave before, and when it was asked."""

    sent_at: str
    answer: dict[str, Any]


@dataclass(frozen=True)
class Inquiries:
    """The inquiries of one database. `gap_seconds` says how long Ottu wants between two for a transaction."""

    store: Store
    gap_seconds: Callable[[], float]

    def begin(self, kind: str, reference: str, session_id: str | None, *, most: int) -> int | None:
        """Write an inquiry down before it is sent: its number, or None where the budget or the gap forbids it now."""
        with self.store.transaction():
            if self.wait_seconds(kind, reference, session_id, most=most) > 0:
                return None
            rows = self.store.rows(
                "INSERT INTO work_inquiries (reference_kind, reference, session_id, sent_at, head, outcome)"
                " VALUES (:kind, :reference, :session_id, :now, :head, 'sent') RETURNING id",
                kind=kind,
                reference=reference,
                session_id=session_id,
                now=self.store.now(),
                head=self.store.head()[0],
            )
            return int(rows[0]["id"])

    def wait_seconds(self, kind: str, reference: str, session_id: str | None, *, most: int) -> float:
        """How long until the next one may be sent; 0 for now."""
        now = self.store.now()
        sent = self._sent(kind, reference, session_id, since=later(now, days=-1))
        counted = [row["sent_at"] for row in sent if row["outcome"] != "throttled"]
        waits = [0.0]
        if sent:
            waits.append(self._gap_after(sent[-1]) - seconds_between(sent[-1]["sent_at"], now))
        if len(counted) >= most:
            waits.append(86400 - seconds_between(counted[-most], now) if most else 86400.0)
        minute = self.store.rows(
            "SELECT sent_at FROM work_inquiries WHERE sent_at > :since AND sent_at <= :now ORDER BY sent_at",
            since=later(now, seconds=-60),
            now=now,
        )
        if len(minute) >= MOST_A_MINUTE:
            waits.append(60 - seconds_between(minute[-MOST_A_MINUTE]["sent_at"], now))
        return max(waits)

    def _gap_after(self, last: Mapping[str, Any]) -> float:
        """How long after the last one. One that was throttled was never made: as Ottu asked, else 10 minutes."""
        if last["outcome"] != "throttled":
            return self.gap_seconds()
        asked: float | None = last["retry_after_seconds"]
        return min(self.gap_seconds(), THROTTLED_SECONDS) if asked is None else asked

    def end(
        self,
        number: int,
        outcome: str,
        answer: Mapping[str, object] | None = None,
        *,
        retry_after_seconds: float | None = None,
    ) -> None:
        """How it ended: `answered` (with the answer, free of personal data), `throttled`, `refused`, `no_attempt`
        (refused, because nobody has tried to pay), `not_sent`, `no_answer`."""
        self.store.database.execute(
            "UPDATE work_inquiries SET outcome = :outcome, answer = :answer, retry_after_seconds = :retry_after,"
            " session_id = coalesce(:session_id, session_id) WHERE id = :id",
            {
                "id": number,
                "outcome": outcome,
                "retry_after": retry_after_seconds,
                "answer": json.dumps(answer) if answer is not None else None,
                "session_id": answer.get("session_id") if answer else None,
            },
        )

    def note_reference(self, reference: str) -> None:
        """A reference number that was read: a webhook proves nothing by one that was known before the send."""
        note_reference(self.store, reference, None, "read")

    def latest(self, kind: str, reference: str, session_id: str | None) -> Stored | None:
        """The newest answer for this transaction within a day."""
        found = self._newest(kind, reference, session_id)
        return found[0] if found else None

    def _newest(self, kind: str, reference: str, session_id: str | None) -> tuple[Stored, int] | None:
        """And the last event of the record when it was asked."""
        sent = self._sent(kind, reference, session_id, since=later(self.store.now(), days=-1))
        answered = [row for row in sent if row["answer"] is not None]
        if not answered:
            return None
        row = answered[-1]
        return Stored(row["sent_at"], json.loads(row["answer"])), row["head"]

    def fresh(self, kind: str, reference: str, session_id: str | None) -> Stored | None:
        """The newest answer, where it is younger than the gap and the transaction is as it was, as far as we know."""
        found = self._newest(kind, reference, session_id)
        if found is None:
            return None
        stored, head = found
        if not is_within(self.gap_seconds(), stored.sent_at, self.store.now()):
            return None
        session = session_id or stored.answer.get("session_id")
        order_no = stored.answer.get("order_no") or (reference if kind == "order" else None)
        if self._ours_acted(session, head) or others_acted(self.store, session, order_no, stored.sent_at):
            return None
        return stored

    def _ours_acted(self, session_id: str | None, head: int) -> bool:
        """Was anything of ours under way on the transaction at that event of the record, or since?

        By the record's order and not by the clock, which may have been set meanwhile.
        """
        rows = self.store.rows(
            f"SELECT 1 FROM requests WHERE session_id = :session AND (state IN ({_UNDER_WAY}) OR EXISTS"
            " (SELECT 1 FROM events WHERE request_id = requests.id AND seq > :head"
            f" AND (from_state IN ({_UNDER_WAY}) OR to_state IN ({_UNDER_WAY})))) LIMIT 1",
            session=session_id,
            head=head,
        )
        return bool(rows)

    def was_unpaid(self, order_no: str) -> bool:
        """Did Ottu say, within the gap, that nobody had tried to pay it? Asking again now would only mean waiting."""
        sent = self._sent("order", order_no, None, since=later(self.store.now(), seconds=-self.gap_seconds()))
        return bool(sent) and sent[-1]["outcome"] == "no_attempt"

    def _sent(self, kind: str, reference: str, session_id: str | None, *, since: str) -> list[dict[str, Any]]:
        """All for this transaction, by whichever of its names they were asked, as far as the names are known.

        Not those of a clock that was ahead: where one of them was made just now, Ottu throttles the next.
        """
        session_id = session_id or (self.store.session_of_order(reference) if kind == "order" else None)
        return self.store.rows(
            "SELECT * FROM work_inquiries WHERE sent_at > :since AND sent_at <= :now AND outcome <> 'not_sent' AND ("
            "(reference_kind = :kind AND reference = :reference) OR session_id = :session"
            " OR (reference_kind = 'order' AND reference IN (SELECT order_no FROM requests WHERE session_id = :session"
            " UNION SELECT reference FROM work_inquiries WHERE reference_kind = 'order' AND session_id = :session))"
            ") ORDER BY sent_at, id",
            since=since,
            now=self.store.now(),
            kind=kind,
            reference=reference,
            session=session_id or "",
        )
