"""The record: every query on requests, approvals and events. One text for SQLite and PostgreSQL.

A move is one guarded UPDATE whose row count must be 1, and its event, in one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlite_utils import Database

from approvals import sqlite
from approvals.audit import GENESIS, ChainKey, Event, hashed
from approvals.choice import EVENTS, Choice, chosen_sql
from approvals.request import OPEN, Operation, Request, State, as_row

_COLUMNS = [field.name for field in fields(Request)]
_OPEN = ", ".join(f"'{state.value}'" for state in sorted(OPEN))


class MovedOn(Exception):
    """The row was not, or no longer, as the move expected: somebody else was first, and nothing was changed."""


def later(moment: str, **duration: float) -> str:
    """A stored time plus a duration, as a stored time: `later(now, seconds=30)`."""
    return _stored(datetime.fromisoformat(moment) + timedelta(**duration))


def _stored(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def seconds_between(earlier: str, later_: str) -> float:
    """The seconds from one stored time to another."""
    return (datetime.fromisoformat(later_) - datetime.fromisoformat(earlier)).total_seconds()


def is_within(seconds: float, since: str, now: str, *, ahead_seconds: float = 0.0) -> bool:
    """Is it at most so long ago, and not in the future, which a clock that was ahead has written?

    `ahead_seconds`: so much of the future is what the correction of a clock leaves.
    """
    return -ahead_seconds <= seconds_between(since, now) <= seconds


@dataclass(frozen=True)
class Waiting:
    """Of a request that waits for decisions, what tells who may decide: there may be thousands."""

    id: str
    requester: str
    rule_text: str


@dataclass(frozen=True)
class Approval:
    """One person's yes, as its row in `approvals`."""

    id: int
    request_id: str
    person: str
    digest: str
    given_at: str
    taken_back_at: str | None


