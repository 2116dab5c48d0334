"""Structured logs: one JSON line an event, on standard error. Secrets are taken out of whatever is logged."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime

from approvals.audit import Event

LOUD = frozenset({"alarm", "gave_up", "policy_refused"})  # somebody must look
OURS = ("bot", "approvals", "ottu", "sandbox")
QUIET = ("slack_bolt", "slack_sdk", "httpx", "httpcore", "aiohttp", "uvicorn", "asyncio")


class JsonLines(logging.Formatter):
    """`{"at", "level", "logger", "event", …}`; of an exception the types and places, not the values.

    A library's own words may quote a payload, so of its lines the place alone is kept.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__()
        self.secrets: list[str] = []
        self.hide(secrets)

    def hide(self, secrets: Sequence[str]) -> None:
        """Take these out as well, the longest first: one may be a part of another."""
        self.secrets = sorted({*self.secrets, *filter(None, secrets)}, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.name.partition(".")[0] not in OURS:
            line |= {"event": "library", "said_at": f"{record.module}:{record.lineno}"}
        if record.exc_info and record.exc_info[1] is not None:
            line["where"] = [
                f"{frame.filename.rsplit('/', 2)[-1]}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(record.exc_info[2])[-6:]
            ]
            line["error"] = type(record.exc_info[1]).__name__
        text = json.dumps(line, ensure_ascii=False, default=str)
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def recorded(event: Event) -> None:
    """One line for an event of the record: which request, what happened, why; nothing that a person typed."""
    log = logging.getLogger("bot.record")
    moved = {"from": event.from_state, "to": event.to_state, "version": event.version} if event.to_state else {}
    why = {"why": event.facts["why"]} if event.kind == "refused_attempt" else {}
    level = logging.WARNING if event.kind in LOUD or event.to_state == "unknown" else logging.INFO
    log.log(level, event.kind, extra={"facts": {"request": event.request_id, "seq": event.seq, **moved, **why}})


def set_up(secrets: Sequence[str]) -> None:
    """Our own events at INFO; the libraries', which would log payloads, at WARNING (Bolt and its kin: ERROR)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(secrets))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("bot").setLevel(logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL if name == "slack_sdk" else logging.ERROR)


def hide(secrets: Sequence[str]) -> None:
    """Take these out of whatever is logged from now on, besides those before: credentials have been renewed."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonLines):
            handler.formatter.hide(secrets)
