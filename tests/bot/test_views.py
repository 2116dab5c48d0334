"""What people see, at its extremes: within Slack's limits, escaped, pinging nobody by what somebody typed, and pure."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.audit import Event
from approvals.following import NOTICED
from approvals.policy import load
from approvals.policy_rule import Rule
from approvals.reading import Child, Reading
from approvals.request import AMOUNT_OPERATIONS, MONEY_OPERATIONS, Operation, Request, State
from approvals.sentences.cards import STATE_WORDS
from approvals.store import Approval
from bot import answers, commands, forms, results, shown, views
from bot.details import MOST_EVENTS, Known, details
from bot.words import SYMBOLS, cut, escape, literal, sentence
from sandbox.slack_blocks import block_problems, view_problems
from tests.bot.world import ALICE, BOB, CEM, POLICY

AT = "2025-03-01T10:20:30.123Z"
DIGEST, HASH, SESSION = "d" * 32, "a" * 64, "5" * 40
MARKUP = "*b* _i_ ~s~ `c` <!channel> <!here|x> <@U66TYPED> @U66TYPED <https://evil.example|Approve> &lt;!channel&gt; "
TYPED = {
    "plain": "ORD123",
    "mark-up": MARKUP * 30,
    "ampersands": "&" * 3000,
    "brackets": "<>" * 1500,
    "asterisks": "*_~`" * 750,
    "Arabic": "استرداد المبلغ بسبب تلف المنتج " * 100,
    "emoji": "👩‍👩‍👧‍👦🇰🇼" * 300,
    "one word": "x" * 3000,
}
MENTION = re.compile(r"<([@#!])([^>|^]+)[^>]*>")
ALLOWED = re.compile(
    r"<@[UW][A-Z0-9]+>|<#C[A-Z0-9]+>|<!date\^[0-9]+\^[^<>|]+\|[^<>|]+>|<https://local\.slack\.com/[^<>|]+\|[^<>|]+>"
)


# --- whole, valid records


def _request(operation: Operation, state: State, typed: str = "ORD123", **changes: Any) -> Request:
    """A request in that state, with whatever it may have by then at its longest; `typed` is put wherever a person,
    Ottu or the policy decides what stands there."""
    with_amount, money = operation in AMOUNT_OPERATIONS, operation in MONEY_OPERATIONS
    amounts: dict[str, Any] = dict.fromkeys(
        ("taken_minor", "refunded_minor", "queued_minor"), 10**15 if money else None
    )
    return Request(
        **{
            **dict.fromkeys(Request.__dataclass_fields__),
            **amounts,
            "id": "R-7K2M00000000",
            "origin": "command:1",
            "created_at": AT,
            "requester": ALICE,
            "team": "T01LOCAL",
            "channel": "C01GEN",
            "operation": operation,
            "reference_kind": "order",
            "reference": typed[:128],
            "asked_amount": "1000000000000.000" if with_amount else None,
            "asked_currency": "KWD" if with_amount else None,
            "destination": "wallet" if operation is Operation.REFUND else "pg",
            "reason": typed,
            "session_id": SESSION,
            "order_no": typed[:128],
            "amount_minor": 10**15 if money else None,
            "currency": "KWD",
            "decimals": 3,
            "transaction_state": typed[:40],
            "transaction_minor": 10**15,
            "left_minor": 10**15 if with_amount else None,
            "figures_at": AT,
            "is_sandbox": 1,
            "gateway": typed[:128],
            "rule_name": typed[:100],
            "rule_text": "“money”: refund; ask: agents; approve: leads; approvals: 2",
            "rule_hash": HASH,
            "approvals_needed": 2,
            "digest": DIGEST,
            "state": state,
            "state_at": AT,
            "version": 3,
            "expires_at": AT,
            "quorum_at": AT,
            "tracking_key": "3f0b7a52-3d5b-4d6e-9a57-0c7b2a1c9d11",
            "attempt": 2,
            "misses": 1,
            "detail": typed,
            "answered_minor": 10**15 if money else None,
            "reference_number": typed[:128],
            **changes,
        }
    )


def _event(request: Request, seq: int, to: State, actor: str, version: int) -> Event:
    data = json.dumps({"set": {"detail": request.detail}}, ensure_ascii=False)
    return Event(seq, AT, request.id, to.value, actor, None, to.value, version, data, "", HASH, HASH)


DOUBTS = [
    shown.Doubt(looks_at=AT),
    shown.Doubt(found="nothing_new", offers_resend=True),
    shown.Doubt(found="unclear", seen="refunded:5000:abc " * 100),
    shown.Doubt(stopped="paused by @U02BOB"),
]


def _facts(request: Request, approvers: int = 10, doubt: shown.Doubt | None = None) -> shown.Facts:
    given = [Approval(n, request.id, f"U{n:010d}", DIGEST, AT, None) for n in range(approvers)]
    actor = {State.REJECTED: CEM, State.WITHDRAWN: ALICE}.get(request.state, "bot")
    events = [
        _event(request, 1, State.CHECKING, ALICE, 1),
        _event(request, 2, State.PENDING, "bot", 2),
        _event(request, 3, request.state, actor, request.version),
    ]
    return shown.Facts(request, given, events, "shop.ottu.net", doubt)


WITH_CARD = [state for state in State if state not in {State.CHECKING, State.REFUSED}]
OPERATIONS = [operation for operation in Operation if operation is not Operation.INQUIRY]


# --- the checker


def _texts(part: Any) -> Iterator[dict[str, Any]]:
    """Every text object in there."""
    if isinstance(part, dict):
        if part.get("type") in ("mrkdwn", "plain_text") and "text" in part:
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from _texts(item)


def _unescaped(text: str) -> list[str]:
    """What Slack would read as mark-up of a person's making."""
    rest = ALLOWED.sub("", text)
    return re.findall(r"[<>]|&(?!amp;|lt;|gt;)", rest)


