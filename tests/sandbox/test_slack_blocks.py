"""Slack's limits on blocks and views: none of the Python libraries checks them all, so the local Slack does."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.slack_blocks import block_problems, normalised, view_problems

Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text}


def button(**changes: Any) -> Json:
    return {"type": "button", "action_id": "a", "text": plain("Go"), **changes}


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def menu(count: int, kind: str = "overflow") -> Json:
    options = [{"text": plain(f"o{number}"), "value": f"v{number}"} for number in range(count)]
    return {"type": kind, "action_id": "m", "options": options}


def confirm(**changes: Any) -> Json:
    whole = {"title": plain("t"), "text": plain("x"), "confirm": plain("y"), "deny": plain("n")}
    return whole | changes


def modal(**changes: Any) -> Json:
    return {"type": "modal", "title": plain("Title"), "blocks": [{"type": "divider"}], **changes}


FIELD = {"type": "input", "label": plain("l"), "element": {"type": "plain_text_input", "action_id": "t"}}

# Each pair is the largest that Slack takes, and the smallest that it refuses.
LIMITS: dict[str, tuple[list[Json], list[Json]]] = {
    "blocks": ([{"type": "divider"}] * 50, [{"type": "divider"}] * 51),
    "section text": (
        [{"type": "section", "text": mrkdwn("x" * 3000)}],
        [{"type": "section", "text": mrkdwn("x" * 3001)}],
    ),
    "empty text": ([{"type": "section", "text": mrkdwn("x")}], [{"type": "section", "text": mrkdwn("")}]),
    "fields": (
        [{"type": "section", "fields": [mrkdwn("x")] * 10}],
        [{"type": "section", "fields": [mrkdwn("x")] * 11}],
    ),
    "field text": (
        [{"type": "section", "fields": [mrkdwn("x" * 2000)]}],
        [{"type": "section", "fields": [mrkdwn("x" * 2001)]}],
    ),
    "header": ([{"type": "header", "text": plain("x" * 150)}], [{"type": "header", "text": plain("x" * 151)}]),
    "header style": ([{"type": "header", "text": plain("x")}], [{"type": "header", "text": mrkdwn("x")}]),
    "context": (
        [{"type": "context", "elements": [mrkdwn("x")] * 10}],
        [{"type": "context", "elements": [mrkdwn("x")] * 11}],
    ),
    "actions": (
        [actions(*(button(action_id=str(number)) for number in range(25)))],
        [actions(*(button(action_id=str(number)) for number in range(26)))],
    ),
    "button text": ([actions(button(text=plain("x" * 75)))], [actions(button(text=plain("x" * 76)))]),
    "button style": ([actions(button(style="danger"))], [actions(button(style="red"))]),
    "button text style": ([actions(button())], [actions(button(text=mrkdwn("Go")))]),
    "value": ([actions(button(value="x" * 2000))], [actions(button(value="x" * 2001))]),
    "action id": ([actions(button(action_id="x" * 255))], [actions(button(action_id="x" * 256))]),
    "block id": ([{"type": "divider", "block_id": "x" * 255}], [{"type": "divider", "block_id": "x" * 256}]),
    "block ids differ": (
        [{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "b"}],
        [{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "a"}],
    ),
    "action ids differ": ([actions(button(), button(action_id="b"))], [actions(button(), button())]),
    "confirm title": (
        [actions(button(confirm=confirm(title=plain("x" * 100))))],
        [actions(button(confirm=confirm(title=plain("x" * 101))))],
    ),
    "confirm text": (
        [actions(button(confirm=confirm(text=mrkdwn("x" * 300))))],
        [actions(button(confirm=confirm(text=mrkdwn("x" * 301))))],
    ),
    "confirm yes": (
        [actions(button(confirm=confirm(confirm=plain("x" * 30))))],
        [actions(button(confirm=confirm(confirm=plain("x" * 31))))],
    ),
    "confirm no": (
        [actions(button(confirm=confirm(deny=plain("x" * 30))))],
        [actions(button(confirm=confirm(deny=plain("x" * 31))))],
    ),
    "overflow": ([actions(menu(5))], [actions(menu(6))]),
    "select": ([actions(menu(100, "static_select"))], [actions(menu(101, "static_select"))]),
    "unknown block key": ([{"type": "divider"}], [{"type": "divider", "colour": "red"}]),
    "unknown element key": ([actions(button())], [actions(button(colour="red"))]),
    "unknown text key": (
        [{"type": "section", "text": mrkdwn("x") | {"verbatim": True}}],
        [{"type": "section", "text": mrkdwn("x") | {"emoji": True}}],
    ),
    "unknown type": ([{"type": "divider"}], [{"type": "dividers"}]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_the_largest_is_taken_and_one_more_refused(name: str) -> None:
    taken, refused = LIMITS[name]
    assert block_problems(taken, "message") == []
    assert block_problems(refused, "message")


@pytest.mark.parametrize(
    ("taken", "refused"),
    [
        (modal(title=plain("x" * 24)), modal(title=plain("x" * 25))),
        (modal(close=plain("x" * 24)), modal(close=plain("x" * 25))),
        (modal(submit=plain("x" * 24)), modal(submit=plain("x" * 25))),
        (modal(private_metadata="x" * 3000), modal(private_metadata="x" * 3001)),
        (modal(callback_id="x" * 255), modal(callback_id="x" * 256)),
        (modal(blocks=[{"type": "divider"}] * 100), modal(blocks=[{"type": "divider"}] * 101)),
        (modal(blocks=[FIELD], submit=plain("Send")), modal(blocks=[FIELD])),
        (modal(), modal(size="large")),
        (modal(), {"type": "modal", "title": plain("no blocks")}),
    ],
)
def test_a_modals_limits(taken: Json, refused: Json) -> None:
    assert view_problems(taken, "modal") == []
    assert view_problems(refused, "modal")


@pytest.mark.parametrize("junk", [None, 1, "x", [1], [None], [{"type": 1}], [{"type": "actions", "elements": 5}]])
def test_junk_is_refused_and_never_breaks_the_check(junk: Any) -> None:
    assert block_problems(junk, "message")
    assert view_problems(junk, "modal")


def test_stored_blocks_have_the_ids_and_defaults_that_slack_adds() -> None:
    """Nobody may compare stored blocks byte by byte with what was sent: Slack's differ too."""
    sent = [actions(button())]
    stored = normalised(sent)
    assert stored[0]["block_id"]
    assert stored[0]["elements"][0]["text"] == {"type": "plain_text", "text": "Go", "emoji": True}
    assert sent == [actions(button())]
