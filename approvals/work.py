"""What waits to be done, on disk: one table of jobs, and the bookkeeping of cards, attempts, inquiries and facts.

A job has a unique key, a kind, a time when it is due, and at most one owner. A job of a process that is gone is given
back at the next start. Everything here may vanish without changing the record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from approvals.store import Store, later

KEEP_DONE_DAYS = 7  # so long a payload that Slack sends again is known


@dataclass(frozen=True)
class Job:
    """One thing to do. `payload` is what its handler needs; `tries` counts the times it was begun."""

    id: int
    key: str
    kind: str
    payload: dict[str, Any]
    created_at: str
    due_at: str
    tries: int


@dataclass(frozen=True)
class Card:
    """Where the card of a request is in Slack, and which version of the row it shows (0: none yet)."""

    request_id: str
    channel: str
    ts: str | None
    permalink: str | None
    shown_version: int
    posting_at: str | None


@dataclass(frozen=True)
class Attempt:
    """One attempt to execute a request, and the process that makes it."""

    request_id: str
    attempt: int
    owner: str
    started_at: str
    ended_at: str | None


@dataclass(frozen=True)
class KnownReference:
    """A reference number that was seen, since when, and which request's it is (None: nobody's of ours)."""

    reference: str
    known_at: str
    request_id: str | None
    source: str


def note_reference(store: Store, reference: str, request_id: str | None, source: str) -> None:
    """Remember a reference number, whose it is, and how it became known. The first to be noted stays."""
    store.database.execute(
        "INSERT INTO work_references (reference, known_at, request_id, source)"
        " VALUES (:reference, :now, :id, :source) ON CONFLICT (reference) DO NOTHING",
        {"reference": reference, "now": store.now(), "id": request_id, "source": source},
    )


def _listed(kinds: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Names for a list in SQL, and what they stand for."""
    names = {f"kind{number}": kind for number, kind in enumerate(kinds)}
    return ", ".join(f":{name}" for name in names), names


def others_acted(store: Store, session_id: str | None, order_no: str | None, since: str) -> bool:
    """Has a webhook told of an operation on this transaction since then that may be somebody else's?"""
    rows = store.rows(
        "SELECT 1 FROM work_webhooks WHERE request_id IS NULL AND received_at >= :since"
        " AND (session_id = :session OR order_no = :order_no) LIMIT 1",
        since=since,
        session=session_id,
        order_no=order_no,
    )
    return bool(rows)


