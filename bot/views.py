"""The card of a request: a pure function of its facts. Nothing is ever read back from it.

Limits are Slack's: 3,000 characters in a section, 150 in a header, 300 in a confirmation.
"""

from __future__ import annotations

from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ConfirmObject,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)
from slack_sdk.models.metadata import Metadata

from approvals.request import Operation, Request, State
from bot.results import repetition
from bot.shown import (
    LONGEST_REASON_SHOWN,
    Doubt,
    Facts,
    Message,
    amount,
    by_hand,
    done,
    figure,
    moment,
    title,
    transaction,
)
from bot.words import STATE_WORDS, SYMBOLS, cut, escape, literal, person, sentence


def card(facts: Facts) -> Message:
    """The card of a request in its present state, with the buttons that make sense in it."""
    request = facts.request
    blocks: list[Block] = [
        HeaderBlock(text=PlainTextObject(text=cut(f"{SYMBOLS[request.state]} {title(request)}", 150), emoji=False)),
        SectionBlock(text=MarkdownTextObject(verbatim=True, text=standing(facts))),
        SectionBlock(fields=[MarkdownTextObject(verbatim=True, text=text) for text in _figures(request)]),
    ]
    if facts.done_before and request.state in {State.PENDING, State.APPROVED}:
        blocks.append(SectionBlock(text=MarkdownTextObject(verbatim=True, text=repetition(request, facts.done_before))))
    if request.reason:
        reason = cut(literal(request.reason), LONGEST_REASON_SHOWN)
        blocks.append(SectionBlock(text=MarkdownTextObject(verbatim=True, text=f"*Reason:* {reason}")))
    blocks.append(ContextBlock(elements=[MarkdownTextObject(verbatim=True, text=_small_print(facts))]))
    buttons = _buttons(request, facts.doubt)
    if buttons:
        block_id = "decision" if request.state is State.PENDING else "more"
        blocks.append(ActionsBlock(block_id=block_id, elements=buttons))
    return Message(
        text=f"{SYMBOLS[request.state]} {escape(title(request))}: {STATE_WORDS[request.state]} ({request.id})",
        blocks=[block.to_dict() for block in blocks],
        metadata=Metadata(
            event_type="ottu_request",
            event_payload={
                "request": request.id,
                "version": request.version,
                "state": request.state.value,
                "digest": request.digest,
                "seq": facts.last.seq,
                "head": facts.last.hash,
            },
        ),
    )


def standing(facts: Facts) -> str:
    """Where it stands, who did it, and what comes next: one or two lines."""
    request = facts.request
    words = f"*{STATE_WORDS[request.state]}*"
    asked = f"Asked by {person(request.requester)} {moment(request.created_at)}"
    return f"{words}{_standing_detail(facts)}\n{asked}{_approved_by(facts)}"


def _approved_by(facts: Facts) -> str:
    given = ", ".join(person(approval.person) for approval in facts.approvals)
    return f" · Approved by {given}" if given else ""


def _standing_detail(facts: Facts) -> str:
    request, detail = facts.request, cut(literal(facts.request.detail or ""), LONGEST_REASON_SHOWN)
    match request.state:
        case State.PENDING:
            return f" · {_still_missing(facts)}, until {moment(request.expires_at)}"
        case State.APPROVED if facts.doubt and facts.doubt.stopped:
            return f" · waits: {sentence(facts.doubt.stopped)}. Nothing is sent until that is over."
        case State.APPROVED if request.attempt:
            return f" · not sent yet ({detail}); tried {_times(request.attempt)}, goes on by itself"
        case State.APPROVED:
            return " · goes to Ottu next"
        case State.EXECUTING:
            return " · waiting for Ottu's answer"
        case State.QUEUED:
            return " · the bank decides; this card will say how"
        case State.UNKNOWN:
            return f" · {detail}\n{_doubt(request, facts.doubt or Doubt())}"
        case State.REJECTED:
            return f" by {person(facts.actor_of(State.REJECTED) or '')}: {detail}"
        case State.WITHDRAWN if request.detail:
            return f" · {detail}. Nothing was sent."
        case State.WITHDRAWN:
            return " by the person who asked. Nothing was sent."
        case State.EXPIRED:
            return " · nobody decided in time. Nothing was sent; ask again if it is still wanted."
        case State.LAPSED:
            return " · it could not be started in time. Nothing was sent; ask again if it is still wanted."
        case State.SUCCEEDED | State.FAILED if facts.word:
            return f" · {by_hand(facts.word, request.state)}"
        case State.SUCCEEDED:
            return f" · {done(request)}"
        case State.FAILED:
            return f" · {detail}. No money was moved."
    return ""


