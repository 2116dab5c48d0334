"""App Home: one person's own page. Pure: records in, a view out; nothing is ever read back from it.

Limits are Slack's: 100 blocks in a view, ids unique within it, 3,000 characters in a section, 250 kB in all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import TypeVar

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    DividerBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)
from slack_sdk.models.views import View

from approvals.request import AMOUNT_OPERATIONS, Request, State
from approvals.sentences import cards
from approvals.sentences import home as words
from approvals.sentences.cards import STATE_WORDS
from bot import views
from bot.results import repetition
from bot.shown import LONGEST_REASON_SHOWN, moment, title, transaction
from bot.words import SYMBOLS, cut, escape, literal, person, sentence

T = TypeVar("T")
LONGEST_DETAIL = 300  # of what became of a request
MOST_NAMED = 10  # people in one sentence
TURN = "home_page"  # the beginning of the action ids of the buttons that turn a page
_TURNED = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})")


@dataclass(frozen=True)
class Pages:
    """Which page of each list is shown, from 0. Kept in the buttons: `0.2.0.1`."""

    waiting: int = 0
    mine: int = 0
    doubt: int = 0
    recent: int = 0

    def __str__(self) -> str:
        return ".".join(map(str, astuple(self)))

    @classmethod
    def parse(cls, text: str) -> Pages:
        """The pages that a button names; the first ones where it is not ours."""
        match = _TURNED.fullmatch(text)
        return cls(*map(int, match.groups())) if match else cls()


SIZES = Pages(waiting=10, mine=10, doubt=8, recent=8)  # requests on a page; together they stay below 100 blocks


@dataclass(frozen=True)
class Item:
    """A request on the page, and what is shown of it besides its row."""

    request: Request
    permalink: str | None = None
    approvers: Sequence[str] = ()
    done_before: Request | None = None


@dataclass(frozen=True)
class Listed:
    """One page of a list: `number` from 0, of `pages`; `count` is of the whole list."""

    items: Sequence[Item] = ()
    number: int = 0
    pages: int = 1
    count: int = 0

    @classmethod
    def of(cls, requests: Sequence[T], number: int, size: int, item: Callable[[T], Item]) -> Listed:
        """That page; the last one where there are no longer so many."""
        pages = max(-(-len(requests) // size), 1)
        number = min(number, pages - 1)
        shown = requests[number * size : (number + 1) * size]
        return cls([item(request) for request in shown], number, pages, len(requests))


@dataclass(frozen=True)
class Newcomer:
    """Somebody without a role: who could ask instead."""

    groups: Sequence[str]
    askers: Sequence[str]


@dataclass(frozen=True)
class Board:
    """All that one person's page shows. `mine_open` counts those of the reader that are not final."""

    reader: str
    channels: Sequence[str]
    waiting: Listed = field(default_factory=Listed)
    mine: Listed = field(default_factory=Listed)
    doubt: Listed = field(default_factory=Listed)
    recent: Listed = field(default_factory=Listed)
    mine_open: int = 0
    stopped: str | None = None  # why nothing is executed now
    may_read: bool = False  # whether Details would answer
    newcomer: Newcomer | None = None

    @property
    def pages(self) -> Pages:
        return Pages(self.waiting.number, self.mine.number, self.doubt.number, self.recent.number)


def stranger(reader: str) -> View:
    """For a guest, and for people of another organisation: nothing of the record."""
    return _view(reader, [_text(words.WHAT_IT_IS), _text(words.NOT_FOR_YOU)])


def page(board: Board) -> View:
    """The page of a full member of the workspace."""
    blocks = [*_top(board)]
    lists = (
        _Section(board, "waiting", words.WAITING, board.waiting, _waiting, words.NOTHING_WAITS, oldest_first=True),
        _Section(board, "mine", words.MINE, board.mine, _mine, words.NOTHING_MINE),
        _Section(board, "doubt", words.DOUBT, board.doubt, _in_doubt),
        _Section(board, "recent", words.RECENT, board.recent, _ended),
    )
    for one in lists:
        if one.listed.count or (one.nothing and board.newcomer is None):
            blocks += [DividerBlock(), *one.blocks()]
    return _view(board.reader, blocks)


def _view(reader: str, blocks: list[Block]) -> View:
    """`private_metadata` names whose page it is: Slack sends it back with every click."""
    return View(type="home", callback_id="home", private_metadata=reader, blocks=blocks)


def _top(board: Board) -> Iterator[Block]:
    if board.newcomer is not None:
        yield _text(words.WHAT_IT_IS)
        yield _text(f"{words.NO_ROLE}\n{_who_can_ask(board.newcomer)}")
    else:
        yield _text(words.counts(waiting=board.waiting.count, mine=board.mine_open, doubt=board.doubt.count))
        yield _text(words.how_to_ask(channels=[f"<#{channel}>" for channel in board.channels[:MOST_NAMED]]))
    if board.stopped:
        yield _text(words.stopped(why=sentence(board.stopped)))


