"""Which part of the record an export takes, and the queries for it."""

from __future__ import annotations

from dataclasses import dataclass

from approvals.request import State

# Each event, and the terms of its request as they were set then or before
EVENTS = """SELECT e.*, t.data AS terms FROM events e LEFT JOIN events t ON t.seq = (
    SELECT min(s.seq) FROM events s WHERE s.request_id = e.request_id AND s.seq <= e.seq
    AND s.from_state = 'checking' AND s.to_state <> 'checking')"""


@dataclass(frozen=True)
class Choice:
    """Which requests an export takes, each with all that belongs to it. What is not set does not choose.

    Times as stored. Something happened to the request from `since` on and before `until`; one of `people` asked for it
    or did something to it; `transaction` is its reference, order number, session id or own id; `states` are those it
    is in now.
    """

    since: str | None = None
    until: str | None = None
    people: tuple[str, ...] = ()
    transaction: str | None = None
    states: tuple[State, ...] = ()

    @property
    def needs_request(self) -> bool:
        """Does it leave out the events that belong to no request, whenever they were and whoever made them?"""
        return self.transaction is not None or bool(self.states)

    def parameters(self) -> dict[str, object]:
        listed = {f"person_{n}": person for n, person in enumerate(self.people)}
        listed |= {f"state_{n}": state.value for n, state in enumerate(self.states)}
        return {"since": self.since, "until": self.until, "transaction": self.transaction, **listed}


def chosen_sql(table: str, choice: Choice) -> str:
    """The query of one table of the record: `requests`, `approvals`, `closings` or `events`."""
    if choice == Choice():  # then also what a request ought to have and has not
        order = "created_at, id" if table == "requests" else "id"
        return f"{EVENTS} ORDER BY e.seq" if table == "events" else f"SELECT * FROM {table} ORDER BY {order}"
    requests = f"SELECT r.id FROM requests r WHERE {_requests_chosen(choice)}"
    if table == "requests":
        return f"SELECT * FROM requests WHERE id IN ({requests}) ORDER BY created_at, id"
    if table in {"approvals", "closings"}:
        return f"SELECT * FROM {table} WHERE request_id IN ({requests}) ORDER BY id"
    beside = "0" if choice.needs_request else f"e.request_id IS NULL AND {_event_chosen('e', choice)}"
    return f"{EVENTS} WHERE e.request_id IN ({requests}) OR ({beside}) ORDER BY e.seq"


def _requests_chosen(choice: Choice) -> str:
    of_request = "SELECT 1 FROM events h WHERE h.request_id = r.id AND"
    conditions = ["1"]
    if choice.since or choice.until:
        conditions.append(f"EXISTS ({of_request} {_in_time('h', choice)})")
    if choice.people:
        conditions.append(f"(r.requester IN {_people(choice)} OR EXISTS ({of_request} h.actor IN {_people(choice)}))")
    if choice.transaction is not None:
        conditions.append(":transaction IN (r.id, r.reference, r.order_no, r.session_id)")
    if choice.states:
        conditions.append(f"r.state IN ({', '.join(f':state_{n}' for n in range(len(choice.states)))})")
    return " AND ".join(conditions)


def _event_chosen(event: str, choice: Choice) -> str:
    by_them = f" AND {event}.actor IN {_people(choice)}" if choice.people else ""
    return _in_time(event, choice) + by_them


def _in_time(event: str, choice: Choice) -> str:
    since = f"{event}.at >= :since" if choice.since else "1"
    return f"{since} AND {event}.at < :until" if choice.until else since


def _people(choice: Choice) -> str:
    return f"({', '.join(f':person_{n}' for n in range(len(choice.people)))})"
