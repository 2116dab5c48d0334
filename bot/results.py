"""What people are told of a request besides its card: the result in the thread, calls to decide, alarms. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from slack_sdk.models.blocks import MarkdownTextObject, SectionBlock
from slack_sdk.models.metadata import Metadata

from approvals.audit import Event
from approvals.request import Operation, Request, State
from bot.shown import LONGEST_REASON_SHOWN, Facts, Message, amount, by_hand, done, figure, moment, title, transaction
from bot.words import DONE_WORDS, STATE_WORDS, SYMBOLS, cut, literal, person, sentence


def result(facts: Facts, event: Event) -> Message:
    """The result of a request as that event made it: a reply in the card's thread, also sent to the channel."""
    request, state = facts.request, State(event.to_state or "")
    headline = _headline(facts, state, event.facts["set"].get("detail") or "")
    lines = [f"{SYMBOLS[state]} {headline}", f"{person(request.requester)} asked{_decided(facts)}."]
    lines += [f"{name}: {value}" for name, value in _result_facts(facts, state)]
    test = "🧪 TEST · " if request.is_sandbox else ""
    lines.append(f"_{test}{request.id} · record {event.seq}:{event.hash[:8]}_")
    text = "\n".join(lines)
    return Message(
        text=text,
        blocks=[SectionBlock(text=MarkdownTextObject(verbatim=True, text=cut(text, 3000))).to_dict()],
        metadata=Metadata(
            event_type="ottu_result",
            event_payload={"request": request.id, "state": state.value, "seq": event.seq, "head": event.hash},
        ),
    )


def _headline(facts: Facts, state: State, detail: str) -> str:
    request, name, why = facts.request, literal(title(facts.request)), cut(literal(detail), LONGEST_REASON_SHOWN)
    why = why.removesuffix(".")  # Ottu's reasons and ours may end as a sentence does, and a full stop follows
    match state:
        case State.SUCCEEDED | State.FAILED if facts.word:
            return f"*{by_hand(facts.word, state)}.* {name}"
        case State.SUCCEEDED:
            wallet = " to the wallet" if request.destination == "wallet" else ""
            return f"*{done(request)}*{wallet} of {literal(transaction(request))}."
        case State.QUEUED:
            return f"*Queued at the bank:* {name}. The bank decides; nothing to do."
        case State.UNKNOWN:
            return (
                f"*Outcome unknown:* {name}. {why}. It may have happened; the bot looks before anything is sent again."
            )
        case State.FAILED:
            return f"*Failed:* {name}. {why}. No money was moved."
        case State.REJECTED:
            return f"*Rejected:* {name}. {why}"
        case State.EXPIRED:
            return f"*Expired:* {name}. Nobody decided in time; nothing was sent. Ask again if it is still wanted."
        case State.LAPSED:
            return (
                f"*Lapsed:* {name}. It could not be started in time; nothing was sent. Ask again if it is still wanted."
            )
    return f"*{STATE_WORDS[state]}:* {name}. {why}"


def _decided(facts: Facts) -> str:
    rejected = facts.actor_of(State.REJECTED)
    if rejected:
        return f", {person(rejected)} rejected"
    given = ", ".join(person(approval.person) for approval in facts.approvals)
    return f", {given} approved" if given else ", no approval needed by the rule" if facts.request.quorum_at else ""


def _result_facts(facts: Facts, state: State) -> list[tuple[str, str]]:
    request = facts.request
    found: list[tuple[str, str]] = []
    if state in {State.SUCCEEDED, State.QUEUED} and request.reference_number:
        found.append(("Reference number", f"`{literal(request.reference_number)}`"))
    if request.tracking_key and state in {State.SUCCEEDED, State.QUEUED, State.UNKNOWN, State.FAILED}:
        found.append(("Tracking-Key", f"`{request.tracking_key}`"))
    if state is State.SUCCEEDED and not facts.word and request.operation in {Operation.REFUND, Operation.CAPTURE}:
        found.append((f"Left to {request.operation}", figure(request, request.left_after_minor)))
    return found


def repetition(request: Request, before: Request) -> str:
    """The same was done before: perhaps this is a repetition by mistake."""
    return (
        f"⚠️ *The same amount was {DONE_WORDS[request.operation].lower()} before:* {amount(request)} "
        f"{moment(before.state_at)}, {before.id}."
    )


def call(request: Request, deciders: Sequence[str], *, again: bool) -> str:
    """Asks those who can decide to do so."""
    who = " ".join(person(user) for user in deciders[:20])
    still = "Still waiting" if again else "Waiting"
    return f"⏳ {still} for a decision on {literal(title(request))} ({request.id}): {who}"


def alarm(event: Event) -> str:
    """An alarm for the audit channel."""
    facts = {name: value for name, value in event.facts.items() if name != "why" and value is not None}
    about = f"{event.request_id}: " if event.request_id else ""
    said = "\n".join(f"• {name.replace('_', ' ')}: {literal(cut(str(value), 200))}" for name, value in facts.items())
    why = sentence(str(event.facts["why"]))
    return f"🚨 *Alarm* · {about}{why} {moment(event.at)}\n{said}\n_record {event.seq}:{event.hash[:8]}_"


def without_card(request: Request, state: State) -> str:
    """How a request ended that never had a card: for the requester alone."""
    what = f"{SYMBOLS[state]} {STATE_WORDS[state]}: {literal(_asked(request))} ({request.id})."
    if state is State.EXPIRED:
        return f"{what} Ottu did not answer in time; nothing was sent. Ask again."
    return f"{what} {sentence(request.detail or '')}"


def _asked(request: Request) -> str:
    """What was typed: `refund ORD123 5.000`."""
    typed = [request.operation.value, request.reference, request.asked_amount or "", request.asked_currency or ""]
    return " ".join(word for word in typed if word)