def _pinged(text: str) -> set[str]:
    """Whom the text would ping: users, channels, everybody."""
    return {name for sign, name in MENTION.findall(text) if sign != "!" or not name.startswith("date")}


def check_text(text: str, people: set[str]) -> None:
    """A text that is read as mark-up: not empty, not too long, escaped, and mentioning only these people."""
    assert 0 < len(text) <= 40_000
    assert _unescaped(text) == []
    assert _pinged(text) <= people


def check_message(message: shown.Message, people: set[str]) -> None:
    """Slack would accept it, and it pings nobody but these people."""
    assert block_problems(message.blocks, "message") == []
    check_text(message.text, people)
    assert len(message.text) <= 4000  # Slack: best for the text beside blocks; longer ones may be cut
    for text in _texts(message.blocks):
        if text["type"] == "mrkdwn":
            check_text(text["text"], people)
    assert message.metadata is not None
    assert len(json.dumps(message.metadata.to_dict())) < 2000


def _people(facts: shown.Facts) -> set[str]:
    return {facts.request.requester, CEM, *(approval.person for approval in facts.approvals)}


# --- cards and results


@pytest.mark.parametrize("typed", TYPED)
def test_every_card_is_within_slacks_limits_and_pings_nobody_by_what_was_typed(typed: str) -> None:
    for operation, state in itertools.product(OPERATIONS, WITH_CARD):
        facts = _facts(_request(operation, state, TYPED[typed]))
        card = views.card(facts)
        check_message(card, _people(facts))
        assert card.metadata is not None
        assert card.metadata.event_payload["digest"] == DIGEST
        assert STATE_WORDS[state] in card.text
        assert SYMBOLS[state] in card.blocks[0]["text"]["text"]


@pytest.mark.parametrize("typed", TYPED)
def test_every_card_in_doubt_is_within_slacks_limits_and_pings_nobody_by_what_was_typed(typed: str) -> None:
    """An unknown outcome with all that can be said of it: what was found, what somebody proposed."""
    doubts = [*DOUBTS, shown.Doubt(proposal=(BOB, "succeeded", TYPED[typed])), shown.Doubt(found=TYPED[typed])]
    for state, doubt, restored in itertools.product([State.APPROVED, State.QUEUED, State.UNKNOWN], doubts, [0, 1]):
        facts = _facts(_request(Operation.REFUND, state, TYPED[typed], restored=restored), doubt=doubt)
        check_message(views.card(facts), _people(facts) | {BOB})


@pytest.mark.parametrize("typed", TYPED)
def test_an_alarm_pings_nobody_by_what_was_typed(typed: str) -> None:
    data = json.dumps({"why": "Ottu says that it failed.", "order_no": TYPED[typed][:128], "amount": None})
    alarm = results.alarm(Event(7, AT, "R-7K2M", "alarm", "bot", None, None, None, data, "", HASH, HASH))
    check_text(alarm, set())
    assert len(alarm) <= 4000


@pytest.mark.parametrize("typed", TYPED)
def test_every_result_is_within_slacks_limits_and_pings_nobody_by_what_was_typed(typed: str) -> None:
    for operation, state in itertools.product(OPERATIONS, sorted(NOTICED - {State.REFUSED})):
        facts = _facts(_request(operation, state, TYPED[typed]))
        message = results.result(facts, facts.events[-1])
        check_message(message, _people(facts))
        assert f"<@{ALICE}>" in message.text


@pytest.mark.parametrize("typed", TYPED)
def test_an_end_without_a_card_is_one_escaped_text(typed: str) -> None:
    for operation, state in itertools.product(OPERATIONS, [State.REFUSED, State.EXPIRED]):
        request = _request(operation, state, TYPED[typed], detail=TYPED[typed][:300], digest=None)
        text = results.without_card(request, state)
        assert request.id in text
        assert "<!" not in text
        assert _unescaped(text) == []


