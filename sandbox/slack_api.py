"""The Web API's front door: which methods there are, who may call them, and what goes wrong on demand.

Source: docs.slack.dev/apis/web-api. Stricter than Slack: an argument that a method does not know is refused.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sandbox import slack_chat, slack_reads, slack_views
from sandbox.slack_records import ApiError, Call, Fault, Json
from sandbox.slack_state import State

_STRUCTURES = frozenset({"blocks", "metadata", "view", "attachments"})  # JSON text inside a form
_FLAGS = frozenset(
    {"inclusive", "include_all_metadata", "include_num_members", "include_disabled", "reply_broadcast"}
    | {"unfurl_links", "unfurl_media", "link_names", "mrkdwn", "as_user", "return_im", "include_locale"}
)
_CONTENT = "channel text blocks metadata mrkdwn unfurl_links unfurl_media parse link_names"
_PAGED = "channel cursor limit"
BEFORE = frozenset({"ratelimited", "500", "503", "hang", "drop_before"})


@dataclass(frozen=True)
class Method:
    """One Web API method. In `scope`, `{kind}` is the sort of conversation: channels, groups or im."""

    run: Callable[[State, Json], Json]
    arguments: frozenset[str]
    scope: str = ""
    app_token: bool = False


def _method(run: Callable[[State, Json], Json], arguments: str, scope: str = "", *, app_token: bool = False) -> Method:
    return Method(run, frozenset(arguments.split()), scope, app_token)


METHODS = {
    "auth.test": _method(slack_reads.auth_test, "team_id"),
    "apps.connections.open": _method(slack_reads.connections_open, "", "connections:write", app_token=True),
    "bots.info": _method(slack_reads.bots_info, "bot team_id", "users:read"),
    "users.info": _method(slack_reads.users_info, "user include_locale", "users:read"),
    "usergroups.users.list": _method(
        slack_reads.usergroups_users_list, "usergroup include_disabled team_id", "usergroups:read"
    ),
    "conversations.info": _method(
        slack_reads.conversations_info, "channel include_locale include_num_members", "{kind}:read"
    ),
    "conversations.open": _method(slack_reads.conversations_open, "users return_im", "im:write"),
    "conversations.members": _method(slack_reads.conversations_members, _PAGED, "{kind}:read"),
    "conversations.history": _method(
        slack_reads.conversations_history, f"{_PAGED} oldest latest inclusive include_all_metadata", "{kind}:history"
    ),
    "conversations.replies": _method(
        slack_reads.conversations_replies, f"{_PAGED} ts oldest latest inclusive include_all_metadata", "{kind}:history"
    ),
    "chat.postMessage": _method(slack_chat.post_message, f"{_CONTENT} thread_ts reply_broadcast", "chat:write"),
    "chat.update": _method(slack_chat.update, f"{_CONTENT} ts", "chat:write"),
    "chat.delete": _method(slack_chat.delete, "channel ts", "chat:write"),
    "chat.postEphemeral": _method(slack_chat.post_ephemeral, f"{_CONTENT} user thread_ts", "chat:write"),
    "chat.getPermalink": _method(slack_chat.get_permalink, "channel message_ts"),
    "views.open": _method(slack_views.open_view, "trigger_id view"),
    "views.publish": _method(slack_views.publish_view, "user_id view hash"),
    "views.update": _method(slack_views.update_view, "view_id external_id view hash"),
}


async def handle_api(state: State, request: web.Request) -> web.StreamResponse:
    """Answer `/api/<method>`: a fault if one waits, else the checks, else the method."""
    name = request.match_info["method"]
    arguments = await _arguments(request)
    fault = state.take_fault(name)
    error = ""
    try:
        if fault is not None and fault.kind in BEFORE:
            error = fault.kind
            return await suffer(request, fault)
        answer: Json = {"ok": True} | _call(state, name, request, arguments, fault)
    except ApiError as problem:
        error = problem.error
        answer = {"ok": False, "error": error} | problem.extra
    finally:
        state.calls.append(Call(name, arguments, state.clock(), error))
    if fault is not None and fault.kind.endswith("_after"):
        return await suffer(request, fault)
    if error == "ratelimited":
        return _rate_limited(slack_chat.POST_SECONDS)
    return web.json_response(answer, headers={"x-oauth-scopes": ",".join(sorted(state.scopes))})


def _call(state: State, name: str, request: web.Request, arguments: Json, fault: Fault | None) -> Json:
    method = METHODS.get(name)
    if method is None:
        raise ApiError("unknown_method", req_method=name)
    _check_token(state, method, request, arguments)
    _check_scope(state, method, arguments)
    if fault is not None and not fault.kind.endswith("_after"):
        raise ApiError(fault.kind)
    if unknown := arguments.keys() - method.arguments - {"team_id"}:  # Bolt's clients send it with every call
        messages = [f"[ERROR] unknown argument: {argument}" for argument in sorted(unknown)]
        raise ApiError("invalid_arguments", response_metadata={"messages": messages})
    return method.run(state, arguments)


def _check_token(state: State, method: Method, request: web.Request, arguments: Json) -> None:
    in_body = arguments.pop("token", "")
    token = request.headers.get("Authorization", "").removeprefix("Bearer ") or in_body
    if not token:
        raise ApiError("not_authed")
    if token not in (state.bot_token, state.app_token):
        raise ApiError("invalid_auth")
    if (token == state.app_token) != method.app_token:
        raise ApiError("not_allowed_token_type")


def _check_scope(state: State, method: Method, arguments: Json) -> None:
    channel = state.channels.get(str(arguments.get("channel")))
    needed = method.scope.format(kind="channels" if channel is None else channel.kind)
    if needed and not method.app_token and needed not in state.scopes:
        raise ApiError("missing_scope", needed=needed, provided=",".join(sorted(state.scopes)))


async def _arguments(request: web.Request) -> Json:
    """The arguments from the query, a form or a JSON body."""
    arguments: Json = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = await request.json()
        except ValueError:
            body = None
        if isinstance(body, dict):
            arguments |= body
    elif request.can_read_body:
        arguments |= await request.post()
    for key, value in arguments.items():
        if key in _STRUCTURES and isinstance(value, str):
            arguments[key] = _decoded(value)
        elif key in _FLAGS and isinstance(value, str):
            arguments[key] = value.lower() in ("1", "true")
    return arguments


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text  # refused by the check of what it should have been


async def suffer(request: web.Request, fault: Fault) -> web.StreamResponse:
    """Give the answer, or the lack of one, that `fault` asks for."""
    if fault.kind == "ratelimited":
        return _rate_limited(fault.seconds)
    if fault.kind in ("500", "503"):
        return web.Response(status=int(fault.kind), text="upstream trouble")
    if fault.kind.startswith("hang"):
        await asyncio.sleep(fault.seconds)
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # written to nobody


def _rate_limited(seconds: float) -> web.Response:
    headers = {"Retry-After": str(max(1, round(seconds)))}
    return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
