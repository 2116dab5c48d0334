"""The use cases of execution: claim, settle, give up. Intent before action; no answer is not "no".

A claim commits the intent (state `executing`, the Tracking-Key, the attempt's number) before anything is sent. Settling
names its attempt and follows the two tables in `request.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from approvals.alarms import raise_alarm
from approvals.following import BOT, follow, is_over
from approvals.hooks import Hooks
from approvals.policy import Policy
from approvals.policy_in_force import InForce
from approvals.request import AFTER_ANOTHER, AFTER_FIRST, OPEN, Ending, Outcome, Refusal, Request, State
from approvals.sentences import alarms, executing
from approvals.store import Store, later
from approvals.work import Work

MOST_MISSES = 5  # proven not sent so often: failed
LONGEST_BACKOFF_SECONDS = 60.0
PAUSED = "paused"  # the fact that somebody stopped executions
CREDENTIALS = "credentials_refused"  # the fact that stops executions until a harmless call is accepted again


class Execution:
    """Claims and settlements on one store. Randomness (`new_key`) is an argument; time is the database's."""

    def __init__(self, store: Store, work: Work, in_force: InForce, new_key: Callable[[], str]) -> None:
        self.store = store
        self.work = work
        self.in_force = in_force
        self.new_key = new_key
        self.hooks = Hooks(store, work, in_force)

    @property
    def policy(self) -> Policy:
        """The policy that counts now."""
        return self.in_force.now

    def stopped(self) -> str | None:
        """Why nothing is executed now; None where it is."""
        paused = self.work.fact(PAUSED)
        if paused:
            return executing.PAUSED_BY_BOT if paused["by"] == BOT else executing.paused_by(person=paused["by"])
        return executing.CREDENTIALS_REFUSED if self.work.fact(CREDENTIALS) else None

    def is_paused(self) -> bool:
        """Has somebody stopped executions?"""
        return self.work.fact(PAUSED) is not None

    def why_restored(self) -> str | None:
        """Why the bot takes this database for one that was put back from a copy, while it is paused for that."""
        return (self.work.fact(PAUSED) or {}).get("restored")

    def pause(self, person: str, reason: str) -> None:
        """Stop executions of all processes of this database; reads and decisions go on."""
        with self.store.transaction():
            if self.work.fact(PAUSED):
                raise Refusal(executing.PAUSED_ALREADY, kind="paused")
            self.work.set_fact(PAUSED, {"by": person, "reason": reason, "since": self.store.now()})
            self.store.record("paused", person, data={"reason": reason})

    def resume(self, person: str) -> None:
        """Start executions again."""
        with self.store.transaction():
            if not self.work.fact(PAUSED):
                raise Refusal(executing.NOT_PAUSED, kind="not_paused")
            self.work.set_fact(PAUSED, None)
            self.store.record("resumed", person)

    def mark_restored(self, why: str) -> int:
        """This database was put back from a copy: pause, and every open request becomes unknown, never sent again.

        Returns how many there were. What the copy takes for unsent may have been sent long ago.
        """
        with self.store.transaction():
            requests = self.store.in_states(*OPEN)
            for request in requests:
                moved = self.store.move(
                    request,
                    State.UNKNOWN,
                    actor=BOT,
                    kind="restored",
                    changes={"restored": 1, "detail": executing.PUT_BACK},
                )
                self._followed(moved)
            paused = self.work.fact(PAUSED) or {"by": BOT, "reason": why, "since": self.store.now()}
            self.work.set_fact(PAUSED, {**paused, "restored": why})
            raise_alarm(self.store, self.work, alarms.put_back(why=why), {"open_requests": len(requests)})
            return len(requests)

    def accept_credentials(self) -> None:
        """Ottu has taken the credentials again."""
        with self.store.transaction():
            if self.work.fact(CREDENTIALS):
                self.work.set_fact(CREDENTIALS, None)
                self.store.record("credentials_accepted", BOT)

    def claim(self, request_id: str) -> Request | None:
        """Commit the intent to send it now; None where it is not to be sent (not approved, or no longer in time).

        Once this has returned a request, its attempt must be settled.
        """
        with self.store.transaction():
            request = self.store.get(request_id)
            if request is None or request.state is not State.APPROVED or self.stopped():
                return None
            if is_over(request, self.store.now(), self.policy.timing.lapse_after_seconds):
                return None
            claimed = self.store.move(
                request,
                State.EXECUTING,
                actor=BOT,
                changes={
                    "tracking_key": request.tracking_key or self.new_key(),
                    "attempt": request.attempt + 1,
                },
            )
            self.work.attempt_begins(claimed.id, claimed.attempt)
            return self._followed(claimed)

    def claim_again(self, request_id: str, version: int, actor: str) -> Request | None:
        """Commit the intent to send an unknown one again, with the same key: by the rules of `closing`, decided before.

        None where it has moved since (`version`), was restored from a copy, or nothing is executed now.
        """
        with self.store.transaction():
            request = self.store.get(request_id)
            if request is None or request.state is not State.UNKNOWN or request.version != version:
                return None
            if request.restored or self.stopped():
                return None
            claimed = self.store.move(request, State.EXECUTING, actor=actor, changes={"attempt": request.attempt + 1})
            self.work.attempt_begins(claimed.id, claimed.attempt)
            return self._followed(claimed)

    def settle(self, request_id: str, attempt: int, outcome: Outcome) -> Request:
        """Write down how an attempt ended, and move the request as far as that is proof. Returns the row
        as it is then."""
        with self.store.transaction():
            request = self.store.get(request_id)
            if request is None:
                raise LookupError(request_id)
            self.work.attempt_ends(request_id, attempt)
            if outcome.ending is Ending.UNAUTHORIZED:
                self._refuse_credentials(request_id)
            to = self._after(request, attempt, outcome)
            if to is None:
                self._evidence(request, attempt, outcome)
                return request
            settled = self._followed(self._settled(request, to, outcome))
            if to is State.APPROVED:  # also where whoever tried has lost its job to another process meanwhile
                again_at = later(settled.state_at, seconds=backoff_seconds(request.misses, outcome))
                self.work.ensure(f"execute:{request.id}", "execute", {"request": request.id}, due_at=again_at)
            if settled.reference_number:
                self.work.note_reference(settled.reference_number, request_id, "answer")
            if outcome.ending is Ending.DISAGREES:
                why = alarms.answer_disagrees(request_id=request_id)
                raise_alarm(self.store, self.work, why, _shown(outcome), request_id)
            self.hooks.receive_kept(request_id)
            return self.store.get(request_id) or settled

    def _refuse_credentials(self, request_id: str) -> None:
        """Nothing more is executed until a harmless call is accepted; people are told once."""
        if self.work.fact(CREDENTIALS) is None:
            self.work.set_fact(CREDENTIALS, {"since": self.store.now()})
            raise_alarm(self.store, self.work, alarms.CREDENTIALS_REFUSED, {}, request_id)
        self.work.arm("probe", "probe", {})

    def _after(self, request: Request, attempt: int, outcome: Outcome) -> State | None:
        """The state that follows; None where the row does not move by this answer."""
        if request.state not in {State.EXECUTING, State.UNKNOWN}:
            return None
        to = (AFTER_FIRST if _is_alone(request, attempt) else AFTER_ANOTHER)[outcome.ending]
        if to is request.state or (request.state is State.UNKNOWN and to is State.APPROVED):
            return None
        if request.restored and to is State.QUEUED:
            return None  # people are asked about it already; that it is queued is written down for them
        if request.attempt != attempt and to is State.UNKNOWN:
            return None  # the attempt under way decides
        if to is State.APPROVED and outcome.ending is Ending.NOT_SENT and request.misses + 1 >= MOST_MISSES:
            return State.FAILED
        return to

    def _settled(self, request: Request, to: State, outcome: Outcome) -> Request:
        changes: dict[str, object] = {"detail": outcome.detail or None}
        if to is State.UNKNOWN:  # the first that may have reached Ottu: whatever a later one proves is read beside it
            changes["doubtful_attempt"] = request.doubtful_attempt or request.attempt
        if to in {State.SUCCEEDED, State.QUEUED}:
            changes["answered_minor"] = outcome.answered_minor
            changes["reference_number"] = outcome.reference_number
        if outcome.ending is Ending.NOT_SENT:
            changes["misses"] = request.misses + 1
            if to is State.FAILED:
                changes["detail"] = executing.never_reached(times=MOST_MISSES, why=outcome.detail)
        note: dict[str, object] = {"ending": outcome.ending.value, "attempt": request.attempt}
        if to is State.QUEUED and outcome.child_session_id:
            note["child"] = outcome.child_session_id
        if to is State.APPROVED:
            note["again_in_seconds"] = round(backoff_seconds(request.misses, outcome), 3)
        return self.store.move(request, to, actor=BOT, note=note, changes=changes)

    def _evidence(self, request: Request, attempt: int, outcome: Outcome) -> None:
        """An answer that moves nothing is written down; one that contradicts a final state raises an alarm."""
        says = AFTER_FIRST[outcome.ending]
        if request.state is State.SUCCEEDED:
            contradicts = says is State.FAILED and _is_alone(request, attempt)
        else:
            contradicts = not request.is_open and says in {State.SUCCEEDED, State.QUEUED}
        if contradicts:
            was_done = says is not State.FAILED
            why = alarms.late_answer(request_id=request.id, was_done=was_done, state=request.state)
            raise_alarm(self.store, self.work, why, _shown(outcome), request.id)
        self.store.record(
            "late_answer",
            BOT,
            request_id=request.id,
            data={"attempt": attempt, **_shown(outcome)},
        )

    def give_up(self, request_id: str, attempt: int, why: str, *, ended: bool = True) -> Request | None:
        """An attempt whose process is gone, or does not come back: nobody can tell what became of it.

        `ended`: it cannot go on. Where it can, it stays under way until its process records the end or is gone.
        """
        with self.store.transaction():
            request = self.store.get(request_id)
            if ended:
                self.work.attempt_ends(request_id, attempt)
            if request is None or request.state is not State.EXECUTING or request.attempt != attempt:
                return None
            given_up = self._followed(self._settled(request, State.UNKNOWN, Outcome(Ending.UNKNOWN, why)))
            self.hooks.receive_kept(request_id)
            return given_up

    def _followed(self, request: Request) -> Request:
        follow(self.work, self.store, request, self.policy.timing)
        return request


def _is_alone(request: Request, attempt: int) -> bool:
    """Can no other attempt of the request have reached Ottu?"""
    return request.attempt == attempt and request.doubtful_attempt in (None, attempt)


def _shown(outcome: Outcome) -> dict[str, object]:
    return {
        "ending": outcome.ending.value,
        "detail": outcome.detail,
        "answered_minor": outcome.answered_minor,
        "reference_number": outcome.reference_number,
    }


def backoff_seconds(misses: int, outcome: Outcome) -> float:
    """When to try again what was proven not to have been done: after Retry-After, else 2, 4, 8 … seconds."""
    if outcome.retry_after_seconds is not None:
        return outcome.retry_after_seconds
    return float(min(2 ** (misses + 1), LONGEST_BACKOFF_SECONDS))
