"""The things a local Slack knows: people, channels, messages, views, triggers, faults. Plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

RESPONSE_URL_USES = 5  # Slack: "up to 5 times within 30 minutes"


class ApiError(Exception):
    """An answer `{"ok": false, "error": …}`; `extra` is merged into it (`errors`, `needed`, `provided` …)."""

    def __init__(self, error: str, **extra: Any) -> None:
        super().__init__(error)
        self.error = error
        self.extra = extra


class Impossible(Exception):
    """A person in front of Slack could not do this: no such button, not in the channel, a required field empty."""


@dataclass
class Person:
    """Somebody with an account. `team_id` other than the installing team makes them an outsider (Slack Connect)."""

    id: str
    name: str
    team_id: str = "T01LOCAL"
    deleted: bool = False
    is_bot: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False


@dataclass
class Channel:
    """A conversation. A direct message is one with `is_im`, whose members are the person and the bot."""

    id: str
    name: str
    members: list[str] = field(default_factory=list)
    is_archived: bool = False
    is_private: bool = False
    is_ext_shared: bool = False
    is_im: bool = False

    @property
    def kind(self) -> str:
        """The word that Slack's scopes use for this sort of conversation."""
        return "im" if self.is_im else "groups" if self.is_private else "channels"


@dataclass
class Message:
    """One message. `ephemeral_to` names its only reader; `edits` holds the earlier text, blocks and metadata.

    `other_app` is the app that posted it (app id, bot id), where that is not the installed one.
    """

    channel: str
    ts: str
    user: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    metadata: Json | None = None
    thread_ts: str | None = None
    reply_broadcast: bool = False
    ephemeral_to: str | None = None
    edits: list[Json] = field(default_factory=list)
    edited_ts: str | None = None
    other_app: tuple[str, str] | None = None
    is_tombstone: bool = False  # it was deleted; Slack keeps its place, because it has replies

    @property
    def is_reply(self) -> bool:
        """True for a message inside a thread (the thread's first message is not one)."""
        return self.thread_ts is not None and self.thread_ts != self.ts

    @property
    def elements(self) -> list[tuple[str, Json]]:
        """What can be pressed or chosen, as (block_id, element), in the order shown."""
        return list(interactive(self.blocks))

    @property
    def buttons(self) -> list[str]:
        """The texts on the buttons, in the order shown."""
        return [element["text"]["text"] for _, element in self.elements if element["type"] == "button"]


@dataclass
class View:
    """An open modal or a home tab. `content` is what the app sent, with the ids Slack adds."""

    id: str
    user: str
    content: Json
    hash: str
    root_id: str
    errors: Json = field(default_factory=dict)  # shown under the fields after response_action "errors"

    @property
    def blocks(self) -> list[Json]:
        """The blocks of the view."""
        blocks: list[Json] = self.content["blocks"]
        return blocks


@dataclass
class Trigger:
    """A trigger id: it opens one view, within 3 seconds."""

    user: str
    issued_at: float
    used: bool = False


@dataclass
class ResponseUrl:
    """A response_url: five uses within 30 minutes. `original` is what `replace_original` replaces."""

    user: str
    channel: str
    expires_at: float
    original: Message | None = None
    thread_ts: str | None = None
    uses_left: int = RESPONSE_URL_USES


@dataclass
class Fault:
    """What goes wrong with the next `times` calls of `method` ("*": any; "response_url" for those).

    `kind`: ratelimited, 500, 503, hang, hang_after, drop_before, drop_after (after: the effect has happened), or any
    Slack error word. `seconds` is the Retry-After, or how long a hanging call hangs.
    """

    method: str
    kind: str
    times: int = 1
    seconds: float = 1.0


@dataclass(frozen=True)
class Call:
    """One Web API call as it came in. `error` is "" when it went well."""

    method: str
    arguments: Json
    at: float
    error: str


@dataclass(frozen=True)
class Failure:
    """Something a person saw fail: `error` is the word Slack shows (operation_timeout, dispatch_failed …)."""

    user: str
    what: str
    error: str
    at: float


def interactive(blocks: Sequence[Json]) -> Iterator[tuple[str, Json]]:
    """Every interactive element of `blocks` with its block's id."""
    for block in blocks:
        for element in (*block.get("elements", ()), block.get("accessory"), block.get("element")):
            if isinstance(element, dict) and "action_id" in element:
                yield block["block_id"], element
