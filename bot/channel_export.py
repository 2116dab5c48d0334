"""Reads the folder of a Slack export: `channels.json`, and for each channel a folder with one file for each day.

Source: slack.com/help, "How to read Slack data exports". What others wrote into that folder is checked as it is read;
private channels stand in `groups.json`, which only the larger plans export.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.acquaintance import CannotStart
from bot.channel_findings import Reach
from bot.channel_messages import FORMATS, Identity, Json, Message, reduced

MOST_BYTES = 200_000_000  # of one day of one channel
LISTS = ("channels.json", "groups.json")


@dataclass
class Exported:
    """What an export holds of the channels that were asked for."""

    messages: list[Message] = field(default_factory=list)
    reaches: dict[str, Reach] = field(default_factory=dict)
    newest: float = 0.0  # the newest message or edit in it, by which its end is known
    has_metadata: bool = False


def read_export(folder: Path, channels: Iterable[str], me: Identity) -> Exported:
    """Read those channels. Raises CannotStart where the folder is no export, or a file of it cannot be read."""
    names = _names(folder)
    found = Exported()
    for channel in channels:
        place = folder / names[channel] if channel in names else None
        if place is None or not place.is_dir():
            found.reaches[channel] = Reach(channel, names.get(channel, ""), unreadable="it is not in the export")
            continue
        count = 0
        oldest: float | None = None
        for raw in _messages(place):
            count += 1
            _take(found, channel, raw, me)
            oldest = min(float(raw["ts"]), float("inf") if oldest is None else oldest)
        found.reaches[channel] = Reach(channel, names[channel], count, oldest)
    return found


def _take(found: Exported, channel: str, raw: Json, me: Identity) -> None:
    edited = raw.get("edited") if isinstance(raw.get("edited"), dict) else {}
    found.newest = max(found.newest, float(raw["ts"]), _number((edited or {}).get("ts")))
    message = reduced(channel, raw, me)
    if message is not None:
        found.messages.append(message)
        found.has_metadata = found.has_metadata or (message.ours and message.event_type in FORMATS)


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return 0.0


def _names(folder: Path) -> dict[str, str]:
    """The folder of each channel, by the channel's id; never one outside of the export."""
    if not any((folder / name).is_file() for name in LISTS):
        raise CannotStart(f"--export {folder} is no Slack export: it holds no channels.json; name the unpacked folder")
    found: dict[str, str] = {}
    for name in LISTS:
        if (folder / name).is_file():
            for one in _json(folder / name):
                if isinstance(one, dict) and _is_inside(str(one.get("name"))):
                    found[str(one.get("id"))] = str(one["name"])
    return found


def _is_inside(name: str) -> bool:
    return Path(name).name == name and name not in {"", ".."}


def _messages(folder: Path) -> Iterator[Json]:
    """Every message of a channel, oldest day first."""
    for path in sorted(folder.glob("*.json")):
        for raw in _json(path):
            if isinstance(raw, dict) and _number(raw.get("ts")) > 0:
                yield raw


def _json(path: Path) -> list[Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise CannotStart(f"{path} is larger than {MOST_BYTES // 1_000_000} MB; is it a Slack export?")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise CannotStart(f"{path} cannot be read as JSON; unpack the export again") from None
    if not isinstance(content, list):
        raise CannotStart(f"{path} is not as Slack writes it: it holds no list")
    return content
