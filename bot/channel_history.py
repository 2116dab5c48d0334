"""Reads the channels' histories and threads from Slack: all of it, page by page, as slowly as Slack asks for.

What has been read is written to a state file, page by page, so that a reading that was interrupted goes on where it
stopped. In that file stand only messages in the bot's format; other talk is not kept.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import stat
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.acquaintance import NOT_ACCEPTED, CannotStart
from bot.channel_findings import Reach
from bot.channel_messages import Identity, Json, Message, reduced
from bot.people import UNREACHABLE, SlackDown, raise_if_down, slack_code

PAGE = 200  # Slack's documentation recommends no more
MOST_TRIES = 8  # in a row without an answer; 429 does not count
STATE_HOURS = 24  # an interrupted reading that is older begins anew
STATE_VERSION = 1


@dataclass
class Place:
    """What has been read of one channel so far."""

    messages: int = 0
    oldest: str | None = None
    done: bool = False  # its history; not its threads
    unreadable: str = ""
    name: str = ""
    threads: dict[str, int] = field(default_factory=dict)  # first messages that have replies, and how many
    broadcasts: Counter[str] = field(default_factory=Counter)  # how many of a thread's replies the history showed too
    threads_done: set[str] = field(default_factory=set)

    def to_read(self) -> list[str]:
        """The threads that hold more than the history showed: asking for each of them is what takes long."""
        hidden = (thread for thread, replies in self.threads.items() if replies > self.broadcasts[thread])
        return [thread for thread in hidden if thread not in self.threads_done]


class Progress:
    """The state of a reading, in memory and as lines of JSON in a file, one for each page."""

    def __init__(self, path: Path, identity: Json) -> None:
        self.path = path
        self.identity = identity
        self.started_at = time.time()
        self.places: dict[str, Place] = {}
        self.messages: dict[tuple[str, str], Message] = {}

    @classmethod
    def resumed(cls, path: Path, identity: Json) -> Progress:
        """What an interrupted reading of the same channels left, or a new one. Raises CannotStart."""
        progress = cls(path, identity)
        try:
            text = _state(path)
            whole = text[: text.rfind("\n") + 1]  # the last line may have been written by half
            lines = whole.split("\n")[:-1]  # other ends of lines stand in what people wrote
            if not _is_ours(path) or not progress._goes_on(lines):
                progress = cls(path, identity)
                first = {"version": STATE_VERSION, "started_at": progress.started_at, **identity}
                path.unlink(missing_ok=True)
                path.touch(mode=0o600, exist_ok=False)
                progress._write(first)
            elif whole != text:
                os.truncate(path, len(whole.encode()))
        except (OSError, ValueError) as error:
            raise CannotStart(f"--state {path} cannot be used ({type(error).__name__}); name another file") from None
        return progress

    def _goes_on(self, lines: list[str]) -> bool:
        """Take up what the lines say, where they are of the same reading, and not too old."""
        try:
            first, *pages = map(json.loads, lines)
            age_hours = (time.time() - float(first["started_at"])) / 3600
            same = {**first, "started_at": 0} == {"version": STATE_VERSION, **self.identity, "started_at": 0}
            if not same or not 0 <= age_hours < STATE_HOURS:
                return False
            self.started_at = float(first["started_at"])
            for page in pages:
                self._take(page)
        except (KeyError, TypeError, ValueError):
            return False
        return True

    def add(self, line: Json) -> None:
        """A page was read."""
        self._take(line)
        self._write(line)

    def _write(self, line: Json) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _take(self, line: Json) -> None:
        place = self.places.setdefault(str(line["channel"]), Place())
        place.name = line.get("name") or place.name
        place.unreadable = line.get("unreadable") or place.unreadable
        place.messages += int(line.get("count") or 0)
        if line.get("oldest") and (place.oldest is None or float(line["oldest"]) < float(place.oldest)):
            place.oldest = str(line["oldest"])
        place.done = place.done or bool(line.get("done"))
        place.threads |= line.get("threads") or {}
        place.broadcasts += Counter(line.get("broadcasts") or {})
        if line.get("thread"):
            place.threads_done.add(str(line["thread"]))
        for one in line.get("messages") or []:
            message = Message(**one)
            self.messages[message.channel, message.ts] = message

    def finish(self) -> None:
        """All has been read: the next reading begins anew."""
        self.path.unlink(missing_ok=True)

    def reaches(self) -> dict[str, Reach]:
        return {
            channel: Reach(
                channel, place.name, place.messages, float(place.oldest) if place.oldest else None, place.unreadable
            )
            for channel, place in self.places.items()
        }


def _state(path: Path) -> str:
    """What stands in the state file, if there is one. Raises ValueError where it is something else."""
    text = path.read_bytes().decode() if path.exists() else ""
    if text and not text.startswith('{"version"'):
        raise ValueError("no state of a reading")
    return text


def _is_ours(path: Path) -> bool:
    """Can nobody but this user have written it? What stands in it is believed as if Slack had said it."""
    if not os.path.lexists(path):
        return False
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


@dataclass
class Reader:
    """Reads channels to the end, into a Progress."""

    client: AsyncWebClient
    me: Identity
    progress: Progress
    is_shown: bool = False  # at a terminal

    async def read(self, channels: Iterable[str]) -> None:
        """Raises CannotStart where Slack refuses the token or cannot be reached for long."""
        for channel in channels:
            try:
                await self._channel(channel)
            except SlackApiError as error:
                if slack_code(error) in NOT_ACCEPTED:
                    raise CannotStart(
                        f"Slack refuses to show {channel} ({slack_code(error)}); look at the scopes"
                    ) from None
                self.progress.add({"channel": channel, "unreadable": slack_code(error) or "unreadable"})
        self._show("")

    async def _channel(self, channel: str) -> None:
        place = self.progress.places.setdefault(channel, Place())
        if place.unreadable:
            return
        if not place.name:
            known = await call(self.client, "conversations_info", self._wait, channel=channel)
            self.progress.add({"channel": channel, "name": str((known.get("channel") or {}).get("name") or channel)})
        while not place.done:
            await self._page(channel, place)
        threads = place.to_read()
        for number, thread in enumerate(threads, 1):
            self._show(f"{place.name}: thread {number} of {len(threads)}")
            await self._thread(channel, thread)

    async def _page(self, channel: str, place: Place) -> None:
        """The next older page. It is asked for by its time, which stays right when a reading goes on much later."""
        since = {"latest": place.oldest} if place.oldest else {}
        answer = await call(
            self.client,
            "conversations_history",
            self._wait,
            channel=channel,
            limit=PAGE,
            include_all_metadata=True,
            **since,
        )
        raw = [one for one in answer.get("messages") or [] if isinstance(one, dict)]
        stamps = sorted((str(one["ts"]) for one in raw if one.get("ts")), key=float)
        line = {
            "channel": channel,
            "count": len(raw),
            "oldest": stamps[0] if stamps else None,
            "done": not stamps or not answer.get("has_more"),
            "threads": {str(one["ts"]): int(one["reply_count"]) for one in raw if one.get("reply_count")},
            "broadcasts": Counter(str(one["thread_ts"]) for one in raw if one.get("subtype") == "thread_broadcast"),
            "messages": self._kept(channel, raw),
        }
        self.progress.add(line)
        back = datetime.fromtimestamp(float(place.oldest or 0), UTC)
        self._show(f"{place.name}: {place.messages} messages, back to {back:%Y-%m-%d %H:%M}")

    async def _thread(self, channel: str, thread: str) -> None:
        found: list[Json] = []
        cursor = ""
        while True:
            answer = await call(
                self.client,
                "conversations_replies",
                self._wait,
                channel=channel,
                ts=thread,
                limit=PAGE,
                include_all_metadata=True,
                cursor=cursor,
            )
            found += [one for one in answer.get("messages") or [] if isinstance(one, dict)]
            cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                break
        replies = [one for one in found if str(one.get("ts")) != thread]
        kept = self._kept(channel, replies)
        fresh = sum(one.get("subtype") != "thread_broadcast" for one in replies)  # the others stood in the history too
        self.progress.add({"channel": channel, "thread": thread, "count": fresh, "messages": kept})

    def _kept(self, channel: str, raw: list[Json]) -> list[Json]:
        found = (reduced(channel, one, self.me) for one in raw)
        return [dataclasses.asdict(message) for message in found if message is not None]

    async def _wait(self, seconds: float, why: str) -> None:
        self._show(f"Slack: {why}; going on in {seconds:.0f} s")
        await asyncio.sleep(seconds)

    def _show(self, text: str) -> None:
        if self.is_shown:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


async def call(client: AsyncWebClient, method: str, wait: Any, **arguments: Any) -> Json:
    """One reading call, asked again as long as Slack asks us to wait, and a few times where it does not answer.

    `wait`: is awaited with the seconds and why. Raises SlackApiError where Slack says no, CannotStart where it does not
    answer.
    """
    tries = 0
    while True:
        try:
            answer = await getattr(client, method)(**arguments)
        except SlackApiError as error:
            if slack_code(error) in NOT_ACCEPTED:
                raise
            try:
                raise_if_down(error)
            except SlackDown as down:
                trouble = down
            else:
                raise
        except UNREACHABLE as error:
            trouble = SlackDown(type(error).__name__)
        else:
            return dict(answer.data) if isinstance(answer.data, dict) else {}
        tries += str(trouble) != "ratelimited"
        if tries >= MOST_TRIES:
            raise CannotStart(f"Slack does not answer ({trouble}); run it again, and it goes on from here") from None
        await wait(max(trouble.seconds, min(2.0**tries, 60.0) if tries else 0), str(trouble))
