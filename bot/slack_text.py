"""Text as Slack sends it, back to the text as a person typed it.

Pure. Slack's documentation: `&`, `<` and `>` come as entities; links, addresses, telephone numbers and mentions may
come in angle brackets, with a label after a bar. The manifest asks for no rewriting (`should_escape: false`); whatever
comes is undone.
"""

from __future__ import annotations

import re

_MARKUP = re.compile(r"<((?:[@#!]|https?://|mailto:|tel:)[^<>|\s]+)(?:\|([^<>]*))?>")
_ENTITY = re.compile(r"&(amp|lt|gt);")
_CHARACTERS = {"amp": "&", "lt": "<", "gt": ">"}


def decode(text: str) -> tuple[str, frozenset[str]]:
    """Return the plain text, and the first word of each mention in it (`@alice`, `#general`), to know it by.

    A mention becomes plain text, so that it pings nobody. Entities are decoded once: `&amp;lt;` is `&lt;`.
    """
    pieces: list[str] = []
    mentions: set[str] = set()
    end = 0
    for match in _MARKUP.finditer(text):
        target, label = _unescape(match[1]), _unescape(match[2] or "")
        spelled = _spell(target, label)
        if target[0] in "@#!" and spelled.split():
            mentions.add(spelled.split()[0])
        pieces += [_unescape(text[end : match.start()]), spelled]
        end = match.end()
    return "".join([*pieces, _unescape(text[end:])]), frozenset(mentions)


def _spell(target: str, label: str) -> str:
    """What a person would have typed for this link, address, number or mention."""
    if target.startswith("mailto:"):
        return target.removeprefix("mailto:")
    if target.startswith("tel:"):
        return label or target.removeprefix("tel:")
    if target.startswith("!date"):
        return label
    if target.startswith("!"):
        return "@" + (label or target[1:].rpartition("^")[2]).lstrip("@")
    if target[0] in "@#":
        return target[0] + (label or target[1:]).lstrip(target[0])
    return target


def _unescape(text: str) -> str:
    return _ENTITY.sub(lambda match: _CHARACTERS[match[1]], text)
