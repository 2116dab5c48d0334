"""The Web API methods `chat.*`, and the one place where a message's content is checked.

Each method is a function of the state and the caller's arguments; it returns the answer without `ok`, or raises
ApiError with Slack's own error word. Source: docs.slack.dev/reference/methods.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sandbox.slack_blocks import block_problems, normalised
from sandbox.slack_records import ApiError, Channel, Json, Message
from sandbox.slack_state import State

TEXT_MAX = 40_000
METADATA_BYTES_MAX = 10_000
POST_SECONDS = 1.0  # Slack allows one post a second per channel


@dataclass(frozen=True)
class Content:
    """A message's content after the checks; None where the caller said nothing."""

    text: str | None
    blocks: list[Json] | None
    metadata: Json | None


def checked_content(arguments: Json) -> Content:
    """Text, blocks and metadata of a message, as Slack accepts them.

    Raises ApiError: no_text, msg_too_long, invalid_blocks (with `errors`), invalid_metadata_format, metadata_too_large.
    """
    text, blocks = arguments.get("text"), arguments.get("blocks")
    if text is not None and not isinstance(text, str):
        raise ApiError("invalid_arguments")
    if not text and not blocks:
        raise ApiError("no_text")
    if text and len(text) > TEXT_MAX:
        raise ApiError("msg_too_long")
    if blocks is not None:
        refuse_blocks(block_problems(blocks, "message"), "invalid_blocks")
    return Content(text, None if blocks is None else normalised(blocks), _checked_metadata(arguments.get("metadata")))


def refuse_blocks(problems: list[str], error: str) -> None:
    """Raise ApiError as Slack does for bad blocks and views: the sentences in `errors` and in `response_metadata`."""
    if problems:
        raise ApiError(error, errors=problems, response_metadata={"messages": [f"[ERROR] {one}" for one in problems]})


def _checked_metadata(metadata: Any) -> Json | None:
    if metadata is None:
        return None
    if not isinstance(metadata, dict) or set(metadata) - {"event_type", "event_payload"}:
        raise ApiError("invalid_metadata_format")
    if not isinstance(metadata.get("event_type"), str) or not metadata["event_type"]:
        raise ApiError("invalid_metadata_format")
    if not isinstance(metadata.get("event_payload"), dict):
        raise ApiError("invalid_metadata_format")
    if len(json.dumps(metadata)) > METADATA_BYTES_MAX:
        raise ApiError("metadata_too_large")
    return metadata


def public(state: State, message: Message, *, with_metadata: bool = False) -> Json:
    """A message as the Web API and the payloads show it."""
    shown: Json = {"type": "message", "user": message.user, "ts": message.ts, "text": message.text}
    shown["team"] = state.team_id
    if message.user == state.bot_user:
        shown |= {"bot_id": state.bot_id, "app_id": state.app_id}
    elif message.other_app:
        shown |= {"app_id": message.other_app[0], "bot_id": message.other_app[1]}
    if message.is_tombstone:
        shown |= {"subtype": "tombstone", "hidden": True}
    if message.blocks:
        shown["blocks"] = message.blocks
    if message.edits:
        shown["edited"] = {"user": state.bot_id, "ts": message.edited_ts}
    if with_metadata and message.metadata is not None:
        shown["metadata"] = message.metadata
    if message.is_reply:
        shown["thread_ts"] = message.thread_ts
        if message.reply_broadcast:
            shown["subtype"] = "thread_broadcast"
    elif replies := state.replies(message.channel, message.ts):
        shown |= {"thread_ts": message.ts, "reply_count": len(replies), "latest_reply": replies[-1].ts}
    return shown


def writable(state: State, channel_id: Any, *, member: bool = True) -> Channel:
    """The channel, if the bot may write in it. Raises channel_not_found, not_in_channel, is_archived."""
    channel = state.channels.get(channel_id) if isinstance(channel_id, str) else None
    inside = channel is not None and state.bot_user in channel.members
    if channel is None or (channel.is_private and not inside):
        raise ApiError("channel_not_found")
    if channel.is_archived:
        raise ApiError("is_archived")
    if member and not inside:
        raise ApiError("not_in_channel")
    return channel


