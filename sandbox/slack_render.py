"""Messages and views as plain lines of text: for the demo, and for a test that waited in vain.

Pure functions of the state.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from sandbox.slack_records import Json, Message
from sandbox.slack_state import State

_TOKEN = re.compile(r"<([^<>\n]+)>")


def plain(state: State, text: str) -> str:
    """mrkdwn as it is read: people, channels and groups by name, date tokens by their fallback, links by their text."""
    return html.unescape(_TOKEN.sub(lambda match: _token(state, match[1]), text))


def _token(state: State, token: str) -> str:
    target, _, label = token.partition("|")
    if target.startswith("@"):
        person = state.people.get(target[1:])
        return "@" + (person.name if person else label or target[1:])
    if target.startswith("#"):
        channel = state.channels.get(target[1:])
        return "#" + (channel.name if channel else label or target[1:])
    if target.startswith("!date^"):
        return label
    if target.startswith("!"):
        return label or "@" + target[1:].removeprefix("subteam^")
    return label or target


def block_lines(state: State, blocks: list[Json]) -> Iterator[str]:
    """One line or more per block; buttons in brackets, menus with their options."""
    for block in blocks:
        kind = block["type"]
        if kind == "divider":
            yield "---"
        for text in (block.get("text"), *block.get("fields", ())):
            if text is not None:
                yield from _text(state, text)
        if kind == "input":
            yield f"{block['label']['text']}: {element_line(block['element'])}"
        if kind == "context":
            yield " ".join(line for element in block["elements"] for line in _text(state, element))
        if kind == "actions":
            yield " ".join(element_line(element) for element in block["elements"])
        if "accessory" in block:
            yield element_line(block["accessory"])


def _text(state: State, text: Json | str) -> list[str]:
    if isinstance(text, str):
        return plain(state, text).split("\n")
    if text["type"] == "image":
        return [f"({text['alt_text']})"]
    return (plain(state, text["text"]) if text["type"] == "mrkdwn" else text["text"]).split("\n")


def element_line(element: Json) -> str:
    """A button as `[Approve]`, a menu as `[⋮ Withdraw]`, a field as `[____]`."""
    if element["type"] == "button":
        return f"[{element['text']['text']}]"
    if element["type"] == "image":
        return f"({element['alt_text']})"
    options = " / ".join(option["text"]["text"] for option in element.get("options", ()))
    return f"[⋮ {options}]" if options else f"[{element.get('initial_value', '____')}]"


def message_lines(state: State, message: Message) -> list[str]:
    """A message: who and when and the text, then its blocks."""
    person = state.people.get(message.user)
    clock = datetime.fromtimestamp(float(message.ts), UTC).strftime("%H:%M:%S")
    edited = " (edited)" if message.edits else ""
    only = state.people.get(message.ephemeral_to or "")
    reader = f" (only {only.name} sees this)" if only else ""
    lines = [f"{clock} {person.name if person else message.user}{reader}: {plain(state, message.text)}{edited}"]
    return lines + [f"    | {line}" for line in block_lines(state, message.blocks)]


def transcript(state: State, user: str | None = None) -> str:
    """Everything, or what `user` sees, channel by channel; replies are indented under their message."""
    lines: list[str] = []
    for channel in state.channels.values():
        if user is not None and user not in channel.members:
            continue
        messages = [one for one in state.messages if one.channel == channel.id and _readable(one, user)]
        if channel.is_im:
            other = state.people.get(channel.members[0])
            name = f"direct message with {other.name if other else channel.members[0]}"
        else:
            name = f"#{channel.name}"
        lines.append(name + ("" if messages else " (nothing)"))
        for message in messages:
            if message.is_reply:
                continue
            lines += [f"  {line}" for line in message_lines(state, message)]
            replies = [one for one in messages if one.is_reply and one.thread_ts == message.ts]
            lines += [f"    ↳ {line}" for reply in replies for line in message_lines(state, reply)]
    return "\n".join([*lines, *_views(state, user)])


def _readable(message: Message, user: str | None) -> bool:
    return user is None or message.ephemeral_to in (None, user)


def _views(state: State, user: str | None) -> Iterator[str]:
    for owner, stack in state.views.items():
        for view in stack if user in (None, owner) else ():
            yield f"modal of {state.people[owner].name}: {view.content['title']['text']}"
            yield from (f"    | {line}" for line in block_lines(state, view.blocks))
            yield from (f"    ! {block_id}: {error}" for block_id, error in view.errors.items())
    for owner, home in state.homes.items():
        if user in (None, owner):
            yield f"home of {state.people[owner].name}:"
            yield from (f"    | {line}" for line in block_lines(state, home.blocks))
    for failure in state.failures:
        if user in (None, failure.user):
            yield f"failed: {failure.user} {failure.what}: {failure.error}"
