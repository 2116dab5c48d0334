"""The use cases: submit, check, approve, take back, reject, withdraw, expire, lapse. (Execution: `execution.py`.)

Each is one transaction: it reads the row, decides by `policy` and `reading`, moves the row with its event, and puts
down what follows (card, notice, timer). It raises Refusal, with nothing written, where the answer is no.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from approvals.following import BOT, follow, is_over
from approvals.policy import Members, Policy, Rule, groups_of, people
from approvals.policy_in_force import InForce
from approvals.reading import Reading
from approvals.request import SEEN, Operation, Refusal, Request, State, Submission, as_row, digest
from approvals.sentences import asking, deciding
from approvals.store import Store, later, seconds_between
from approvals.terms import check_free, terms_of
from approvals.work import Work

CLICK_COUNTS_SECONDS = 60.0
RATE_SECONDS = 60.0  # the minute of `commands_per_minute`


class Service:
    """The use cases on one store. Identity (`new_id`) is an argument; time is the database's."""

    def __init__(self, store: Store, work: Work, in_force: InForce, new_id: Callable[[int], str]) -> None:
        self.store = store
        self.work = work
        self.in_force = in_force
        self.new_id = new_id

    @property
    def policy(self) -> Policy:
        """The policy that counts now."""
        return self.in_force.now

    # --- asking

    def submit(self, submission: Submission, members: Members) -> Request:
        """Accept a request and put it on disk in `checking`. The same payload again gives the same request.

        Raises Refusal: blocked, no rule, not allowed to ask, too many, another request is open.
        """
        with self.store.transaction():
            known = self.store.by_origin(submission.origin)
            if known:
                return known
            self.policy.rule_at_ask(submission.operation)
            if not self.policy.may_ask_some(submission.operation, submission.requester, members):
                groups = self._who_may(submission.operation)
                raise Refusal(asking.may_not_ask(operation=submission.operation, groups=groups), kind="not_allowed")
            self._check_rate(submission.requester)
            check_free(self.store.open_by_reference(submission.reference_kind, submission.reference))
            request = self._new(submission)
            self.store.insert(request, submission.requester)
            self.work.arm(f"check:{request.id}", "check", {"request": request.id})
            self.work.arm(f"expire:{request.id}", "expire", {"request": request.id}, due_at=request.expires_at)
            return request

    def _who_may(self, operation: Operation) -> list[str]:
        """The groups that some rule lets ask for it."""
        return sorted({group for rule in self.policy.rules if operation in rule.operations for group in rule.ask})

    def _check_rate(self, requester: str) -> None:
        most = self.policy.timing.commands_per_minute
        first = self.store.nth_newest(requester, most)
        wait_seconds = 0.0 if first is None else RATE_SECONDS - seconds_between(first, self.store.now())
        if wait_seconds > 0:
            raise Refusal(asking.too_many(most=most, seconds=math.ceil(wait_seconds)), kind="too_many")

    def _new(self, submission: Submission) -> Request:
        now = self.store.now()
        empty = dict.fromkeys(Request.__dataclass_fields__)
        return Request(
            **{  # every column is named in the dataclass; those not set here are NULL
                **empty,
                **submission.__dict__,
                "id": self._free_id(),
                "created_at": now,
                "state": State.CHECKING,
                "state_at": now,
                "version": 1,
                "expires_at": later(now, seconds=self.policy.timing.expires_after_seconds),
                "attempt": 0,
                "misses": 0,
                "restored": 0,
            }
        )

    def _free_id(self) -> str:
        for length in (4, 4, 5, 6, 8, 12):
            candidate = self.new_id(length)
            if self.store.get(candidate) is None:
                return candidate
        raise Refusal(asking.NO_NUMBER, kind="no_id")

    # --- checking

    def check(self, request_id: str, read: Reading, members: Members) -> Request | None:
        """Decide, from what was read, whether the request gets its card. None where it is no longer in checking."""
        with self.store.transaction():
            request = self.store.get(request_id)
            if request is None or request.state is not State.CHECKING:
                return None
            try:
                terms, rule = terms_of(self.store, self.policy, request, read, members)
            except Refusal as refusal:
                return self.refuse(request, refusal)
            seen = as_row(request) | terms
            terms["digest"] = digest({name: seen[name] for name in SEEN})
            to = State.PENDING if rule.approvals else State.APPROVED
            moved = self._moved(self.store.move(request, to, actor=BOT, changes=terms | self._quorum(to)))
            if to is State.PENDING:
                self._call_deciders(moved, rule)
            return moved

    def _call_deciders(self, request: Request, rule: Rule) -> None:
        """Tell those who can decide: at once where the rule says so, and again while nobody has."""
        if rule.notify != "none":
            self.work.add(f"call:{request.id}", "remind", {"request": request.id, "how": rule.notify})
        for number, seconds in enumerate(self.policy.timing.remind_after_seconds):
            due_at = later(request.state_at, seconds=seconds)
            payload = {"request": request.id, "how": "remind"}
            self.work.add(f"remind:{request.id}:{number}", "remind", payload, due_at=due_at)

    def deciders(self, request: Request, members: Members) -> list[str]:
        """Who can still approve it now."""
        given = {approval.person for approval in self.store.approvals(request.id)}
        return sorted(people(self.rule_of(request).approve, members) - given - {request.requester})

    def others_of(self, request: Request) -> list[Request]:
        """The other requests of the same transaction, newest first, at most 200."""
        return self.store.select(
            "id <> :id AND (session_id = :session OR (reference_kind = 'session' AND reference = :session)"
            " OR (reference_kind = 'order' AND reference = :order_no)) ORDER BY created_at DESC, id DESC LIMIT 200",
            id=request.id,
            session=request.session_id or (request.reference if request.reference_kind == "session" else None),
            order_no=request.order_no or (request.reference if request.reference_kind == "order" else None),
        )

    def done_before(self, request: Request) -> Request | None:
        """The last request that did the same to the same transaction: a repetition by mistake?"""
        found = self.store.select(
            "session_id = :session AND operation = :operation AND amount_minor = :amount AND state = 'succeeded'"
            " AND id <> :id AND state_at <= :before ORDER BY state_at DESC LIMIT 1",
            session=request.session_id,
            operation=request.operation.value,
            amount=request.amount_minor,
            id=request.id,
            before=request.created_at,
        )
        return found[0] if found else None

    def refuse(self, request: Request, refusal: Refusal) -> Request:
        """The request cannot be: final, with the sentence for its requester."""
        return self._moved(
            self.store.move(
                request, State.REFUSED, actor=BOT, note={"why": refusal.kind}, changes={"detail": str(refusal)}
            )
        )

    # --- deciding

    def approve(self, request_id: str, person: str, seen_digest: str, members: Members) -> Request:
        """One person's yes to exactly what the card shows. At the quorum the request becomes approved."""
        with self.store.transaction():
            request = self._pending(request_id, "approve")
            rule = self._may_decide(request, person, members, "approve")
            self.check_digest(request, seen_digest)
            given = self.store.approvals(request_id)
            if any(approval.person == person for approval in given):
                missing = (request.approvals_needed or 0) - len(given)
                raise Refusal(deciding.approved_already(request_id=request_id, missing=missing), kind="twice")
            now = self.store.now()
            self.store.add_approval(request, person, seen_digest, now)
            needed = request.approvals_needed or 0
            to = State.APPROVED if len(given) + 1 >= needed else State.PENDING
            note = {"digest": seen_digest, "groups": groups_of(person, rule.approve, members)}
            moved = self.store.move(
                request, to, actor=person, kind="approval", note=note, changes=self._quorum(to), at=now
            )
            return self._moved(moved)

    @staticmethod
    def check_digest(request: Request, seen_digest: str) -> None:
        """Raises Refusal where a button shows something else than the row."""
        if seen_digest != request.digest:
            raise Refusal(deciding.OLD_CARD, kind="stale")

    def unapprove(self, request_id: str, person: str) -> Request:
        """Take one's own yes back, while others are still missing."""
        with self.store.transaction():
            request = self._pending(request_id, "unapprove")
            now = self.store.now()
            if not self.store.take_back_approval(request, person, now):
                raise Refusal(deciding.nothing_to_take_back(request_id=request_id), kind="nothing")
            return self._moved(
                self.store.move(request, State.PENDING, actor=person, kind="approval_taken_back", at=now)
            )

    def reject(self, request_id: str, person: str, reason: str, members: Members) -> Request:
        """An approver's no, with the reason; final."""
        with self.store.transaction():
            request = self._pending(request_id, "reject")
            self._may_decide(request, person, members, "reject")
            if not reason.strip():
                raise Refusal(deciding.say_why(request_id=request_id), kind="no_reason")
            return self._moved(
                self.store.move(request, State.REJECTED, actor=person, changes={"detail": reason.strip()})
            )

    def withdraw(self, request_id: str, person: str) -> Request:
        """The requester takes the request back, as long as nothing was sent."""
        with self.store.transaction():
            request = self.known(request_id)
            if request.requester != person:
                sentence = deciding.only_requester(requester=request.requester, request_id=request_id)
                raise Refusal(sentence, kind="not_yours")
            if request.state not in {State.CHECKING, State.PENDING, State.APPROVED}:
                raise Refusal(deciding.not_withdrawn_now(stands=self.standing(request)), kind="too_late")
            if request.attempt:
                self.work.cancel(f"execute:{request_id}")
            return self._moved(self.store.move(request, State.WITHDRAWN, actor=person))

    def _may_decide(self, request: Request, person: str, members: Members, verb: deciding.Verb) -> Rule:
        """The rule by which the person may. Raises Refusal."""
        if request.requester == person:
            raise Refusal(
                deciding.own_request(request_id=request.id, verb=verb),
                kind="self_approval" if verb == "approve" else "own_request",
            )
        rule = self.rule_of(request)
        if not self.policy.may_approve(rule, person, members):
            raise Refusal(
                deciding.others_decide(request_id=request.id, verb=verb, rule=rule.name, groups=rule.approve),
                kind="not_allowed",
            )
        return rule

    def _pending(self, request_id: str, verb: deciding.Verb) -> Request:
        request = self.known(request_id)
        if request.state is not State.PENDING:
            raise Refusal(deciding.not_now(stands=self.standing(request), verb=verb), kind="moved_on")
        if seconds_between(request.expires_at, self.store.now()) >= 0:  # its timer may be late
            raise Refusal(deciding.expired(request_id=request_id), kind="expired")
        return request

    # --- time

    def expire(self, request_id: str) -> Request | None:
        """Nobody decided in time. None where it is decided, or not yet time."""
        with self.store.transaction():
            request = self.store.get(request_id)
            if request is None or request.state not in {State.CHECKING, State.PENDING}:
                return None
            if seconds_between(request.expires_at, self.store.now()) < 0:
                return None
            return self._moved(self.store.move(request, State.EXPIRED, actor=BOT))

    def lapse(self, request_id: str) -> Request | None:
        """Approved, but not started in time: nothing is sent any more. None where that is not so."""
        with self.store.transaction():
            request = self.store.get(request_id)
            if request is None or request.state is not State.APPROVED:
                return None
            if not is_over(request, self.store.now(), self.policy.timing.lapse_after_seconds):
                return None
            return self._moved(self.store.move(request, State.LAPSED, actor=BOT))

    # --- reading

    def known(self, request_id: str) -> Request:
        """Raises Refusal where there is no such request."""
        request = self.store.get(request_id)
        if request is None:
            raise Refusal(deciding.no_such_request(request_id=request_id), kind="no_request")
        return request

    def rule_of(self, request: Request) -> Rule:
        """The rule in force when the request was checked; the policy may have changed since."""
        return Rule.from_text(request.rule_text or "")

    def standing(self, request: Request) -> str:
        """Where it stands, and who was first: one sentence."""
        last = [event for event in self.store.events(request.id) if event.to_state == request.state.value][-1]
        return deciding.stands(
            request_id=request.id,
            state=request.state,
            actor=last.actor if last.actor != BOT else None,
            approved_by=[approval.person for approval in self.store.approvals(request.id)],
            since=last.at,
        )

    def _quorum(self, to: State) -> dict[str, object]:
        return {"quorum_at": self.store.now()} if to is State.APPROVED else {}

    def _moved(self, request: Request) -> Request:
        follow(self.work, self.store, request, self.policy.timing)
        return request

    def refused_attempt(self, person: str, wanted: str, refusal: Refusal, request_id: str | None = None) -> None:
        """Refused attempts are part of the record."""
        known = request_id if request_id and self.store.get(request_id) else None
        self.store.record(
            "refused_attempt",
            person,
            request_id=known,
            data={"wanted": wanted, "why": refusal.kind, **({} if known or not request_id else {"named": request_id})},
        )
