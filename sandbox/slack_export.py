"""A workspace's history as Slack's export writes it: lists of channels and people, and a folder of days per channel.

Source: slack.com/help, "How to read Slack data exports". Replies stand among the messages of the day on which they were
written; private channels are listed in `groups.json` (only the larger plans export them).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from sandbox.slack_chat import public
from sandbox.slack_records import Json
from sandbox.slack_state import State


def write_export(state: State, folder: Path, *, with_metadata: bool) -> None:
    """Write the export into `folder`, which is made. Direct messages are left out, as without a legal request."""
    channels = [channel for channel in state.channels.values() if not channel.is_im]
    for name, private in (("channels.json", False), ("groups.json", True)):
        listed = [
            {"id": channel.id, "name": channel.name, "created": 1, "members": channel.members}
            for channel in channels
            if channel.is_private is private
        ]
        _write(folder / name, listed)
    people = [
        {"id": one.id, "team_id": one.team_id, "name": one.name, "is_bot": one.is_bot} for one in state.people.values()
    ]
    _write(folder / "users.json", people)
    for channel in channels:
        days: dict[str, list[Json]] = {}
        for message in state.messages:
            if message.channel == channel.id and message.ephemeral_to is None:
                day = datetime.fromtimestamp(float(message.ts), UTC).date().isoformat()
                days.setdefault(day, []).append(public(state, message, with_metadata=with_metadata))
        for day, messages in days.items():
            _write(folder / channel.name / f"{day}.json", messages)


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=4), encoding="utf-8")
