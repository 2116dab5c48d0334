"""HTML as a tree: whatever is put in as text comes out as text, because only the serialiser writes angle brackets."""

from __future__ import annotations

import unicodedata
from xml.etree.ElementTree import Element, SubElement, tostring

__all__ = ["Element", "Part", "document", "isolated", "tag"]

Part = Element | str | None  # None is left out

# Marks that make a text read in another order than it is written.
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def tag(name: str, /, *parts: Part, **attributes: str) -> Element:
    """An element with its content; `class_` is written as `class`, `aria_label` as `aria-label`."""
    element = Element(name, {key.strip("_").replace("_", "-"): value for key, value in attributes.items()})
    last: Element | None = None
    for part in parts:
        if isinstance(part, Element):
            element.append(part)
            last = part
        elif part and last is not None:
            last.tail = (last.tail or "") + _readable(part)
        elif part:
            element.text = (element.text or "") + _readable(part)
    return element


def isolated(text: str) -> Element:
    """What somebody typed: in the direction of its own script, without changing the order of what stands beside it."""
    return tag("bdi", text, dir="auto")


def document(title: str, style: str, policy: str, *body: Part) -> str:
    """A whole page. `style` is our own CSS and `policy` the Content-Security-Policy: neither is ever anybody's text."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
    )
    SubElement(head, "style").text = style
    page = tag("html", head, tag("body", *body), lang="en")
    return f"<!DOCTYPE html>\n{tostring(page, encoding='unicode', method='html')}\n"


def _readable(text: str) -> str:
    """Without what HTML does not allow (control characters, halves of one) and marks that reorder what is read."""
    kept = (
        " " if unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t" else c for c in text if c not in _REORDERING
    )
    return "".join(kept)
