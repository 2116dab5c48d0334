"""What people are told privately: acknowledgements, lists, details, an inquiry's answer. Slack's mark-up."""

from __future__ import annotations

from collections.abc import Sequence

from approvals.request import Operation

# At once

ONE_MOMENT = "🔎 One moment."
NOT_ACCEPTED = "Not accepted: the bot cannot write to its database just now. Nothing was done; try again in a minute."
CLICK_NOT_ACCEPTED = "Not accepted: the record cannot be written just now. Nothing was done; press again in a minute."
WENT_WRONG = "Something went wrong here. `/ottu pending` shows what is open; the bot's log shows why."


def got_it(*, asked: str, reference: str) -> str:
    return f"🔎 Got it: {asked}. Reading {reference} from Ottu first."


def asked(*, operation: Operation, amount: str | None, currency: str | None, reference: str, to_wallet: bool) -> str:
    """What was understood, as it was typed."""
    words = [operation.value, amount or "", currency or "", "of" if amount else "", reference]
    return " ".join(word for word in words if word) + (" to the wallet" if to_wallet else "")


def asking_ottu(*, reference: str) -> str:
    return f"🔎 Asking Ottu about {reference}."


# Later


def waiting(*, request_id: str, why: str, until: str) -> str:
    return f"⏳ {request_id}: {why}. It waits, and is tried again {until}. To drop it: /ottu withdraw {request_id}"


def withdrawn(*, request_id: str) -> str:
    return f"↩️ {request_id} is withdrawn. Nothing was sent."


def rejected(*, request_id: str) -> str:
    return f"❌ {request_id} is rejected. Nothing was sent."


# Lists

OPEN_REQUESTS = "Open requests"
NOTHING_OPEN = "Nothing is open. ✨"
SENT_AT_ONCE = "Would be sent at once"
NOTHING_SENT_AT_ONCE = "Nothing would be sent at once."


def requests_for(*, reference: str) -> str:
    return f"Requests for {reference}"


def no_request_for(*, reference: str) -> str:
    return f"No request for {reference} so far."


def heading(*, title: str, count: int, page: int, pages: int) -> str:
    return f"*{title}* ({count})" + (f", page {page} of {pages}" if pages > 1 else "")


def older_ones(*, count: int) -> str:
    return f"… and {count} older ones. `/ottu status` shows any of them by its name."


def line(
    *,
    symbol: str,
    name: str,
    what: str,
    transaction: str,
    state: str,
    at: str,
    requester: str,
    approvers: Sequence[str],
) -> str:
    """One request. `state`: its word; people as mentions."""
    approved = f", approved by {', '.join(approvers)}" if approvers else ""
    return f"{symbol} {name} {what} · {transaction} · {state} {at} · {requester}{approved}"


# Pause and resume

PAUSED = "⏸️ Paused: nothing is sent to Ottu until somebody types `/ottu resume`. Decisions go on."


def has_paused(*, person: str, reason: str) -> str:
    why = f": {reason}" if reason else ""
    return f"⏸️ {person} has paused executions{why}. Decisions go on; nothing is sent until `/ottu resume`."


def has_resumed(*, person: str) -> str:
    return f"▶️ {person} has resumed executions: what is approved is sent to Ottu again."


def resume_again(*, would_send: bool) -> str:
    return f"Type `/ottu resume` again within a minute to {'send them' if would_send else 'go on'}."


def resumed(*, count: int) -> str:
    return f"▶️ Resumed. {count} approved request{'s' if count != 1 else ''} may be sent now."


def restored(*, why: str) -> str:
    return (
        f"⚠️ This database was put back from a copy: {why}. What was open in it is unknown, and is never sent "
        "again: look each one up in Ottu, and close it by hand. `/ottu pending` lists them."
    )


# Details

NOBODY = "nobody at present"


def details(*, request_id: str, symbol: str, state: str) -> str:
    return f"*{request_id}* {symbol} {state}"


def what_and_who(*, title: str, person: str, at: str) -> str:
    return f"{title}, asked by {person} {at}"


def reason(*, text: str) -> str:
    return f"Reason: {text}"


def why_so(*, text: str) -> str:
    """What was said when it came to stand so."""
    return f"Said of it: {text}"


def what_it_covers(*, operations: Sequence[Operation], currency: str | None, above: str | None) -> str:
    """`above`: an amount with its currency."""
    every = ", ".join(f"every {operation}" for operation in operations)
    return every + (f" above {above}" if above else f" in {currency}" if currency else "")


def rule(*, name: str, what: str, ask: str, approvals: int, approve: str, reason: str | None, pattern: str) -> str:
    """`what`: from `what_it_covers`. `reason`: None where none is needed, "required", or a pattern."""
    who = f"Rule “{name}”: {what}. May ask: {ask}. "
    if approvals == 0:
        decide = "Nobody has to approve."
    else:
        decide = f"{'One person' if approvals == 1 else f'{approvals} different people'} of {approve} must approve"
        decide += ", never the one who asked."
    why = (
        "" if reason is None else " A reason is needed" + ("." if reason == "required" else f", of the form {pattern}.")
    )
    return who + decide + why


def figure(*, label: str, value: str) -> str:
    return f"{label}: {value}"


def figures(*, shown: Sequence[str], read_at: str | None) -> str:
    return " · ".join(shown) + (f" · read {read_at}" if read_at else "")


def session(*, session_id: str) -> str:
    return f"Session: {session_id}"


def tracking_key(*, key: str) -> str:
    return f"Tracking-Key: {key}"


WHAT_HAPPENED = "*What happened*"


def earlier_events(*, count: int) -> str:
    return f"… {count} earlier events are in the record."


NO_OTHER_REQUESTS = "No other request for this transaction."


def other_requests(*, count: int, is_open: int) -> str:
    """The headline above them."""
    return f"*Other requests for this transaction* ({count}{f', {is_open} open' if is_open else ''})"


def other_requests_left_out(*, count: int, name: str) -> str:
    return f"… and {count} older: `/ottu history {name}`"


def can_approve(*, people: str, missing: int) -> str:
    return f"{missing} more approval{'s' if missing != 1 else ''} needed. Can approve: {people}."


def can_close(*, people: str) -> str:
    return f"Can close it by hand, two of them together: {people}."


def and_more(*, count: int) -> str:
    return f" and {count} more"


YOU_CAN = "You can."
NOT_YOU_ASKED = "Not you, because you asked."
YOU_HAVE_ALREADY = "You have approved already."


def not_you_outside(*, groups: str) -> str:
    return f"Not you: you are not in {groups}."


def event(*, at: str, kind: str, to: str | None, actor: str | None) -> str:
    """`kind` and `to`: the record's own words. `actor`: None for the bot."""
    return f"{at} {kind}{f' → {to}' if to else ''}{f' by {actor}' if actor else ''}"


# The answer of an inquiry

STATE_NOT_SAID = "state not said"
NOT_SAID = "not said"
NO_CHILDREN = "Its refunds and captures could not be read."


def inquired(*, name: str, state: str, amount: str) -> str:
    return f"*{name}*: {state}, {amount}"


def settled(*, amount: str, refunded: str) -> str:
    return f"Settled {amount} · refunded {refunded}"


def gateway(*, name: str) -> str:
    return f"Gateway: {name}"


def child(*, state: str, amount: str) -> str:
    return f"• {state} {amount}"


def reference_number(*, number: str) -> str:
    return f"Reference number: {number}"


def asked_at(*, at: str, note: str) -> str:
    return f"Asked {at}." + (f" {note}" if note else "")