@pytest.mark.parametrize("state", WITH_CARD)
def test_a_card_and_a_result_are_functions_of_the_record(state: State) -> None:
    """The same row and events, the same message: however often, and whatever was rendered between."""
    facts, other = (_facts(_request(Operation.REFUND, state, text)) for text in (MARKUP, "ORD9"))
    first = views.card(facts)
    views.card(other)
    again = views.card(_facts(_request(Operation.REFUND, state, MARKUP)))
    assert (first.text, first.blocks) == (again.text, again.blocks)
    assert first.metadata == again.metadata
    if state in NOTICED:
        assert results.result(facts, facts.events[-1]).text == results.result(facts, facts.events[-1]).text


def test_a_card_shows_what_will_be_done() -> None:
    """Operation, amount, currency, destination, transaction, reason: each where the approver looks."""
    request = _request(
        Operation.REFUND, State.PENDING, "ORD123", amount_minor=5000, reason="damaged <in> transit", detail=None
    )
    card = views.card(_facts(request, approvers=1))
    assert card.blocks[0]["text"]["text"] == "⏳ Refund 5.000 KWD to the wallet · ORD123"
    shown = json.dumps(card.blocks, ensure_ascii=False)
    assert "damaged &lt;in&gt; transit" in shown
    assert "1 more approval needed" in shown
    approve = next(e for e in card.blocks[-1]["elements"] if e["action_id"] == "approve")
    assert "Refund 5.000 KWD to the wallet · ORD123" in approve["confirm"]["text"]["text"]
    assert approve["value"] == f"{request.id}:{request.digest}"


@pytest.mark.parametrize(("is_sandbox", "badge"), [(1, True), (0, False), (None, False)])
def test_only_what_ottu_calls_a_test_has_the_badge(is_sandbox: int | None, badge: bool) -> None:
    request = replace(_request(Operation.REFUND, State.PENDING, "text"), is_sandbox=is_sandbox)
    assert ("TEST" in json.dumps(views.card(_facts(request)).blocks)) is badge


@pytest.mark.parametrize("state", WITH_CARD)
def test_only_a_card_that_waits_has_decision_buttons(state: State) -> None:
    card = views.card(_facts(_request(Operation.REFUND, state)))
    actions = {e["action_id"] for block in card.blocks if block["type"] == "actions" for e in block["elements"]}
    assert ("approve" in actions) == ("reject" in actions) == ("unapprove" in actions) == (state is State.PENDING)
    assert ("withdraw" in actions) == (state in {State.PENDING, State.APPROVED})
    assert "details" in actions


def test_figures_that_were_not_read_are_said_to_be_unchecked() -> None:
    request = _request(Operation.REFUND, State.PENDING, left_minor=None, taken_minor=None)
    assert "*Left to refund*\nnot checked" in [
        field["text"] for field in views.card(_facts(request)).blocks[2]["fields"]
    ]


# --- the form


@pytest.mark.parametrize("typed", TYPED)
def test_the_forms_are_within_limits_and_remember_their_card(typed: str) -> None:
    request = _request(Operation.REFUND, State.PENDING, TYPED[typed])
    place = (request.id, DIGEST, "C01GEN", "1700000000.000100")
    built = [build(*place[:2], shown.title(request), *place[2:]) for build in (forms.reject_form, forms.close_form)]
    reject, close = (form.to_dict() for form in built)
    assert view_problems(reject, "modal") == view_problems(close, "modal") == []
    reject["state"] = {"values": {"reason": {"reason": {"value": "no"}}}}
    assert forms.parse_reject_form(reject) == forms.Rejection(*place, "no")
    outcome = {"outcome": {"selected_option": {"value": "failed"}}}
    close["state"] = {"values": {"outcome": outcome, "evidence": {"evidence": {"value": "I looked"}}}}
    assert forms.parse_close_form(close) == forms.Word(*place, "failed", "I looked")


# --- private answers


def _line(request: Request) -> str:
    return answers.line(request, "https://local.slack.com/archives/C01GEN/p1")


def _commands(reference: commands.Reference) -> list[commands.Command]:
    return [
        commands.Nothing(),
        commands.Help(None),
        commands.Help("refund"),
        commands.Ask(Operation.REFUND, reference, "5.000", "KWD", "wallet", MARKUP),
        commands.Ask(Operation.VOID, reference, None, None, "pg", ""),
        commands.Inquire(reference, True, "https://hooks.example.com/x"),
        commands.Status(reference),
        commands.Pending(),
    ]


