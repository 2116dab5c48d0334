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

from approvals.request import Request, State
from approvals.sentences import cards
from approvals.sentences.cards import STATE_WORDS
from bot.results import repetition
from bot.shown import (
    LONGEST_REASON_SHOWN,
    Doubt,
    Facts,
    Message,
    amount,
    by_hand,
    done,
    figures,
    moment,
    title,
)
from bot.words import SYMBOLS, cut, escape, literal, person, sentence


def card(facts: Facts) -> Message:
    """The card of a request in its present state, with the buttons that make sense in it."""
    request = facts.request
    blocks: list[Block] = [
        HeaderBlock(text=PlainTextObject(text=cut(f"{SYMBOLS[request.state]} {title(request)}", 150), emoji=False)),
        SectionBlock(text=MarkdownTextObject(verbatim=True, text=standing(facts))),
        SectionBlock(fields=figure_fields(request)),
    ]
    if facts.done_before and request.state in {State.PENDING, State.APPROVED}:
        blocks.append(SectionBlock(text=MarkdownTextObject(verbatim=True, text=repetition(request, facts.done_before))))
    if request.reason:
        reason = cut(literal(request.reason), LONGEST_REASON_SHOWN)
        blocks.append(SectionBlock(text=MarkdownTextObject(verbatim=True, text=f"*{cards.REASON}* {reason}")))
    blocks.append(ContextBlock(elements=[MarkdownTextObject(verbatim=True, text=_small_print(facts))]))
    buttons = _buttons(request, facts.doubt)
    if buttons:
        block_id = "decision" if request.state is State.PENDING else "more"
        blocks.append(ActionsBlock(block_id=block_id, elements=buttons))
    return Message(
        text=cards.fallback(
            symbol=SYMBOLS[request.state], title=escape(title(request)), state=request.state, request_id=request.id
        ),
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
    asked = cards.asked_by(person=person(request.requester), at=moment(request.created_at))
    return f"{words}{_standing_detail(facts)}\n{asked}{_approved_by(facts)}"


def _approved_by(facts: Facts) -> str:
    given = ", ".join(person(approval.person) for approval in facts.approvals)
    return cards.approved_by(people=given) if given else ""


def _standing_detail(facts: Facts) -> str:
    request, detail = facts.request, cut(literal(facts.request.detail or ""), LONGEST_REASON_SHOWN)
    match request.state:
        case State.PENDING:
            missing = (request.approvals_needed or 0) - len(facts.approvals)
            return cards.still_missing(missing=missing, until=moment(request.expires_at))
        case State.APPROVED if facts.doubt and facts.doubt.stopped:
            return cards.waits(why=sentence(facts.doubt.stopped))
        case State.APPROVED if request.attempt:
            return cards.tried(why=detail, times=request.attempt)
        case State.APPROVED:
            return cards.GOES_NEXT
        case State.EXECUTING:
            return cards.WAITS_FOR_OTTU
        case State.QUEUED:
            return cards.BANK_DECIDES
        case State.UNKNOWN:
            return f" · {detail}\n{_doubt(request, facts.doubt or Doubt())}"
        case State.REJECTED:
            return cards.rejected_by(person=person(facts.actor_of(State.REJECTED) or ""), why=detail)
        case State.WITHDRAWN if request.detail:
            return cards.withdrawn(why=detail)
        case State.WITHDRAWN:
            return cards.BY_THE_REQUESTER
        case State.EXPIRED:
            return cards.NOT_DECIDED
        case State.LAPSED:
            return cards.NOT_STARTED
        case State.SUCCEEDED | State.FAILED if facts.word:
            return f" · {by_hand(facts.word, request.state)}"
        case State.SUCCEEDED:
            return f" · {done(request)}"
        case State.FAILED:
            return cards.failed(why=detail)
    return ""


def _doubt(request: Request, doubt: Doubt) -> str:
    """What is known of an unknown outcome, what is awaited and until when, and what people can do."""
    if doubt.proposal:
        who, outcome, evidence = doubt.proposal
        said = cut(literal(evidence), LONGEST_REASON_SHOWN)
        return cards.proposed(person=person(who), outcome=outcome, evidence=said)
    if request.restored:
        return cards.RESTORED
    if doubt.found == "nothing_new":
        return cards.NOTHING_NEW_RESEND if doubt.offers_resend else cards.NOTHING_NEW
    if doubt.found == "unreadable":
        return cards.UNREADABLE
    if doubt.found:
        return cards.unclear(seen=cut(literal(doubt.seen.replace(":", " ")), 200))
    return cards.looks_later(until=moment(doubt.looks_at) if doubt.looks_at else None)


def figure_fields(request: Request) -> list[MarkdownTextObject]:
    """What was read of the transaction, as the fields of a section: what the digest of a button covers."""
    return [MarkdownTextObject(verbatim=True, text=f"*{label}*\n{value}") for label, value in figures(request)]


def _small_print(facts: Facts) -> str:
    request, last = facts.request, facts.last
    return cards.small_print(
        is_test=bool(request.is_sandbox),
        request_id=request.id,
        host=escape(facts.host),
        rule=literal(request.rule_name or ""),
        read_at=moment(request.figures_at) if request.figures_at else None,
        record=cards.record(seq=last.seq, head=last.hash[:8]),
    )


def button(request: Request, action: str, text: str, **more: Any) -> ButtonElement:
    """A button that names its request, and the digest of what is shown beside it."""
    return ButtonElement(action_id=action, text=text, value=f"{request.id}:{request.digest}", **more)


def decision_buttons(request: Request) -> list[ButtonElement]:
    """Approve, which asks again and repeats the amount; and Reject, which asks why."""
    return [
        button(request, "approve", cards.APPROVE, style="primary", confirm=_confirm(request, cards.APPROVE, "")),
        button(request, "reject", cards.REJECT, style="danger"),
    ]


def withdraw_button(request: Request) -> ButtonElement:
    """For the requester; it asks again."""
    return button(request, "withdraw", cards.WITHDRAW, confirm=_confirm(request, cards.WITHDRAW, cards.TAKE_BACK))


def _buttons(request: Request, doubt: Doubt | None) -> list[ButtonElement]:
    details, withdraw = button(request, "details", cards.DETAILS), withdraw_button(request)
    if request.state is State.PENDING:
        buttons = decision_buttons(request)
        if (request.approvals_needed or 0) > 1:
            buttons.append(button(request, "unapprove", cards.UNAPPROVE))
        return [*buttons, details, withdraw]
    if request.state is State.APPROVED:
        return [details, withdraw]
    if request.state in {State.UNKNOWN, State.QUEUED}:
        resend = button(request, "resend", cards.RESEND, confirm=_confirm(request, cards.SEND_AGAIN, ""))
        close = button(request, "close", cards.CLOSE)
        return [*([resend] if doubt and doubt.offers_resend else []), close, details]
    return [details]


def _confirm(request: Request, verb: str, before: str) -> ConfirmObject:
    what = cut(f"{before}{title(request)}", 250)
    return ConfirmObject(
        title=cut(cards.confirm_title(verb=verb, operation=request.operation, amount=amount(request)), 100),
        text=PlainTextObject(text=cards.confirm_text(what=what, request_id=request.id)),
        confirm=cut(cards.confirm_button(verb=verb, amount=amount(request)), 30),
        deny=cards.BACK,
    )
