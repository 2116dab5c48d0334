"""The messages of a channel, reduced to those in the bot's format, and the facts that each of them shows. Pure.

Slack does not keep a message as it was sent: emoji become `:names:`, mentions get labels, addresses become links,
blocks get ids. So facts are compared, never bytes; what is read from a message here is read the same way from what
the bot would post, and the two are compared.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

CARD, RESULT, HEAD = "ottu_request", "ottu_result", "ottu_head"
FORMATS = frozenset({CARD, RESULT, HEAD})
ALARM = "alarm"  # a form without metadata
Json = dict[str, Any]

# Slack stores these characters under its own names for them (`emoji.list` of every workspace has them).
EMOJI = {
    "🔎": "mag_right",
    "⏳": "hourglass_flowing_sand",
    "👍": "+1",
    "⚙": "gear",
    "🏦": "bank",
    "❓": "question",
    "🚫": "no_entry_sign",
    "❌": "x",
    "↩": "leftwards_arrow_with_hook",
    "⌛": "hourglass",
    "💤": "zzz",
    "✅": "white_check_mark",
    "⛔": "no_entry",
    "⚠": "warning",
    "🧪": "test_tube",
    "🚨": "rotating_light",
}
SIGNS = (*EMOJI, *(f":{name}:" for name in EMOJI.values()))
ALARM_SIGNS = ("🚨", f":{EMOJI['🚨']}:")
_NAMED = re.compile("|".join(re.escape(f":{name}:") for name in [*EMOJI.values(), "thumbsup"]))
_SYMBOL = re.compile("|".join(EMOJI))
_LINK = re.compile(r"<(?:https?://|mailto:|tel:)([^<>|]+)(?:\|([^<>]*))?>")
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>")
_DATE = re.compile(r"<!date\^(\d{1,12})\^[^<>]*>")
_BOLD = re.compile(r"\*([^*\n]+)\*")
_CODE = re.compile(r"`([^`\n]+)`")
# An underscore is no part of a word here: it is Slack's mark of italics.
# No amount has as many digits as the limit; without one, a message of digits and commas takes the square of its length.
_AMOUNT = re.compile(r"(?<![0-9A-Za-z.])\d[\d.,]{0,40} [A-Z]{3}(?![0-9A-Za-z])")
_REQUEST = re.compile(r"(?<![0-9A-Za-z])R-[0-9A-Z]{4,16}(?![0-9A-Za-z])")
_RECORD = re.compile(r"(?<![0-9A-Za-z:])(\d{1,15}):([0-9a-f]{8,64})(?![0-9A-Za-z])")
_TS = re.compile(r"\d{1,15}\.\d{1,10}")
_BUTTON = re.compile(r"R-[0-9A-Z]{4,16}:[0-9a-f]{32}")


@dataclass(frozen=True)
class Identity:
    """As whom Slack knows the bot: its user, its bot id and its app's id; "" where that is not known."""

    user: str = ""
    bot: str = ""
    app: str = ""

    def wrote(self, message: Json) -> bool:
        """Is the message ours by all that it says of its author?"""
        said = (("user", self.user), ("bot_id", self.bot), ("app_id", self.app))
        known = [message[name] == ours for name, ours in said if ours and message.get(name)]
        return bool(known) and all(known)


@dataclass(frozen=True)
class Message:
    """One message in the bot's format, whoever wrote it. `ts` is Slack's name of it, and its time."""

    channel: str
    ts: str
    thread_ts: str | None  # of the first message of its thread, where it is a reply
    author: str
    ours: bool
    edited: bool
    event_type: str  # "" where there is no metadata
    payload: Json
    text: str
    blocks: list[Json] = field(default_factory=list)


@dataclass(frozen=True)
class Shown:
    """The facts that a message shows to people."""

    title: str  # of a card: operation, amount, transaction
    state: str  # the first words in bold
    values: tuple[str, ...]  # of the fields, in their order: the transaction, its state, its figures
    people: frozenset[str]
    about: str  # the request that it is about: its buttons', else the last that it names; "" where it names none
    amounts: frozenset[str]
    requests: frozenset[str]
    records: frozenset[str]  # `SEQ:HASH`, the hash as long as it is shown
    times: frozenset[int]  # seconds since 1970
    codes: frozenset[str]  # reference number and Tracking-Key
    buttons: frozenset[str]
    text: str  # all of it
    fallback: str  # what notifications show