def post_message(state: State, arguments: Json) -> Json:
    """chat.postMessage, to a channel, a direct message or a person's id."""
    channel_id = arguments.get("channel")
    if channel_id in state.people and channel_id != state.bot_user:
        channel_id = direct_message(state, channel_id).id
    channel = writable(state, channel_id)
    if channel.is_im and not state.messages_tab_enabled:
        raise ApiError("messages_tab_disabled")
    content = checked_content(arguments)
    thread_ts = arguments.get("thread_ts")
    check_thread(state, channel, thread_ts)
    _check_rate(state, channel)
    message = state.post(
        channel.id,
        state.bot_user,
        content.text or "",
        blocks=content.blocks or (),
        metadata=content.metadata,
        thread_ts=thread_ts,
        reply_broadcast=bool(thread_ts and arguments.get("reply_broadcast")),
    )
    return {"channel": channel.id, "ts": message.ts, "message": public(state, message, with_metadata=True)}


def direct_message(state: State, user: str) -> Channel:
    """The direct message to a person who has an account here. Raises user_disabled."""
    if state.people[user].deleted:
        raise ApiError("user_disabled")
    return state.direct(user)


def check_thread(state: State, channel: Channel, thread_ts: Any) -> None:
    """Refuse a thread whose first message is not there, or is itself a reply."""
    if thread_ts is None:
        return
    root = state.find(channel.id, thread_ts)
    if root is None:
        raise ApiError("thread_not_found")
    if root.is_reply:
        raise ApiError("cannot_reply_to_message")


def _check_rate(state: State, channel: Channel) -> None:
    now = state.clock()
    if state.rate_limits and now - state.last_posts.get(channel.id, 0.0) < POST_SECONDS:
        raise ApiError("ratelimited")
    state.last_posts[channel.id] = now


def _own(state: State, channel: Channel, arguments: Json, refusal: str) -> Message:
    """The message that `ts` names. Raises ApiError where there is none, or with `refusal` where it is not the app's."""
    message = state.find(channel.id, str(arguments.get("ts")))
    if message is None:
        raise ApiError("message_not_found")
    if message.user != state.bot_user:
        raise ApiError(refusal)
    return message


def update(state: State, arguments: Json) -> Json:
    """chat.update: text without blocks removes the blocks; without metadata the old stays."""
    channel = writable(state, arguments.get("channel"))
    message = _own(state, channel, arguments, "cant_update_message")
    content = checked_content(arguments)
    text = message.text if content.text is None else content.text
    metadata = message.metadata if content.metadata is None else content.metadata
    state.edit(message, text, content.blocks or (), metadata)
    shown = public(state, message, with_metadata=True)
    return {"channel": channel.id, "ts": message.ts, "text": text, "message": shown}


def delete(state: State, arguments: Json) -> Json:
    """chat.delete, of the app's own messages."""
    channel = writable(state, arguments.get("channel"))
    message = _own(state, channel, arguments, "cant_delete_message")
    state.delete(message)
    return {"channel": channel.id, "ts": message.ts}


def post_ephemeral(state: State, arguments: Json) -> Json:
    """chat.postEphemeral: one reader, who must be in the channel."""
    channel = writable(state, arguments.get("channel"))
    user = arguments.get("user")
    if user not in channel.members:
        raise ApiError("user_not_in_channel")
    content = checked_content(arguments)
    thread_ts = arguments.get("thread_ts")
    check_thread(state, channel, thread_ts)
    message = state.post(
        channel.id,
        state.bot_user,
        content.text or "",
        blocks=content.blocks or (),
        thread_ts=thread_ts,
        ephemeral_to=user,
    )
    return {"message_ts": message.ts}


def get_permalink(state: State, arguments: Json) -> Json:
    """chat.getPermalink."""
    channel = writable(state, arguments.get("channel"))
    message = state.find(channel.id, str(arguments.get("message_ts")))
    if message is None:
        raise ApiError("message_not_found")
    link = f"https://{state.team_domain}.slack.com/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.is_reply:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}