def _doubt(request: Request, doubt: Doubt) -> str:
    """What is known of an unknown outcome, what is awaited and until when, and what people can do."""
    if doubt.proposal:
        who, outcome, evidence = doubt.proposal
        return (
            f"{person(who)} says that it *{outcome}*: {cut(literal(evidence), LONGEST_REASON_SHOWN)}\n"
            "Another person must say the same: press *Close by hand*."
        )
    if request.restored:
        return (
            "The database was put back from a copy. It is never sent again: look it up in Ottu, and close it by hand."
        )
    if doubt.found == "nothing_new":
        more = " It can be sent again with the same key, or" if doubt.offers_resend else " It can be"
        return f"Nothing new was found at Ottu.{more} closed by hand by two people who have looked."
    if doubt.found == "unreadable":
        return "Ottu cannot tell what became of it. Two people who have looked must close it by hand."
    if doubt.found:
        seen = cut(literal(doubt.seen.replace(":", " ")), 200)
        return f"What Ottu shows cannot be told apart ({seen}). Two people who have looked must close it by hand."
    until = f" until {moment(doubt.looks_at)}" if doubt.looks_at else ""
    return f"It may or may not have happened. The bot waits{until}, then looks; it is not sent again before."


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _still_missing(facts: Facts) -> str:
    missing = (facts.request.approvals_needed or 0) - len(facts.approvals)
    return f"{missing} more approval{'s' if missing != 1 else ''} needed"


def _figures(request: Request) -> list[str]:
    state = literal(request.transaction_state or "not read")
    fields = [f"*Transaction*\n{literal(transaction(request))}", f"*State at Ottu*\n{state}"]
    if request.operation.moves_money:
        taken = "Captured" if request.transaction_state == "authorized" else "Paid"
        fields.append(f"*Amount*\n{figure(request, request.transaction_minor)}")
        fields.append(f"*{taken}*\n{figure(request, request.taken_minor)}")
        if request.refunded_minor or request.queued_minor:
            queued = f" (+ {figure(request, request.queued_minor)} queued)" if request.queued_minor else ""
            fields.append(f"*Refunded before*\n{figure(request, request.refunded_minor)}{queued}")
    if request.operation in {Operation.REFUND, Operation.CAPTURE}:
        fields.append(f"*Left to {request.operation}*\n{figure(request, request.left_minor)}")
    elif request.transaction_minor is not None and not request.operation.moves_money:
        fields.append(f"*Amount*\n{figure(request, request.transaction_minor)}")
    return fields


def _small_print(facts: Facts) -> str:
    request, last = facts.request, facts.last
    test = "🧪 *TEST* · " if request.is_sandbox else ""
    read = f" · read {moment(request.figures_at)}" if request.figures_at else ""
    return (
        f"{test}{request.id} · {escape(facts.host)} · rule “{literal(request.rule_name or '')}”{read}"
        f" · record {last.seq}:{last.hash[:8]}"
    )


def _button(request: Request, action: str, text: str, **more: Any) -> ButtonElement:
    return ButtonElement(action_id=action, text=text, value=f"{request.id}:{request.digest}", **more)


def _buttons(request: Request, doubt: Doubt | None) -> list[ButtonElement]:
    withdraw = _button(request, "withdraw", "Withdraw", confirm=_confirm(request, "Withdraw", "Take it back: "))
    details = _button(request, "details", "Details")
    if request.state is State.PENDING:
        buttons = [
            _button(request, "approve", "Approve", style="primary", confirm=_confirm(request, "Approve", "")),
            _button(request, "reject", "Reject", style="danger"),
        ]
        if (request.approvals_needed or 0) > 1:
            buttons.append(_button(request, "unapprove", "Take my approval back"))
        return [*buttons, details, withdraw]
    if request.state is State.APPROVED:
        return [details, withdraw]
    if request.state in {State.UNKNOWN, State.QUEUED}:
        resend = _button(request, "resend", "Send again with the same key", confirm=_confirm(request, "Send again", ""))
        close = _button(request, "close", "Close by hand")
        return [*([resend] if doubt and doubt.offers_resend else []), close, details]
    return [details]


def _confirm(request: Request, verb: str, before: str) -> ConfirmObject:
    what = cut(f"{before}{title(request)}", 250)
    return ConfirmObject(
        title=cut(f"{verb} {request.operation} {amount(request)}".strip() + "?", 100),
        text=PlainTextObject(text=f"{what} ({request.id})"),
        confirm=cut(f"{verb} {amount(request)}".strip(), 30),
        deny="Back",
    )
