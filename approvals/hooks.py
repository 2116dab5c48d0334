"""Operation webhooks: what a signed one proves, and what to do about an operation that nobody asked this bot for.

Ottu signs order number, reference number, amount, currency, result and state; it does *not* sign session id, operation,
success and txn. So a webhook is proof only by what is signed, and only where all else that it says agrees.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal

from approvals import money
from approvals.alarms import raise_alarm
from approvals.following import BOT, follow
from approvals.policy_in_force import InForce
from approvals.request import AMOUNT_OPERATIONS, Ending, Operation, Request, State
from approvals.sentences import alarms, executing
from approvals.store import Store
from approvals.work import Work

PAYMENT_STATES = frozenset(
    {"created", "pending", "attempted", "cod", "authorized", "paid", "failed", "expired", "canceled", "invalided"}
)
CHILD_STATES: dict[Operation, frozenset[str]] = {
    Operation.REFUND: frozenset({"refunded", "refund_queued", "refund_rejected"}),
    Operation.CAPTURE: frozenset({"paid"}),
    Operation.VOID: frozenset({"voided"}),
}
AFTER_HOOK: dict[Ending, State] = {
    Ending.SUCCEEDED: State.SUCCEEDED,
    Ending.QUEUED: State.QUEUED,
    Ending.FAILED: State.FAILED,
}
UNSENT = frozenset({State.CHECKING, State.PENDING, State.APPROVED})
WEBHOOK = "webhook"  # how a reference became known


@dataclass(frozen=True)
class Hook:
    """An operation webhook whose signature holds, without anything personal. `signed`: the names that were signed."""

    signed: tuple[str, ...]
    ending: Ending  # SUCCEEDED, QUEUED or FAILED by all its fields together; else UNKNOWN
    order_no: str | None
    session_id: str | None
    operation: str | None
    amount: str | None  # a decimal, as text
    currency: str | None
    result: str | None
    state: str | None
    child_state: str | None
    reference_number: str | None
    source: str | None

    def as_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Hook:
        facts = json.loads(text)
        return cls(**facts | {"signed": tuple(facts["signed"]), "ending": Ending(facts["ending"])})

    @property
    def signed_digest(self) -> str:
        """What its signed fields say, as one word."""
        said = [self.order_no, self.reference_number, self.amount, self.currency, self.result, self.state, self.signed]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]

    @property
    def shown(self) -> dict[str, object]:
        """What an alarm says of it."""
        names = ("operation", "amount", "currency", "order_no", "session_id", "result", "reference_number", "source")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class Hooks:
    """What webhooks do to the record."""

    def __init__(self, store: Store, work: Work, in_force: InForce) -> None:
        self.store = store
        self.work = work
        self.in_force = in_force

    def receive(self, hook: Hook) -> None:
        """One webhook, new or repeated: a proof moves its request; what nobody asked for raises an alarm."""
        with self.store.transaction():
            known = self.work.reference(hook.reference_number) if hook.reference_number else None
            owner = self.store.get(known.request_id) if known and known.request_id else None
            if owner is not None:
                self._of_known(owner, hook)
                return
            ours = [request for request in self._candidates(hook) if agrees(request, hook)]
            if known is not None and known.source == WEBHOOK:
                self._look_at(ours, hook)  # it was told before, of somebody else's operation
                return
            meant = [request for request in ours if self._may_mean(request, hook)]
            for request in ours:
                others = [other for other in meant if other.id != request.id]
                if self._of_ours(request, hook, is_new=known is None, others=others):
                    if request.state is not State.EXECUTING:  # else it is kept, and judged again
                        self._doubt(hook, others)
                    return
            self._nobody_asked(hook, ours)

    def receive_kept(self, request_id: str) -> None:
        """Those that came while the request was executing, read again now that it is not."""
        with self.store.transaction():
            for number, text in self.work.kept_hooks(request_id):
                self.work.drop_hook(number)
                self.receive(Hook.from_json(text))

    def _candidates(self, hook: Hook) -> list[Request]:
        """Requests of this transaction that were sent, or perhaps before a copy was put back; the newest first."""
        return self.store.select(
            "(attempt > 0 OR restored = 1) AND ((session_id IS NOT NULL AND session_id = :session) OR"
            " (order_no IS NOT NULL AND order_no = :order_no)) ORDER BY created_at DESC LIMIT 50",
            session=hook.session_id,
            order_no=hook.order_no,
        )

    def _of_known(self, request: Request, hook: Hook) -> None:
        """A reference that is the request's own: the bank's decision on a refund, a repetition, or a contradiction."""
        to = AFTER_HOOK.get(hook.ending)
        if to is None or to is request.state or not is_proof(request, hook):
            return
        doubted = request.state in {State.QUEUED, State.UNKNOWN}
        if doubted and to is State.SUCCEEDED and hook.child_state is None and self._has_been(request, State.QUEUED):
            self._look_at([request], hook)  # whether the bank has decided stands in a field that is not signed
            return
        if request.restored and to is State.QUEUED:
            return
        if doubted:
            self._moved(request, to, hook)
        elif request.state is not State.EXECUTING and not (to is State.QUEUED and request.state is State.SUCCEEDED):
            why = alarms.webhook_contradicts(ending=hook.ending, request_id=request.id, state=request.state)
            self._alarm_once(f"contradicted:{request.id}:{hook.signed_digest}", why, hook, request)

    def _of_ours(self, request: Request, hook: Hook, *, is_new: bool, others: list[Request]) -> bool:
        """One that agrees with a request of ours. False where it cannot be that request's.

        `is_new`: its reference was not known before, from a reading or a payment; else it proves nothing. `others`:
        the requests of ours that can be meant as well.
        """
        if request.state is State.EXECUTING:
            self.work.keep_hook(request.id, hook.session_id, hook.order_no, hook.as_json())
            return True
        if request.state in {State.UNKNOWN, State.QUEUED} and not self._is_named(request):
            if is_new and not others and is_proof(request, hook) and _decides(request, hook):
                self.work.note_reference(hook.reference_number or "", request.id, WEBHOOK)
                if AFTER_HOOK[hook.ending] is not request.state:  # that it is queued is known: now by which reference
                    self._moved(request, AFTER_HOOK[hook.ending], hook)
            else:
                self._look_at([request], hook)
            return True
        return is_new and self._of_ended(request, hook, others)

    def _of_ended(self, request: Request, hook: Hook, others: list[Request]) -> bool:
        """The first word on one that has ended without a reference number, where the word is not another one.

        Where it may be of another one as well, neither is named: each hinders what comes later, as it should. It may be
        of somebody else's operation, too: so it is written down, and what was read before it is no baseline any more.
        """
        if hook.reference_number is None or self._is_named(request):
            return False
        if request.state not in {State.SUCCEEDED, State.FAILED} or _contradicts(request, hook):
            return False
        if not others and is_proof(request, hook):  # of a payment, it would pass for the name of a refund
            self.work.note_reference(hook.reference_number, request.id, WEBHOOK)
        elif not self._has_room([request, *others], hook.reference_number):
            return False
        if self._is_news(request, hook):
            self.work.keep_hook(None, hook.session_id, hook.order_no, hook.as_json())
        return True

    def _is_news(self, request: Request, hook: Hook) -> bool:
        """Written into the record, unless it has been since the last send: what is signed can be sent again beside any
        other fields."""
        for event in reversed(list(self.store.events(request.id))):
            if event.to_state == State.EXECUTING:
                break
            if event.kind == "webhook_seen" and event.facts.get("signed") == hook.signed_digest:
                return False
        data = {**hook.shown, "signed": hook.signed_digest}
        self.store.record("webhook_seen", BOT, request_id=request.id, data=data)
        return True

    def _has_room(self, equals: list[Request], reference: str) -> bool:
        """May one of these be meant? Not where as many other words have come already as there are requests."""
        first = min(equals, key=lambda request: (request.created_at, request.id))
        name = f"unassigned:{first.id}"
        told: list[str] = (self.work.fact(name) or {"references": []})["references"]
        if reference not in told and len(told) < len(equals):
            told.append(reference)
            self.work.set_fact(name, {"references": told})
        return reference in told

    def _is_named(self, request: Request) -> bool:
        """Is it known under which reference number Ottu did it?"""
        return request.reference_number is not None or self.work.has_reference(request.id)

    def _may_mean(self, request: Request, hook: Hook) -> bool:
        """Can this be the first word that comes on that one, too: an equal request that was sent, and was not named?

        The name is that of one send: of two the other one may still be told as a no. Of one that Ottu refused nothing
        but another no can come.
        """
        sent_twice = request.doubtful_attempt not in (None, request.attempt)
        if self._is_named(request) and not (sent_twice and hook.ending is Ending.FAILED):
            return False
        if request.state is State.FAILED:
            return hook.ending is Ending.FAILED or not self._was_refused(request)
        return request.is_open or request.state is State.SUCCEEDED

    def _was_refused(self, request: Request) -> bool:
        """Has Ottu said no to a request that was never in doubt, nor at the bank?"""
        return not request.restored and not self._has_been(request, State.UNKNOWN, State.QUEUED)

    def _has_been(self, request: Request, *states: State) -> bool:
        return any(event.to_state in states for event in self.store.events(request.id))

    def _look_at(self, requests: list[Request], hook: Hook) -> None:
        """It proves nothing by itself: what it is about is read, as soon as that may be."""
        for request in requests:
            if request.state in {State.UNKNOWN, State.QUEUED}:
                is_news = self._is_news(request, hook)
                kind = "close" if request.state is State.UNKNOWN else "queued"
                self.work.arm(f"{kind}:{request.id}", kind, {"request": request.id})
            if request.state is State.UNKNOWN and is_news:  # what was read before offers nothing any more
                self.work.card_outdated(request.id)
                self.work.show_card(request.id)

    def _moved(self, request: Request, to: State, hook: Hook) -> None:
        moved = self.store.move(
            request,
            to,
            actor=BOT,
            kind=to.value,
            note={"by": "webhook", **hook.shown},
            changes={
                "reference_number": request.reference_number or hook.reference_number,
                "answered_minor": minor(request, hook),
                "detail": executing.BANK_REJECTED if to is State.FAILED else None,
            },
        )
        follow(self.work, self.store, moved, self.in_force.now.timing)

    def _doubt(self, hook: Hook, others: list[Request]) -> None:
        """It fits one of ours; as well it would fit another, which people called failed: they are told, once."""
        denied = next((one for one in others if one.state is State.FAILED and _contradicts(one, hook)), None)
        if denied is None or hook.reference_number is None:
            return
        why = alarms.webhook_may_contradict(ending=hook.ending, request_id=denied.id, state=denied.state)
        self._alarm_once(f"doubted:{hook.reference_number}", why, hook, denied)

    def _nobody_asked(self, hook: Hook, ours: list[Request]) -> None:
        """An operation of somebody else: the dashboard's, the gateway's, or a stolen key's. `ours`: those like it."""
        name = hook.reference_number or f"without reference: {hook.signed_digest}"
        if hook.reference_number is None and self.work.reference(name) is not None:
            return  # told already; what differs is not signed
        self.work.note_reference(name, None, WEBHOOK)
        self.work.keep_hook(None, hook.session_id, hook.order_no, hook.as_json())
        denied = next((request for request in ours if _contradicts(request, hook)), None)
        why = alarms.NOBODY_ASKED
        if denied:
            why = alarms.webhook_may_contradict(ending=hook.ending, request_id=denied.id, state=denied.state)
        self._alarm(why, hook, denied)
        for request in self._unsent(hook):
            moved = self.store.move(
                request,
                State.WITHDRAWN,
                actor=BOT,
                note={"by": "webhook"},
                changes={"detail": executing.OTHERS_ACTED},
            )
            follow(self.work, self.store, moved, self.in_force.now.timing)

    def _unsent(self, hook: Hook) -> list[Request]:
        states = ", ".join(f"'{state.value}'" for state in sorted(UNSENT))
        found = self.store.select(
            f"state IN ({states}) AND ((:session IS NOT NULL AND (session_id = :session OR reference = :session))"
            " OR (:order_no IS NOT NULL AND (order_no = :order_no OR reference = :order_no)))",
            session=hook.session_id,
            order_no=hook.order_no,
        )
        # The session id is not signed: a signed order number that is another one speaks of another transaction.
        return [request for request in found if hook.order_no is None or request.order_no in (None, hook.order_no)]

    def _alarm_once(self, name: str, why: str, hook: Hook, request: Request) -> None:
        """Not again for what was told by that name."""
        if self.work.fact(name) is None:
            self.work.set_fact(name, {"request": request.id})
            self._alarm(why, hook, request)

    def _alarm(self, why: str, hook: Hook, request: Request | None) -> None:
        facts: Mapping[str, object] = hook.shown
        raise_alarm(self.store, self.work, why, facts, request.id if request else None)


