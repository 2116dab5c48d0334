"""A record whose times are known: written by the store's own moves, each at the moment that is given."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from approvals.audit import Event
from approvals.following import BOT
from approvals.request import Operation, Request, State
from approvals.store import Store, later

from .factories import ALICE, CEM, a_request, session, terms_of


@dataclass
class Diary:
    """Writes requests of one month, such as `2025-03`. Moments are `03 10:00:00`: a day and a time of it."""

    store: Store
    month: str
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def at(self, moment: str) -> str:
        """The stored time; a whole stored time stays as it is."""
        return moment if "T" in moment else f"{self.month}-{moment.replace(' ', 'T')}.000Z"

    def asked(self, moment: str, amount_minor: int = 5_000, currency: str = "KWD", **changes: Any) -> Request:
        """A request as it begins; `terms` beside the columns that were asked."""
        number = next(self.numbers)
        at = self.at(moment)
        facts = {"id": f"R-{number:04}", "origin": f"diary:{number}", "reference": f"ORD{number}"}
        request = a_request(**facts | {"created_at": at, "state_at": at} | changes)
        self.store.insert(request, request.requester)
        self._terms = {
            "session_id": session(number),
            "order_no": request.reference,
            "amount_minor": amount_minor,
            "currency": currency,
            "decimals": {"KWD": 3, "JPY": 0}.get(currency, 2),
            "is_sandbox": 0,
        }
        if request.operation is Operation.CANCEL:
            self._terms |= dict.fromkeys(("amount_minor", "currency", "decimals"), None) | {"approvals_needed": 0}
        return request

    def pending(self, moment: str, *money: Any, **changes: Any) -> Request:
        """Asked, and read a second later: its card is in the channel."""
        terms = changes.pop("terms", {})
        request = self.asked(moment, *money, **changes)
        return self.moved(
            request,
            State.PENDING,
            later(request.created_at, seconds=1),
            changes=terms_of(request, **self._terms | terms),
        )

    def approved(self, request: Request, moment: str, person: str = CEM) -> Request:
        """The one approval that it needs."""
        at, digest = self.at(moment), request.digest or ""
        with self.store.transaction():
            self.store.add_approval(request, person, digest, at)
            note, quorum = {"digest": digest}, {"quorum_at": at}
            return self.store.move(
                request, State.APPROVED, actor=person, kind="approval", note=note, changes=quorum, at=at
            )

    def sent(self, request: Request, moment: str, actor: str = BOT) -> Request:
        """Under way, for the first time or again."""
        changes = {"tracking_key": f"key-{request.id}", "attempt": request.attempt + 1}
        return self.moved(request, State.EXECUTING, moment, actor, changes=changes)

    def answered(self, request: Request, to: State, moment: str, **changes: Any) -> Request:
        """An answer to what is under way, or to what was."""
        if to is State.SUCCEEDED:
            changes = {"answered_minor": request.amount_minor, "reference_number": f"REF-{request.id}"} | changes
        return self.moved(request, to, moment, changes=changes, note={"ending": to.value, "attempt": request.attempt})

    def moved(
        self,
        request: Request,
        to: State,
        moment: str,
        actor: str = BOT,
        *,
        kind: str | None = None,
        changes: Mapping[str, object] | None = None,
        note: Mapping[str, object] | None = None,
    ) -> Request:
        return self.store.move(request, to, actor=actor, kind=kind, changes=changes, note=note, at=self.at(moment))

    def done(self, asked: str, approved: str, *money: Any, person: str = CEM, **changes: Any) -> Request:
        """The usual course; the money has moved two seconds after the approval."""
        request = self.approved(self.pending(asked, *money, **changes), approved, person)
        return self.answered(self.sent(request, approved), State.SUCCEEDED, later(self.at(approved), seconds=2))

    def unknown(self, asked: str, approved: str, *money: Any, **changes: Any) -> Request:
        """Sent, and not answered within a minute."""
        request = self.sent(self.approved(self.pending(asked, *money, **changes), approved), approved)
        detail = "Ottu did not answer within 60 seconds"
        return self.answered(request, State.UNKNOWN, later(self.at(approved), seconds=60), detail=detail)

    def refused(self, moment: str, why: str, person: str = ALICE, wanted: str = "approve") -> Event:
        """An attempt that was refused."""
        return self.store.record("refused_attempt", person, data={"wanted": wanted, "why": why}, at=self.at(moment))

    def alarm(self, moment: str, why: str, request_id: str | None = None, **facts: object) -> Event:
        return self.store.record("alarm", BOT, request_id=request_id, data={"why": why, **facts}, at=self.at(moment))

    def closed_by_two(
        self, request: Request, to: State, proposed: str, confirmed: str, *said: tuple[str, str]
    ) -> Request:
        """One proposes, another confirms; `said`: who, and on what evidence."""
        (first, evidence), (second, also) = said
        note = {"outcome": to.value, "evidence": evidence}
        with self.store.transaction():
            request = self.moved(request, request.state, proposed, first, kind="close_proposed", note=note)
            self.store.database.execute(
                "INSERT INTO closings (request_id, version, outcome, evidence, proposed_by, proposed_at)"
                " VALUES (:id, :version, :outcome, :evidence, :person, :at)",
                note | {"id": request.id, "version": request.version, "person": first, "at": self.at(proposed)},
            )
        with self.store.transaction():
            self.store.database.execute(
                "UPDATE closings SET confirmed_by = :person, confirmed_at = :at WHERE request_id = :id",
                {"id": request.id, "person": second, "at": self.at(confirmed)},
            )
            word = {"by": [first, second], "evidence": [evidence, also], "confirms": True}
            detail = {"detail": f"closed by two people: {evidence}"}
            return self.moved(request, to, confirmed, second, note=word, changes=detail)
