"""What follows from a move, put down in the move's own transaction: the card, a notice, the execution, timers."""

from __future__ import annotations

from approvals.policy import Timing
from approvals.request import Request, State
from approvals.store import Store, later, seconds_between
from approvals.work import Work

BOT = "bot"  # the actor of what no person did
NOTICED = frozenset(
    {
        State.REFUSED,
        State.REJECTED,
        State.EXPIRED,
        State.LAPSED,
        State.SUCCEEDED,
        State.FAILED,
        State.QUEUED,
        State.UNKNOWN,
    }
)


def is_over(request: Request, now: str, lapse_after_seconds: float) -> bool:
    """Is the time over in which an approved request may start? It counts from the quorum and is never reset."""
    return seconds_between(later(request.quorum_at or request.state_at, seconds=lapse_after_seconds), now) >= 0


def follow(work: Work, store: Store, request: Request, timing: Timing) -> None:
    """Put down what a move asks for: the card, a notice, the execution, a timer. In the move's transaction."""
    if request.digest is not None:
        work.show_card(request.id)
    if request.state in NOTICED or (request.state is State.WITHDRAWN and request.detail):  # not by who asked
        seq, _ = store.head()
        work.add(f"notice:{request.id}:{request.version}", "notice", {"request": request.id, "seq": seq})
    if request.state is State.APPROVED and request.attempt == 0:
        work.arm(f"execute:{request.id}", "execute", {"request": request.id})
        over_at = later(request.quorum_at or request.state_at, seconds=timing.lapse_after_seconds)
        work.arm(f"lapse:{request.id}", "lapse", {"request": request.id}, due_at=over_at)
    if request.state is State.UNKNOWN and not request.restored:
        over_at = later(request.state_at, seconds=timing.settle_seconds)
        work.arm(f"close:{request.id}", "close", {"request": request.id}, due_at=over_at)
    if request.state is State.QUEUED:
        first = later(request.state_at, seconds=timing.inquiry_gap_seconds)
        over_at = later(request.state_at, days=timing.queued_days)
        work.arm(f"queued:{request.id}", "queued", {"request": request.id}, due_at=first)
        work.arm(f"overdue:{request.id}", "overdue", {"request": request.id}, due_at=over_at)
