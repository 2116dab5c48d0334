"""Everything that is shown in Slack, built at its extremes, is within Slack's limits; nothing shown can be left out.

Each function of `bot` that builds a message, a form or a page of its own is found by what it says that it returns, and
must be among `EXTREMES` here: whoever adds one adds its extremes.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import json
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

import bot
from approvals.audit import Event
from approvals.following import NOTICED
from approvals.policy import load
from approvals.policy_rule import Rule
from approvals.request import Request, State
from bot import answers, commands, details, forms, home, request_form, results, shown, views, words
from bot.prefill import Prefill
from bot.shown import Message
from sandbox.slack_blocks import block_problems, view_problems
from tests.bot import test_home_view as fullest
from tests.bot import test_views as extremes
from tests.bot.world import ALICE, BOB, POLICY

AT, DIGEST, HASH, LINK = extremes.AT, extremes.DIGEST, extremes.HASH, "https://local.slack.com/archives/C01GEN/p1"
TEXT_CHARACTERS = 4_000  # Slack: best for a message's own text
LIST_CHARACTERS = 40_000  # Slack: what is longer is cut
ANSWER_MESSAGES = 5  # so many Slack takes at one response_url
METADATA_BYTES = 2_000  # ours; Slack's own limit is larger
TYPED = {**extremes.TYPED, "wide": "﷽" * 3000, "both directions": "abc طلب 12 " * 300}
CHANNELS = [f"C{number:010d}" for number in range(500)]
Built = Message | View | str | list[str]
LONG_RULE = Rule.model_validate_json(
    json.dumps(
        {
            "name": "&" * 60,
            "operations": ["refund", "capture", "void"],
            "currency": "KWD",
            "above": "999999999999.999",
            "ask": [f"group{n:02d}{'x' * 50}" for n in range(20)],
            "approve": [f"group{n:02d}{'x' * 50}" for n in range(20)],
            "approvals": 10,
            "reason": "[&<>]" * 40,
            "notify": "mention",
        }
    )
)
MEMBERS = {group: frozenset(f"U{n:010d}" for n in range(1000)) for group in LONG_RULE.ask}


def requests_of(text: str, states: Iterable[State]) -> Iterator[Request]:
    for operation, state in itertools.product(extremes.OPERATIONS, states):
        yield extremes._request(operation, state, text, rule_text=LONG_RULE.text)


def cards(text: str) -> Iterator[Built]:
    doubts = [
        None,
        *extremes.DOUBTS,
        shown.Doubt(proposal=(BOB, "succeeded", text)),
        shown.Doubt(found=text, seen=text),
    ]
    for request, doubt in itertools.product(requests_of(text, extremes.WITH_CARD), doubts):
        yield views.card(extremes._facts(request, 10, doubt))


def endings(text: str) -> Iterator[tuple[shown.Facts, Event]]:
    for request in requests_of(text, sorted(NOTICED - {State.REFUSED})):
        facts = extremes._facts(request)
        yield facts, facts.events[-1]


def all_details(text: str) -> Iterator[Built]:
    """500 events, 200 other requests of the transaction, a rule of 20 groups with 1,000 people in each."""
    for request in requests_of(text, State):
        facts = extremes._facts(request)
        known = details.Known(request, facts.approvals, [*facts.events] * 170, [request] * 200, LONG_RULE)
        for reader in (ALICE, BOB, "U0000000001"):
            yield details.details(known, MEMBERS, reader, lambda other: answers.line(other, LINK))


def one_request(text: str) -> Request:
    return next(iter(requests_of(text, [State.PENDING])))


def all_lists(text: str) -> Iterator[Built]:
    for count in (0, 1, 100, 700):
        lines = [answers.line(one_request(text), LINK, [f"U{n:010d}" for n in range(10)])] * count
        yield answers.listed(text[:128] and "Open requests", lines, "Nothing")


def alarm_of(text: str) -> str:
    data = json.dumps({"why": text[:500], **{f"fact{n}": text for n in range(10)}})
    return results.alarm(Event(7, AT, "R-7K2M", "alarm", "bot", None, None, None, data, "", HASH, HASH))


def place(text: str) -> tuple[str, str, str, str, str]:
    return "R-7K2M00000000", DIGEST, shown.title(one_request(text)), "C01GENERAL00000", "1700000000.000100"


EXTREMES: dict[str, Callable[[str], Iterable[Built]]] = {
    "views.card": cards,
    "views.standing": lambda text: [views.standing(extremes._facts(one_request(text)))],
    "results.result": lambda text: (results.result(*ending) for ending in endings(text)),
    "results.told": lambda text: (results.told(*ending) for ending in endings(text)),
    "results.repetition": lambda text: [results.repetition(one_request(text), one_request(text))],
    "results.head": lambda _: [results.head(10**15, HASH)],
    "results.call": lambda text: [
        results.call(one_request(text), [f"U{n:010d}" for n in range(1000)], again=again) for again in (True, False)
    ],
    "results.alarm": lambda text: [alarm_of(text)],
    "results.without_card": lambda text: [
        results.without_card(request, request.state) for request in requests_of(text, [State.REFUSED, State.EXPIRED])
    ],
    "answers.acknowledgement": lambda text: [
        answers.acknowledgement(command)[0] for command in extremes._commands(commands.Reference("order", text[:128]))
    ],
    "answers.waiting": lambda text: [answers.waiting(one_request(text), text[:300], AT)],
    "answers.line": lambda text: [answers.line(one_request(text), LINK)],
    "answers.listed": all_lists,
    "answers.paused": lambda text: [answers.paused(BOB, text[:500])],
    "answers.resumed": lambda _: [answers.resumed(BOB)],
    "answers.restored": lambda text: [answers.restored(text[:300])],
    "answers.inquiry": lambda text: [
        answers.inquiry(text[:128], extremes._reading(text), {"reference_number": text[:128]}, AT, text[:300])
    ],
    "answers.power_problem": lambda _: [answers.power_problem(load(POLICY), "read")],
    "details.details": all_details,
    "details.packed": lambda text: [details.packed([words.escape(text)] * 5)],
    "answers.got_it": lambda text: [
        answers.got_it(command, "C0000000001")
        for command in extremes._commands(commands.Reference("order", text[:128]))
        if isinstance(command, commands.Ask)
    ],
    "results.private": lambda text: [
        results.private(words.cut(words.escape(text), 3000), again) for again in (None, "R-7K2M00000000")
    ],
    "home.page": lambda text: [
        home.page(fullest._board(text, pages)) for pages in (home.Pages(), home.Pages(9, 9, 9, 9))
    ],
    "home.stranger": lambda _: [home.stranger(ALICE)],
    "request_form.build": lambda text: [
        request_form.build(Prefill(None, text, text, to_wallet=True, reason=text, note=text), CHANNELS[:count])
        for count in (1, 500)
    ],
    "forms.reject_form": lambda text: [forms.reject_form(*place(text))],
    "forms.close_form": lambda text: [forms.close_form(*place(text))],
}


def builders() -> Iterator[str]:
    """Every function that says that it returns a message or a view; of the modules of texts, also texts. (Buttons and
    fields are parts of those.)"""
    for found in pkgutil.iter_modules(bot.__path__):
        if found.name == "__main__":
            continue
        module = importlib.import_module(f"bot.{found.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_") and shows(found.name, function):
                yield f"{found.name}.{name}"


def shows(module: str, function: Callable[..., Any]) -> bool:
    given = str(function.__annotations__.get("return"))
    named = [function.__globals__.get(word) for word in re.findall(r"\w+", given)]
    of_slack = any(one is Message or one is View for one in named)
    return of_slack or (module in {"answers", "details", "results", "views"} and "str" in given)


def test_every_view_is_built_here_at_its_extremes() -> None:
    assert set(builders()) == EXTREMES.keys()


@pytest.mark.parametrize("typed", TYPED)
@pytest.mark.parametrize("name", EXTREMES)
def test_everything_is_within_slacks_limits(name: str, typed: str) -> None:
    for built in EXTREMES[name](TYPED[typed]):
        check(built, LIST_CHARACTERS if name == "answers.listed" else TEXT_CHARACTERS)


def check(built: Built, most: int) -> None:
    """Slack would take it whole."""
    if isinstance(built, View):
        check_view(built)
    elif isinstance(built, Message):
        check_message(built)
    else:
        texts = [built] if isinstance(built, str) else built
        assert 1 <= len(texts) <= ANSWER_MESSAGES
        for text in texts:
            check_text(text, most)


def check_text(text: str, most: int = TEXT_CHARACTERS) -> None:
    assert len(text.strip()) > 0
    assert len(text) <= most
    assert text.count("\u2068") == text.count("\u2069")  # what is isolated ends, also where it is cut
    assert not text.rstrip("…\u2069").endswith(("&", "&a", "&am", "&amp", "&l", "&lt", "&g", "&gt"))


def check_message(message: Message) -> None:
    check_text(message.text)
    assert block_problems(message.blocks, "message") == []
    check_blocks(message.blocks)
    if message.metadata is None:  # a private answer
        return
    assert len(json.dumps(message.metadata.to_dict()).encode()) <= METADATA_BYTES
    for value in message.metadata.event_payload.values():
        assert isinstance(value, str | int)


def check_view(view: View) -> None:
    view.validate_json()
    content = view.to_dict()
    assert view_problems(content, str(view.type)) == []
    check_blocks(content["blocks"])


def check_blocks(blocks: list[dict[str, Any]]) -> None:
    """Slack's own models, and what they leave out: unique ids, and a text that is more than nothing."""
    for parsed in Block.parse_all(blocks):
        parsed.validate_json()
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    assert len(ids) == len(set(ids))
    for block in blocks:
        elements = [element for element in block.get("elements", []) if "action_id" in element]
        actions = [element["action_id"] for element in elements]
        assert len(actions) == len(set(actions))
        assert all(len(element.get("value", "x")) <= 2000 for element in elements)


def test_the_checks_find_what_is_too_much() -> None:
    """Each limit is one that this file would notice."""
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}}
    button = {"type": "button", "action_id": "a", "text": {"type": "plain_text", "text": "x"}}
    bad: list[list[dict[str, Any]]] = [
        [section] * 51,
        [{**section, "block_id": "same"}] * 2,
        [{"type": "actions", "elements": [button, button]}],
        [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * 2001}]}],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11}],
        [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
        [{"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 11}],
        [{"type": "actions", "elements": [{**button, "value": "x" * 2001}]}],
        [{"type": "actions", "elements": [{**button, "text": {"type": "plain_text", "text": "x" * 76}}]}],
    ]
    for blocks in bad:
        with pytest.raises(Exception, match=r"."):
            check_message(Message("text", blocks, views.card(extremes._facts(one_request("x"))).metadata))
    with pytest.raises(AssertionError):
        check_text("x" * 4001)