def reduced(channel: str, raw: Json, me: Identity) -> Message | None:
    """The message, where it is in the bot's format; None for all other talk, which is neither kept nor compared."""
    metadata = raw.get("metadata") if isinstance(raw.get("metadata"), dict) else {}
    kind = str((metadata or {}).get("event_type") or "")
    payload = (metadata or {}).get("event_payload")
    blocks = [block for block in raw.get("blocks") or [] if isinstance(block, dict)]
    message = Message(
        channel=channel,
        ts=str(raw.get("ts") or ""),
        thread_ts=str(raw["thread_ts"]) if raw.get("thread_ts") not in (None, raw.get("ts")) else None,
        author=str(raw.get("user") or raw.get("bot_id") or raw.get("username") or "nobody"),
        ours=me.wrote(raw),
        edited=bool(raw.get("edited")),
        event_type=kind if kind in FORMATS else "",
        payload=payload if isinstance(payload, dict) else {},
        text=str(raw.get("text") or ""),
        blocks=blocks,
    )
    return message if _TS.fullmatch(message.ts) and _is_in_format(message, is_app="bot_id" in raw) else None


def _is_in_format(message: Message, *, is_app: bool) -> bool:
    """Does it say, or look as if, it were a card, a result, a head or an alarm?"""
    if message.event_type:
        return True
    shown = read(message.text, message.blocks)
    if shown.buttons or (message.ours and shown.title and shown.requests):
        return True
    if message.ours or is_app:
        return bool(shown.records)
    return bool(shown.records and shown.requests) and message.text.startswith(SIGNS)  # people may talk about it


def form_of(message: Message) -> str:
    """Which kind of message it is: by its metadata or, where there is none, by its looks."""
    if message.event_type:
        return message.event_type
    shown = read(message.text, message.blocks)
    if shown.title or shown.buttons:
        return CARD
    if message.text.startswith(ALARM_SIGNS):
        return ALARM
    return RESULT if message.thread_ts or shown.requests else HEAD


def is_pointer(card: Message, cards: list[Message]) -> bool:
    """Has a card become a pointer to a newer one of them: it shows no facts, but links the other's place?"""
    shown = read(card.text, card.blocks)
    newer = [f"p{one.ts.replace('.', '')}" for one in cards if float(one.ts) > float(card.ts)]
    return not shown.title and not shown.buttons and any(place in card.text for place in newer)


def read(text: str, blocks: list[Json]) -> Shown:
    """The facts that a message shows; `text` counts as shown where there are no blocks."""
    texts = list(_texts(blocks)) if blocks else [text]
    whole = _unlinked("\n".join(texts))
    values = [plain(str(one.get("text") or "").partition("\n")[2]) for block in blocks for one in _fields(block)]
    bold = _BOLD.search(_unlinked("\n".join(_texts([b for b in blocks if b.get("type") == "section"])) or text))
    words = plain(whole)
    return Shown(
        title=next((plain("\n".join(_texts([b]))) for b in blocks if b.get("type") == "header"), ""),
        state=plain(bold[1]) if bold else "",
        values=tuple(values),
        people=frozenset(_MENTION.findall(whole)),
        about=next(iter(sorted(_buttons(blocks))), ["", *_REQUEST.findall(words)][-1]).partition(":")[0],
        amounts=frozenset(_AMOUNT.findall(words)),
        requests=frozenset(_REQUEST.findall(words)),
        records=frozenset(f"{seq}:{head}" for seq, head in _RECORD.findall(words)),
        times=frozenset(int(seconds) for seconds in _DATE.findall(whole)),
        codes=frozenset(plain(code) for code in _CODE.findall(whole)),
        buttons=frozenset(_buttons(blocks)),
        text=words,
        fallback=plain(_unlinked(text)),
    )


def _fields(block: Json) -> list[Json]:
    return [one for one in block.get("fields") or [] if isinstance(one, dict)]


def _texts(value: Any) -> Iterator[str]:
    """Every text that the blocks show, also those of buttons and of what they ask to confirm."""
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        if value.get("type") in {"mrkdwn", "plain_text", "text"} and isinstance(value.get("text"), str):
            yield value["text"]
        for item in value.values():
            yield from _texts(item)


def _buttons(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _buttons(item)
    elif isinstance(value, dict):
        if "action_id" in value:
            yield from _control(value)
        for item in value.values():
            yield from _buttons(item)


def _control(value: Json) -> Iterator[str]:
    """What a button, or one choice of a menu, acts on, what it does, and what it says that it does."""
    options = value.get("options")
    for one in [value, *(options if isinstance(options, list) else [])]:
        if isinstance(one, dict) and _BUTTON.fullmatch(str(one.get("value") or "")):
            label = plain("\n".join(_texts(one.get("text"))))
            yield f"{one['value']} {value['action_id']} “{label}”"


def _unlinked(text: str) -> str:
    """Without the links that Slack made of addresses."""
    return _LINK.sub(lambda match: match[2] or match[1], text)


def plain(text: str) -> str:
    """The words alone: no symbols of ours, no invisible characters, entities as characters, single spaces."""
    text = _SYMBOL.sub("", _NAMED.sub("", text)).replace("\ufe0f", "").replace("\u200b", "")
    text = _DATE.sub("", _MENTION.sub(r"@\1", text))
    return " ".join(html.unescape(text).split())
