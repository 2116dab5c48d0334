"""The manifest of the Slack app: valid by Slack's schema, least scopes, each tied to a method that is called."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from approvals.sentences import request_form
from bot import routes
from bot.usage import help_text
from sandbox import slack_state

ROOT = Path(__file__).parents[1]
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "app_manifest.yml").read_text(encoding="utf-8"))

# Slack's documentation of each method: the bot scopes of which one at least is needed (none: no scope of its own).
SCOPES_OF_METHODS: dict[str, set[str]] = {
    "auth_test": set(),
    "bots_info": {"users:read"},
    "users_info": {"users:read"},
    "usergroups_users_list": {"usergroups:read"},
    "chat_postMessage": {"chat:write"},
    "chat_update": {"chat:write"},
    "chat_getPermalink": set(),
    "conversations_info": {"channels:read", "groups:read"},
    "conversations_history": {"channels:history", "groups:history"},
    "conversations_replies": {"channels:history", "groups:history"},
    "views_open": set(),
    "views_publish": set(),
    "apps_connections_open": set(),  # with the app-level token
}
SCOPES_OF_FEATURES = {"commands"}  # slash commands and shortcuts need it, no method does
SHORTCUT_NAME_MOST = 24  # Slack's documentation of the manifest


def called() -> set[str]:
    """The methods of Slack that the code calls, found by their names in the SDK."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "bot").glob("*.py"))
    families = "auth|bots|users|usergroups|chat|conversations|views|apps|reactions|files"
    return set(re.findall(rf"\b((?:{families})_[a-z]+(?:[A-Z][a-z]+)?(?:_[a-z]+)*)\b(?=\(|\")", text)) - {"chat_write"}


def test_the_manifest_is_valid_by_slacks_schema() -> None:
    schema = json.loads((ROOT / "tests" / "data" / "slack-manifest.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(MANIFEST, schema)


def test_every_method_that_is_called_has_its_scope_and_every_scope_its_method() -> None:
    methods = called()
    assert methods <= SCOPES_OF_METHODS.keys()
    needed = set().union(*(SCOPES_OF_METHODS[method] for method in methods)) | SCOPES_OF_FEATURES
    assert set(MANIFEST["oauth_config"]["scopes"]["bot"]) == needed


def test_the_command_of_the_manifest_is_the_command_of_the_routes() -> None:
    assert [command["command"] for command in MANIFEST["features"]["slash_commands"]] == [routes.COMMAND]


def test_the_shortcuts_of_the_manifest_are_those_of_the_routes_the_help_and_the_local_slack() -> None:
    """By their names: the help says which to look for, and where."""
    shortcuts = {one["type"]: (one["callback_id"], one["name"]) for one in MANIFEST["features"]["shortcuts"]}
    named = {"global": request_form.SHORTCUT, "message": request_form.MESSAGE_SHORTCUT}
    routed = {"global": routes.GLOBAL_SHORTCUT, "message": routes.MESSAGE_SHORTCUT}
    assert shortcuts == {kind: (routed[kind], named[kind]) for kind in named}
    assert all(f"“{name}”" in help_text(None) for name in named.values())
    slack = slack_state.State("http://127.0.0.1:1")
    assert {**slack.shortcuts, **slack.message_shortcuts} == dict(shortcuts.values())
    assert all(len(one["name"]) <= SHORTCUT_NAME_MOST for one in MANIFEST["features"]["shortcuts"])


def test_app_home_is_there_and_every_event_that_is_sent_has_its_listener() -> None:
    """And none is asked for that nobody reads: `app_home_opened` needs no scope."""
    assert MANIFEST["features"]["app_home"]["home_tab_enabled"] is True
    assert tuple(MANIFEST["settings"]["event_subscriptions"]["bot_events"]) == routes.EVENTS


def test_what_slack_must_not_do_for_us_is_switched_off() -> None:
    assert MANIFEST["settings"]["org_deploy_enabled"] is False
    assert MANIFEST["settings"]["token_rotation_enabled"] is False
    assert MANIFEST["features"]["app_home"]["messages_tab_read_only_enabled"] is True
