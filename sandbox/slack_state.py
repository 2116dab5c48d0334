"""What the local Slack holds (people, channels, messages, views) and a way to wait until it changes.

Plain data and plain functions of it: no sockets here. Times are seconds since 1970, as `clock` gives them.
"""

from __future__ import annotations

import asyncio
import copy
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sandbox.slack_records import (
    Call,
    Channel,
    Failure,
    Fault,
    Json,
    Message,
    Person,
    ResponseUrl,
    Trigger,
    View,
)

TRIGGER_SECONDS = 3.0  # Slack: "You have 3 seconds to use it"
RESPONSE_URL_SECONDS = 1800.0  # Slack: "up to 5 times within 30 minutes"
TOMBSTONE_USER, TOMBSTONE_TEXT = "USLACKBOT", "This message was deleted."
LOG_MAX = 10_000  # calls, deliveries and failures that are remembered

# What the bot's manifest asks for; a test takes one away to see what breaks.
SCOPES = (
    "commands",
    "chat:write",
    "users:read",
    "usergroups:read",
    "channels:read",
    "groups:read",
    "channels:history",
    "groups:history",
)


@dataclass
class State:
    """One workspace with one installed app."""

    team_id: str = "T01LOCAL"
    team_domain: str = "local"
    app_id: str = "A01OTTUBOT"
    bot_id: str = "B01OTTUBOT"
    bot_user: str = "U01OTTUBOT"
    bot_token: str = "xoxb-sandbox"  # noqa: S105  # made up, and the same in every sandbox
    app_token: str = "xapp-1-A01OTTUBOT-1-sandbox"  # noqa: S105  # the same
    signing_secret: str = "sandbox-signing-secret"  # noqa: S105  # the same
    base_url: str = ""
    clock: Callable[[], float] = time.time
    commands: set[str] = field(default_factory=lambda: {"/ottu"})
    shortcuts: dict[str, str] = field(default_factory=lambda: {"new_request": "New request"})  # callback_id: name
    message_shortcuts: dict[str, str] = field(default_factory=lambda: {"request_from_message": "Request from message"})
    scopes: set[str] = field(default_factory=lambda: set(SCOPES))
    rate_limits: bool = False  # one post a second per channel
    usergroups_paid: bool = True  # False: usergroups.users.list answers plan_upgrade_required
    home_tab_enabled: bool = True
    messages_tab_enabled: bool = True  # False: a direct message fails with messages_tab_disabled
    people: dict[str, Person] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    views: dict[str, list[View]] = field(default_factory=dict)
    homes: dict[str, View] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    response_urls: dict[str, ResponseUrl] = field(default_factory=dict)
    tickets: set[str] = field(default_factory=set)
    last_posts: dict[str, float] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=LOG_MAX))
    failures: deque[Failure] = field(default_factory=lambda: deque(maxlen=LOG_MAX))
    version: int = 0  # counts changes; the page asks for what is newer than the one it has
    _last_ts: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.people[self.bot_user] = Person(self.bot_user, "ottu", self.team_id, is_bot=True)

    # --- waiting -------------------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Wake everybody who waits for a change."""
        self.version += 1
        event, self._changed = self._changed, asyncio.Event()
        event.set()

    async def change(self) -> None:
        """Wait for the next change."""
        await self._changed.wait()

    # --- ids -----------------------------------------------------------------------------------------------------

    def new_ts(self) -> str:
        """A message's id: the time in microseconds, never twice the same."""
        self._last_ts = max(self._last_ts + 1, int(self.clock() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def new_id(self, letter: str) -> str:
        """An id as Slack makes them: a letter and ten capitals or digits."""
        return letter + secrets.token_hex(5).upper()

    def new_trigger(self, user: str) -> str:
        """A fresh trigger id for `user`."""
        trigger_id = f"{secrets.randbelow(10**12):012d}.{secrets.randbelow(10**12):012d}.{secrets.token_hex(16)}"
        self.triggers[trigger_id] = Trigger(user, self.clock())
        return trigger_id

    def new_response_url(
        self, kind: str, user: str, channel: str, *, original: Message | None = None, thread_ts: str | None = None
    ) -> str:
        """A fresh response_url on this server; `kind` is commands or actions, as in Slack's own addresses."""
        key = f"{kind}/{self.team_id}/{secrets.randbelow(10**12):012d}/{secrets.token_hex(12)}"
        self.response_urls[key] = ResponseUrl(
            user, channel, self.clock() + RESPONSE_URL_SECONDS, original=original, thread_ts=thread_ts
        )
        return f"{self.base_url}/{key}"

    # --- people and channels ---------------------------------------------------------------------------------------

    def direct(self, user: str) -> Channel:
        """The direct message between `user` and the bot, opened when there is none."""
        channel_id = "D" + user[1:]
        if channel_id not in self.channels:
            self.channels[channel_id] = Channel(channel_id, channel_id, [user, self.bot_user], is_im=True)
        return self.channels[channel_id]

    # --- messages ------------------------------------------------------------------------------------------------

    def post(
        self,
        channel: str,
        user: str,
        text: str,
        *,
        blocks: Sequence[Json] = (),
        metadata: Json | None = None,
        thread_ts: str | None = None,
        reply_broadcast: bool = False,
        ephemeral_to: str | None = None,
    ) -> Message:
        """Store a message whose content has been checked, and wake who waits."""
        message = Message(
            channel, self.new_ts(), user, text, list(blocks), metadata, thread_ts, reply_broadcast, ephemeral_to
        )
        self.messages.append(message)
        self.changed()
        return message

    def edit(self, message: Message, text: str, blocks: Sequence[Json], metadata: Json | None) -> None:
        """Give `message` other content; what it said before stays in `edits`."""
        before = {"text": message.text, "blocks": message.blocks, "metadata": message.metadata}
        message.edits.append(copy.deepcopy(before))
        message.text, message.blocks, message.metadata = text, list(blocks), metadata
        message.edited_ts = self.new_ts()
        self.changed()

    def delete(self, message: Message) -> None:
        """Take `message` away. As in Slack, the first of a thread leaves a tombstone, until the replies go too."""
        if not message.is_reply and self.replies(message.channel, message.ts):
            message.user, message.text, message.is_tombstone = TOMBSTONE_USER, TOMBSTONE_TEXT, True
            message.blocks, message.metadata, message.edits, message.other_app = [], None, [], None
        else:
            self.messages.remove(message)
            root = self.find(message.channel, message.thread_ts or "", tombstone=True)
            if root is not None and root.is_tombstone and not self.replies(root.channel, root.ts):
                self.messages.remove(root)
        self.changed()

    def find(self, channel: str, ts: str, *, ephemeral: bool = False, tombstone: bool = False) -> Message | None:
        """The message `ts` of `channel`; ephemeral ones, and what is left of a deleted one, only when asked for."""
        for message in reversed(self.messages):
            if message.channel == channel and message.ts == ts:
                if (message.ephemeral_to and not ephemeral) or (message.is_tombstone and not tombstone):
                    continue
                return message
        return None

    def replies(self, channel: str, ts: str) -> list[Message]:
        """What was answered in the thread of `ts`, oldest first, without ephemerals."""
        return [
            message
            for message in self.messages
            if message.channel == channel and message.thread_ts == ts and message.ts != ts
            if message.ephemeral_to is None
        ]

    def fail(self, user: str, what: str, error: str) -> None:
        """Record what a person saw fail."""
        self.failures.append(Failure(user, what, error, self.clock()))
        self.changed()

    def take_fault(self, method: str) -> Fault | None:
        """The fault for this call, if one is waiting; each counts down."""
        for fault in self.faults:
            if fault.method in (method, "*"):
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None

    def find_view(self, view_id: str) -> View | None:
        """The open modal or home tab with this id."""
        opened = [view for stack in self.views.values() for view in stack]
        return next((view for view in (*opened, *self.homes.values()) if view.id == view_id), None)
