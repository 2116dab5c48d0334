"""What must be true of a simulated world: at each send, at each event, and at its end.

No key moves money twice, even where the gateway ignores keys and whatever people press: nothing is sent again before a
reading, after the gateway's slowest time, has shown that nothing is there. A false end is excused in two cases, both
named in docs/reliability.md: two people said so wrongly, or a reading or a webhook took somebody else's equal operation
for ours.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from approvals.audit import Event
from approvals.closing import TARGET_STATES
from approvals.request import Operation, Request, State
from approvals.store import seconds_between
from approvals.verify import differences
from tests.proofs.scripted_ottu import CURRENCY, Deed, Payment, text
from tests.proofs.virtual import is_a_crash

if TYPE_CHECKING:
    from tests.proofs.processes import Simulated
    from tests.proofs.simulated import Simulation

SLACK_SECONDS = 1e-6  # of rounding
CLAIM_LIMIT_SECONDS = 5.0  # so old a claim may be when its request is written: said here again, not taken from the bot
LEASE_DEADLINES = 3  # so many deadlines one that lives keeps its attempt; the same
DECISIONS = {"approve", "unapprove", "withdraw", "reject", "resend", "close"}
TAKES_OVER = ("freeze", "machine sleeps", "trouble: clock")  # a job of one that lives may then be given to another
NOTHING_MOVED = {State.FAILED, State.REFUSED, State.REJECTED, State.WITHDRAWN, State.EXPIRED, State.LAPSED}


@dataclass(frozen=True)
class Claim:
    """A claim as its process committed it, by the loop's clock."""

    owner: str
    at: float
    attempt: int
    from_state: str