class Store:
    """The record on one open database. Not for several threads: one connection, on the event loop.

    `on_event` is told each event once it is on disk. `clock` gives the time in place of the database's own.
    """

    def __init__(self, database: Database, key: ChainKey, clock: Callable[[], datetime] | None = None) -> None:
        self.database = database
        self.key = key
        self._files = sqlite.files_of(database)
        self._clock = clock
        self.on_event: Callable[[Event], object] = lambda _: None
        self._recorded: list[Event] = []  # within the transaction under way

    @property
    def path(self) -> str:
        """The database's file."""
        return str(self.rows("PRAGMA database_list")[0]["file"])

    def check_in_place(self) -> None:
        """Raises sqlite3.OperationalError where what is written now would be lost: its file was moved or deleted."""
        sqlite.check_in_place(self._files)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One writing transaction; inside another one, a part of it that can fail alone."""
        is_part, before = self.database.conn.in_transaction, len(self._recorded)
        if not is_part:
            self.check_in_place()
        try:
            with sqlite.transaction(self.database):
                yield
        except BaseException:
            del self._recorded[before:]
            raise
        if not is_part:
            recorded, self._recorded = self._recorded, []
            for event in recorded:
                self.on_event(event)

    def now(self) -> str:
        """The database's clock: UTC, ISO 8601, milliseconds."""
        if self._clock is not None:
            return _stored(self._clock())
        return str(self.database.execute(sqlite.NOW).fetchone()[0])

    def rows(self, sql: str, **parameters: object) -> list[dict[str, Any]]:
        """What a statement returns, a writing one with RETURNING, too. All of it is read, and so the write is done."""
        cursor = self.database.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    # --- requests

    def insert(self, request: Request, actor: str) -> None:
        """A new request and its first event."""
        row = as_row(request)
        with self.transaction():
            self.database.execute(
                f"INSERT INTO requests ({', '.join(_COLUMNS)}) VALUES ({', '.join(':' + c for c in _COLUMNS)})",
                row,
            )
            self.record(
                "submitted",
                actor,
                request_id=request.id,
                to_state=request.state,
                version=request.version,
                data={"set": {name: value for name, value in row.items() if value is not None}},
            )

    def get(self, request_id: str) -> Request | None:
        return self._one("id = :id", id=request_id)

    def by_origin(self, origin: str) -> Request | None:
        return self._one("origin = :origin", origin=origin)

    def open_by_reference(self, kind: str, reference: str) -> Request | None:
        """The open request for this reference: as typed, or as read from Ottu."""
        column = "session_id" if kind == "session" else "order_no"
        return self._one(
            f"((reference_kind = :kind AND reference = :reference) OR {column} = :reference) AND state IN ({_OPEN})",
            kind=kind,
            reference=reference,
        )

    def open_by_session(self, session_id: str) -> Request | None:
        return self._one(f"session_id = :session_id AND state IN ({_OPEN})", session_id=session_id)

    def session_of_order(self, order_no: str) -> str | None:
        """The session id that an earlier request learnt for this order number; None where two were learnt."""
        found = self.rows(
            "SELECT DISTINCT session_id FROM requests WHERE order_no = :order_no AND session_id IS NOT NULL"
            " UNION SELECT DISTINCT session_id FROM work_inquiries WHERE reference_kind = 'order'"
            " AND reference = :order_no AND session_id IS NOT NULL",
            order_no=order_no,
        )
        return found[0]["session_id"] if len(found) == 1 else None

    def _one(self, where: str, **parameters: object) -> Request | None:
        found = self.select(where + " LIMIT 1", **parameters)
        return found[0] if found else None

    def select(self, where: str, **parameters: object) -> list[Request]:
        """Requests by a condition on their columns, which is ours: values come as parameters."""
        rows = self.rows(f"SELECT {', '.join(_COLUMNS)} FROM requests WHERE {where}", **parameters)
        return [
            Request(**{**row, "operation": Operation(row["operation"]), "state": State(row["state"])}) for row in rows
        ]

    def channels(self) -> list[str]:
        """Every channel in which something was asked for."""
        return [str(row["channel"]) for row in self.rows("SELECT DISTINCT channel FROM requests ORDER BY channel")]

    def in_states(self, *states: State) -> list[Request]:
        return self.select(f"state IN ({', '.join(repr(s.value) for s in states)}) ORDER BY created_at, id")

    def open_attempts(self) -> list[tuple[str, State, int]]:
        """Of everything that is open: its id, its state, and the number of its last attempt."""
        rows = self.rows(f"SELECT id, state, attempt FROM requests WHERE state IN ({_OPEN})")
        return [(row["id"], State(row["state"]), row["attempt"]) for row in rows]

    def pending(self) -> list[Waiting]:
        """What waits for decisions, the first to expire first."""
        sql = "SELECT id, requester, rule_text FROM requests WHERE state = 'pending' ORDER BY expires_at, id"
        return [Waiting(**row) for row in self.rows(sql)]

    def open_of(self, requester: str) -> list[Request]:
        """What somebody asked for and is not final, newest first."""
        return self.select(
            f"requester = :requester AND state IN ({_OPEN}) ORDER BY created_at DESC, id", requester=requester
        )

    def ended_since(self, since: str, limit: int, *, requester: str, others: bool) -> list[Request]:
        """What became final from then on, newest first: asked for by that person, or by all others.

        By the index of time alone (the plus keeps SQLite from another): what one person ever asked for has no bounds.
        """
        return self.select(
            f"state_at >= :since AND +state NOT IN ({_OPEN}) AND +requester {'<>' if others else '='} :requester"
            " ORDER BY state_at DESC LIMIT :limit",
            since=since,
            limit=limit,
            requester=requester,
        )

    def move(
        self,
        request: Request,
        to: State,
        *,
        actor: str,
        kind: str | None = None,
        changes: Mapping[str, object] | None = None,
        note: Mapping[str, object] | None = None,
        at: str | None = None,
    ) -> Request:
        """Move a request as it was read to another state, or write down a change in the same one; returns the new row.

        Raises MovedOn where the row is no longer as it was read.
        """
        with self.transaction():
            now = at or self.now()
            changed: dict[str, object] = {"version": request.version + 1, **(changes or {})}
            if to is not request.state:
                changed |= {"state": to.value, "state_at": now}
            assignments = ", ".join(f"{name} = :{name}" for name in changed)
            moved = self.rows(
                f"UPDATE requests SET {assignments} WHERE id = :row_id AND state = :row_state"
                " AND version = :row_version RETURNING id",
                **changed,
                row_id=request.id,
                row_state=request.state.value,
                row_version=request.version,
            )
            if len(moved) != 1:
                raise MovedOn(request.id)
            self.record(
                kind or to.value,
                actor,
                request_id=request.id,
                from_state=request.state,
                to_state=to,
                version=request.version + 1,
                data={**(note or {}), "set": changed},
                at=now,
            )
            after = self.get(request.id)
            assert after is not None  # noqa: S101 - a request is never deleted (trigger)
            return after

    # --- approvals

    def approvals(self, request_id: str) -> list[Approval]:
        """The approvals that stand, first given first."""
        return [
            Approval(**row)
            for row in self.rows(
                "SELECT * FROM approvals WHERE request_id = :id AND taken_back_at IS NULL ORDER BY id", id=request_id
            )
        ]

    def approvals_of_pending(self) -> dict[str, list[str]]:
        """Who has approved what still waits for others: the people by request, first given first."""
        given: dict[str, list[str]] = {}
        for row in self.rows(
            "SELECT request_id, person FROM approvals WHERE taken_back_at IS NULL"
            " AND request_id IN (SELECT id FROM requests WHERE state = 'pending') ORDER BY id"
        ):
            given.setdefault(row["request_id"], []).append(row["person"])
        return given

    def add_approval(self, request: Request, person: str, digest: str, at: str) -> None:
        self.database.execute(
            "INSERT INTO approvals (request_id, person, digest, given_at) VALUES (:id, :person, :digest, :now)",
            {"id": request.id, "person": person, "digest": digest, "now": at},
        )

    def take_back_approval(self, request: Request, person: str, at: str) -> bool:
        """True where there was one to take back."""
        taken = self.rows(
            "UPDATE approvals SET taken_back_at = :now WHERE request_id = :id AND person = :person"
            " AND taken_back_at IS NULL RETURNING id",
            id=request.id,
            person=person,
            now=at,
        )
        return bool(taken)

    # --- events

    def record(
        self,
        kind: str,
        actor: str,
        *,
        request_id: str | None = None,
        from_state: State | None = None,
        to_state: State | None = None,
        version: int | None = None,
        data: Mapping[str, object] | None = None,
        at: str | None = None,
    ) -> Event:
        """Append an event to the chain, within the transaction under way (or one of its own)."""
        with self.transaction():
            last = self.rows("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")
            event = Event(
                seq=last[0]["seq"] + 1 if last else 1,
                at=at or self.now(),
                request_id=request_id,
                kind=kind,
                actor=actor,
                from_state=from_state.value if from_state else None,
                to_state=to_state.value if to_state else None,
                version=version,
                data=json.dumps(data or {}, ensure_ascii=False, sort_keys=True, separators=(",", ":")),
                key_id=self.key.id,
                prev=last[0]["hash"] if last else GENESIS,
                hash="",
            )
            event = Event(**{**event.__dict__, "hash": self.key.hash(hashed(event))})
            self.database.execute(
                "INSERT INTO events (seq, at, request_id, kind, actor, from_state, to_state, version, data, key_id,"
                " prev, hash) VALUES (:seq, :at, :request_id, :kind, :actor, :from_state, :to_state, :version, :data,"
                " :key_id, :prev, :hash)",
                event.__dict__,
            )
            self._recorded.append(event)
        return event

    def events(self, request_id: str | None = None) -> Iterator[Event]:
        """All events, or those of one request, first to last."""
        if request_id is None:
            rows = self.database.query("SELECT * FROM events ORDER BY seq")
        else:
            rows = self.database.query("SELECT * FROM events WHERE request_id = ? ORDER BY seq", [request_id])
        return (Event(**row) for row in rows)

    def events_of_kind(self, kind: str) -> list[Event]:
        """All events of a rare kind, such as `alarm`, first to last."""
        return [Event(**row) for row in self.rows("SELECT * FROM events WHERE kind = :kind ORDER BY seq", kind=kind)]

    def last_event_of(self, *kinds: str) -> Event | None:
        """The last event of one of these kinds."""
        names = {f"kind{number}": kind for number, kind in enumerate(kinds)}
        wanted = ", ".join(f":{name}" for name in names)
        rows = self.rows(f"SELECT * FROM events WHERE kind IN ({wanted}) ORDER BY seq DESC LIMIT 1", **names)
        return Event(**rows[0]) if rows else None

    def event(self, seq: int) -> Event:
        return Event(**self.rows("SELECT * FROM events WHERE seq = :seq", seq=seq)[0])

    # --- what a report of a period needs; from `start` on, before `end`

    def asked_between(self, start: str, end: str) -> list[Request]:
        """What was asked, first asked first."""
        return self.select("created_at >= :start AND created_at < :end ORDER BY created_at, id", start=start, end=end)

    def succeeded_between(self, start: str, end: str) -> list[Request]:
        """What was proven done, first done first."""
        return self.select(
            "state = 'succeeded' AND state_at >= :start AND state_at < :end ORDER BY state_at, id", start=start, end=end
        )

    def events_between(self, start: str, end: str) -> Iterator[Event]:
        """The events, first to last; one row at a time."""
        rows = self.database.query("SELECT * FROM events WHERE at >= ? AND at < ? ORDER BY seq", [start, end])
        return (Event(**row) for row in rows)

    def approval_waits(self, start: str, end: str) -> list[tuple[str, str]]:
        """For each request that people brought to its quorum: when its card was made, and when the quorum was there."""
        rows = self.rows(
            "SELECT min(events.at) AS shown_at, quorum_at FROM requests JOIN events ON events.request_id = requests.id"
            " WHERE quorum_at >= :start AND quorum_at < :end AND approvals_needed > 0"
            " AND events.from_state = 'checking' AND events.to_state = 'pending' GROUP BY requests.id",
            start=start,
            end=end,
        )
        return [(row["shown_at"], row["quorum_at"]) for row in rows]

    def account(self) -> str | None:
        """The base URL of the Ottu that the database was made for; None where no event says so."""
        made = self.rows("SELECT data FROM events WHERE kind = 'database_created' ORDER BY seq LIMIT 1")
        return json.loads(made[0]["data"]).get("ottu_base_url") if made else None

    def ever_in(self, state: State, *, before: str) -> list[str]:
        """The requests that were ever brought into that state, before that time."""
        rows = self.rows(
            "SELECT DISTINCT request_id AS id FROM events WHERE to_state = :state AND at < :before ORDER BY id",
            state=state.value,
            before=before,
        )
        return [row["id"] for row in rows]

    def head(self) -> tuple[int, str]:
        """Sequence and hash of the last event."""
        last = self.rows("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")
        return (last[0]["seq"], last[0]["hash"]) if last else (0, GENESIS)

    def hash_of(self, seq: int) -> str | None:
        """The hash of that event; what the first one has for its predecessor, where it is 0; None where it is not."""
        if seq == 0:
            return GENESIS
        found = self.rows("SELECT hash FROM events WHERE seq = :seq", seq=seq)
        return str(found[0]["hash"]) if found else None

    def events_after(self, seq: int, limit: int) -> list[dict[str, Any]]:
        """The next events, first to last, as in `chosen`."""
        return self.rows(f"{EVENTS} WHERE e.seq > :seq ORDER BY e.seq LIMIT :limit", seq=seq, limit=limit)

    def chosen(self, table: str, choice: Choice) -> Iterator[dict[str, Any]]:
        """The rows of one table of the record that an export takes, read as they are asked for.

        An event has besides its columns `terms`: the data of the event that set the terms of its request, at this event
        or before; NULL where none had. So an event reads the same whenever it is read.
        """
        return self.database.query(chosen_sql(table, choice), choice.parameters())

    # --- for whoever verifies it, as the rows are: what somebody altered may be no `Request` any more

    def not_as_made(self) -> Iterator[str]:
        """What of the database itself is not as this program makes it."""
        return sqlite.differences(self.database)

    def row(self, table: str, number: str | int) -> dict[str, Any] | None:
        """One row of `requests`, `approvals` or `closings`, by its id."""
        found = self.rows(f"SELECT * FROM {table} WHERE id = :id", id=number)
        return found[0] if found else None

    def rows_beyond(self, table: str, last: int) -> Iterator[dict[str, Any]]:
        """The rows of `approvals` or `closings` that are not among the first so many."""
        return iter(self.database.query(f"SELECT * FROM {table} WHERE id < 1 OR id > ? ORDER BY id", [last]))

    def rows_without_beginning(self) -> Iterator[str]:
        """The requests that no event submitted."""
        rows = self.database.query(
            "SELECT id FROM requests WHERE NOT EXISTS"
            " (SELECT 1 FROM events WHERE request_id = requests.id AND kind = 'submitted') ORDER BY id"
        )
        return (str(row["id"]) for row in rows)

    def began_before(self, request_id: str, seq: int) -> bool:
        """Was the request submitted by an event before that one?"""
        return bool(
            self.rows(
                "SELECT 1 FROM events WHERE request_id = :id AND seq < :seq AND kind = 'submitted' LIMIT 1",
                id=request_id,
                seq=seq,
            )
        )

    # --- sums for limits and rates

    def total_minor(self, operation: Operation, currency: str, since: str, *, where: Mapping[str, str]) -> int:
        """The sum of all that is open, and of what has succeeded since then, for one operation and currency.

        What is open counts however old it is: it may succeed at any moment. `where`: column → value.
        """
        condition = "".join(f" AND {column} = :{column}" for column in where)
        row = self.rows(
            "SELECT coalesce(sum(amount_minor), 0) AS total FROM requests WHERE operation = :operation"
            f" AND currency = :currency AND (state IN ({_OPEN}) OR (state = 'succeeded' AND state_at >= :since))"
            + condition,
            operation=operation.value,
            currency=currency,
            since=since,
            **where,
        )
        return int(row[0]["total"])

    def nth_newest(self, requester: str, number: int) -> str | None:
        """When the requester's newest request but `number - 1` was made; None where there are fewer."""
        rows = self.rows(
            "SELECT created_at FROM requests WHERE requester = :requester ORDER BY created_at DESC"
            " LIMIT 1 OFFSET :skipped",
            requester=requester,
            skipped=number - 1,
        )
        return str(rows[0]["created_at"]) if rows else None
