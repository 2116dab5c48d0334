"""Closing an unknown: read first, act second, people last.

By what was read after the settle window: a new child of the transaction, its state; then, where nothing is new and the
operation is self-limiting, by one more send with the same key; else by two people.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from approvals.alarms import raise_alarm
from approvals.audit import Event
from approvals.children import KINDS, new_children, same_sums, state_of
from approvals.following import BOT, follow
from approvals.policy import Members, Policy, groups_of
from approvals.reading import Reading, children_text
from approvals.request import Operation, Refusal, Request, State
from approvals.sentences import alarms, executing
from approvals.sentences import closing as sentences
from approvals.service import Service
from approvals.store import Store, is_within, later, seconds_between
from approvals.work import Work

FRESH_SECONDS_MINIMUM = 60.0
BASELINE_SECONDS = 30 * 60  # what was read before may be at most so much older than the send
TARGET_STATES: dict[Operation, str] = {Operation.CANCEL: "canceled", Operation.EXPIRE: "expired"}


class Found(StrEnum):
    """What a reading says of an unknown outcome."""

    PROOF = "proof"  # the row has moved
    NOTHING_NEW = "nothing_new"  # nothing of its kind has happened since the card was made
    UNCLEAR = "unclear"  # something is there that cannot be told apart; people must look
    UNREADABLE = "unreadable"  # Ottu cannot tell; people must look


@dataclass(frozen=True)
class Proposal:
    """One person's word on an unknown outcome, as its row in `closings`; it stands while the row has that version."""

    id: int
    request_id: str
    version: int
    outcome: str
    evidence: str
    proposed_by: str
    proposed_at: str
    confirmed_by: str | None
    confirmed_at: str | None


