"""docs/using.md names what people see in Slack word for word: nothing that does not exist, and nothing is left out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.models.views import View

from approvals.policy_file import Timing
from approvals.request import State
from approvals.sentences import home, request_form
from approvals.sentences.cards import STATE_WORDS
from bot.commands import USAGE, parse
from bot.homes import FOLLOWED_SECONDS, RECENT_DAYS
from bot.inbox import RESUME_SECONDS
from bot.shown import Message
from bot.words import SYMBOLS
from tests.bot.test_slack_limits import EXTREMES
from tests.test_sentences import MODULES, entries, texts_of

ROOT = Path(__file__).parents[1]
USING = (ROOT / "docs" / "using.md").read_text(encoding="utf-8")
PICTURE_BYTES = 120_000
LABELS = set(re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", USING))  # in italics


def tables() -> list[list[list[str]]]:
    """The tables of the page: each its rows, without the head, of cells."""
    found = re.findall(r"(?:^\|.*\n)+", USING, re.MULTILINE)
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in one.splitlines()[2:]] for one in found]


def table_under(heading: str) -> list[list[str]]:
    """The first table of a section."""
    section = USING.split(f"\n## {heading}", 1)[1]
    return next(table for table in tables() if section.find(table[0][0]) >= 0 and f"| {table[0][0]} |" in section)


# --- commands


def test_every_command_that_is_shown_can_be_typed() -> None:
    shown = re.findall(r"`/ottu ?([^`]*)`", USING)
    assert len(shown) > 15
    for text in shown:
        parse(text)


def test_every_command_is_shown() -> None:
    shown = {text.split()[0] for text in re.findall(r"`/ottu ([^`]+)`", USING)}
    assert shown == set(USAGE)


# --- what is shown in Slack


def buttons_of(part: Any) -> Iterator[str]:
    """The texts of all buttons in blocks, of what leaves a confirmation, and of what ends a form."""
    if isinstance(part, list):
        for one in part:
            yield from buttons_of(one)
    elif isinstance(part, dict):
        if part.get("type") == "button":
            yield part["text"]["text"]
        yield from (part[name]["text"] for name in ("submit", "close", "deny") if isinstance(part.get(name), dict))
        for one in part.values():
            yield from buttons_of(one)


def all_buttons() -> set[str]:
    """Of everything that the bot shows."""
    found: set[str] = set()
    for build in EXTREMES.values():
        for built in build("some words"):
            if isinstance(built, View):
                found |= set(buttons_of(built.to_dict()))
            elif isinstance(built, Message):
                found |= set(buttons_of(built.blocks))
    return found


def test_every_button_and_every_shortcut_is_named() -> None:
    buttons = all_buttons()
    assert {"Approve", "Say so", "Older", "Ask", "Back", "Same again, corrected"} <= buttons
    assert buttons | {request_form.SHORTCUT, request_form.MESSAGE_SHORTCUT} <= LABELS


def test_every_list_of_home_is_named() -> None:
    assert {home.WAITING, home.MINE, home.DOUBT, home.RECENT} <= LABELS


def test_every_label_is_one_that_slack_shows() -> None:
    catalogue = {text for module, name in entries() for text in texts_of(getattr(MODULES[module], name))}
    assert not LABELS - catalogue


def test_every_state_stands_with_its_symbol_and_its_word() -> None:
    rows = table_under("2. The card")
    assert [(symbol, word) for symbol, word, _ in rows] == [(SYMBOLS[state], STATE_WORDS[state]) for state in State]


# --- what it says


def templates() -> Iterator[str]:
    """Every text of the catalogue, with `…` for what is put in, and without marks."""
    for path in (ROOT / "approvals" / "sentences").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                yield unmarked("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield unmarked(node.value)


def unmarked(text: str) -> str:
    return re.sub("[*`]", "", text)


def quoted() -> list[str]:
    """What is quoted: the first column of the refusals, which may hold quotes of their own, and all else in quotes."""
    refusals = [row[0] for row in table_under("8. What is refused")]
    assert all(cell[0] == "“" and cell[-1] == "”" for cell in refusals)
    rest = USING
    for cell in refusals:
        rest = rest.replace(cell, "")
    return [*(cell[1:-1] for cell in refusals), *re.findall(r"“([^”]+)”", rest)]


@pytest.mark.parametrize("words", quoted())
def test_what_is_quoted_is_said(words: str) -> None:
    """Word for word from its beginning on; `…` stands for anything."""
    pattern = "".join(".*" if piece == "…" else re.escape(piece) for piece in re.split("(…)", unmarked(words)))
    assert any(re.match(pattern, template) for template in templates())


def test_the_times_are_those_of_a_policy_that_says_nothing() -> None:
    timing = Timing()
    first, second = timing.remind_after_seconds
    assert [row[1] for row in table_under("7. Reminders")] == [
        f"after {_spelled(first)} and {_spelled(second)}",
        f"after {_spelled(timing.expires_after_seconds)}",
        f"after {_spelled(timing.lapse_after_seconds)}",
        f"after {_spelled(timing.settle_seconds)}",
        f"after {timing.queued_days} days",
        f"{timing.commands_per_minute} in a minute",
    ]
    assert (FOLLOWED_SECONDS, RECENT_DAYS, RESUME_SECONDS) == (3600, 7, 60)  # the page says these in words


def _spelled(seconds: float) -> str:
    number, unit = divmod(timedelta(seconds=seconds), timedelta(hours=1))
    if unit:
        return f"{int(seconds // 60)} minutes"
    return f"{number} hour{'s' if number != 1 else ''}"


def test_every_picture_is_there_and_small() -> None:
    pictures = re.findall(r'<img src="([^"]+)" width="\d+" alt="[^"]{20,}">', USING)
    assert len(pictures) == USING.count("<img") == 3
    for name in pictures:
        assert (ROOT / "docs" / name).stat().st_size < PICTURE_BYTES
