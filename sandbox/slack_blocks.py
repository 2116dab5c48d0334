"""Slack's rules for blocks and views, as its Block Kit reference states them, and stricter: unknown keys are refused.

Pure functions. Each returns or yields sentences; none is a pass. Source: docs.slack.dev/reference/block-kit.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Iterator
from typing import Any

from sandbox.slack_records import Json

MESSAGE_BLOCKS_MAX = 50
VIEW_BLOCKS_MAX = 100
ID_MAX = 255
VIEW_BYTES_MAX = 250_000

# Each interactive element: the keys it may have besides type and action_id, and those it must have.
_SELECT = {"placeholder", "confirm", "focus_on_load"}
_MULTI = _SELECT | {"max_selected_items"}
_TYPED = {"placeholder", "initial_value", "dispatch_action_config", "focus_on_load"}
_LENGTH = {"min_length", "max_length"}
_CHANNELS = {"initial_channel", "response_url_enabled"}
_CONVERSATIONS = {"default_to_current_conversation", "response_url_enabled", "filter"}
ELEMENTS: dict[str, tuple[set[str], set[str]]] = {
    "button": ({"text", "url", "value", "style", "confirm", "accessibility_label"}, {"text"}),
    "overflow": ({"options", "confirm"}, {"options"}),
    "static_select": (_SELECT | {"options", "option_groups", "initial_option"}, set()),
    "multi_static_select": (_MULTI | {"options", "option_groups", "initial_options"}, set()),
    "users_select": (_SELECT | {"initial_user"}, set()),
    "multi_users_select": (_MULTI | {"initial_users"}, set()),
    "channels_select": (_SELECT | _CHANNELS, set()),
    "conversations_select": (_SELECT | _CONVERSATIONS | {"initial_conversation"}, set()),
    "radio_buttons": ({"options", "initial_option", "confirm", "focus_on_load"}, {"options"}),
    "checkboxes": ({"options", "initial_options", "confirm", "focus_on_load"}, {"options"}),
    "datepicker": (_SELECT | {"initial_date"}, set()),
    "timepicker": (_SELECT | {"initial_time", "timezone"}, set()),
    "plain_text_input": (_TYPED | _LENGTH | {"multiline"}, set()),
    "number_input": (_TYPED | {"is_decimal_allowed", "min_value", "max_value"}, {"is_decimal_allowed"}),
    "email_text_input": (_TYPED, set()),
    "url_text_input": (_TYPED, set()),
}
_INPUT_ONLY = {"plain_text_input", "number_input", "email_text_input", "url_text_input"}
_OPTIONS_MAX = {"overflow": 5, "radio_buttons": 10, "checkboxes": 10}

# Each block: the keys it may have besides type and block_id, and those it must have.
BLOCKS: dict[str, tuple[set[str], set[str]]] = {
    "section": ({"text", "fields", "accessory", "expand"}, set()),
    "divider": (set(), set()),
    "header": ({"text"}, {"text"}),
    "context": ({"elements"}, {"elements"}),
    "actions": ({"elements"}, {"elements"}),
    "image": ({"image_url", "alt_text", "title"}, {"image_url", "alt_text"}),
    "input": ({"label", "element", "dispatch_action", "hint", "optional"}, {"label", "element"}),
    "markdown": ({"text"}, {"text"}),
    "rich_text": ({"elements"}, {"elements"}),
}
_VIEW_KEYS = {"type", "blocks", "private_metadata", "callback_id", "external_id"}
_MODAL_KEYS = _VIEW_KEYS | {"title", "submit", "close", "clear_on_close", "notify_on_close", "submit_disabled"}


def block_problems(blocks: Any, surface: str) -> list[str]:
    """What Slack would refuse in `blocks`; `surface` is message, modal or home."""
    limit = MESSAGE_BLOCKS_MAX if surface == "message" else VIEW_BLOCKS_MAX
    if not isinstance(blocks, list):
        return ["must be an array [json-pointer:/blocks]"]
    if len(blocks) > limit:
        return [f"no more than {limit} items allowed [json-pointer:/blocks]"]
    problems = [
        f"{problem} [json-pointer:/blocks/{index}]"
        for index, block in enumerate(blocks)
        for problem in _block(block, surface)
    ]
    ids = [block.get("block_id") for block in blocks if isinstance(block, dict)]
    given = [block_id for block_id in ids if block_id is not None]
    problems += [f"block_id `{block_id}` already exists" for block_id in sorted(_repeated(given))]
    return problems


def view_problems(view: Any, kind: str) -> list[str]:
    """What Slack would refuse in a view; `kind` is modal or home."""
    if not isinstance(view, dict):
        return ["view must be an object"]
    if view.get("type") != kind:
        return [f"view type must be `{kind}` [json-pointer:/view/type]"]
    problems = list(_keys(view, _MODAL_KEYS if kind == "modal" else _VIEW_KEYS, {"blocks"}))
    for key, limit in (("private_metadata", 3000), ("callback_id", ID_MAX), ("external_id", ID_MAX)):
        problems += _string(view, key, limit)
    if kind == "modal":
        problems += _text(view.get("title"), 24, {"plain_text"}, "title")
        for key in ("submit", "close"):
            if key in view:
                problems += _text(view[key], 24, {"plain_text"}, key)
        blocks = view.get("blocks")
        if isinstance(blocks, list) and "submit" not in view and any(_type(block) == "input" for block in blocks):
            problems.append("submit is required when there is an input block [json-pointer:/view/submit]")
    return problems + block_problems(view.get("blocks", []), kind)


def normalised(blocks: list[Json]) -> list[Json]:
    """`blocks` as Slack stores them: with the ids and defaults that the app left out. The argument stays as it was."""
    stored = copy.deepcopy(blocks)
    for block in stored:
        block.setdefault("block_id", secrets.token_urlsafe(4))
        _add_defaults(block)
    return stored


def _add_defaults(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _add_defaults(item)
    elif isinstance(value, dict):
        kind = value.get("type")
        if kind == "plain_text":
            value.setdefault("emoji", True)
        elif kind == "mrkdwn":
            value.setdefault("verbatim", False)
        elif kind in ELEMENTS:
            value.setdefault("action_id", secrets.token_urlsafe(4))
        for item in list(value.values()):
            _add_defaults(item)


def _block(block: Any, surface: str) -> Iterator[str]:
    kind = _type(block)
    if kind not in BLOCKS:
        yield f"unsupported type: {kind}"
        return
    allowed, required = BLOCKS[kind]
    yield from _keys(block, allowed | {"type", "block_id"}, required | {"type"})
    yield from _string(block, "block_id", ID_MAX, minimum=1)
    yield from _content(block, kind, surface)
    elements = [element for element in _elements(block) if _type(element) in ELEMENTS]
    given = [element["action_id"] for element in elements if "action_id" in element]
    yield from (f"action_id `{action_id}` already exists" for action_id in sorted(_repeated(given)))


def _content(block: Json, kind: str, surface: str) -> Iterator[str]:
    """The rules of one block whose keys have been checked."""
    if kind == "section":
        yield from _section(block)
    elif kind == "header":
        yield from _text(block.get("text"), 150, {"plain_text"}, "text")
    elif kind in ("actions", "context"):
        yield from _row(block, kind)
    elif kind == "image":
        yield from _image(block)
        if "title" in block:
            yield from _text(block["title"], 2000, {"plain_text"}, "title")
    elif kind == "input":
        yield from _input(block)
    elif kind == "markdown":
        yield from _string(block, "text", 12_000, minimum=1)
        if surface != "message":
            yield "markdown blocks are for messages only"


def _section(block: Json) -> Iterator[str]:
    if "text" not in block and "fields" not in block:
        yield "missing required field: text or fields"
    if "text" in block:
        yield from _text(block["text"], 3000, {"plain_text", "mrkdwn"}, "text")
    fields = block.get("fields", [None])
    if not isinstance(fields, list) or not 1 <= len(fields) <= 10:
        yield "fields must have 1 to 10 items"
    elif "fields" in block:
        for one in fields:
            yield from _text(one, 2000, {"plain_text", "mrkdwn"}, "field")
    if "accessory" in block:
        yield from _element(block["accessory"], {*ELEMENTS, "image"} - _INPUT_ONLY)


def _row(block: Json, kind: str) -> Iterator[str]:
    elements, limit = block.get("elements"), 25 if kind == "actions" else 10
    if not isinstance(elements, list) or not 1 <= len(elements) <= limit:
        yield f"{kind} must have 1 to {limit} elements"
        return
    for element in elements:
        if kind == "actions":
            yield from _element(element, set(ELEMENTS) - _INPUT_ONLY)
        elif _type(element) == "image":
            yield from _image(element)
        else:
            yield from _text(element, 3000, {"plain_text", "mrkdwn"}, "element")


def _input(block: Json) -> Iterator[str]:
    yield from _text(block.get("label"), 2000, {"plain_text"}, "label")
    if "hint" in block:
        yield from _text(block["hint"], 2000, {"plain_text"}, "hint")
    yield from _element(block.get("element"), set(ELEMENTS) - {"button", "overflow"})


def _image(image: Json) -> Iterator[str]:
    yield from _keys(image, {"type", "block_id", "image_url", "alt_text", "title"}, {"image_url", "alt_text"})
    yield from _string(image, "image_url", 3000, minimum=1)
    yield from _string(image, "alt_text", 2000, minimum=1)


def _element(element: Any, allowed_types: set[str]) -> Iterator[str]:
    kind = _type(element)
    if kind not in allowed_types:
        yield f"unsupported element type here: {kind}"
        return
    if kind == "image":
        yield from _image(element)
        return
    allowed, required = ELEMENTS[kind]
    yield from _keys(element, allowed | {"type", "action_id"}, required | {"type"})
    for key, limit in (("action_id", ID_MAX), ("value", 2000), ("url", 3000), ("accessibility_label", 75)):
        yield from _string(element, key, limit, minimum=1)
    if kind == "button" and element.get("style", "primary") not in ("primary", "danger"):
        yield "style must be primary or danger"
    if kind == "button":
        yield from _text(element.get("text"), 75, {"plain_text"}, "text")
    if "placeholder" in element:
        yield from _text(element["placeholder"], 150, {"plain_text"}, "placeholder")
    if "confirm" in element:
        yield from _confirm(element["confirm"])
    yield from _typed(element, kind)
    yield from _options(element, kind)


def _typed(element: Json, kind: str) -> Iterator[str]:
    """The bounds of a field into which somebody types."""
    for key in _LENGTH & element.keys():
        if not isinstance(element[key], int) or not 0 <= element[key] <= 3000:
            yield f"{key} must be 0 to 3000"
    if kind in _INPUT_ONLY:
        yield from _string(element, "initial_value", 3000)


def _options(element: Json, kind: str) -> Iterator[str]:
    """The options of a menu, and that what is chosen at first is one of them."""
    if kind in ("static_select", "multi_static_select") and ("options" in element) == ("option_groups" in element):
        yield "exactly one of options and option_groups is needed"
    for group in _list(element.get("option_groups")):
        yield from _text(group.get("label") if isinstance(group, dict) else None, 75, {"plain_text"}, "label")
    options = all_options(element)
    limit = _OPTIONS_MAX.get(kind, 100)
    if ("options" in element or "option_groups" in element) and not 1 <= len(options) <= limit:
        yield f"options must have 1 to {limit} items"
    for option in options:
        yield from _option(option, kind)
    if "initial_option" in element and element["initial_option"] not in options:
        yield "initial_option must be one of the options"
    for chosen in _list(element.get("initial_options")):
        if chosen not in options:
            yield "initial_options must be among the options"


def all_options(element: Json) -> list[Json]:
    """The options of a menu, those in groups included."""
    groups = [group for group in _list(element.get("option_groups")) if isinstance(group, dict)]
    grouped = [option for group in groups for option in _list(group.get("options"))]
    return [*_list(element.get("options")), *grouped]


def _option(option: Any, kind: str) -> Iterator[str]:
    if not isinstance(option, dict):
        yield "option must be an object"
        return
    keys = {"text", "value", "description"} | ({"url"} if kind == "overflow" else set())
    styles = {"plain_text", "mrkdwn"} if kind in ("radio_buttons", "checkboxes") else {"plain_text"}
    yield from _keys(option, keys, {"text", "value"})
    yield from _text(option.get("text"), 75, styles, "option text")
    yield from _string(option, "value", 150, minimum=1)
    if "description" in option:
        yield from _text(option["description"], 75, styles, "description")


def _confirm(confirm: Any) -> Iterator[str]:
    if not isinstance(confirm, dict):
        yield "confirm must be an object"
        return
    keys = {"title", "text", "confirm", "deny"}
    yield from _keys(confirm, keys | {"style"}, keys)
    for key, limit in (("title", 100), ("confirm", 30), ("deny", 30)):
        yield from _text(confirm.get(key), limit, {"plain_text"}, f"confirm {key}")
    yield from _text(confirm.get("text"), 300, {"plain_text", "mrkdwn"}, "confirm text")
    if confirm.get("style", "primary") not in ("primary", "danger"):
        yield "confirm style must be primary or danger"


def _text(text: Any, limit: int, styles: set[str], what: str) -> Iterator[str]:
    """The rules of a text object."""
    kind = _type(text)
    if kind not in styles:
        yield f"{what} must be a text object of type {' or '.join(sorted(styles))}"
        return
    yield from _keys(text, {"type", "text", "emoji" if kind == "plain_text" else "verbatim"}, {"type", "text"})
    content = text.get("text")
    if not isinstance(content, str) or not 1 <= len(content) <= limit:
        yield f"{what} must be 1 to {limit} characters"


def _string(owner: Json, key: str, limit: int, *, minimum: int = 0) -> Iterator[str]:
    value = owner.get(key, "x")
    if not isinstance(value, str) or not minimum <= len(value) <= limit:
        yield f"{key} must be a string of {minimum} to {limit} characters"


def _keys(owner: Json, allowed: set[str], required: set[str]) -> Iterator[str]:
    yield from (f"missing required field: {key}" for key in sorted(required - owner.keys()))
    yield from (f"invalid additional property: {key}" for key in sorted(owner.keys() - allowed))


def _elements(block: Json) -> list[Json]:
    candidates = [*_list(block.get("elements")), block.get("accessory"), block.get("element")]
    return [element for element in candidates if isinstance(element, dict)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _type(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else "(none)"


def _repeated(values: list[Any]) -> set[Any]:
    return {value for value in values if values.count(value) > 1}