class Closing:
    """The ways out of `unknown` and `queued` other than an answer and a webhook."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.store: Store = service.store
        self.work: Work = service.work

    @property
    def policy(self) -> Policy:
        """The policy that counts now."""
        return self.service.policy

    # --- by reading

    def by_children(self, request_id: str, read: Reading) -> Found | None:
        """Compare the children of an inquiry with those read before the send. None where it is not open so any more."""
        with self.store.transaction():
            request = self._undecided(request_id)
            if request is None:
                return None
            if not self._is_of(request, read):
                return self._seen(request, Found.UNCLEAR, read)
            new = new_children(request, read)
            if new is not None and not request.restored and self._baseline_holds(request):
                if not new:
                    found = Found.NOTHING_NEW if same_sums(request, read) else Found.UNCLEAR
                    return self._seen(request, found, read)
                to = state_of(request, new)
                if to is request.state:
                    return Found.UNCLEAR  # a queued one that is still queued
                if to is not None:
                    detail = executing.new_child(state=new[0].state)
                    return self._proven(request, to, detail, child=new[0].session_id)
            return self._seen(request, Found.UNCLEAR, read)

    def by_state(self, request_id: str, read: Reading) -> Found | None:
        """Cancel and expire: the transaction's own state tells."""
        with self.store.transaction():
            request = self._undecided(request_id)
            if request is None:
                return None
            if not self._is_of(request, read):
                return self._seen(request, Found.UNCLEAR, read)
            if read.state == TARGET_STATES.get(request.operation):
                return self._proven(request, State.SUCCEEDED, executing.ottu_says(state=str(read.state)))
            found = Found.NOTHING_NEW if read.state == request.transaction_state else Found.UNCLEAR
            return self._seen(request, found, read)

    def queued_child(self, request: Request) -> str | None:
        """The session id of the queued refund itself, as the answer or the inquiry named it that said so."""
        for event in reversed(list(self.store.events(request.id))):
            if event.to_state == State.QUEUED:
                child = event.facts.get("child")
                return str(child) if child else None
        return None

    def by_queued_child(self, request_id: str, read: Reading) -> Found | None:
        """A queued refund, looked up by its own session id: its state tells, where all that is said agrees."""
        with self.store.transaction():
            request = self.store.get(request_id)
            if request is None or request.state is not State.QUEUED:
                return None
            own = (self.queued_child(request), request.amount_minor, request.currency)
            same = None not in own and (read.session_id, read.amount_minor, read.currency) == own
            to = KINDS[Operation.REFUND].get(read.state or "")
            if not same or to is None or to is State.QUEUED:
                return Found.UNCLEAR
            return self._proven(request, to, executing.queued_one_is(state=str(read.state)))

    def unreadable(self, request_id: str) -> None:
        """Ottu has refused to tell, or cannot be asked about it: the card says that people must look."""
        with self.store.transaction():
            request = self._undecided(request_id)
            if request is not None:
                self._seen(request, Found.UNREADABLE, None)

    def _is_of(self, request: Request, read: Reading) -> bool:
        """Is what was read the request's own transaction, in all that it says of itself? An alarm where it is not."""
        said = (
            (read.session_id, request.session_id),
            (read.order_no, request.order_no),
            (read.currency, request.currency),
            (read.amount_minor, request.transaction_minor),
        )
        if all(theirs is None or ours is None or theirs == ours for theirs, ours in said):
            return True
        why = alarms.another_transaction(request_id=request.id)
        raise_alarm(self.store, self.work, why, {"answered": [theirs for theirs, _ in said]}, request.id)
        return False

    def _undecided(self, request_id: str) -> Request | None:
        request = self.store.get(request_id)
        return request if request and request.state in {State.UNKNOWN, State.QUEUED} else None

    def _baseline_holds(self, request: Request) -> bool:
        """Was the card's reading recent at the send, and has nobody else acted since, as far as webhooks tell?"""
        first = request.doubtful_attempt or request.attempt  # the first that may have reached Ottu
        sent = [e.at for e in self.store.events(request.id) if e.facts.get("set", {}).get("attempt") == first]
        read_at = request.figures_at
        if not sent or read_at is None or not is_within(BASELINE_SECONDS, read_at, sent[0]):
            return False
        return not self.work.others_acted(request.session_id, request.order_no, read_at)

    def _proven(self, request: Request, to: State, detail: str, *, child: str | None = None) -> Found:
        changes: dict[str, object] = {"detail": detail}
        named = {"child": child} if child and to is State.QUEUED else {}
        if to is not State.FAILED:
            changes["answered_minor"] = request.amount_minor
        self._moved(self.store.move(request, to, actor=BOT, note={"by": "reading", **named}, changes=changes))
        return Found.PROOF

    def _seen(self, request: Request, found: Found, read: Reading | None) -> Found:
        """What was found is part of the record, and of the card; written once for each sight."""
        state, children = (read.state, children_text(read)) if read else (None, None)
        data = {"found": found.value, "state": state, "children": children, "attempt": request.attempt}
        if request.state is State.UNKNOWN:
            last = self.last_reading(request)
            if last is None or {**last, "at": None} != {**data, "at": None} or not self._is_fresh(last):
                moved = self.store.move(request, request.state, actor=BOT, kind="reading", note=data)
                self.work.show_card(moved.id)
        return found

    def last_reading(self, request: Request) -> dict[str, object] | None:
        """The last reading of an unknown outcome, since its last send and since the last word of a webhook."""
        for event in reversed(list(self.store.events(request.id))):
            if _overtakes(event):
                return None
            if event.kind == "reading":
                return {key: event.facts.get(key) for key in ("found", "state", "children", "attempt")} | {
                    "at": event.at
                }
        return None

    def is_overtaken(self, request_id: str, head: int) -> bool:
        """Was it sent again, or did a webhook tell of it, since that event of the record?

        A question that was asked before knows nothing of that.
        """
        return any(event.seq > head and _overtakes(event) for event in self.store.events(request_id))

    def _is_fresh(self, reading: dict[str, object]) -> bool:
        """A reading counts for as long as Ottu would not let us make another; one from the future does not."""
        seconds = max(self.policy.timing.inquiry_gap_seconds, FRESH_SECONDS_MINIMUM)
        return is_within(seconds, str(reading["at"]), self.store.now())

    def has_fresh_reading(self, request: Request) -> bool:
        """May a decision rest on what was read last?"""
        last = self.last_reading(request)
        return last is not None and self._is_fresh(last)

    def overdue(self, request_id: str) -> Request | None:
        """The bank has not decided for too long: nobody can tell any more."""
        with self.store.transaction():
            request = self.store.get(request_id)
            if request is None or request.state is not State.QUEUED:
                return None
            days = self.policy.timing.queued_days
            if seconds_between(later(request.state_at, days=days), self.store.now()) < 0:
                return None
            changes = {
                "detail": executing.bank_silent(days=days),
                "doubtful_attempt": request.doubtful_attempt or request.attempt,
            }
            return self._moved(self.store.move(request, State.UNKNOWN, actor=BOT, changes=changes))

    # --- by one more send

    def may_send_again(self, request: Request) -> bool:
        """Once, by itself: nothing new was found, and a second one could not take anything twice."""
        sends = sum(
            event.from_state == State.UNKNOWN and event.to_state == State.EXECUTING
            for event in self.store.events(request.id)
        )
        limits_itself = request.is_self_limiting or request.operation in TARGET_STATES
        return limits_itself and sends == 0 and self._nothing_new(request)

    def _nothing_new(self, request: Request) -> bool:
        last = self.last_reading(request)
        return not request.restored and last is not None and last["found"] == Found.NOTHING_NEW

    def offers_resend(self, request: Request) -> bool:
        """Is the button "Send again with the same key" there? Never for a wallet, which would credit twice."""
        return (
            request.state is State.UNKNOWN
            and request.operation.moves_money
            and request.destination == "pg"
            and self._nothing_new(request)
            and not self.work.others_acted(request.session_id, request.order_no, request.figures_at or "")
        )

    def check_resend(self, request: Request, person: str, members: Members) -> None:
        """Raises Refusal for whom may not press it, or where it is not offered."""
        if request.requester == person:
            raise Refusal(sentences.own_resend(request_id=request.id), kind="own_request")
        rule = self.service.rule_of(request) if request.rule_text is not None else None  # none: not read before
        if rule is not None and not self.policy.may_approve(rule, person, members):
            raise Refusal(sentences.others_decide(rule=rule.name, groups=rule.approve), kind="not_allowed")
        if rule is None or not self.offers_resend(request):
            raise Refusal(sentences.not_sent_again(stands=self.service.standing(request)), kind="no_resend")

    # --- by two people

    def proposal(self, request: Request) -> Proposal | None:
        """The proposal that stands: made for the row as it is now."""
        rows = self.store.rows(
            "SELECT * FROM closings WHERE request_id = :id AND version = :version AND confirmed_by IS NULL"
            " ORDER BY id DESC LIMIT 1",
            id=request.id,
            version=request.version,
        )
        return Proposal(**rows[0]) if rows else None

    def close(
        self, request_id: str, person: str, outcome: str, evidence: str, members: Members, *, may_fail: bool
    ) -> str:
        """One person proposes, another confirms; the sentence for whoever spoke.

        `may_fail`: the window is over, and the process that sent it has recorded the end of that attempt, or is gone.
        """
        with self.store.transaction():
            request = self.service.known(request_id)
            self._check_closable(request, person, outcome, evidence, members, may_fail)
            standing = self.proposal(request)
            if standing is None or standing.outcome != outcome:
                self._propose(request, person, outcome, evidence.strip())
                return sentences.noted(request_id=request_id, outcome=outcome)
            self._check_pair(request, standing, person, members)
            groups = [self._groups_of(request, who, members) for who in (standing.proposed_by, person)]
            self._confirm(request, standing, person, evidence.strip(), groups)
            return sentences.closed(request_id=request_id, outcome=outcome)

    def _check_closable(
        self, request: Request, person: str, outcome: str, evidence: str, members: Members, may_fail: bool
    ) -> None:
        if request.state not in {State.UNKNOWN, State.QUEUED}:
            raise Refusal(sentences.not_open(stands=self.service.standing(request)), kind="moved_on")
        if request.requester == person:
            raise Refusal(sentences.own_request(request_id=request.id), kind="own_request")
        if not self._may_close(request, person, members):
            raise Refusal(sentences.MAY_NOT_CLOSE, kind="not_allowed")
        if not evidence.strip():
            raise Refusal(sentences.NO_EVIDENCE, kind="no_evidence")
        if outcome == State.FAILED and not may_fail:
            raise Refusal(sentences.TOO_EARLY_TO_FAIL, kind="too_early")

    def _may_close(self, request: Request, person: str, members: Members) -> bool:
        if request.rule_text is None:  # restored before it had a rule
            return self.policy.has_power("pause", person, members)
        return self.policy.may_close(self.service.rule_of(request), person, members)

    def _check_pair(self, request: Request, standing: Proposal, person: str, members: Members) -> None:
        if standing.proposed_by == person:
            raise Refusal(sentences.SAID_ALREADY, kind="twice")
        if request.rule_text is None:
            return
        rule = self.service.rule_of(request)
        if not any(self.policy.may_vouch(rule, who, members) for who in (standing.proposed_by, person)):
            raise Refusal(sentences.ONE_MUST_APPROVE, kind="not_allowed")

    def _propose(self, request: Request, person: str, outcome: str, evidence: str) -> None:
        note, now = {"outcome": outcome, "evidence": evidence}, self.store.now()
        moved = self.store.move(request, request.state, actor=person, kind="close_proposed", note=note, at=now)
        self.store.database.execute(
            "INSERT INTO closings (request_id, version, outcome, evidence, proposed_by, proposed_at)"
            " VALUES (:id, :version, :outcome, :evidence, :person, :now)",
            {**note, "id": request.id, "version": moved.version, "person": person, "now": now},
        )
        self.work.show_card(moved.id)

    def _groups_of(self, request: Request, person: str, members: Members) -> list[str]:
        """By which groups of its rule the person speaks; for the record."""
        if request.rule_text is None:
            return []
        rule = self.service.rule_of(request)
        return groups_of(person, tuple(dict.fromkeys(rule.ask + rule.approve)), members)

    def _confirm(
        self, request: Request, standing: Proposal, person: str, evidence: str, groups: list[list[str]]
    ) -> None:
        now = self.store.now()
        self.store.database.execute(
            "UPDATE closings SET confirmed_by = :person, confirmed_at = :now WHERE id = :id",
            {"person": person, "now": now, "id": standing.id},
        )
        by = {"by": [standing.proposed_by, person], "groups": groups}
        note = {**by, "evidence": [standing.evidence, evidence], "confirms": True}
        changes = {"detail": executing.closed_by_two(evidence=standing.evidence)}
        to = State(standing.outcome)
        self._moved(self.store.move(request, to, actor=person, note=note, changes=changes, at=now))

    def _moved(self, request: Request) -> Request:
        follow(self.work, self.store, request, self.policy.timing)
        return request


def _overtakes(event: Event) -> bool:
    """Does what was read before it say nothing any more? Another send, or the word of a webhook."""
    return event.to_state == State.EXECUTING or event.kind == "webhook_seen"
