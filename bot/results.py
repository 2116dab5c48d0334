"""What people are told of a request besides its card: the result in the thread, calls to decide, alarms. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slack_sdk.models.blocks import ActionsBlock, Block, ButtonElement, MarkdownTextObject, SectionBlock
from slack_sdk.models.metadata import Metadata

from approvals.audit import Event
from approvals.request import Operation, Request, State
from approvals.sentences import cards, endings, request_form
from bot.shown import (
    LONGEST_REASON_SHOWN,
    Facts,
    Message,
    amount,
    by_hand,
    done,
    figure,
    has_amount,
    marked_title,
    moment,
    transaction,
)
from bot.words import SYMBOLS, code, cut, identifier, literal, person, plain, sentence

LONGEST_SENTENCE = 1_500  # of one that may quote what was typed
MOST_FACTS = 10  # of an alarm: the record has all of them
MOST_CALLED = 20  # people in one call to decide
# Over, and nothing was done: the same may be asked for again. The button stands in everybody's sight, beside what
# everybody can read on the card; only the requester's click counts, so that two people do not ask for it twice.
AGAIN = frozenset({State.REFUSED, State.REJECTED, State.WITHDRAWN, State.EXPIRED, State.LAPSED, State.FAILED})


def result(facts: Facts, event: Event) -> Message:
    """The result of a request as that event made it: a reply in the card's thread, also sent to the channel."""
    request, text = facts.request, told(facts, event)
    return Message(
        text=plain(text),
        blocks=_blocks(text, request.id if State(event.to_state or "") in AGAIN else None),
        metadata=Metadata(
            event_type="ottu_result",
            event_payload={"request": request.id, "state": event.to_state, "seq": event.seq, "head": event.hash},
        ),
    )


def told(facts: Facts, event: Event) -> str:
    """What a result says, with mark-up."""
    request, state = facts.request, State(event.to_state or "")
    headline = _headline(facts, state, event.facts["set"].get("detail") or "")
    asked = endings.asked(person=person(request.requester), decided=_decided(facts))
    lines = [f"{SYMBOLS[state]} {headline}", asked]
    lines += [endings.fact(name=name, value=value) for name, value in _result_facts(facts, state)]
    test = cards.TEST if request.is_sandbox else ""
    lines.append(f"_{test}{request.id} · {cards.record(seq=event.seq, head=event.hash[:8])}_")
    return "\n".join(lines)


def private(text: str, again: str | None) -> Message:
    """A private answer; `again`: the request that is over, of which the same can be asked for, corrected."""
    return Message(text, _blocks(text, again) if again else [])


def _blocks(text: str, again: str | None) -> list[dict[str, Any]]:
    """One text and, below it, the button that opens the form filled in."""
    blocks: list[Block] = [SectionBlock(text=MarkdownTextObject(verbatim=True, text=cut(text, 3000)))]
    if again:
        button = ButtonElement(action_id="again", text=request_form.AGAIN, value=again)
        blocks.append(ActionsBlock(block_id="again", elements=[button]))
    return [block.to_dict() for block in blocks]


def _headline(facts: Facts, state: State, detail: str) -> str:
    request, name, why = facts.request, marked_title(facts.request), cut(literal(detail), LONGEST_REASON_SHOWN)
    why = why.removesuffix(".")  # Ottu's reasons and ours may end as a sentence does, and a full stop follows
    match state:
        case State.SUCCEEDED | State.FAILED if facts.word:
            return endings.closed_by_hand(word=by_hand(facts.word, state), title=name)
        case State.SUCCEEDED:
            to_wallet = request.destination == "wallet"
            of = identifier(transaction(request))
            return endings.succeeded(
                done=done(request), has_amount=has_amount(request), to_wallet=to_wallet, transaction=of
            )
        case State.QUEUED:
            return endings.queued(title=name)
        case State.UNKNOWN:
            return endings.unknown(title=name, why=why)
        case State.FAILED:
            return endings.failed(title=name, why=why)
        case State.REJECTED:
            return endings.rejected(title=name, why=why)
        case State.EXPIRED:
            return endings.expired(title=name)
        case State.LAPSED:
            return endings.lapsed(title=name)
    return endings.otherwise(state=state, title=name, why=why)


def _decided(facts: Facts) -> str:
    rejected = facts.actor_of(State.REJECTED)
    if rejected:
        return endings.somebody_rejected(person=person(rejected))
    given = ", ".join(person(approval.person) for approval in facts.approvals)
    if given:
        return endings.somebody_approved(people=given)
    return endings.NO_APPROVAL_NEEDED if facts.request.quorum_at else ""


def _result_facts(facts: Facts, state: State) -> list[tuple[str, str]]:
    request = facts.request
    found: list[tuple[str, str]] = []
    if state in {State.SUCCEEDED, State.QUEUED} and request.reference_number:
        found.append((endings.REFERENCE_NUMBER, code(request.reference_number)))
    if request.tracking_key and state in {State.SUCCEEDED, State.QUEUED, State.UNKNOWN, State.FAILED}:
        found.append((endings.TRACKING_KEY, code(request.tracking_key)))
    if state is State.SUCCEEDED and not facts.word and request.operation in {Operation.REFUND, Operation.CAPTURE}:
        found.append((cards.left_to(operation=request.operation), figure(request, request.left_after_minor)))
    return found


def repetition(request: Request, before: Request) -> str:
    """The same was done before: perhaps this is a repetition by mistake."""
    return cards.repetition(
        operation=request.operation, amount=amount(request), at=moment(before.state_at), request_id=before.id
    )


def call(request: Request, deciders: Sequence[str], *, again: bool) -> str:
    """Asks those who can decide to do so."""
    people = [person(user) for user in deciders[:MOST_CALLED]]
    return endings.call(title=marked_title(request), request_id=request.id, people=people, again=again)


def alarm(event: Event) -> str:
    """An alarm for the audit channel."""
    facts = {name: value for name, value in event.facts.items() if name != "why" and value is not None}
    return endings.alarm(
        request_id=event.request_id,
        why=cut(sentence(str(event.facts["why"])), LONGEST_SENTENCE),
        at=moment(event.at),
        facts=[
            endings.fact(name=name.replace("_", " "), value=cut(literal(str(value)), 200))
            for name, value in list(facts.items())[:MOST_FACTS]
        ],
        seq=event.seq,
        head=event.hash[:8],
    )


def without_card(request: Request, state: State) -> str:
    """How a request ended that never had a card: for the requester alone."""
    why = endings.OTTU_SILENT if state is State.EXPIRED else cut(sentence(request.detail or ""), LONGEST_SENTENCE)
    what = cut(literal(_asked(request)), LONGEST_REASON_SHOWN)
    return endings.without_card(symbol=SYMBOLS[state], state=state, what=what, request_id=request.id, why=why)


def _asked(request: Request) -> str:
    """What was typed: `refund ORD123 5.000`."""
    typed = [request.operation.value, request.reference, request.asked_amount or "", request.asked_currency or ""]
    return " ".join(word for word in typed if word)


def head(seq: int, head: str) -> Message:
    """The head of the record, for whoever checks later that nothing of it was cut off or written anew."""
    text = endings.day_is_over(seq=seq, head=head, short=head[:8])
    return Message(text, metadata=Metadata(event_type="ottu_head", event_payload={"seq": seq, "head": head}))
