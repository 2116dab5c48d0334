"""From what a person does to what they then see: the payload goes out, its acknowledgement is put into effect."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from sandbox.slack_answers import show_answer
from sandbox.slack_delivery import Ack, Delivery, Kind, Outbox
from sandbox.slack_payloads import merged
from sandbox.slack_records import ApiError, Json, Message, ResponseUrl
from sandbox.slack_state import LOG_MAX, State
from sandbox.slack_views import apply_response_action


class Dispatcher:
    """Sends payloads and shows what came of them; remembers each, so that it can be sent again."""

    def __init__(self, state: State, outbox: Outbox) -> None:
        self.state = state
        self.outbox = outbox
        self.deliveries: deque[Delivery] = deque(maxlen=LOG_MAX)

    async def deliver(
        self, kind: Kind, payload: Json, overrides: Json, user: str, *, channel: str = "", view_id: str = ""
    ) -> Ack:
        """Send a new payload, with `overrides` merged over it."""
        delivery = self.outbox.signed(Delivery(kind, merged(payload, overrides), user, channel, view_id))
        self.deliveries.append(delivery)
        return await self.dispatch(delivery)

    async def dispatch(self, delivery: Delivery) -> Ack:
        """Send, then do what the acknowledgement says. What failed is on record as the person saw it."""
        ack = await self.outbox.send(delivery)
        if ack.ok:
            try:
                ack = replace(ack, message=self._apply(delivery, ack))
            except ApiError as problem:
                ack = replace(ack, error="invalid_command_response", body=ack.body | {"refused": problem.error})
        if not ack.ok:
            what = delivery.payload.get("command") or delivery.payload["type"]
            self.state.fail(delivery.user, str(what), str(ack.error))
        return ack

    def _apply(self, delivery: Delivery, ack: Ack) -> Message | None:
        """A command's answer appears; a form closes or shows errors; to a click nothing appears, as in Slack."""
        view = self.state.find_view(delivery.view_id)
        if view is not None:
            apply_response_action(self.state, view, ack.body)
        if delivery.kind != "slash_commands" or not (ack.body.get("text") or ack.body.get("blocks")):
            return None
        key = str(delivery.payload["response_url"]).removeprefix(f"{self.state.base_url}/")
        where = self.state.response_urls.get(key) or ResponseUrl(delivery.user, delivery.channel, 0.0)
        where.original = show_answer(self.state, ack.body, where)
        return where.original
