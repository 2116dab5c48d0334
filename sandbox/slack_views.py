"""The Web API methods `views.*`, and what an acknowledgement may do with a modal.

Each method is a function of the state and the caller's arguments; it returns the answer without `ok`, or raises
ApiError with Slack's own error word. Source: docs.slack.dev/reference/methods.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from sandbox.slack_blocks import VIEW_BYTES_MAX, normalised, view_problems
from sandbox.slack_chat import refuse_blocks
from sandbox.slack_records import ApiError, Json, View
from sandbox.slack_state import TRIGGER_SECONDS, State

STACK_MAX = 3  # Slack: "Your app can have up to 3 views in a stack"
HOME_DEFAULTS: Json = {"private_metadata": "", "callback_id": "", "external_id": ""}
MODAL_DEFAULTS: Json = HOME_DEFAULTS | {
    "submit": None,
    "close": None,
    "clear_on_close": False,
    "notify_on_close": False,
}


def public_view(state: State, view: View) -> Json:
    """A view as the Web API and the payloads show it; `state.values` is filled by the payloads."""
    ids = {"id": view.id, "team_id": state.team_id, "app_id": state.app_id, "bot_id": state.bot_id}
    tree: Json = {"hash": view.hash, "root_view_id": view.root_id, "previous_view_id": None, "state": {"values": {}}}
    return ids | view.content | tree


def open_view(state: State, arguments: Json) -> Json:
    """views.open. Raises invalid_trigger_id, expired_trigger_id (3 seconds), exchanged_trigger_id (once)."""
    user = _use_trigger(state, arguments.get("trigger_id"))
    content = _checked(arguments.get("view"), "modal")
    _check_external_id(state, content, None)
    view = _new_view(state, user, content)
    state.views[user] = [view]
    state.changed()
    return {"view": public_view(state, view)}


def publish_view(state: State, arguments: Json) -> Json:
    """views.publish: a person's home tab. With `hash`, only over the one it was computed from.

    Raises not_enabled where the app has no home tab, user_not_found, hash_conflict.
    """
    if not state.home_tab_enabled:
        raise ApiError("not_enabled")
    user = arguments.get("user_id")
    if user not in state.people:
        raise ApiError("user_not_found")
    old = state.homes.get(user)
    if arguments.get("hash") and (old is None or old.hash != arguments["hash"]):
        raise ApiError("hash_conflict")
    content = _checked(arguments.get("view"), "home")
    _check_external_id(state, content, old)
    view = _new_view(state, user, content)
    if old is not None:
        view.id = view.root_id = old.id
    state.homes[user] = view
    state.changed()
    return {"view": public_view(state, view)}


def update_view(state: State, arguments: Json) -> Json:
    """views.update, by view_id or external_id. Raises not_found, hash_conflict."""
    opened = [view for stack in state.views.values() for view in stack]
    by_external_id = {view.content["external_id"]: view for view in opened if view.content["external_id"]}
    view = state.find_view(str(arguments.get("view_id"))) or by_external_id.get(str(arguments.get("external_id")))
    if view is None:
        raise ApiError("not_found")
    if arguments.get("hash") and arguments["hash"] != view.hash:
        raise ApiError("hash_conflict")
    content = _checked(arguments.get("view"), view.content["type"])
    _check_external_id(state, content, view)
    replace_view(state, view, content)
    return {"view": public_view(state, view)}


def replace_view(state: State, view: View, content: Json) -> None:
    """Show other content, already checked, in an open view."""
    view.content, view.hash, view.errors = content, _new_hash(state), {}
    state.changed()


def apply_response_action(state: State, view: View, answer: Json) -> None:
    """Do what the acknowledgement of a view_submission says: close, clear, update, push, or show errors.

    Raises ApiError for an answer that Slack would refuse.
    """
    action = answer.get("response_action")
    if action is None:
        close_view(state, view)
    elif action == "clear":
        state.views.pop(view.user, None)
    elif action == "errors":
        view.errors = _checked_errors(view, answer.get("errors"))
    elif action == "update":
        replace_view(state, view, _checked(answer.get("view"), "modal"))
    elif action == "push" and len(state.views[view.user]) < STACK_MAX:
        pushed = _new_view(state, view.user, _checked(answer.get("view"), "modal"))
        pushed.root_id = view.root_id
        state.views[view.user].append(pushed)
    else:
        raise ApiError("push_limit_reached" if action == "push" else "invalid_response_action")
    state.changed()


def close_view(state: State, view: View) -> None:
    """Take a modal away; the one below it shows again."""
    state.views[view.user].remove(view)
    if not state.views[view.user]:
        del state.views[view.user]
    state.changed()


def _checked_errors(view: View, errors: Any) -> Json:
    """Field errors name blocks of the view that are inputs; Slack refuses others."""
    inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
    if not isinstance(errors, dict) or not errors or set(errors) - inputs:
        raise ApiError("invalid_response_errors")
    return errors


def _use_trigger(state: State, trigger_id: Any) -> str:
    trigger = state.triggers.get(trigger_id) if isinstance(trigger_id, str) else None
    if trigger is None:
        raise ApiError("invalid_trigger_id")
    if trigger.used:
        raise ApiError("exchanged_trigger_id")
    if state.clock() - trigger.issued_at > TRIGGER_SECONDS:
        raise ApiError("expired_trigger_id")
    trigger.used = True
    return trigger.user


def _checked(view: Any, kind: str) -> Json:
    if len(json.dumps(view)) > VIEW_BYTES_MAX:
        raise ApiError("view_too_large")
    refuse_blocks(view_problems(view, kind), "invalid_arguments")
    content: Json = view
    return (MODAL_DEFAULTS if kind == "modal" else HOME_DEFAULTS) | content | {"blocks": normalised(content["blocks"])}


def _check_external_id(state: State, content: Json, own: View | None) -> None:
    opened = [*state.homes.values(), *(view for stack in state.views.values() for view in stack)]
    taken = {view.content["external_id"] for view in opened if view is not own}
    if content["external_id"] and content["external_id"] in taken:
        raise ApiError("duplicate_external_id")


def _new_view(state: State, user: str, content: Json) -> View:
    view_id = state.new_id("V")
    return View(view_id, user, content, _new_hash(state), view_id)


def _new_hash(state: State) -> str:
    return f"{int(state.clock())}.{secrets.token_hex(4)}"
