"""Keeps App Home up to date: when somebody opens it, after what they did, and while others change what it shows.

Who opened it, and what they were shown, are facts of the bookkeeping (`home:<user>`). One job a person brings Slack to
the record, at most once in a few seconds; none of it stands in the way of decisions and executions.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import sqlite3
from dataclasses import dataclass
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.models.views import View

from approvals.execution import Execution
from approvals.policy import Members, Policy, Rule, people
from approvals.request import Refusal, Request, State
from approvals.service import Service
from approvals.store import Store, Waiting, later, seconds_between
from approvals.work import Job, Work
from bot import home
from bot.delivery import Delivery
from bot.home import Board, Item, Listed, Newcomer, Pages
from bot.people import People, SlackDown, slack_code
from bot.worker import PutBack

log = logging.getLogger("bot.homes")
FOLLOWED_SECONDS = 3600.0  # so long after it was opened, it follows what others do
GAP_SECONDS = 3.0  # between two publications for one person, unless they ask for one
LOOK_SECONDS = 1.0  # so often it is looked whether something has changed
LINK_SECONDS = 5.0  # a card's permanent link comes a moment after its request
RECENT_DAYS = 7
MOST_RECENT = 100  # ended requests that can be paged through
FACT = "home:"
BLOCKED = "homes_wait"  # the fact: until when Slack wants no publication


def wake(work: Work, user: str) -> None:
    """That person has done something: what they see follows."""
    work.ensure(f"{FACT}{user}", "home", {"person": user})


@dataclass(frozen=True)
class Visit:
    """What is known of one person's page. Times as stored; empty where it has not happened."""

    asked_at: str = ""  # when they last opened it, or turned a page
    pages: str = ""
    shown_at: str = ""  # when what Slack shows was read from the record
    shown: str = ""  # a digest of what Slack shows
    seq: int = 0  # the head of the record then

    @property
    def is_asked(self) -> bool:
        """Do they wait for it?"""
        return self.asked_at > self.shown_at

    def is_followed(self, now: str) -> bool:
        return bool(self.asked_at) and seconds_between(self.asked_at, now) <= FOLLOWED_SECONDS


@dataclass(frozen=True)
class Pending:
    """What waits for decisions at one head of the record, and who has approved it: read once for everybody."""

    head: tuple[int, str]
    requests: list[Waiting]
    approvers: dict[str, list[str]]


