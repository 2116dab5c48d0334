"""What the app says back to a person: in the acknowledgement of a command, or through a response_url.

Source: docs.slack.dev, "Handling user interaction". Stricter than Slack: unknown keys are refused.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from sandbox.slack_api import suffer
from sandbox.slack_chat import checked_content
from sandbox.slack_records import ApiError, Json, Message, ResponseUrl
from sandbox.slack_state import State

_KEYS = frozenset(
    {"text", "blocks", "metadata", "mrkdwn", "unfurl_links", "unfurl_media", "parse", "link_names"}
    | {"response_type", "replace_original", "delete_original", "thread_ts"}
)


def show_answer(state: State, body: Json, where: ResponseUrl) -> Message | None:
    """Show `body` where it belongs: to the one person, unless it says in_channel. None when it deletes.

    Raises ApiError for content that Slack refuses.
    """
    if unknown := body.keys() - _KEYS:
        raise ApiError("invalid_payload", errors=[f"unknown key: {key}" for key in sorted(unknown)])
    if body.get("response_type", "ephemeral") not in ("ephemeral", "in_channel"):
        raise ApiError("invalid_response_type")
    original = where.original if where.original in state.messages else None
    if _flag(body, "delete_original"):
        if original is not None:
            state.messages.remove(original)
            state.changed()
        return None
    content = checked_content(body)
    if _flag(body, "replace_original") and original is not None:
        state.edit(original, content.text or "", content.blocks or (), content.metadata or original.metadata)
        return original
    return state.post(
        where.channel,
        state.bot_user,
        content.text or "",
        blocks=content.blocks or (),
        metadata=content.metadata,
        thread_ts=body.get("thread_ts", where.thread_ts),
        ephemeral_to=None if body.get("response_type") == "in_channel" else where.user,
    )


def _flag(body: Json, key: str) -> bool:
    return body.get(key) in (True, "true")


async def handle_response_url(state: State, request: web.Request) -> web.StreamResponse:
    """POST to a response_url: five times within 30 minutes, then used_url or expired_url."""
    fault = state.take_fault("response_url")
    if fault is not None and not fault.kind.endswith("_after"):
        return await suffer(request, fault)
    try:
        body: Any = await request.json()
    except ValueError:
        body = None
    try:
        _answer(state, state.response_urls.get(request.path.removeprefix("/")), body)
    except ApiError as problem:
        status = 404 if problem.error in ("used_url", "expired_url") else 400
        return web.json_response({"ok": False, "error": problem.error} | problem.extra, status=status)
    if fault is not None:
        return await suffer(request, fault)
    return web.Response(text="ok")


def _answer(state: State, where: ResponseUrl | None, body: Any) -> None:
    """One use of a response_url."""
    if where is None or state.clock() > where.expires_at:
        raise ApiError("expired_url")
    if where.uses_left <= 0:
        raise ApiError("used_url")
    where.uses_left -= 1
    if not isinstance(body, dict):
        raise ApiError("invalid_payload")
    message = show_answer(state, body, where)
    where.original = where.original or message
