"""Cards and results: pure functions of a request, its approvals and its events. Nothing is ever read back from them.

Limits are Slack's: 3,000 characters in a section, 150 in a header, 300 in a confirmation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ConfirmObject,
    ContextBlock,
    HeaderBlock,
    InputBlock,
    MarkdownTextObject,
    Option,
    PlainTextInputElement,
    PlainTextObject,
    RadioButtonsElement,
    SectionBlock,
)
from slack_sdk.models.metadata import Metadata
from slack_sdk.models.views import View

from approvals import money
from approvals.audit import Event
from approvals.request import Operation, Request, State
from approvals.store import Approval
from bot.words import DONE_WORDS, STATE_WORDS, SYMBOLS, cut, escape, literal, person, sentence

LONGEST_REASON_SHOWN = 600


@dataclass(frozen=True)
class Message:
    """What goes to Slack: the fallback text, the blocks, the metadata."""

    text: str
    blocks: list[dict[str, Any]] = field(default_factory=list)
    metadata: Metadata | None = None


@dataclass(frozen=True)
class Doubt:
    """What holds a request up: a pause, or an unknown outcome and how it is being closed."""

    stopped: str | None = None  # why nothing is executed now
    settles_at: str | None = None  # until then nothing is read or sent again
    found: str | None = None  # what a reading found: `nothing_new` or `unclear`
    seen: str = ""  # the children, or the state, as read
    proposal: tuple[str, str, str] | None = None  # who says that it succeeded or failed, and why
    offers_resend: bool = False


@dataclass(frozen=True)
class Facts:
    """All that a card shows: the row, the approvals that stand, the row's events, and the host of Ottu."""

    request: Request
    approvals: Sequence[Approval]
    events: Sequence[Event]
    host: str
    doubt: Doubt | None = None
    done_before: Request | None = None  # the same operation and amount, on the same transaction

    @property
    def last(self) -> Event:
        """The event that made this version of the row."""
        return next(event for event in reversed(self.events) if event.version == self.request.version)

    def actor_of(self, state: State) -> str | None:
        """Who moved it there."""
        return next((event.actor for event in reversed(self.events) if event.to_state == state.value), None)


def amount(request: Request) -> str:
    """`5.000 KWD`, or the whole of it, or nothing for operations without an amount."""
    if request.amount_minor is None or request.currency is None:
        return ""
    return money.show(request.amount_minor, request.currency)


def figure(request: Request, minor: int | None) -> str:
    return money.show(minor, request.currency) if minor is not None and request.currency else "not checked"


def transaction(request: Request) -> str:
    return request.order_no or request.reference


def title(request: Request) -> str:
    """`Refund 5.000 KWD · ORD123`, plain text."""
    what = f"{request.operation.capitalize()} {amount(request)}".strip()
    wallet = " to the wallet" if request.destination == "wallet" else ""
    return f"{what}{wallet} · {transaction(request)}"


def moment(at: str) -> str:
    """A time in the reader's own time zone, by Slack's date token; UTC where that is not shown."""
    seconds = int(datetime.fromisoformat(at).timestamp())
    return f"<!date^{seconds}^{{date_short_pretty}} {{time}}|{at[:16].replace('T', ' ')} UTC>"


# --- the card


def card(facts: Facts) -> Message:
    """The card of a request in its present state, with the buttons that make sense in it."""
    request = facts.request
    blocks: list[Block] = [
        HeaderBlock(text=PlainTextObject(text=cut(f"{SYMBOLS[request.state]} {title(request)}", 150), emoji=True)),
        SectionBlock(text=MarkdownTextObject(text=standing(facts))),
        SectionBlock(fields=[MarkdownTextObject(text=text) for text in _figures(request)]),
    ]
    if facts.done_before and request.state in {State.PENDING, State.APPROVED}:
        blocks.append(SectionBlock(text=MarkdownTextObject(text=repetition(request, facts.done_before))))
    if request.reason:
        reason = cut(literal(request.reason), LONGEST_REASON_SHOWN)
        blocks.append(SectionBlock(text=MarkdownTextObject(text=f"*Reason:* {reason}")))
    blocks.append(ContextBlock(elements=[MarkdownTextObject(text=_small_print(facts))]))
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
            return f" · not sent yet ({detail}); tried {request.attempt} times, goes on by itself"
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
        case State.WITHDRAWN:
            return " by the person who asked. Nothing was sent."
        case State.EXPIRED:
            return " · nobody decided in time. Nothing was sent; ask again if it is still wanted."
        case State.LAPSED:
            return " · it could not be started in time. Nothing was sent; ask again if it is still wanted."
        case State.SUCCEEDED:
            return f" · {_done(request)}"
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
    if doubt.found:
        seen = cut(literal(doubt.seen.replace(":", " ")), 200)
        return f"What Ottu shows cannot be told apart ({seen}). Two people who have looked must close it by hand."
    until = f" until {moment(doubt.settles_at)}" if doubt.settles_at else ""
    return f"It may or may not have happened. The bot waits{until}, then looks; it is not sent again before."


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


# --- the result, in the thread and in the channel


def _done(request: Request) -> str:
    """What happened, with the amount that Ottu answered."""
    answered = amount(request)
    if request.answered_minor is not None and request.currency is not None:
        answered = money.show(request.answered_minor, request.currency)
    return f"{DONE_WORDS[request.operation]} {answered}".strip()