def minor(request: Request, hook: Hook) -> int | None:
    """The webhook's amount in minor units of the request's currency; None where it has none, or not exactly."""
    return None if hook.amount is None else money.minor_or_none(Decimal(hook.amount), request.currency)


def _contradicts(request: Request, hook: Hook) -> bool:
    """Does the webhook say of one that has ended the opposite of how it ended?"""
    said = AFTER_HOOK.get(hook.ending)
    if request.state is State.FAILED:
        return said in {State.SUCCEEDED, State.QUEUED}
    return request.state is State.SUCCEEDED and said is State.FAILED


def _decides(request: Request, hook: Hook) -> bool:
    """Not the no to one of two sends; nor anything of what was put back from a copy: it may be about a later request,
    of which the copy knows nothing. There people decide."""
    return not request.restored and (hook.ending is not Ending.FAILED or request.attempt <= 1)


def agrees(request: Request, hook: Hook) -> bool:
    """Does all that the webhook says fit what was approved?"""
    said = (
        (hook.operation, request.operation.value),
        (hook.session_id, request.session_id),
        (hook.order_no, request.order_no),
        (hook.currency, request.currency),
    )
    if any(theirs is not None and ours is not None and theirs != ours for theirs, ours in said):
        return False
    if hook.child_state is not None and hook.child_state not in CHILD_STATES.get(request.operation, ()):
        return False
    return hook.amount is None or minor(request, hook) == request.amount_minor


def is_proof(request: Request, hook: Hook) -> bool:
    """Is it proof for this request, by its signed fields, given that its reference is new or the request's own?"""
    if not {"order_no", "reference_number", "result"} <= set(hook.signed) or hook.ending not in AFTER_HOOK:
        return False
    if hook.order_no != request.order_no or not agrees(request, hook):
        return False
    if request.operation in AMOUNT_OPERATIONS and "amount" not in hook.signed:
        return False
    if hook.operation is None and hook.child_state is None:
        return False  # nothing says which operation it was
    is_payment = "state" in hook.signed and hook.state in PAYMENT_STATES
    return not is_payment or (request.operation is Operation.CAPTURE and hook.state == "paid")
