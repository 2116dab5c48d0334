"""A local Slack, as strict as the real one or stricter, for the real Slack SDK over real sockets.

    async with serve_slack() as slack:
        slack.add_person("U01ALICE", "Alice")
        slack.add_channel("C01GEN", "payments", members=["U01ALICE", slack.state.bot_user])
        ...  # start an app with slack.api_url, slack.state.bot_token and slack.state.app_token
        ack = await slack.command("U01ALICE", "C01GEN", "/ottu", "refund ORD123 5.000")
        card = await slack.wait_for(lambda: slack.messages("C01GEN")[0])
        await slack.click("U02BOB", "C01GEN", card.ts, "approve")

What people do are methods of `Slack`; they raise `Impossible` for what a person in front of Slack could not do.
Keyword arguments they do not know are merged into the payload: that, with `crafted=True`, makes forged ones
(`user={"team_id": "T09EVIL"}`); so what says who acts, and where, is given by position.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import aiohttp
from aiohttp import web

from sandbox import slack_payloads as payloads
from sandbox.slack_answers import handle_response_url
from sandbox.slack_api import handle_api
from sandbox.slack_control import add_control
from sandbox.slack_delivery import Ack, Delivery, Outbox
from sandbox.slack_dispatch import Dispatcher
from sandbox.slack_export import write_export
from sandbox.slack_forms import form_values, pick
from sandbox.slack_records import Channel, Fault, Impossible, Json, Message, Person, View, interactive
from sandbox.slack_render import transcript
from sandbox.slack_state import State
from sandbox.slack_views import close_view

Found = TypeVar("Found")
BODY_BYTES_MAX = 1_000_000


class Thread(NamedTuple):
    """A message and what was answered in its thread."""

    message: Message
    replies: list[Message]


@dataclass(frozen=True)
class Seen:
    """What one person sees: messages in order (their ephemerals among them), open modals, the home tab."""

    messages: list[Message]
    views: list[View]
    home: View | None


class Slack:
    """One workspace with one app: its state, and what people do in it."""

    def __init__(self, state: State, outbox: Outbox) -> None:
        self.state = state
        self.outbox = outbox
        self._dispatcher = Dispatcher(state, outbox)

    @property
    def api_url(self) -> str:
        """The base of the Web API, with the last slash, for `base_url` of the SDK's clients."""
        return f"{self.state.base_url}/api/"

    @property
    def deliveries(self) -> deque[Delivery]:
        """What was sent to the app, oldest first."""
        return self._dispatcher.deliveries

    # --- the workspace -------------------------------------------------------------------------------------------

    def add_person(self, user: str, name: str, **flags: Any) -> Person:
        """A new account, or other flags for an old one."""
        self.state.people[user] = Person(user, name, **{"team_id": self.state.team_id, **flags})
        self.state.changed()
        return self.state.people[user]

    def add_channel(self, channel: str, name: str, members: list[str], **flags: Any) -> Channel:
        """A new channel, or other members and flags for an old one."""
        self.state.channels[channel] = Channel(channel, name, list(members), **flags)
        self.state.changed()
        return self.state.channels[channel]

    def fault(self, method: str, kind: str, times: int = 1, seconds: float = 1.0) -> None:
        """Let the next `times` calls of `method` go wrong; see `Fault`."""
        self.state.faults.append(Fault(method, kind, times, seconds))

    # --- what people do ------------------------------------------------------------------------------------------

    async def command(
        self, user: str, channel: str, command: str, text: str = "", /, *, crafted: bool = False, **overrides: Any
    ) -> Ack:
        """Type a slash command; the acknowledgement as that person sees it."""
        person, place = self._present(user, channel, crafted=crafted)
        if not crafted and command not in self.state.commands:
            raise Impossible(f"{command} is not a command of this app")
        if not crafted and person.team_id != self.state.team_id:
            raise Impossible("people of another organisation cannot use this app's commands")
        payload = payloads.slash_command(self.state, person, place, command, text)
        return await self._dispatcher.deliver("slash_commands", payload, overrides, user, channel=channel)

    async def click(
        self,
        user: str,
        channel: str,
        message_ts: str,
        action_id: str,
        /,
        *,
        block_id: str | None = None,
        value: str | None = None,
        crafted: bool = False,
        **overrides: Any,
    ) -> Ack:
        """Press a button of a message (its confirm dialog included), or choose the option `value` of a menu."""
        person, place = self._present(user, channel, crafted=crafted)
        message = self.state.find(channel, message_ts, ephemeral=True)
        if message is None or (message.ephemeral_to not in (None, user)):
            if not crafted:
                raise Impossible(f"{user} sees no message {message_ts} in {channel}")
            message = message or Message(channel, message_ts, self.state.bot_user, "")
        action = self._pressed(message.elements, action_id, block_id, value, crafted=crafted)
        payload = payloads.message_actions(self.state, person, place, message, action)
        return await self._dispatcher.deliver("interactive", payload, overrides, user, channel=channel)

    async def click_home(
        self,
        user: str,
        action_id: str,
        /,
        *,
        block_id: str | None = None,
        value: str | None = None,
        crafted: bool = False,
        **overrides: Any,
    ) -> Ack:
        """Press a button of the person's own home tab."""
        view = self.state.homes.get(user)
        if view is None:
            raise Impossible(f"{user} has no home tab yet")
        return await self._click_view(view, action_id, block_id, value, crafted, overrides)

    async def click_view(
        self,
        user: str,
        action_id: str,
        /,
        *,
        view: str | None = None,
        block_id: str | None = None,
        value: str | None = None,
        crafted: bool = False,
        **overrides: Any,
    ) -> Ack:
        """Press a button in the topmost modal (or in `view`)."""
        return await self._click_view(self._modal(user, view), action_id, block_id, value, crafted, overrides)

    async def submit_view(
        self, user: str, view: str | None = None, values: Mapping[str, Any] | None = None, /, **overrides: Any
    ) -> Ack:
        """Fill in and submit a modal. `view` None is the topmost; `values` by block id or action id.

        The view closes unless the acknowledgement says otherwise; its field errors are in `Ack.errors`.
        """
        opened = self._modal(user, view)
        filled = form_values(opened, values or {})
        payload = payloads.view_submission(self.state, self._person(user), opened, filled)
        return await self._dispatcher.deliver("interactive", payload, overrides, user, view_id=opened.id)

    async def close_view(self, user: str, view: str | None = None) -> Ack | None:
        """Close a modal. None when the app did not ask to be told."""
        opened = self._modal(user, view)
        close_view(self.state, opened)
        if not opened.content["notify_on_close"]:
            return None
        payload = payloads.view_closed(self.state, self._person(user), opened)
        return await self._dispatcher.deliver("interactive", payload, {}, user)

    async def open_home(self, user: str) -> Ack:
        """Open the app's home tab."""
        payload = payloads.app_home_opened(self.state, self._person(user))
        return await self._dispatcher.deliver("events_api", payload, {}, user)

    async def shortcut(self, user: str, callback_id: str, /, **overrides: Any) -> Ack:
        """Use a global shortcut."""
        if callback_id not in self.state.shortcuts:
            raise Impossible(f"{callback_id} is not a shortcut of this app")
        payload = payloads.global_shortcut(self.state, self._person(user), callback_id)
        return await self._dispatcher.deliver("interactive", payload, overrides, user)

    async def message_shortcut(
        self, user: str, channel: str, message_ts: str, callback_id: str, /, **overrides: Any
    ) -> Ack:
        """Use a shortcut from the menu of a message."""
        if callback_id not in self.state.message_shortcuts:
            raise Impossible(f"{callback_id} is not a message shortcut of this app")
        person, place = self._present(user, channel, crafted=False)
        message = self.state.find(channel, message_ts)
        if message is None:
            raise Impossible(f"{user} sees no message {message_ts} in {channel}")
        payload = payloads.message_shortcut(self.state, person, place, message, callback_id)
        return await self._dispatcher.deliver("interactive", payload, overrides, user, channel=channel)

    def say(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> Message:
        """Write an ordinary message."""
        self._present(user, channel, crafted=False)
        return self.state.post(channel, user, text, thread_ts=thread_ts)

    def post_as_app(self, user: str, channel: str, text: str, *, app_id: str, bot_id: str, **content: Any) -> Message:
        """Let another app, whose bot is the account `user`, post a message: `blocks`, `metadata`, `thread_ts`."""
        self._present(user, channel, crafted=False)
        message = self.state.post(channel, user, text, **content)
        message.other_app = (app_id, bot_id)
        return message

    def export(self, folder: Path, *, with_metadata: bool = True) -> None:
        """Write the history of the channels as Slack's export does."""
        write_export(self.state, folder, with_metadata=with_metadata)

    async def resend(self, delivery: Delivery | None = None) -> Ack:
        """Deliver the last payload (or `delivery`) once more: the same trigger id and, over HTTP, the same request."""
        return await self._dispatcher.dispatch(delivery or self.deliveries[-1])

    # --- what people see -----------------------------------------------------------------------------------------

    def seen_by(self, user: str) -> Seen:
        """What `user` sees, in order."""
        inside = {channel.id for channel in self.state.channels.values() if user in channel.members}
        messages = [one for one in self.state.messages if one.channel in inside and one.ephemeral_to in (None, user)]
        return Seen(messages, list(self.state.views.get(user, ())), self.state.homes.get(user))

    def messages(self, channel: str) -> list[Message]:
        """What everybody in `channel` sees, replies included, oldest first."""
        return [one for one in self.state.messages if one.channel == channel and one.ephemeral_to is None]

    def channel(self, channel: str) -> list[Thread]:
        """The same, as threads."""
        roots = [message for message in self.messages(channel) if not message.is_reply]
        return [Thread(root, self.state.replies(channel, root.ts)) for root in roots]

    def direct_messages(self, user: str) -> list[Message]:
        """What the bot and `user` wrote each other."""
        return self.messages(self.state.direct(user).id)

    def transcript(self, user: str | None = None) -> str:
        """Everything, or what `user` sees, as plain text."""
        return transcript(self.state, user)

    async def wait_for(self, predicate: Callable[[], Found], seconds: float = 5.0) -> Found:
        """Wait until `predicate` returns something true, and return that. It may raise LookupError meanwhile.

        Raises TimeoutError with the transcript.
        """
        try:
            async with asyncio.timeout(seconds):
                while True:
                    with contextlib.suppress(LookupError):
                        if found := predicate():
                            return found
                    await self.state.change()
        except TimeoutError:
            raise TimeoutError(f"waited {seconds} s in vain; Slack shows:\n{self.transcript()}") from None

    # --- connections ---------------------------------------------------------------------------------------------

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Socket Mode: tell the app to connect anew, as Slack does every few hours."""
        await self.outbox.disconnect(reason)

    def drop_sockets(self) -> None:
        """Socket Mode: break every connection off."""
        self.outbox.drop()

    async def connected(self, count: int = 1, seconds: float = 5.0) -> None:
        """Socket Mode: wait until the app has at least `count` connections."""
        await self.wait_for(lambda: len(self.outbox.sockets) >= count, seconds)

    # --- inside --------------------------------------------------------------------------------------------------

    def _person(self, user: str, *, crafted: bool = False) -> Person:
        person = self.state.people.get(user)
        if person is None:
            raise Impossible(f"there is no {user}")
        if person.deleted and not crafted:
            raise Impossible(f"{user} is deactivated")
        return person

    def _present(self, user: str, channel: str, *, crafted: bool) -> tuple[Person, Channel]:
        person = self._person(user, crafted=crafted)
        own = "D" + user[1:]  # anybody may write to the bot, even when nothing has been said yet
        place = self.state.direct(user) if channel == own else self.state.channels.get(channel)
        if crafted:
            return person, place or Channel(channel, channel.lower())
        if place is None or user not in place.members:
            raise Impossible(f"{user} is not in {channel}")
        if place.is_archived:
            raise Impossible(f"{channel} is archived")
        return person, place

    def _pressed(
        self,
        elements: list[tuple[str, Json]],
        action_id: str,
        block_id: str | None,
        value: str | None,
        *,
        crafted: bool,
    ) -> Json:
        action = pick(elements, action_id, block_id, None if crafted else value)
        if action is None and not crafted:
            raise Impossible(f"there is no {action_id} to press" + (f" with {value!r}" if value else ""))
        if action is None:
            text = {"type": "plain_text", "text": action_id, "emoji": True}
            action = {"type": "button", "action_id": action_id, "block_id": block_id or "crafted", "text": text}
        return action | {"value": value} if crafted and value is not None else action

    def _modal(self, user: str, view: str | None) -> View:
        for opened in reversed(self.state.views.get(user, [])):
            if view in (None, opened.id):
                return opened
        raise Impossible(f"{user} has no such view open")

    async def _click_view(
        self, view: View, action_id: str, block_id: str | None, value: str | None, crafted: bool, overrides: Json
    ) -> Ack:
        action = self._pressed(list(interactive(view.blocks)), action_id, block_id, value, crafted=crafted)
        values = form_values(view, {}, checked=False)
        person = self._person(view.user, crafted=crafted)
        payload = payloads.view_actions(self.state, person, view, action, values)
        return await self._dispatcher.deliver("interactive", payload, overrides, view.user)


@contextlib.asynccontextmanager
async def serve_slack(
    *,
    port: int = 0,
    request_url: str = "",
    ottu_base_url: str = "",
    clock: Callable[[], float] = time.time,
    ack_seconds: float = 3.0,
) -> AsyncIterator[Slack]:
    """Run a local Slack on 127.0.0.1 in the running loop. Port 0 takes a free one; OSError when it is taken.

    With `request_url` payloads go there over HTTP, else over Socket Mode. `ottu_base_url` lets the page show the
    ledger of a local Ottu. A test may give its own `clock` (also that of the answers' `Date`) and a shorter wait for
    acknowledgements.
    """
    state = State(clock=clock)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        slack = Slack(state, Outbox(state, session, request_url, ack_seconds))
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.on_response_prepare.append(functools.partial(_say_date, state))
        app.router.add_route("*", "/api/{method}", functools.partial(handle_api, state))
        app.router.add_get("/link/", slack.outbox.accept)
        for kind in ("commands", "actions"):
            path = f"/{kind}/{{team}}/{{number}}/{{secret}}"
            app.router.add_post(path, functools.partial(handle_response_url, state))
        add_control(app, slack, session, ottu_base_url)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            state.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield slack
        finally:
            await runner.cleanup()


async def _say_date(state: State, _request: web.Request, response: web.StreamResponse) -> None:
    """As every server's answers do."""
    response.headers["Date"] = formatdate(state.clock(), usegmt=True)