class Homes:
    """Each person's App Home."""

    def __init__(self, *, service: Service, execution: Execution, people: People, delivery: Delivery) -> None:
        self.service = service
        self.execution = execution
        self.people = people
        self.delivery = delivery
        self.store: Store = service.store
        self.work: Work = service.work
        self._pending = Pending((0, ""), [], {})

    @property
    def policy(self) -> Policy:
        return self.service.policy

    # --- who looks at it

    def visit(self, user: str) -> Visit:
        return Visit(**(self.work.fact(f"{FACT}{user}") or {}))

    def _note(self, user: str, **changes: object) -> None:
        self.work.set_fact(f"{FACT}{user}", {**self.visit(user).__dict__, **changes})

    async def opened(self, job: Job) -> None:
        """Somebody has opened the tab, or turned a page of a list."""
        user = str(job.payload["user"] or "")
        with self.store.transaction():
            if user:
                pages = str(Pages.parse(str(job.payload.get("pages") or "")))
                self._note(user, asked_at=self.store.now(), pages=pages)
                self.work.arm(f"{FACT}{user}", "home", {"person": user})
            self.work.finish(job)

    async def watch(self) -> None:
        """While it runs, whoever has opened it within the hour sees what has changed."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with contextlib.suppress(sqlite3.Error):  # the worker says so, and looks again as well
                self.look()

    def look(self) -> None:
        """Put down a publication for everybody who has seen less than the record has; forget who looked long ago."""
        now, (head, _) = self.store.now(), self.store.head()
        for user, fact in self.work.facts(FACT).items():
            visit = Visit(**fact)
            if visit.is_followed(now):
                if visit.seq < head:
                    due_at = max(now, later(visit.shown_at, seconds=GAP_SECONDS) if visit.shown_at else now)
                    self.work.ensure(f"{FACT}{user}", "home", {"person": user}, due_at=due_at)
            elif seconds_between(max(visit.shown_at, visit.asked_at), now) > FOLLOWED_SECONDS:
                self.work.set_fact(f"{FACT}{user}", None)

    # --- publishing

    async def publish(self, job: Job) -> None:
        """Bring one person's page to the record. Raises PutBack where it is too early, SlackDown to be called again."""
        user = str(job.payload["person"])
        visit, began = self.visit(user), self.store.now()
        self._raise_if_early(visit, began)
        seq, _ = self.store.head()
        view, is_whole = await self._view(user, Pages.parse(visit.pages))
        digest = hashlib.sha256(json.dumps(view, sort_keys=True).encode()).hexdigest()
        if visit.is_asked or digest != visit.shown:
            await self._send(user, view)
        self._note(user, shown_at=began, shown=digest, seq=seq)
        if not is_whole:
            self.work.ensure(f"{FACT}{user}", "home", {"person": user}, due_at=later(began, seconds=LINK_SECONDS))

    def _raise_if_early(self, visit: Visit, now: str) -> None:
        until = str((self.work.fact(BLOCKED) or {}).get("until", ""))
        if visit.shown_at and not visit.is_asked:
            until = max(until, later(visit.shown_at, seconds=GAP_SECONDS))
        if until > now:
            raise PutBack(seconds_between(now, until))

    async def _send(self, user: str, view: dict[str, Any]) -> None:
        try:
            await self.delivery.publish(user, view)
        except SlackDown as down:
            if down.is_throttled:
                self.work.set_fact(BLOCKED, {"until": later(self.store.now(), seconds=down.seconds)})
            raise
        except SlackApiError as error:  # the tab is switched off, or not for that person
            log.warning("home_not_shown", extra={"facts": {"error": slack_code(error)}})

    # --- what one person may see

    async def _view(self, user: str, pages: Pages) -> tuple[dict[str, Any], bool]:
        """The page, and whether all links are there that will be."""
        try:
            await self.people.vouch(user, self.people.team_id)
        except Refusal:
            return home.stranger(user).to_dict(), True
        members = await self.people.members_now(lambda: self.policy)
        board = self.board(user, pages, members)
        return self._rendered(board)

    def _rendered(self, board: Board) -> tuple[dict[str, Any], bool]:
        view: View = home.page(board)
        items = [*board.waiting.items, *board.mine.items, *board.doubt.items]
        return view.to_dict(), not any(self._comes_soon(item) for item in items)

    def _comes_soon(self, item: Item) -> bool:
        request = item.request
        age_seconds = seconds_between(request.state_at, self.store.now())
        return request.digest is not None and item.permalink is None and age_seconds < 6 * LINK_SECONDS

    def board(self, user: str, pages: Pages, members: Members) -> Board:
        """All that a full member of the workspace sees: closed by default, by today's groups."""
        may_read = self.policy.has_power("read", user, members)
        since = later(self.store.now(), days=-RECENT_DAYS)
        mine = self.store.open_of(user)
        ended = self.store.ended_since(since, MOST_RECENT, requester=user, others=False)
        doubtful = self.store.in_states(State.UNKNOWN, State.QUEUED)[::-1]
        others = self.store.ended_since(since, MOST_RECENT, requester=user, others=True) if may_read else []
        pending = self._pending_now()
        sizes = home.SIZES

        def item(request: Request) -> Item:
            return self._item(request, pending.approvers.get(request.id, []))

        def waiting_item(one: Waiting) -> Item:
            return item(self.service.known(one.id))

        return Board(
            reader=user,
            channels=self.policy.channels.requests,
            waiting=Listed.of(self._waiting(user, members, pending), pages.waiting, sizes.waiting, waiting_item),
            mine=Listed.of(mine + ended, pages.mine, sizes.mine, item),
            doubt=Listed.of(
                [one for one in doubtful if may_read or one.requester == user], pages.doubt, sizes.doubt, item
            ),
            recent=Listed.of(others, pages.recent, sizes.recent, item),
            mine_open=len(mine),
            stopped=self.execution.stopped() if members_of_any(user, members) else None,
            may_read=may_read,
            newcomer=None if members_of_any(user, members) else self._newcomer(members),
        )

    def _pending_now(self) -> Pending:
        head = self.store.head()
        if self._pending.head != head:
            self._pending = Pending(head, self.store.pending(), self.store.approvals_of_pending())
        return self._pending

    def _waiting(self, user: str, members: Members, pending: Pending) -> list[Waiting]:
        """What that person could approve now, the first to expire first. Thousands of requests have few rules."""
        texts = {one.rule_text for one in pending.requests}
        theirs = {text for text in texts if self.policy.may_approve(Rule.from_text(text), user, members)}
        return [
            one
            for one in pending.requests
            if one.rule_text in theirs and one.requester != user and user not in pending.approvers.get(one.id, [])
        ]

    def _item(self, request: Request, given: list[str]) -> Item:
        card = self.work.card(request.id)
        before = self.service.done_before(request) if request.state is State.PENDING else None
        return Item(request, card.permalink if card else None, given, before)

    def _newcomer(self, members: Members) -> Newcomer:
        groups = list(dict.fromkeys(group for rule in self.policy.rules for group in rule.ask))
        return Newcomer(groups, sorted(people(tuple(groups), members)))


def members_of_any(user: str, members: Members) -> bool:
    """Has the person a role at all?"""
    return any(user in group for group in members.values())