class Oracles:
    """Judges one world."""

    def __init__(self, world: Simulation) -> None:
        self.world = world
        self.seen = 1  # the last event that was looked at; the first made the database
        self.claims: dict[str, Claim] = {}  # the last of each request
        self.unknown_at: dict[str, float] = {}
        self.ended_at: dict[str, float] = {}
        self.arrived_at: dict[str, list[float]] = defaultdict(list)  # by key
        self.other_deeds: list[Deed] = []

    # --- at each send

    def arrives(self, process: Simulated, request: httpx.Request, connecting_seconds: float) -> None:
        """The first byte of a call is on the wire."""
        key = request.headers.get("Tracking-Key")
        if not request.url.path.endswith("/operation/"):
            return
        found = self.world.store.select("tracking_key = :key", key=key)
        if not found:
            self.world.fail(f"sent with the key {key}, which is in no row")
            return
        row = found[0]
        self._is_what_was_approved(row, json.loads(request.content))
        self._is_claimed(row, process, connecting_seconds)
        self.arrived_at[row.id].append(self.world.loop.now)

    def _is_what_was_approved(self, row: Request, body: dict[str, str]) -> None:
        wanted = {"operation": row.operation.value}
        wanted |= {"session_id": row.session_id} if row.session_id else {"order_no": row.reference}
        if row.operation in {Operation.REFUND, Operation.CAPTURE}:
            wanted["amount"] = text(row.amount_minor or 0)
        if row.destination != "pg":
            wanted["destination"] = row.destination
        if body != wanted:
            self.world.fail(f"{row.id}: {body} was sent, {wanted} was approved")
        people = {approval.person for approval in self.world.store.approvals(row.id)} - {row.requester}
        if len(people) < (row.approvals_needed or 0):
            self.world.fail(f"{row.id} was sent with the approval of {sorted(people)}")

    def _is_claimed(self, row: Request, process: Simulated, connecting_seconds: float) -> None:
        world, claim = self.world, self.claims.get(row.id)
        if claim is None:
            world.fail(f"{row.id} was sent without a claim")
            return
        if claim.owner != process.owner:
            world.fail(f"{row.id} was sent by {process.owner}, and claimed by {claim.owner}")
        age = world.loop.now - claim.at - connecting_seconds
        if age > CLAIM_LIMIT_SECONDS + SLACK_SECONDS:
            world.fail(f"{row.id} was sent {age:.1f} s after its claim")
        if claim.from_state == State.UNKNOWN:
            self._may_be_sent_again(row, claim)
        elif any(deed.may_move for deed in world.ottu.of_key(row.tracking_key)):
            world.fail(f"{row.id} was sent again, as if the first had not been executed")

    def _may_be_sent_again(self, row: Request, claim: Claim) -> None:
        world = self.world
        world.count("sent again")
        waited = claim.at - self.unknown_at.get(row.id, world.loop.now)
        if waited < world.policy.timing.settle_seconds - SLACK_SECONDS:
            world.fail(f"{row.id} was sent again {waited:.1f} s after it became unknown")
        if row.destination == "wallet":
            world.fail(f"{row.id}: a refund to a wallet was sent again")
        for attempt in world.store.rows("SELECT * FROM work_attempts WHERE request_id = :id", id=row.id):
            if attempt["attempt"] < claim.attempt and attempt["ended_at"] is None and attempt["owner"] in world.alive:
                world.fail(f"{row.id} was sent again while attempt {attempt['attempt']} was under way")

    # --- at each event

    def look(self, process: Simulated) -> None:
        """The process has written something: whatever became of it after that, the events are on disk."""
        rows = self.world.store.rows("SELECT * FROM events WHERE seq > :seq ORDER BY seq", seq=self.seen)
        for event in (Event(**row) for row in rows):
            self.seen = event.seq
            self._hears(process, event)

    def _hears(self, process: Simulated, event: Event) -> None:
        world, name = self.world, event.request_id or ""
        world.say(
            f"{process.fate.name} {name} {event.kind} by {event.actor} {event.from_state}>{event.to_state} {event.data}"
        )
        world.count(f"event: {event.kind}")
        if event.kind == "restored" or (event.kind == "alarm" and "open_requests" in event.facts):
            world.fail(f"taken for put back from a copy: {event.data}")
        if "ending" in event.facts:
            world.count(f"ending: {event.facts['ending']}")
        if event.facts.get("why") == "limit":
            world.count("refused by the limit")
        if event.to_state is None or event.to_state == event.from_state:
            return
        world.count(f"state: {event.to_state}")
        if event.from_state:
            world.count(f"move: {event.from_state} > {event.to_state}")
        if event.to_state == State.EXECUTING:
            self._claimed(process, event)
        elif event.to_state == State.UNKNOWN:
            self.unknown_at[name] = world.loop.now
            if event.from_state == State.EXECUTING:
                self._ended_by(process, name)
        elif event.to_state in {State.SUCCEEDED, State.FAILED}:
            self.ended_at[name] = world.loop.now

    def _claimed(self, process: Simulated, event: Event) -> None:
        attempt = int(event.facts["set"]["attempt"])
        self.claims[event.request_id or ""] = Claim(process.owner, self.world.loop.now, attempt, event.from_state or "")
        if self.world.store.rows("SELECT 1 FROM work_facts WHERE name = 'paused'"):
            self.world.fail(f"{event.request_id} was claimed during a pause")

    def _ended_by(self, process: Simulated, name: str) -> None:
        """One that is alive is not taken for gone before its lease is over."""
        claim, lease = self.claims[name], LEASE_DEADLINES * self.world.policy.timing.deadline_seconds
        age = self.world.loop.now - claim.at
        if claim.owner != process.owner and claim.owner in self.world.alive and age < lease - SLACK_SECONDS:
            self.world.fail(f"{name} was taken from {claim.owner}, which lives, {age:.1f} s after its claim")

    def moved(self, deed: Deed) -> None:
        """The gateway has decided: never twice for one key, and never more than the limit."""
        self._judge_limit(deed)
        self.world.count(f"money: {deed.outcome}")
        if deed.key is None:
            self.other_deeds.append(deed)
            return
        self.judge_once(deed)

    def judge_once(self, deed: Deed) -> None:
        """Nothing is done twice with one key, also where no money moves."""
        if sum(one.may_move for one in self.world.ottu.of_key(deed.key)) > 1:
            self.world.fail(f"double movement: {deed.operation} {deed.minor} with the key {deed.key}")

    # --- what is true

    def _payment(self, row: Request) -> Payment | None:
        names = {row.session_id, row.order_no, row.reference}
        return next((p for p in self.world.ottu.payments if {p.session_id, p.order_no} & names), None)

    def was_done(self, row: Request) -> bool:
        """Did it happen?"""
        if row.operation in TARGET_STATES:
            payment = self._payment(row)
            return payment is not None and payment.state == TARGET_STATES[row.operation]
        return any(deed.moved for deed in self.world.ottu.of_key(row.tracking_key))

    def has_ended(self, row: Request) -> bool:
        """Is nothing of it under way any more, at the gateway or at the bank?"""
        last = max(self.arrived_at[row.id], default=0.0)
        settled = self.world.loop.now - last > self.world.ottu.slowest_seconds
        return settled and all(deed.outcome not in {"", "queued"} for deed in self.world.ottu.of_key(row.tracking_key))

    def is_for_people(self, request_id: str) -> bool:
        """Is it unknown, and has the bot said that people must decide?"""
        row = self.world.row(request_id)
        if row is None or row.state is not State.UNKNOWN:
            return False
        looked = [e for e in self.world.store.events(request_id) if e.kind in {"reading", "close_proposed"}]
        return bool(looked) or bool(row.restored)

    def _by_word(self, row: Request) -> bool:
        return any(event.facts.get("confirms") for event in self.world.store.events(row.id))

    def _is_excused(self, row: Request) -> bool:
        """An equal operation of somebody else's, made before, was taken for ours by a reading or a webhook."""
        ends = [event for event in self.world.store.events(row.id) if event.to_state == row.state]
        was_read = any(end.facts.get("by") in ("reading", "webhook") for end in ends)
        if row.state not in {State.SUCCEEDED, State.FAILED} or not was_read:
            return False
        return any(
            deed.payment.session_id == row.session_id
            and (deed.operation, deed.minor) == (row.operation.value, row.amount_minor)
            and deed.began_at <= self.ended_at[row.id]
            for deed in self.other_deeds
        )

    # --- at the end

    def check_end(self) -> None:
        """Everything, once it is calm."""
        world = self.world
        for line in world.loop.unexpected:
            world.fail(f"unexpected: {line}")
        self._check_tasks()
        rows = world.rows()
        self._check_record()
        for row in rows:
            self._check_truth(row)
            self._check_waiting(row)
            self._check_card(row)
            self._check_alarm(row)
        self._check_payloads()
        self._check_limit(rows)
        self._check_strangers(rows)

    def _check_tasks(self) -> None:
        """No task of a process has died of an error that nobody foresaw: the real bot would have ended."""
        for process in self.world.everybody():
            for task in process.fate.tasks:
                error = task.exception() if task.done() and not task.cancelled() else None
                if error is not None and not is_a_crash(error):
                    name = getattr(task.get_coro(), "__qualname__", "")
                    self.world.fail(f"unexpected: {process.fate.name}, {name}: {error!r}")

    def _check_record(self) -> None:
        store = self.world.store
        for difference in differences(store):
            self.world.fail(f"the record: {difference}")
        for event in store.events():
            if event.kind == "gave_up":
                self.world.fail(f"gave up {event.data}")

    def _check_truth(self, row: Request) -> None:
        world = self.world
        people = [approval.person for approval in world.store.approvals(row.id)]
        if row.requester in people or len(set(people)) < len(people):
            world.fail(f"{row.id}: approved by {people}")
        by_word = self._by_word(row)
        if by_word:
            world.count("closed by two people")
        if (by_word and world.crowd.mistaken) or self._is_excused(row):
            return
        deeds = world.ottu.of_key(row.tracking_key)
        if row.state is State.SUCCEEDED and not self.was_done(row):
            world.fail(f"{row.id} is succeeded ({row.detail}), and nothing was done")
        if row.state in NOTHING_MOVED and any(deed.may_move for deed in deeds):
            world.fail(f"{row.id} is {row.state} ({row.detail}), and it was done")

    def _check_waiting(self, row: Request) -> None:
        """Final, or visibly waiting with something that will go on."""
        if not row.is_open:
            self.world.count(f"end: {row.state}")
            return
        self.world.count(f"end, open: {row.state}")
        kinds = {
            State.CHECKING: ("check", "expire"),
            State.PENDING: ("expire",),
            State.APPROVED: ("execute", "lapse"),
            State.EXECUTING: (),
            State.QUEUED: ("queued", "overdue"),
            State.UNKNOWN: ("close",),
        }[row.state]
        armed = {
            job["kind"]
            for job in self.world.store.rows(
                "SELECT kind FROM work_jobs WHERE done_at IS NULL AND json_extract(payload, '$.request') = :id",
                id=row.id,
            )
        }
        if row.state in {State.CHECKING, State.APPROVED, State.UNKNOWN} and not self._may_stay(row):
            self.world.fail(f"{row.id} is {row.state} ({row.detail}) still, though everybody had time for it")
        if row.state is State.UNKNOWN and self.is_for_people(row.id):
            return
        if not kinds or not armed & set(kinds):
            self.world.fail(f"{row.id} is {row.state}, and nothing will go on ({sorted(armed)})")

    def _may_stay(self, row: Request) -> bool:
        """Does it wait for people who do not decide, or cannot know?"""
        return self.world.may_wait(row) or self.world.crowd.truth(row.id) is None

    def _check_card(self, row: Request) -> None:
        if row.digest is None:
            return
        place = self.world.store.rows("SELECT ts FROM work_cards WHERE request_id = :id", id=row.id)
        card = self.world.slack.messages.get(place[0]["ts"] or "") if place else None
        told = (card.told("ottu_request") or {}) if card else {}
        if (told.get("version"), told.get("state"), told.get("digest")) != (row.version, row.state, row.digest):
            self.world.fail(f"the card of {row.id} says {told}, the row is {row.state}, version {row.version}")
        results = [result for result in self._told("ottu_result") if result["request"] == row.id]
        if row.state in {State.SUCCEEDED, State.FAILED} and row.state not in {r["state"] for r in results}:
            self.world.fail(f"the result of {row.id} was told nobody")
        self._check_results(row, results)
        self._check_orphans(row, place[0]["ts"] if place else None)

    def _told(self, event_type: str) -> list[dict[str, Any]]:
        return [told for message in self.world.slack.messages.values() if (told := message.told(event_type))]

    def _check_results(self, row: Request, results: list[dict[str, Any]]) -> None:
        """Each of them tells of an event that was, and none of them twice."""
        events = {event.seq: event for event in self.world.store.events(row.id)}
        for result in results:
            event = events.get(result["seq"])
            if event is None or (event.to_state, event.hash) != (result["state"], result["head"]):
                self.world.fail(f"{row.id} was told to be {result['state']}, which it never was: {result}")
        for seq, times in Counter(result["seq"] for result in results).items():
            if times > 1:
                self._too_many("a result told twice", f"{row.id} was told {times} times to be {events[seq].to_state}")

    def _check_orphans(self, row: Request, place: str | None) -> None:
        """There is one card; a second one would keep its buttons when the request is over."""
        for card in self.world.slack.cards():
            if (card.told("ottu_request") or {})["request"] == row.id and card.ts != place:
                live = " with live buttons" if not row.is_open and DECISIONS & card.buttons.keys() else ""
                self._too_many(f"a second card{live}", f"{row.id} has a second card{live}, {card.ts}")

    def _too_many(self, what: str, why: str) -> None:
        """Nobody can help it where another took the job over meanwhile; what Slack's answer was is no excuse."""
        if any(count.startswith(TAKES_OVER) for count in self.world.counts):
            self.world.count(f"excused: {what}")
        else:
            self.world.fail(why)

    def _check_alarm(self, row: Request) -> None:
        """A genuine webhook that contradicts what two people said raises an alarm."""
        if row.state is not State.FAILED or not self.was_done(row) or row.operation in TARGET_STATES:
            return
        ended_at = self.ended_at.get(row.id, 0.0)
        for deed in self.world.ottu.of_key(row.tracking_key):
            told_at = self.world.postman.accepted.get(deed.reference)
            if deed.moved and told_at is not None and told_at > ended_at + 60:
                self.world.count("contradicted")
                if not self._alarms(deed.reference, row.id):
                    self.world.fail(f"{row.id} is failed, {deed.reference} says that it was done, and no alarm")

    def _alarms(self, *words: str) -> bool:
        return any(
            event.kind == "alarm" and any(word in event.data or word == event.request_id for word in words)
            for event in self.world.store.events()
        )

    def _check_payloads(self) -> None:
        """What was acknowledged was decided."""
        jobs = {job["key"]: job for job in self.world.store.rows("SELECT * FROM work_jobs")}
        for key, what in self.world.crowd.acknowledged.items():
            if key not in jobs or jobs[key]["done_at"] is None:
                self.world.fail(f"lost: {what}")
        now = self.world.store.now()
        for job in jobs.values():
            late = job["done_at"] is None and seconds_between(job["due_at"], now) > 120
            if late or (job["done_at"] is None and job["owner"] is not None):
                self.world.fail(f"the job {job['key']} is not done (due {job['due_at']}, owner {job['owner']})")

    def _judge_limit(self, deed: Deed) -> None:
        """What the ledger says was refunded within any window that ends now; a clock that jumps makes it shorter.

        What people have called failed, wrongly, or what was taken for somebody else's equal operation, does not count.
        """
        world = self.world
        if deed.operation != "refund" or deed.key is None or not deed.moved:
            return
        limit, now = world.policy.limits[0], world.loop.now
        rows = {row.tracking_key: row for row in world.rows() if row.tracking_key}
        began_at = now - limit.within_seconds + world.jumped_seconds
        refunds = [
            one
            for one in world.ottu.deeds
            if one.operation == "refund" and one.moved and one.ended_at > began_at and one.key in rows
        ]
        counted = [one for one in refunds if rows[str(one.key)].state is not State.FAILED]
        if len(counted) > 1:
            world.count("limit judged")
        total_minor = sum(one.minor for one in counted)
        if total_minor > limit.total_minor:
            world.fail(f"the limit was passed: {total_minor} within {limit.within_seconds:.0f} s")

    def _check_limit(self, rows: list[Request]) -> None:
        """What the rows of the last window say."""
        limit, now = self.world.policy.limits[0], self.world.store.now()
        refunds = [row for row in rows if row.operation is Operation.REFUND and row.currency == CURRENCY]
        within = limit.within_seconds - self.world.jumped_seconds
        last = {row.id for row in refunds if seconds_between(row.state_at, now) < within}
        used = [r for r in refunds if r.is_open or (r.state is State.SUCCEEDED and r.id in last)]
        if sum(row.amount_minor or 0 for row in used) > limit.total_minor:
            self.world.fail(f"the limit was passed by {[row.id for row in used]}")

    def _check_strangers(self, rows: list[Request]) -> None:
        """What nobody asked the bot for raised an alarm, where Ottu told of it, and it is no equal of ours."""
        for deed in self.other_deeds:
            told = self.world.postman.accepted.get(deed.reference)
            ours = [row for row in rows if row.attempt and row.session_id == deed.payment.session_id]
            equals = {(row.operation.value, row.amount_minor) for row in ours}
            if told is None or (deed.operation, deed.minor) in equals:
                continue
            self.world.count("stranger told")
            if not self._alarms(deed.reference):
                self.world.fail(f"{deed.reference}, which nobody asked for, raised no alarm")