def _who_can_ask(newcomer: Newcomer) -> str:
    named = [person(user) for user in newcomer.askers[:MOST_NAMED]]
    groups = [literal(group) for group in newcomer.groups[:MOST_NAMED]]
    return words.who_can_ask(groups=groups, people=named, more=len(newcomer.askers) - len(named))


# --- the lists


@dataclass(frozen=True)
class _Section:
    """One list on the page. `name`: the field of `Pages`, and part of the ids of its blocks."""

    board: Board
    name: str
    title: str
    listed: Listed
    show: Callable[[Board, Item], Iterator[Block]]
    nothing: str = ""
    oldest_first: bool = False

    def blocks(self) -> Iterator[Block]:
        listed = self.listed
        text = words.heading(title=self.title, count=listed.count, page=listed.number + 1, pages=listed.pages)
        yield HeaderBlock(text=PlainTextObject(text=text, emoji=False))
        if not listed.items:
            yield _text(self.nothing)
        for item in listed.items:
            yield from self.show(self.board, item)
        if turns := list(self._turns()):
            yield ActionsBlock(block_id=f"turn:{self.name}", elements=turns)

    def _turns(self) -> Iterator[ButtonElement]:
        back, on = (words.OLDER, words.NEWER) if self.oldest_first else (words.NEWER, words.OLDER)
        if self.listed.number > 0:
            yield self._turn(back, "back", self.listed.number - 1)
        if self.listed.number + 1 < self.listed.pages:
            yield self._turn(on, "on", self.listed.number + 1)

    def _turn(self, text: str, way: str, number: int) -> ButtonElement:
        pages = replace(self.board.pages, **{self.name: number})
        return ButtonElement(action_id=f"{TURN}_{way}", text=text, value=str(pages))


def _waiting(board: Board, item: Item) -> Iterator[Block]:
    """With all that the card shows, and its buttons: what is approved here is what was seen here."""
    request = item.request
    lines = [
        _headline(request),
        words.waits(
            name=_name(item),
            requester=person(request.requester),
            at=moment(request.created_at),
            missing=(request.approvals_needed or 0) - len(item.approvers),
            until=moment(request.expires_at),
            approvers=[person(user) for user in item.approvers[:MOST_NAMED]],
        ),
    ]
    if item.done_before:
        lines.append(repetition(request, item.done_before))
    if request.reason:
        lines.append(f"*{cards.REASON}* {cut(literal(request.reason), LONGEST_REASON_SHOWN)}")
    text = MarkdownTextObject(verbatim=True, text="\n".join(lines))
    yield SectionBlock(text=text, fields=views.figure_fields(request))
    buttons = views.decision_buttons(request)
    yield ActionsBlock(block_id=f"decision:{request.id}", elements=[*buttons, *_details(board, request)])


def _mine(board: Board, item: Item) -> Iterator[Block]:
    request = item.request
    yield _stands(board, item)
    buttons = _details(board, request) if request.digest else []
    if request.digest and request.state in {State.PENDING, State.APPROVED}:
        buttons.append(views.withdraw_button(request))
    if buttons:
        yield ActionsBlock(block_id=f"mine:{request.id}", elements=buttons)


def _in_doubt(board: Board, item: Item) -> Iterator[Block]:
    yield _stands(board, item, accessory="doubt")


def _ended(board: Board, item: Item) -> Iterator[Block]:
    yield _stands(board, item, accessory="recent")


def _stands(board: Board, item: Item, accessory: str | None = None) -> SectionBlock:
    """Two or three lines on a request; the button for its details beside them, where the list has no other buttons."""
    request = item.request
    told = words.stands(
        name=_name(item),
        state=STATE_WORDS[request.state],
        at=moment(request.state_at),
        requester=None if request.requester == board.reader else person(request.requester),
        why=cut(literal(request.detail or ""), LONGEST_DETAIL),
    )
    text = MarkdownTextObject(verbatim=True, text=f"{_headline(request)}\n{told}")
    button = next(iter(_details(board, request)), None) if accessory and request.digest else None
    block_id = f"{accessory}:{request.id}" if button else None
    return SectionBlock(text=text, accessory=button, block_id=block_id)


def _details(board: Board, request: Request) -> list[ButtonElement]:
    return [views.button(request, "details", cards.DETAILS)] if board.may_read else []


def _headline(request: Request) -> str:
    text = words.headline(
        is_test=bool(request.is_sandbox), symbol=SYMBOLS[request.state], title=literal(_what(request))
    )
    return cut(text, 1000)


def _what(request: Request) -> str:
    """Its title; before the amount is known, with the amount as typed."""
    if request.amount_minor is not None or request.operation not in AMOUNT_OPERATIONS:
        return title(request)
    typed = f"{request.asked_amount or ''} {request.asked_currency or ''}".strip()
    to_wallet = request.destination == "wallet"
    return cards.title(operation=request.operation, amount=typed, to_wallet=to_wallet, transaction=transaction(request))


def _name(item: Item) -> str:
    return f"<{item.permalink}|{item.request.id}>" if item.permalink else escape(item.request.id)


def _text(text: str) -> SectionBlock:
    return SectionBlock(text=MarkdownTextObject(verbatim=True, text=text))