class Work:
    """The `work_` tables of one store. `owner` names this process, and no other one."""

    def __init__(self, store: Store, owner: str) -> None:
        self.store = store
        self.owner = owner
        self.on_change: Callable[[], None] = lambda: None  # the worker is woken by it

    def _execute(self, sql: str, **parameters: object) -> None:
        self.store.database.execute(sql, parameters)

    # --- jobs

    def add(self, key: str, kind: str, payload: Mapping[str, object], *, due_at: str | None = None) -> bool:
        """Put a job there. False, and nothing changed, where the key is known already: one payload is one job."""
        now = self.store.now()
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
        with self.store.transaction():
            added = self.store.rows(
                "INSERT INTO work_jobs (key, kind, payload, created_at, due_at)"
                " VALUES (:key, :kind, :payload, :now, :due) ON CONFLICT (key) DO NOTHING RETURNING id",
                key=key,
                kind=kind,
                payload=text.encode(errors="replace").decode(),  # half a character that somebody made up is no text
                now=now,
                due=due_at or now,
            )
        self.on_change()
        return bool(added)

    def arm(self, key: str, kind: str, payload: Mapping[str, object], *, due_at: str | None = None) -> None:
        """Make sure that a job runs (again) at that time, or now; one that is running runs once more afterwards."""
        if self.add(key, kind, payload, due_at=due_at):
            return
        self._execute(
            "UPDATE work_jobs SET again = CASE WHEN owner IS NULL THEN 0 ELSE 1 END, tries = 0, done_at = NULL,"
            " due_at = :due WHERE key = :key",
            key=key,
            due=due_at or self.store.now(),
        )

    def ensure(self, key: str, kind: str, payload: Mapping[str, object], *, due_at: str | None = None) -> None:
        """Make sure that a job runs that begins from now on: as `arm`, but one that waits already stays as it is."""
        if self.add(key, kind, payload, due_at=due_at):
            return
        self._execute(
            "UPDATE work_jobs SET again = CASE WHEN owner IS NULL THEN 0 ELSE 1 END, tries = 0, done_at = NULL,"
            " due_at = :due WHERE key = :key AND (done_at IS NOT NULL OR (owner IS NOT NULL AND again = 0))",
            key=key,
            due=due_at or self.store.now(),
        )

    def take(self, kinds: Sequence[str], limit: int) -> list[Job]:
        """Take up to `limit` jobs of these kinds that are due, the longest due first. To take none writes nothing."""
        if limit <= 0 or not kinds:
            return []
        listed, names = _listed(kinds)
        rows = self.store.rows(
            "UPDATE work_jobs SET owner = :owner, taken_at = :now, tries = tries + 1"
            f" WHERE id IN (SELECT id FROM work_jobs WHERE kind IN ({listed})"
            " AND done_at IS NULL AND owner IS NULL AND due_at <= :now ORDER BY due_at, id LIMIT :most)"
            " RETURNING id, key, kind, payload, created_at, due_at, tries",
            owner=self.owner,
            now=self.store.now(),
            most=limit,
            **names,
        )
        jobs = [Job(**{**row, "payload": json.loads(row["payload"])}) for row in rows]
        return sorted(jobs, key=lambda job: (job.due_at, job.id))

    def finish(self, job: Job) -> None:
        """The job is done; where it was armed again meanwhile, it is due at once."""
        self._execute(
            "UPDATE work_jobs SET owner = NULL, again = 0, done_at = CASE WHEN again = 1 THEN NULL ELSE :now END"
            " WHERE id = :id AND owner = :owner",
            id=job.id,
            now=self.store.now(),
            owner=self.owner,
        )

    def put_back(self, job: Job, *, seconds: float) -> None:
        """Not now: due again after so many seconds, or as it was armed meanwhile."""
        self._execute(
            "UPDATE work_jobs SET owner = NULL, again = 0, due_at = CASE WHEN again = 1 THEN due_at ELSE :due END"
            " WHERE id = :id AND owner = :owner",
            id=job.id,
            due=later(self.store.now(), seconds=seconds),
            owner=self.owner,
        )

    def holds(self, job: Job) -> bool:
        """Is the job still this process's? Not where it was frozen so long that another has taken it over."""
        return bool(
            self.store.rows("SELECT 1 FROM work_jobs WHERE id = :id AND owner = :owner", id=job.id, owner=self.owner)
        )

    def cancel(self, key: str) -> None:
        """A timer that has lost its reason."""
        self._execute(
            "UPDATE work_jobs SET done_at = :now WHERE key = :key AND done_at IS NULL", key=key, now=self.store.now()
        )

    def next_due(self) -> dict[str, str]:
        """When the next job of each kind is due that nobody has taken; a kind that waits for nothing is not there."""
        rows = self.store.rows(
            "SELECT kind, min(due_at) AS due FROM work_jobs WHERE done_at IS NULL AND owner IS NULL GROUP BY kind"
        )
        return {row["kind"]: row["due"] for row in rows}

    def find(self, key: str) -> Job | None:
        """The job of that key, done or not, as long as it is kept."""
        rows = self.store.rows(
            "SELECT id, key, kind, payload, created_at, due_at, tries FROM work_jobs WHERE key = :key",
            key=key,
        )
        return Job(**{**rows[0], "payload": json.loads(rows[0]["payload"])}) if rows else None

    def counts(self) -> dict[str, int]:
        """How many jobs wait, by kind."""
        rows = self.store.rows("SELECT kind, count(*) AS n FROM work_jobs WHERE done_at IS NULL GROUP BY kind")
        return {row["kind"]: row["n"] for row in rows}

    def owners(self) -> list[str]:
        """Every process that holds a job."""
        return [row["owner"] for row in self.store.rows("SELECT DISTINCT owner FROM work_jobs WHERE owner IS NOT NULL")]

    def all_owners(self) -> list[str]:
        """Every process that the bookkeeping names, attempts without an end among them."""
        return sorted({*self.owners(), *(attempt.owner for attempt in self.attempts_under_way()), *self._registered()})

    def register(self, file: str) -> None:
        """This process uses the database, even while it holds no job; `file` tells the file from its copies."""
        self.set_fact(f"process:{self.owner}", {"since": self.store.now(), "file": file})

    def processes_of(self, file: str) -> list[str]:
        """The processes that said that they use this very file."""
        return [
            owner for owner in sorted(self._registered()) if (self.fact(f"process:{owner}") or {}).get("file") == file
        ]

    def forget_process(self, owner: str) -> None:
        """That process has ended."""
        self.set_fact(f"process:{owner}", None)

    def _registered(self) -> set[str]:
        rows = self.store.rows("SELECT name FROM work_facts WHERE name LIKE 'process:%'")
        return {str(row["name"]).partition(":")[2] for row in rows}

    def give_back(self, owner: str, *, taken_before: str | None) -> None:
        """The jobs that a process took before then (None: all), and will not finish, are due again, now."""
        self._execute(
            "UPDATE work_jobs SET owner = NULL, again = 0, due_at = :now WHERE owner = :owner"
            " AND (:before IS NULL OR taken_at <= :before)",
            owner=owner,
            now=self.store.now(),
            before=taken_before,
        )
        self.on_change()

    def pull_in(self, *, except_kinds: Sequence[str]) -> None:
        """What was put there or put off by a clock that was ahead is due now: it would wait for as long as it was.

        A click of that time keeps it, and so is too old; inquiries of that time are forgotten.
        """
        now = self.store.now()
        listed, names = _listed(except_kinds)
        late = (
            "done_at IS NULL AND owner IS NULL AND due_at > :now AND (created_at > :now OR taken_at > :now)"
            f" AND kind NOT IN ({listed})"
        )
        if self.store.rows(f"SELECT 1 FROM work_jobs WHERE {late} LIMIT 1", now=now, **names):
            self._execute(
                "UPDATE work_jobs SET due_at = :now, taken_at = NULL,"
                " created_at = CASE WHEN created_at > :now AND kind <> 'click' THEN :now ELSE created_at END"
                f" WHERE {late}",
                now=now,
                **names,
            )
            self.on_change()
        soon = later(now, seconds=1)  # another process may begin one just now
        if self.store.rows("SELECT 1 FROM work_inquiries WHERE sent_at > :soon LIMIT 1", soon=soon):
            self._execute("DELETE FROM work_inquiries WHERE sent_at > :soon", soon=soon)

    def forget_done(self) -> None:
        before = later(self.store.now(), days=-KEEP_DONE_DAYS)
        self._execute("DELETE FROM work_jobs WHERE done_at < :before", before=before)

    # --- cards

    def card(self, request_id: str) -> Card | None:
        rows = self.store.rows("SELECT * FROM work_cards WHERE request_id = :id", id=request_id)
        return Card(**rows[0]) if rows else None

    def card_begins(self, request_id: str, channel: str) -> None:
        """Written before the first post, so that after a crash we know to look for the card in the channel."""
        self._execute(
            "INSERT INTO work_cards (request_id, channel, posting_at) VALUES (:id, :channel, :now)"
            " ON CONFLICT (request_id) DO UPDATE SET posting_at = :now, ts = NULL, permalink = NULL",
            id=request_id,
            channel=channel,
            now=self.store.now(),
        )

    def card_not_posted(self, request_id: str) -> None:
        """Slack said that it posted nothing."""
        self._execute("UPDATE work_cards SET posting_at = NULL WHERE request_id = :id", id=request_id)

    def card_shown(self, request_id: str, *, ts: str, version: int) -> None:
        self._execute(
            "UPDATE work_cards SET ts = :ts, shown_version = :version, posting_at = NULL WHERE request_id = :id",
            id=request_id,
            ts=ts,
            version=version,
        )

    def show_card(self, request_id: str) -> None:
        """The row has changed: bring the card to it."""
        self.arm(f"card:{request_id}", "card", {"request": request_id})

    def card_outdated(self, request_id: str) -> None:
        """It shows something that is no longer so."""
        self._execute("UPDATE work_cards SET shown_version = 0 WHERE request_id = :id", id=request_id)

    def card_link(self, request_id: str, permalink: str) -> None:
        self._execute("UPDATE work_cards SET permalink = :link WHERE request_id = :id", id=request_id, link=permalink)

    # --- attempts

    def attempt_begins(self, request_id: str, attempt: int) -> None:
        self._execute(
            "INSERT INTO work_attempts (request_id, attempt, owner, started_at) VALUES (:id, :attempt, :owner, :now)",
            id=request_id,
            attempt=attempt,
            owner=self.owner,
            now=self.store.now(),
        )

    def attempt_ends(self, request_id: str, attempt: int) -> None:
        self._execute(
            "UPDATE work_attempts SET ended_at = :now WHERE request_id = :id AND attempt = :attempt",
            id=request_id,
            attempt=attempt,
            now=self.store.now(),
        )

    def attempts_under_way(self) -> list[Attempt]:
        """The attempts without an end."""
        return [Attempt(**row) for row in self.store.rows("SELECT * FROM work_attempts WHERE ended_at IS NULL")]

    # --- references and webhooks

    def reference(self, reference: str) -> KnownReference | None:
        rows = self.store.rows("SELECT * FROM work_references WHERE reference = :reference", reference=reference)
        return KnownReference(**rows[0]) if rows else None

    def has_reference(self, request_id: str) -> bool:
        return bool(self.store.rows("SELECT 1 FROM work_references WHERE request_id = :id LIMIT 1", id=request_id))

    def note_reference(self, reference: str, request_id: str | None, source: str) -> None:
        note_reference(self.store, reference, request_id, source)

    def keep_hook(self, request_id: str | None, session_id: str | None, order_no: str | None, hook: str) -> None:
        """Keep a webhook: for a request under way, or, without one, as somebody else's operation."""
        self._execute(
            "INSERT INTO work_webhooks (request_id, session_id, order_no, received_at, hook)"
            " VALUES (:id, :session, :order_no, :now, :hook)",
            id=request_id,
            session=session_id,
            order_no=order_no,
            now=self.store.now(),
            hook=hook,
        )

    def kept_hooks(self, request_id: str) -> list[tuple[int, str]]:
        rows = self.store.rows("SELECT id, hook FROM work_webhooks WHERE request_id = :id ORDER BY id", id=request_id)
        return [(row["id"], row["hook"]) for row in rows]

    def drop_hook(self, number: int) -> None:
        self._execute("DELETE FROM work_webhooks WHERE id = :id", id=number)

    def others_acted(self, session_id: str | None, order_no: str | None, since: str) -> bool:
        """Has a webhook told of an operation on this transaction since then that may be somebody else's?"""
        return others_acted(self.store, session_id, order_no, since)

    # --- facts

    def fact(self, name: str) -> dict[str, Any] | None:
        rows = self.store.rows("SELECT value FROM work_facts WHERE name = :name", name=name)
        return dict(json.loads(rows[0]["value"])) if rows else None

    def facts(self, prefix: str) -> dict[str, dict[str, Any]]:
        """The facts whose names begin so: the rest of the name, and the value."""
        rows = self.store.rows(
            "SELECT name, value FROM work_facts WHERE substr(name, 1, length(:prefix)) = :prefix ORDER BY name",
            prefix=prefix,
        )
        return {row["name"][len(prefix) :]: dict(json.loads(row["value"])) for row in rows}

    def set_fact(self, name: str, value: Mapping[str, object] | None) -> None:
        """Store a single fact; None removes it."""
        if value is None:
            self._execute("DELETE FROM work_facts WHERE name = :name", name=name)
            return
        self._execute(
            "INSERT INTO work_facts (name, value) VALUES (:name, :value)"
            " ON CONFLICT (name) DO UPDATE SET value = :value",
            name=name,
            value=json.dumps(value, ensure_ascii=False),
        )