def result(facts: Facts, event: Event) -> Message:
    """The result of a request as that event made it: a reply in the card's thread, also sent to the channel."""
    request, state = facts.request, State(event.to_state or "")
    headline = _headline(facts, state, event.facts["set"].get("detail") or "")
    lines = [f"{SYMBOLS[state]} {headline}", f"{person(request.requester)} asked{_decided(facts)}."]
    lines += [f"{name}: {value}" for name, value in _result_facts(request, state)]
    test = "🧪 TEST · " if request.is_sandbox else ""
    lines.append(f"_{test}{request.id} · record {event.seq}:{event.hash[:8]}_")
    text = "\n".join(lines)
    return Message(
        text=text,
        blocks=[SectionBlock(text=MarkdownTextObject(text=cut(text, 3000))).to_dict()],
        metadata=Metadata(
            event_type="ottu_result",
            event_payload={"request": request.id, "state": state.value, "seq": event.seq, "head": event.hash},
        ),
    )


def _headline(facts: Facts, state: State, detail: str) -> str:
    request, name, why = facts.request, literal(title(facts.request)), cut(literal(detail), LONGEST_REASON_SHOWN)
    match state:
        case State.SUCCEEDED:
            wallet = " to the wallet" if request.destination == "wallet" else ""
            return f"*{_done(request)}*{wallet} of {literal(transaction(request))}."
        case State.QUEUED:
            return f"*Queued at the bank:* {name}. The bank decides; nothing to do."
        case State.UNKNOWN:
            return f"*Outcome unknown:* {name}. {why}. It may have happened; it is not sent again."
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


def _result_facts(request: Request, state: State) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if state in {State.SUCCEEDED, State.QUEUED} and request.reference_number:
        found.append(("Reference number", f"`{literal(request.reference_number)}`"))
    if request.tracking_key and state in {State.SUCCEEDED, State.QUEUED, State.UNKNOWN, State.FAILED}:
        found.append(("Tracking-Key", f"`{request.tracking_key}`"))
    if state is State.SUCCEEDED and request.operation in {Operation.REFUND, Operation.CAPTURE}:
        found.append((f"Left to {request.operation}", figure(request, request.left_after_minor)))
    return found


# --- the form that asks for the reason of a rejection: built and parsed side by side


def reject_form(request_id: str, digest: str, what: str, channel: str, ts: str) -> View:
    """The form. It remembers which card it came from; `what` is the card's title."""
    return View(
        type="modal",
        callback_id="reject_form",
        title=PlainTextObject(text=f"Reject {request_id}"),
        submit=PlainTextObject(text="Reject"),
        close=PlainTextObject(text="Back"),
        private_metadata="|".join([request_id, digest, channel, ts]),
        blocks=[
            SectionBlock(text=PlainTextObject(text=cut(what, 500))),
            InputBlock(
                block_id="reason",
                label=PlainTextObject(text="Why?"),
                hint=PlainTextObject(
                    text="Stays in the record and in the channel, with your name. No card or customer data."
                ),
                element=PlainTextInputElement(action_id="reason", multiline=True, min_length=1, max_length=500),
            ),
        ],
    )


@dataclass(frozen=True)
class Place:
    """Which card a form was opened from."""

    request_id: str
    digest: str
    channel: str
    ts: str


@dataclass(frozen=True)
class Rejection(Place):
    """What the form says."""

    reason: str


def parse_reject_form(view: dict[str, Any]) -> Rejection:
    """Read the submitted form. Raises ValueError or KeyError where it is not ours."""
    request_id, digest, channel, ts = str(view["private_metadata"]).split("|")
    reason = view["state"]["values"]["reason"]["reason"]["value"] or ""
    return Rejection(request_id, digest, channel, ts, str(reason))


# --- the form that closes an unknown outcome by hand


def close_form(request_id: str, digest: str, what: str, channel: str, ts: str) -> View:
    """The form. What somebody has said already stands on the card."""
    options = [Option(value="succeeded", text="It succeeded"), Option(value="failed", text="It failed")]
    return View(
        type="modal",
        callback_id="close_form",
        title=PlainTextObject(text=f"Close {request_id}"),
        submit=PlainTextObject(text="Say so"),
        close=PlainTextObject(text="Back"),
        private_metadata="|".join([request_id, digest, channel, ts]),
        blocks=[
            SectionBlock(text=PlainTextObject(text=cut(what, 500))),
            InputBlock(
                block_id="outcome",
                label=PlainTextObject(text="What happened?"),
                element=RadioButtonsElement(action_id="outcome", options=options),
            ),
            InputBlock(
                block_id="evidence",
                label=PlainTextObject(text="How do you know?"),
                hint=PlainTextObject(
                    text="The reference number, or where and when you looked. Two people must say the same."
                ),
                element=PlainTextInputElement(action_id="evidence", multiline=True, min_length=1, max_length=500),
            ),
        ],
    )


@dataclass(frozen=True)
class Word(Place):
    """What the form says."""

    outcome: str
    evidence: str


def parse_close_form(view: dict[str, Any]) -> Word:
    """Read the submitted form. Raises ValueError or KeyError where it is not ours."""
    request_id, digest, channel, ts = str(view["private_metadata"]).split("|")
    values = view["state"]["values"]
    outcome = str((values["outcome"]["outcome"]["selected_option"] or {})["value"])
    if outcome not in {"succeeded", "failed"}:
        raise ValueError("no such outcome")
    return Word(request_id, digest, channel, ts, outcome, str(values["evidence"]["evidence"]["value"] or ""))


# --- alarms, and requests without a card


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
