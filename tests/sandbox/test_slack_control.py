"""The page's addresses and `python -m sandbox`: what other programs and people without Python use."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sandbox.serving import serve
from sandbox.slack import Slack
from tests.sandbox.slack_app import ALICE, BOB, BUTTONS, GENERAL, bolt_app, connected, slack_with_people, web_client

Json = dict[str, Any]


def control(slack: Slack) -> httpx.AsyncClient:
    """A client of the control addresses."""
    return httpx.AsyncClient(base_url=f"{slack.state.base_url}/_control/slack/", trust_env=False)


async def test_a_foreign_program_acts_as_people_and_sees_what_they_see() -> None:
    async with slack_with_people() as slack, control(slack) as client:
        app = bolt_app(slack)

        async def acted(ack: Any) -> None:
            await ack(text="done", response_type="ephemeral")

        app.command("/ottu")(acted)
        app.action("approve")(acted)
        async with connected(slack, app, "socket"):
            body: Json = {"user": ALICE, "channel": GENERAL, "command": "/ottu", "text": "help"}
            ack = (await client.post("command", json=body)).json()
            assert (ack["ok"], ack["text"]) == (True, "done")
            card = await web_client(slack).chat_postMessage(channel=GENERAL, text="card", blocks=[BUTTONS])
            click: Json = {"user": BOB, "channel": GENERAL, "message_ts": card["ts"], "action_id": "approve"}
            assert (await client.post("click", json=click)).json()["ok"] is True
            wrong = await client.post("click", json=click | {"action_id": "nothing"})
            assert (wrong.status_code, "to press" in wrong.json()["error"]) == (400, True)
        shown = (await client.get("state", params={"user": BOB})).json()
        assert [message["text"] for message in shown["messages"]] == ["card"]
        assert "only Alice sees this" in (await client.get("transcript")).json()["transcript"]
        assert "done" not in (await client.get("transcript", params={"user": BOB})).json()["transcript"]


async def test_the_workspace_can_be_changed_from_outside() -> None:
    async with slack_with_people() as slack, control(slack) as client:
        await client.post("people", json={"id": "U07GUEST", "name": "Gwen", "is_restricted": True})
        await client.post("channels", json={"id": "C07NEW", "name": "new", "members": ["U07GUEST"]})
        await client.post("groups", json={"id": "S01LEADS", "users": [BOB]})
        await client.post("faults", json={"method": "chat.update", "kind": "503", "times": 2})
        await client.post("settings", json={"rate_limits": True})
        assert slack.state.people["U07GUEST"].is_restricted
        assert slack.state.channels["C07NEW"].members == ["U07GUEST"]
        assert slack.state.groups == {"S01LEADS": [BOB]}
        assert [(fault.kind, fault.times) for fault in slack.state.faults] == [("503", 2)]
        assert slack.state.rate_limits


@pytest.mark.parametrize(
    ("act", "content", "kind"),
    [
        ("command", b"user=U01ALICE", "application/x-www-form-urlencoded"),  # what a foreign page could send
        ("command", b"{", "application/json"),
        ("command", b"[]", "application/json"),
        ("command", b"{}", "application/json"),
        ("settings", b'{"bot_token": "x"}', "application/json"),
        ("nothing", b"{}", "application/json"),
    ],
)
async def test_a_bad_request_is_a_sentence(act: str, content: bytes, kind: str) -> None:
    async with slack_with_people() as slack, control(slack) as client:
        answer = await client.post(act, content=content, headers={"Content-Type": kind})
        assert answer.status_code == 400
        assert answer.json()["error"]


async def test_the_page_waits_for_news() -> None:
    """A long poll answers at a change, and at once when it has missed one."""
    async with slack_with_people() as slack, control(slack) as client:
        version = slack.state.version
        asking = asyncio.create_task(client.get("state", params={"since": version}))
        await asyncio.sleep(0.05)  # enough for the question to arrive; were it late, it would be answered at once
        assert not asking.done()
        slack.say(ALICE, GENERAL, "news")
        assert (await asking).json()["messages"][0]["text"] == "news"
        assert (await client.get("state", params={"since": version})).json()["version"] > version


async def test_the_page_needs_no_other_server_and_shows_the_money() -> None:
    async def ledger(_request: Request) -> JSONResponse:
        return JSONResponse([{"seq": 1, "kind": "refund", "amount": "5.000", "currency": "KWD"}])

    async with (
        serve(Starlette(routes=[Route("/_control/ottu/ledger", ledger)])) as ottu,
        slack_with_people(ottu_base_url=ottu) as slack,
        control(slack) as client,
    ):
        page = (await client.get(slack.state.base_url)).text
        assert "<script src" not in page
        assert "http://" not in page
        assert "https://" not in page
        assert (await client.get("ledger")).json()[0]["amount"] == "5.000"


async def test_the_program_prints_one_line_runs_and_ends_with_zero() -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "sandbox", "--slack-port", "0", "--ottu-port", "0", "--with-parent"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert program.stdout is not None
    try:
        line = json.loads(await asyncio.wait_for(program.stdout.readline(), 20))
        assert line["slack_api_url"].endswith("/api/")
        async with httpx.AsyncClient(trust_env=False) as client:
            headers = {"Authorization": f"Bearer {line['slack_bot_token']}"}
            assert (await client.post(f"{line['slack_api_url']}auth.test", headers=headers)).json()["ok"] is True
            assert (await client.get(line["page_url"])).status_code == 200
            assert (await client.get(f"{line['page_url']}_control/slack/ledger")).json() == []
    finally:
        program.terminate()
        rest = await program.stdout.read()
        assert await asyncio.wait_for(program.wait(), 10) == 0
    assert rest == b""
