"""Filling in what Slack shows: choosing, typing and pressing, only as far as a person could.

Pure functions of blocks. The shapes are those of `state.values` and `actions` in Slack's payloads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sandbox.slack_blocks import all_options
from sandbox.slack_records import Impossible, Json, View, interactive

_TYPED = {"plain_text_input", "number_input", "email_text_input", "url_text_input"}
_ONE_OPTION = {"static_select", "radio_buttons", "overflow"}
_SOME_OPTIONS = {"multi_static_select", "checkboxes"}
# The other menus: under which key the choice is sent, and under which the first choice stands.
_CHOSEN = {
    "users_select": ("selected_user", "initial_user"),
    "multi_users_select": ("selected_users", "initial_users"),
    "channels_select": ("selected_channel", "initial_channel"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
}


def choice(element: Json, value: Any) -> Json:
    """What an element sends when `value` was typed or chosen in it; None is nothing.

    Options are named by their value. Raises Impossible for an option that is not there.
    """
    kind = element["type"]
    if kind == "button":
        return {"type": kind, "text": element["text"]} | ({"value": element["value"]} if "value" in element else {})
    if kind in _TYPED:
        return {"type": kind, "value": None if value in (None, "") else str(value)}
    if kind in _ONE_OPTION:
        return {"type": kind, "selected_option": None if value is None else _option(element, value)}
    if kind in _SOME_OPTIONS:
        return {"type": kind, "selected_options": [_option(element, one) for one in value or ()]}
    return {"type": kind, _CHOSEN[kind][0]: value}


def _option(element: Json, value: str) -> Json:
    for option in all_options(element):
        if option["value"] == value:
            return option
    raise Impossible(f"no option {value!r} in {element['action_id']}")


def _first(element: Json) -> Any:
    """What stands in a field before anybody touched it."""
    kind = element["type"]
    if kind in _TYPED:
        return element.get("initial_value")
    if kind in _ONE_OPTION:
        return element.get("initial_option", {}).get("value")
    if kind in _SOME_OPTIONS:
        return [option["value"] for option in element.get("initial_options", ())]
    return element.get(_CHOSEN[kind][1])


def form_values(view: View, values: Mapping[str, Any], *, checked: bool = True) -> Json:
    """`state.values` of a view: what `values` says (by block id or action id), else what stands there at first.

    Raises Impossible for a field that is not there and, where `checked`, for what Slack would not let anybody submit.
    """
    left = dict(values)
    result: Json = {}
    required = {block["block_id"] for block in view.blocks if block["type"] == "input" and not block.get("optional")}
    for block_id, element in interactive(view.blocks):
        if element["type"] in ("button", "overflow"):
            continue
        action_id = element["action_id"]
        value = left.pop(block_id, left.pop(action_id, _first(element)))
        if isinstance(value, dict):
            value = value.get(action_id)
        if checked:
            _check(element, value, required=block_id in required)
        result.setdefault(block_id, {})[action_id] = choice(element, value)
    if left:
        raise Impossible(f"no field {', '.join(left)} in this view")
    return result


def _check(element: Json, value: Any, *, required: bool) -> None:
    """What Slack's own client checks before it submits."""
    name = element["action_id"]
    if value in (None, "", []):
        if required:
            raise Impossible(f"{name} must be filled in")
        return
    if element["type"] not in _TYPED:
        return
    text = str(value)
    if not element.get("min_length", 0) <= len(text) <= element.get("max_length", 3000):
        raise Impossible(f"{name} has the wrong length")
    if element["type"] == "plain_text_input" and not element.get("multiline") and "\n" in text:
        raise Impossible(f"{name} has one line only")
    decimals = r"(\.\d+)?" if element.get("is_decimal_allowed") else ""
    if element["type"] == "number_input" and not re.fullmatch(rf"-?\d+{decimals}", text):
        raise Impossible(f"{name} must be a number")


def pick(elements: list[tuple[str, Json]], action_id: str, block_id: str | None, value: str | None) -> Json | None:
    """The action that pressing `action_id` sends, or None when nobody can see such a thing.

    Among several with the same id, `block_id` and `value` choose; in a menu `value` names the option.
    """
    for candidate_block, element in elements:
        if element["action_id"] != action_id or block_id not in (None, candidate_block):
            continue
        if element["type"] == "button" and value not in (None, element.get("value")):
            continue
        ids = {"action_id": action_id, "block_id": candidate_block}
        if element["type"] == "overflow" and value is None and len(element["options"]) == 1:
            value = element["options"][0]["value"]
        if element["type"] == "overflow" and value is None:
            raise Impossible(f"{action_id} is a menu: say which option")
        return choice(element, value) | ids
    return None
