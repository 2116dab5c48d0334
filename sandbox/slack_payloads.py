"""The payloads that Slack sends to an app, in the shapes its documentation and its own requests show.

Pure functions. Sources: docs.slack.dev, "Implementing slash commands", "block_actions payload", "View interactions
payload", "Shortcut interactions payload", "app_home_opened event".
"""

from __future__ import annotations

from typing import Any

from sandbox.slack_chat import public
from sandbox.slack_records import Channel, Json, Message, Person, View
from sandbox.slack_state import State
from sandbox.slack_views import public_view

VERIFICATION_TOKEN = "sandbox-verification-token"  # noqa: S105  # Slack sends it still; nobody should read it


def merged(base: Json, changes: Json) -> Json:
    """`base` with `changes` over it, objects merged key by key: how a test crafts a payload."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def slash_command(state: State, person: Person, channel: Channel, command: str, text: str) -> Json:
    """The form fields of a slash command; every value is text."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": state.team_id,
        "team_domain": state.team_domain,
        "channel_id": channel.id,
        "channel_name": "directmessage" if channel.is_im else channel.name,
        "user_id": person.id,
        "user_name": person.name.lower(),
        "command": command,
        "text": text,
        "api_app_id": state.app_id,
        "is_enterprise_install": "false",
        "response_url": state.new_response_url("commands", person.id, channel.id),
        "trigger_id": state.new_trigger(person.id),
    }


def _interaction(state: State, person: Person, kind: str) -> Json:
    """What every interaction payload carries. `team` is the installing team; the person's own is in `user`."""
    name = person.name.lower()
    return {
        "type": kind,
        "user": {"id": person.id, "username": name, "name": name, "team_id": person.team_id},
        "api_app_id": state.app_id,
        "token": VERIFICATION_TOKEN,
        "trigger_id": state.new_trigger(person.id),
        "team": {"id": state.team_id, "domain": state.team_domain},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def message_actions(state: State, person: Person, channel: Channel, message: Message, action: Json) -> Json:
    """block_actions from a message. As in Slack, an ephemeral message itself is not included."""
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": message.ephemeral_to is not None,
    }
    if message.is_reply:
        container["thread_ts"] = message.thread_ts
    payload = _interaction(state, person, "block_actions") | {
        "container": container,
        "channel": _channel_part(channel),
        "state": {"values": {}},
        "response_url": state.new_response_url(
            "actions", person.id, channel.id, original=message, thread_ts=message.thread_ts
        ),
        "actions": [action | {"action_ts": state.new_ts()}],
    }
    return payload if message.ephemeral_to else payload | {"message": public(state, message)}


def view_actions(state: State, person: Person, view: View, action: Json, values: Json) -> Json:
    """block_actions from a modal or the home tab: no channel and no response_url."""
    return _interaction(state, person, "block_actions") | {
        "container": {"type": "view", "view_id": view.id},
        "view": public_view(state, view) | {"state": {"values": values}},
        "actions": [action | {"action_ts": state.new_ts()}],
    }


def view_submission(state: State, person: Person, view: View, values: Json) -> Json:
    """view_submission, with what was filled in."""
    shown = public_view(state, view) | {"state": {"values": values}}
    return _interaction(state, person, "view_submission") | {"view": shown, "response_urls": []}


def view_closed(state: State, person: Person, view: View) -> Json:
    """view_closed, sent only where the view asked for it. It has no trigger id."""
    payload = _interaction(state, person, "view_closed") | {"view": public_view(state, view), "is_cleared": False}
    del state.triggers[payload.pop("trigger_id")]
    return payload


def global_shortcut(state: State, person: Person, callback_id: str) -> Json:
    """A global shortcut: no channel."""
    return _interaction(state, person, "shortcut") | {"callback_id": callback_id, "action_ts": state.new_ts()}


def message_shortcut(state: State, person: Person, channel: Channel, message: Message, callback_id: str) -> Json:
    """A shortcut from a message's own menu."""
    return _interaction(state, person, "message_action") | {
        "callback_id": callback_id,
        "action_ts": state.new_ts(),
        "message_ts": message.ts,
        "channel": _channel_part(channel),
        "message": public(state, message),
        "response_url": state.new_response_url("actions", person.id, channel.id, thread_ts=message.thread_ts),
    }


def app_home_opened(state: State, person: Person) -> Json:
    """The event that the home tab was opened."""
    event: Json = {
        "type": "app_home_opened",
        "user": person.id,
        "channel": state.direct(person.id).id,
        "tab": "home",
        "event_ts": state.new_ts(),
    }
    if person.id in state.homes:
        event["view"] = public_view(state, state.homes[person.id])
    authorization: dict[str, Any] = {"enterprise_id": None, "team_id": state.team_id, "user_id": state.bot_user}
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": state.team_id,
        "api_app_id": state.app_id,
        "event": event,
        "type": "event_callback",
        "event_id": state.new_id("Ev"),
        "event_time": int(state.clock()),
        "authorizations": [authorization | {"is_bot": True, "is_enterprise_install": False}],
        "is_ext_shared_channel": False,
    }


def _channel_part(channel: Channel) -> Json:
    return {"id": channel.id, "name": "directmessage" if channel.is_im else channel.name}
