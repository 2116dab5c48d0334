"""App Home at its extremes: within Slack's limits, escaped, pinging nobody by what somebody typed, and pure."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from slack_sdk.models.views import View

from approvals.request import Operation, Request, State
from approvals.sentences.cards import STATE_WORDS
from bot import home
from bot.home import Board, Item, Listed, Newcomer, Pages
from bot.words import SYMBOLS
from sandbox.slack_blocks import VIEW_BYTES_MAX, view_problems
from tests.bot.test_views import OPERATIONS, TYPED, _request, _texts, check_text
from tests.bot.world import ALICE, BOB, CEM

LINK = "https://local.slack.com/archives/C01GEN/p1700000000000000"
MANY = 400  # requests in each list
CHANNELS = tuple(f"C{number:010d}" for number in range(50))
APPROVERS = tuple(f"U{number:010d}" for number in range(10))


def _numbered(request: Request, number: int) -> Request:
    return replace(request, id=f"R-{number:012X}")


def _lists(typed: str) -> dict[str, Sequence[Request]]:
    """Hundreds of requests in each list, in every state and operation, with the longest texts."""
    turns = itertools.cycle(OPERATIONS)
    states = itertools.cycle(State)
    pending = [_numbered(_request(Operation.REFUND, State.PENDING, typed), n) for n in range(MANY)]
    mine = [_numbered(_request(next(turns), next(states), typed), n + MANY) for n in range(MANY)]
    doubt = [_numbered(_request(next(turns), State.UNKNOWN, typed, requester=CEM), n + 2 * MANY) for n in range(MANY)]
    recent = [_numbered(_request(next(turns), State.FAILED, typed), n + 3 * MANY) for n in range(MANY)]
    return {"waiting": pending, "mine": mine, "doubt": [*doubt, *mine], "recent": recent}


def _board(typed: str, pages: Pages, **changes: Any) -> Board:
    def item(request: Request) -> Item:
        return Item(request, LINK, APPROVERS, _request(Operation.REFUND, State.SUCCEEDED, typed))

    listed: dict[str, Any] = {
        name: Listed.of(requests, getattr(pages, name), getattr(home.SIZES, name), item)
        for name, requests in _lists(typed).items()
    }
    board = Board(ALICE, CHANNELS, **listed, mine_open=MANY, stopped="paused by @U02BOB", may_read=True)
    return replace(board, **changes)


def check_view(view: View, people: set[str]) -> dict[str, Any]:
    """Slack would take it, and nobody is named but those people. Returns it as it is sent."""
    sent = view.to_dict()  # raises where the SDK knows that it is wrong
    assert view_problems(sent, "home") == []
    assert len(sent["blocks"]) <= 100
    assert len(json.dumps(sent)) <= VIEW_BYTES_MAX
    ids = [block["block_id"] for block in sent["blocks"] if "block_id" in block]
    assert len(ids) == len(set(ids))
    for text in _texts(sent["blocks"]):
        if text["type"] == "mrkdwn":
            check_text(text["text"], people | set(CHANNELS))
    return sent


@pytest.mark.parametrize("typed", TYPED)
@pytest.mark.parametrize("pages", [Pages(), Pages(1, 1, 1, 1), Pages(9999, 9999, 9999, 9999)], ids=str)
def test_the_fullest_page_is_within_slacks_limits(typed: str, pages: Pages) -> None:
    view = check_view(home.page(_board(TYPED[typed], pages)), {ALICE, BOB, CEM, *APPROVERS})
    decisions = [block for block in view["blocks"] if block.get("block_id", "").startswith("decision:")]
    assert len(decisions) == home.SIZES.waiting
    for block in decisions:
        approve, reject, details = block["elements"]
        assert [approve["action_id"], reject["action_id"], details["action_id"]] == ["approve", "reject", "details"]
        assert approve["value"] == f"{block['block_id'].partition(':')[2]}:{'d' * 32}"
        assert "1000000000000.000 KWD" in approve["confirm"]["title"]["text"]


@pytest.mark.parametrize("state", State)
def test_every_state_has_its_symbol_and_its_word_in_every_list(state: State) -> None:
    listed = Listed.of([_request(Operation.CAPTURE, state, requester=CEM)], 0, 8, Item)
    boards = [
        Board(ALICE, CHANNELS, may_read=True, mine=listed),
        Board(ALICE, CHANNELS, may_read=True, doubt=listed),
        Board(ALICE, CHANNELS, may_read=True, recent=listed),
    ]
    for board in boards:
        view = check_view(home.page(board), {ALICE, CEM})
        (shown,) = [block["text"]["text"] for block in view["blocks"] if "R-7K2M" in json.dumps(block.get("text"))]
        assert f"{SYMBOLS[state]} *Capture 1000000000000.000 KWD · ORD123*" in shown
        assert f"R-7K2M00000000 · {STATE_WORDS[state]} <!date^" in shown


def test_a_newcomer_with_the_largest_policy_is_told_in_a_few_words() -> None:
    newcomer = Newcomer([f"group *{n}* <!channel>" for n in range(200)], APPROVERS * 50)
    view = check_view(home.page(Board(ALICE, [], newcomer=newcomer)), set(APPROVERS))
    assert "and 490 more" in json.dumps(view)
    assert len(view["blocks"]) == 2


def test_a_stranger_is_told_what_it_is() -> None:
    view = check_view(home.stranger("U10GUEST"), set())
    assert view["private_metadata"] == "U10GUEST"


def test_before_the_amount_is_known_it_stands_there_as_it_was_typed() -> None:
    request = _request(
        Operation.REFUND, State.CHECKING, amount_minor=None, currency=None, digest=None, asked_amount="5.000"
    )
    mine = Listed.of([request], 0, 8, Item)
    view = check_view(home.page(Board(ALICE, CHANNELS, mine=mine, may_read=True)), {ALICE})
    assert "Refund 5.000 KWD to the wallet · ORD123" in json.dumps(view, ensure_ascii=False)
    assert "mine:" not in json.dumps(view)  # without a digest no button would count


def test_the_pages_are_in_the_buttons_and_each_turns_its_own_list() -> None:
    view = home.page(_board("x", Pages(1, 2, 3, 4))).to_dict()
    turns = {block["block_id"]: block["elements"] for block in view["blocks"] if "turn:" in block.get("block_id", "")}
    values = {name: [button["value"] for button in buttons] for name, buttons in turns.items()}
    assert values == {
        "turn:waiting": ["0.2.3.4", "2.2.3.4"],
        "turn:mine": ["1.1.3.4", "1.3.3.4"],
        "turn:doubt": ["1.2.2.4", "1.2.4.4"],
        "turn:recent": ["1.2.3.3", "1.2.3.5"],
    }
    words = {name: [button["text"]["text"] for button in buttons] for name, buttons in turns.items()}
    assert words["turn:waiting"] == ["Older", "Newer"]  # what expires first is shown first
    assert words["turn:mine"] == words["turn:doubt"] == words["turn:recent"] == ["Newer", "Older"]


@pytest.mark.parametrize("pages", [Pages(), Pages(1, 2, 3, 4), Pages(9999, 0, 0, 9999)])
def test_what_a_button_says_of_pages_is_read_back(pages: Pages) -> None:
    assert Pages.parse(str(pages)) == pages


@pytest.mark.parametrize("text", ["", "1", "1.2.3", "1.2.3.4.5", "a.b.c.d", "-1.0.0.0", "99999.0.0.0", "٣.0.0.0"])
def test_what_is_no_page_is_the_first(text: str) -> None:
    assert Pages.parse(text) == Pages()
