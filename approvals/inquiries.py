"""The budget of inquiries: Ottu allows few, so each is written down first and its answer is shared.

Ottu's documentation: refused in a payment's first 10 minutes, then one per 30 minutes, at most 3 for a transaction;
30 a minute over all. Counted here per transaction over 24 hours; what Ottu throttled does not count, but makes us wait.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from approvals.store import Store, later, seconds_between
from approvals.work import note_reference

MOST = 3
RESERVED = 2  # kept for an unknown outcome while a request is open
MOST_A_MINUTE = 30
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
                "INSERT INTO work_inquiries (reference_kind, reference, session_id, sent_at, outcome)"
                " VALUES (:kind, :reference, :session_id, :now, 'sent') RETURNING id",
                kind=kind,
                reference=reference,
                session_id=session_id,
                now=self.store.now(),
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
            "SELECT sent_at FROM work_inquiries WHERE sent_at > :since ORDER BY sent_at", since=later(now, seconds=-60)
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
        sent = self._sent(kind, reference, session_id, since=later(self.store.now(), days=-1))
        answered = [row for row in sent if row["answer"] is not None]
        return Stored(answered[-1]["sent_at"], json.loads(answered[-1]["answer"])) if answered else None

    def fresh(self, kind: str, reference: str, session_id: str | None) -> Stored | None:
        """The newest answer, where it is younger than the gap and nothing of ours was sent to the transaction since."""
        stored = self.latest(kind, reference, session_id)
        if stored is None or seconds_between(stored.sent_at, self.store.now()) > self.gap_seconds():
            return None
        session = session_id or stored.answer.get("session_id")
        sent_since = self.store.rows(
            "SELECT 1 FROM events JOIN requests ON requests.id = events.request_id"
            " WHERE requests.session_id = :session AND events.to_state = 'executing' AND events.at >= :since LIMIT 1",
            session=session,
            since=stored.sent_at,
        )
        return None if sent_since else stored

    def was_unpaid(self, order_no: str) -> bool:
        """Did Ottu say, within the gap, that nobody had tried to pay it? Asking again now would only mean waiting."""
        sent = self._sent("order", order_no, None, since=later(self.store.now(), seconds=-self.gap_seconds()))
        return bool(sent) and sent[-1]["outcome"] == "no_attempt"

    def _sent(self, kind: str, reference: str, session_id: str | None, *, since: str) -> list[dict[str, Any]]:
        """All for this transaction, by whichever of its names they were asked, as far as the names are known."""
        session_id = session_id or (self.store.session_of_order(reference) if kind == "order" else None)
        return self.store.rows(
            "SELECT * FROM work_inquiries WHERE sent_at > :since AND outcome <> 'not_sent' AND ("
            "(reference_kind = :kind AND reference = :reference) OR session_id = :session"
            " OR (reference_kind = 'order' AND reference IN (SELECT order_no FROM requests WHERE session_id = :session"
            " UNION SELECT reference FROM work_inquiries WHERE reference_kind = 'order' AND session_id = :session))"
            ") ORDER BY sent_at, id",
            since=since,
            kind=kind,
            reference=reference,
            session=session_id or "",
        )
