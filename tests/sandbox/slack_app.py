"""A small real Bolt app for the tests of the local Slack, over either way of delivery."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.serving import serve
from sandbox.slack import Slack, serve_slack

Json = dict[str, Any]
MODES = ("socket", "http")
ALICE, BOB, GENERAL = "U01ALICE", "U02BOB", "C01GEN"

BUTTONS: Json = {
    "type": "actions",
    "block_id": "decision",
    "elements": [
        {"type": "button", "action_id": "approve", "text": {"type": "plain_text", "text": "Approve"}, "value": "d1"},
        {
            "type": "overflow",
            "action_id": "withdraw",
            "options": [{"text": {"type": "plain_text", "text": "Withdraw"}, "value": "w1"}],
        },
    ],
}
FORM: Json = {
    "type": "modal",
    "callback_id": "reject_form",
    "title": {"type": "plain_text", "text": "Reject"},
    "submit": {"type": "plain_text", "text": "Reject"},
    "blocks": [
        {
            "type": "input",
            "block_id": "reason",
            "label": {"type": "plain_text", "text": "Reason"},
            "element": {"type": "plain_text_input", "action_id": "text", "max_length": 20},
        }
    ],
}


def add_people(slack: Slack) -> None:
    """Alice and Bob in #payments with the bot."""
    slack.add_person(ALICE, "Alice")
    slack.add_person(BOB, "Bob")
    slack.add_channel(GENERAL, "payments", [ALICE, BOB, slack.state.bot_user])


def web_client(slack: Slack, token: str = "") -> AsyncWebClient:
    """The SDK's client, without its own second try: a test counts what it sends."""
    return AsyncWebClient(token=token or slack.state.bot_token, base_url=slack.api_url, retry_handlers=[])


def bolt_app(slack: Slack) -> AsyncApp:
    """An app to which a test adds listeners."""
    logger = logging.getLogger("tests.sandbox.slack_app")
    return AsyncApp(
        client=web_client(slack),
        signing_secret=slack.state.signing_secret,
        process_before_response=True,
        logger=logger,
    )


@contextlib.asynccontextmanager
async def connected(slack: Slack, app: AsyncApp, mode: str) -> AsyncIterator[None]:
    """Run `app` over Socket Mode or HTTP while the context is open."""
    if mode == "socket":
        handler = AsyncSocketModeHandler(app, slack.state.app_token)
        await handler.connect_async()  # type: ignore[no-untyped-call]  # the SDK leaves it without hints
        await slack.connected()
        try:
            yield
        finally:
            await handler.close_async()  # type: ignore[no-untyped-call]  # the SDK leaves it without hints
        return
    bolt = AsyncSlackRequestHandler(app)

    async def events(request: Request) -> Response:
        return await bolt.handle(request)

    async with serve(Starlette(routes=[Route("/slack/events", events, methods=["POST"])])) as url:
        slack.outbox.request_url = f"{url}/slack/events"
        yield


@contextlib.asynccontextmanager
async def slack_with_people(**options: Any) -> AsyncIterator[Slack]:
    """A local Slack with Alice and Bob."""
    async with serve_slack(**options) as slack:
        add_people(slack)
        yield slack
