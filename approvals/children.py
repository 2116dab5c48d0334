"""The children of a transaction before and after a send: which one is new? Pure.

Matched by child session id, else by count; all states of a refund are one kind, because the bank moves it between them.
"""

from __future__ import annotations

from collections import Counter

from approvals.reading import Child, Reading, figures
from approvals.request import Operation, Request, State

KINDS: dict[Operation, dict[str, State]] = {
    Operation.REFUND: {
        "refunded": State.SUCCEEDED,
        "refund_queued": State.QUEUED,
        "refund_rejected": State.FAILED,
    },
    Operation.CAPTURE: {"paid": State.SUCCEEDED},
    Operation.VOID: {"voided": State.SUCCEEDED},
}


def parse_children(text: str) -> list[Child]:
    """The children as they were kept with the card."""
    found = []
    for word in text.split():
        state, amount, session = word.split(":")
        found.append(Child(session or None, state, int(amount)))
    return found


def new_children(request: Request, read: Reading) -> list[Child] | None:
    """What is there now of the operation's kind and was not before: by child session id, else by count.

    None where it cannot be told, or where anything of another kind has changed too.
    """
    if read.children is None or request.children is None:
        return None
    before, now = parse_children(request.children), list(read.children)
    names = [[child.session_id for child in children] for children in (before, now)]
    if not all(names[0] + names[1]) or any(len(set(one)) != len(one) for one in names):
        return _by_count(request, before, now)
    known = {child.session_id for child in before}
    still = {(child.session_id, *_kind(child)) for child in now}
    if any((child.session_id, *_kind(child)) not in still for child in before):  # gone, or of another kind or amount
        return None
    new = [child for child in now if child.session_id not in known]
    return None if any(child.state not in KINDS[request.operation] for child in new) else new


def _kind(child: Child) -> tuple[str, int]:
    """What is matched: all states of a refund are one kind, because the bank moves it from one to the next."""
    return ("refund" if child.state in KINDS[Operation.REFUND] else child.state, child.amount_minor)


def _by_count(request: Request, before: list[Child], now: list[Child]) -> list[Child] | None:
    """Without session ids: what there is more of, by kind and amount; all states of a refund are one kind."""

    more = Counter(map(_kind, now)) - Counter(map(_kind, before))
    if Counter(map(_kind, before)) - Counter(map(_kind, now)):
        return None
    new: list[Child] = []
    for wanted, count in more.items():
        same = [child for child in now if _kind(child) == wanted]
        if len(same) != count and len({child.state for child in same}) > 1:
            return None  # an older one of the same amount has another state: which is the new one?
        new += same[-count:]
    return None if any(child.state not in KINDS[request.operation] for child in new) else new


def same_sums(request: Request, read: Reading) -> bool:
    """Are the sums what they were on the card? Where no child is new but a sum is, something was overlooked."""
    now = figures(request.operation, read)
    return (now.taken_minor, now.refunded_minor, now.queued_minor) == (
        request.taken_minor,
        request.refunded_minor,
        request.queued_minor,
    )


def state_of(request: Request, new: list[Child]) -> State | None:
    """Exactly one new child, of the same amount: its state decides."""
    if len(new) != 1 or new[0].amount_minor != request.amount_minor:
        return None
    return KINDS[request.operation][new[0].state]
