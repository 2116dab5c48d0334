"""What is promised, looked at after every step of the proof by a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from approvals.request import FINAL, MOVES, Request, State
from tests.approvals.factories import KEY, OUT, READ, Desk
from tests.proofs.model_ottu import PERSONAL, Truth

PAST_QUORUM = {
    State.APPROVED,
    State.EXECUTING,
    State.QUEUED,
    State.UNKNOWN,
    State.SUCCEEDED,
    State.FAILED,
    State.LAPSED,
}
UNTOUCHED = {State.CHECKING, State.PENDING, State.APPROVED} | FINAL - {State.SUCCEEDED, State.FAILED}
CARRIES = {  # what will carry an open request on
    State.CHECKING: ("check", "expire"),
    State.PENDING: ("expire",),
    State.APPROVED: ("execute", "lapse"),
    State.UNKNOWN: ("close",),
    State.QUEUED: ("queued", "overdue"),
}


@dataclass
class Memory:
    """What was seen in earlier steps, by request id; a copy of the database has its own."""

    seen: dict[str, dict[str, object]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    ended: dict[str, Request] = field(default_factory=dict)

    def copy(self) -> Memory:
        return Memory(dict(self.seen), dict(self.keys), dict(self.ended))


@dataclass
class Promises:
    """All that must hold, for one process's view of the record beside the truth."""

    desk: Desk
    truth: Truth
    memory: Memory

    def hold(self) -> None:
        self.requests = self.desk.store.select("1")
        self.two_people()
        self.closed_by_two()
        self.what_was_seen_is_what_is_done()
        self.once()
        self.no_answer_is_not_no()
        self.final_is_final()
        self.nothing_is_lost()
        self.every_move_is_written_down()

    def two_people(self) -> None:
        given: dict[str, list[dict[str, str]]] = {}
        for row in self.desk.store.rows("SELECT * FROM approvals WHERE taken_back_at IS NULL"):
            given.setdefault(row["request_id"], []).append(row)
        for request in self.requests:
            approvals = given.get(request.id, [])
            people = [approval["person"] for approval in approvals]
            assert request.requester not in people
            assert len(set(people)) == len(people)
            assert OUT not in [*people, request.requester]  # who is in no group may do nothing
            assert {approval["digest"] for approval in approvals} <= {request.digest}
            if request.state in PAST_QUORUM and not request.restored:
                needed = request.approvals_needed or 0
                assert len(people) >= needed >= (1 if request.operation.moves_money else 0)
                if request.amount_minor and request.amount_minor > 15_000:  # as the policy of these tests says
                    assert len(people) >= 2

    def closed_by_two(self) -> None:
        for closed in self.desk.store.rows("SELECT * FROM closings"):
            pair = {closed["proposed_by"], closed["confirmed_by"]} - {None}
            assert len(pair) == (2 if closed["confirmed_by"] else 1)
            assert not pair & {OUT, self.desk.row(closed["request_id"]).requester}

    def what_was_seen_is_what_is_done(self) -> None:
        for request in self.requests:
            if request.digest is not None:
                now = {name: getattr(request, name) for name in READ}
                assert self.memory.seen.setdefault(request.id, now) == now

    def once(self) -> None:
        for request in self.requests:
            if request.tracking_key:
                assert self.memory.keys.setdefault(request.id, request.tracking_key) == request.tracking_key
        assert len(set(self.memory.keys.values())) == len(self.memory.keys)
        sessions = [request.session_id for request in self.requests if request.is_open and request.session_id]
        assert len(set(sessions)) == len(sessions)
        assert all(times == 1 for times in self.truth.times_moved().values())

    def no_answer_is_not_no(self) -> None:
        """What is said to be done is done, and what is said to have failed is not."""
        for request in self.requests:
            if request.state is State.SUCCEEDED:
                assert self.truth.became(request.id) == "done"
            if request.state is State.FAILED:
                assert self.truth.became(request.id) in {None, "rejected"}
            if request.state in UNTOUCHED:
                assert self.truth.became(request.id) is None

    def final_is_final(self) -> None:
        for request in self.requests:
            if request.state in FINAL:
                assert self.memory.ended.setdefault(request.id, request) == request

    def nothing_is_lost(self) -> None:
        """Each open request has what will carry it on, on disk; each card is to be brought to its row."""
        jobs = self.desk.jobs()
        under_way = {(a.request_id, a.attempt) for a in self.desk.work.attempts_under_way()}
        for request in self.requests:
            if not request.restored:  # people carry on what was put back
                for kind in CARRIES.get(request.state, ()):
                    assert f"{kind}:{request.id}" in jobs
            if request.state is State.EXECUTING:
                assert (request.id, request.attempt) in under_way
            assert request.digest is None or f"card:{request.id}" in jobs

    def every_move_is_written_down(self) -> None:
        assert self.desk.differences() == []
        moves: dict[str, list[tuple[int, State, str]]] = {}
        for event in self.desk.store.events():
            if event.version is not None:
                moves.setdefault(event.request_id or "", []).append(
                    (event.version, State(event.to_state or ""), event.kind)
                )
        for request in self.requests:
            versions = [version for version, _, _ in moves[request.id]]
            assert versions == list(range(1, request.version + 1))
            assert moves[request.id][0][1] is State.CHECKING
            assert moves[request.id][-1][1] is request.state
            for (_, before, _), (_, after, kind) in pairwise(moves[request.id]):
                restored = kind == "restored" and after is State.UNKNOWN and before not in FINAL
                assert after is before or after in MOVES[before] or restored


def nothing_personal(folder: Path) -> None:
    """No customer data and no key in any byte of the database's files. What one step wrote is there at the end."""
    stored = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"submitted" in stored
    assert KEY.secret not in stored
    assert [word for word in PERSONAL if word.encode() in stored] == []