@pytest.mark.parametrize("typed", TYPED)
def test_every_private_answer_is_escaped_and_short_enough(typed: str) -> None:
    text = TYPED[typed]
    request = _request(Operation.REFUND, State.PENDING, text)
    facts, rule = _facts(request), Rule.from_text(request.rule_text or "")
    members = {"agents": frozenset({ALICE}), "leads": frozenset({BOB, CEM})}
    people = _people(facts) | {BOB}
    lines = [_line(request)] * 100
    shown = [
        *(answers.acknowledgement(c)[0] for c in _commands(commands.Reference("order", text[:128]))),
        *answers.listed("Open requests", [*lines, *lines], "Nothing"),
        *(
            page
            for u in (ALICE, BOB, "U9")
            for page in details(
                Known(request, facts.approvals, [*facts.events] * 50, [request] * 50, rule), members, u, _line
            )
        ),
        answers.inquiry(text[:128], _reading(text), {"reference_number": text[:128]}, AT, "Ottu allows no new one"),
    ]
    for answer in shown:
        check_text(answer, people)


@pytest.mark.parametrize(("count", "pages"), [(1, 1), (20, 1), (21, 2), (100, 5), (101, 5)])
def test_a_list_shows_everything_up_to_a_hundred_and_counts_what_is_beyond(count: int, pages: int) -> None:
    """In at most five messages: so many Slack takes as the answer to one command."""
    lines = [f"line {number}" for number in range(count)]
    texts = answers.listed("Open requests", lines, "Nothing")
    assert len(texts) == pages
    assert [line for text in texts for line in text.splitlines() if line.startswith("line")] == lines[:100]
    assert all(f"({count})" in text for text in texts)
    assert ("… and 1 older ones" in texts[-1]) == (count > 100)


def test_details_count_the_events_that_they_leave_out() -> None:
    request = _request(Operation.REFUND, State.PENDING, "text")
    events = [*_facts(request).events] * 20
    (told,) = details(Known(request, [], events, [], None), {}, BOB, _line)
    assert f"… {len(events) - MOST_EVENTS} earlier events" in told


def test_the_name_of_a_transaction_stays_within_the_command_that_details_give() -> None:
    """Ottu's own order number may hold anything: no line of its own, no end of the code, nothing that reorders."""
    request = _request(Operation.REFUND, State.PENDING, "text")
    other = replace(request, order_no="X`\n*What happened* by the boss\u202eDRO")
    told = "\n".join(details(Known(request, [], _facts(request).events, [other] * 11, None), {}, BOB, _line))
    assert told.endswith("… and 1 older: `/ottu history X'*What happened* by the bossDRO`")


def _reading(text: str) -> Reading:
    children = tuple(Child(SESSION, text[:40], 10**15) for _ in range(50))
    return Reading(SESSION, text[:128], text[:40], "KWD", 10**15, AT, 10**15, 10**15, children, True, text[:128])


def test_details_say_who_can_approve_and_why_the_reader_cannot() -> None:
    request = _request(Operation.REFUND, State.PENDING)
    facts, rule = _facts(request, approvers=0), Rule.from_text(request.rule_text or "")
    members = {"agents": frozenset({ALICE, BOB}), "leads": frozenset({BOB, CEM})}

    def told(reader: str) -> str:
        given = [Approval(1, request.id, BOB, DIGEST, AT, None)]
        return "\n".join(details(Known(request, given, facts.events, [], rule), members, reader, _line))

    still = f"1 more approval needed. Can approve: <@{CEM}>."
    assert f"{still} Not you, because you asked.\n" in told(ALICE)
    assert f"{still} You have approved already.\n" in told(BOB)
    assert f"{still} You can.\n" in told(CEM)
    assert f"{still} Not you: you are not in leads.\n" in told("U9")


def test_whoever_lacks_a_power_reads_which_groups_have_it() -> None:
    policy = load(f'{POLICY}\n[powers]\nread = ["agents", "leads"]\npause = ["leads"]\n')
    assert "The policy lets agents, leads do it." in answers.power_problem(policy, "read")
    assert "The policy lets leads do it." in answers.power_problem(policy, "pause")


# --- words


@given(st.text(max_size=300), st.integers(min_value=1, max_value=300))
def test_escaped_text_stays_escaped_however_it_is_cut(text: str, most: int) -> None:
    for text_shown in (cut(escape(text), most), cut(literal(text), most)):
        assert len(text_shown) <= most
        assert _unescaped(text_shown) == []


@given(st.text(max_size=300))
def test_escaped_text_reads_as_it_was_typed(text: str) -> None:
    back = escape(text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert back == text


def test_people_in_our_own_sentences_become_mentions_and_nothing_else_does() -> None:
    assert sentence("asked by @U01ALICE") == "asked by <@U01ALICE>"
    assert sentence("<!channel> & <@U01ALICE>") == "&lt;!channel&gt; &amp; &lt;<@U01ALICE>&gt;"
