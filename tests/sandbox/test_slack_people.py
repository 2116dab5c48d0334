"""People and a real Bolt app meet in the local Slack: commands, clicks, forms, in both ways of delivery."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook.async_client import AsyncWebhookClient

from sandbox.slack_records import Impossible
from tests.sandbox.slack_app import (
    ALICE,
    BOB,
    BUTTONS,
    FORM,
    GENERAL,
    MODES,
    Json,
    bolt_app,
    connected,
    slack_with_people,
    web_client,
)


@pytest.mark.parametrize("mode", MODES)
async def test_a_command_is_acknowledged_to_its_person_alone(mode: str) -> None:
    bodies: list[Json] = []
    async with slack_with_people() as slack:
        app = bolt_app(slack)

        async def listener(ack: Any, body: Json) -> None:
            bodies.append(body)
            await ack(text=f"You typed {body['text']}", response_type="ephemeral")

        app.command("/ottu")(listener)
        async with connected(slack, app, mode):
            ack = await slack.command(ALICE, GENERAL, "/ottu", "refund ORD123 5.000")
        assert (ack.ok, ack.text) == (True, "You typed refund ORD123 5.000")
        assert ack.milliseconds < 3000
        assert [message.text for message in slack.seen_by(ALICE).messages] == [ack.text]
        assert slack.seen_by(BOB).messages == []
        assert slack.messages(GENERAL) == []
    documented = "token team_id team_domain channel_id channel_name user_id user_name command text api_app_id"
    assert set(bodies[0]) == {*documented.split(), "is_enterprise_install", "response_url", "trigger_id"}


@pytest.mark.parametrize("mode", MODES)
async def test_a_click_carries_what_was_shown_and_a_resent_one_is_the_same(mode: str) -> None:
    bodies: list[Json] = []
    async with slack_with_people() as slack:
        app = bolt_app(slack)

        async def listener(ack: Any, body: Json) -> None:
            bodies.append(body)
            await ack()

        app.action("approve")(listener)
        app.action("withdraw")(listener)
        card = (await web_client(slack).chat_postMessage(channel=GENERAL, text="card", blocks=[BUTTONS])).data
        assert isinstance(card, dict)
        async with connected(slack, app, mode):
            assert (await slack.click(BOB, GENERAL, card["ts"], "approve")).ok
            assert (await slack.resend()).ok
            assert (await slack.click(BOB, GENERAL, card["ts"], "withdraw")).ok
            forged = await slack.click(
                BOB, GENERAL, card["ts"], "approve", value="d9", crafted=True, user={"team_id": "T09EVIL"}
            )
            assert forged.ok
            with pytest.raises(Impossible, match="no delete to press"):
                await slack.click(BOB, GENERAL, card["ts"], "delete")
            with pytest.raises(Impossible):
                await slack.click(BOB, GENERAL, card["ts"], "approve", value="d9")
    first, again, menu, evil = bodies
    assert first == again
    assert first["user"] == {"id": BOB, "username": "bob", "name": "bob", "team_id": "T01LOCAL"}
    assert first["container"] == {
        "type": "message",
        "message_ts": card["ts"],
        "channel_id": GENERAL,
        "is_ephemeral": False,
    }
    assert first["actions"][0]["value"] == "d1"
    assert first["actions"][0]["block_id"] == "decision"
    assert first["message"]["ts"] == card["ts"]
    assert menu["actions"][0]["selected_option"]["value"] == "w1"
    assert (evil["actions"][0]["value"], evil["user"]["id"], evil["user"]["team_id"]) == ("d9", BOB, "T09EVIL")


@pytest.mark.parametrize("mode", MODES)
async def test_a_form_opens_once_shows_its_errors_and_closes(mode: str) -> None:
    async with slack_with_people() as slack:
        app, client = bolt_app(slack), web_client(slack)
        triggers: list[str] = []

        async def command(ack: Any, body: Json) -> None:
            triggers.append(body["trigger_id"])
            await client.views_open(trigger_id=body["trigger_id"], view=FORM)
            await ack()

        async def submitted(ack: Any, view: Json) -> None:
            if view["state"]["values"]["reason"]["text"]["value"] == "no":
                await ack(response_action="errors", errors={"reason": "Say why"})
            else:
                await ack()

        app.command("/ottu")(command)
        app.view("reject_form")(submitted)
        async with connected(slack, app, mode):
            assert (await slack.command(ALICE, GENERAL, "/ottu", "reject")).ok
            assert len(slack.seen_by(ALICE).views) == 1
            assert slack.seen_by(BOB).views == []
            with pytest.raises(Impossible, match="must be filled in"):
                await slack.submit_view(ALICE)
            with pytest.raises(Impossible, match="wrong length"):
                await slack.submit_view(ALICE, None, {"reason": "x" * 21})
            assert (await slack.submit_view(ALICE, None, {"reason": "no"})).errors == {"reason": "Say why"}
            assert slack.seen_by(ALICE).views[0].errors == {"reason": "Say why"}
            assert (await slack.submit_view(ALICE, None, {"reason": "twice asked"})).ok
            assert slack.seen_by(ALICE).views == []
        with pytest.raises(SlackApiError, match="exchanged_trigger_id"):
            await client.views_open(trigger_id=triggers[0], view=FORM)


@pytest.mark.parametrize("mode", MODES)
async def test_home_and_shortcuts_reach_the_app(mode: str) -> None:
    seen: list[str] = []
    async with slack_with_people() as slack:
        app, client = bolt_app(slack), web_client(slack)

        async def opened(event: Json) -> None:
            await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [BUTTONS]})

        async def acted(ack: Any, body: Json) -> None:
            seen.append(body["type"])
            await ack()

        app.event("app_home_opened")(opened)
        app.action("approve")(acted)
        app.shortcut("new_request")(acted)
        app.shortcut("request_from_message")(acted)
        async with connected(slack, app, mode):
            assert (await slack.open_home(BOB)).ok
            assert (await slack.click_home(BOB, "approve")).ok
            assert "channel" not in slack.deliveries[-1].payload
            assert (await slack.shortcut(BOB, "new_request")).ok
            said = slack.say(ALICE, GENERAL, "please refund ORD123")
            assert (await slack.message_shortcut(BOB, GENERAL, said.ts, "request_from_message")).ok
    assert seen == ["block_actions", "shortcut", "message_action"]


@pytest.mark.parametrize("mode", MODES)
async def test_an_app_that_is_slow_or_away_is_a_failure_that_the_person_sees(mode: str) -> None:
    async with slack_with_people(ack_seconds=0.2) as slack:
        app = bolt_app(slack)

        async def slow(ack: Any) -> None:
            await asyncio.sleep(0.4)
            await ack()

        app.command("/ottu")(slow)
        async with connected(slack, app, mode):
            ack = await slack.command(ALICE, GENERAL, "/ottu", "help")
            await asyncio.sleep(0.3)
        assert (ack.error, ack.ok) == ("operation_timeout", False)
        away = await slack.command(ALICE, GENERAL, "/ottu", "help")
        assert away.error == "dispatch_failed"
        errors = [failure.error for failure in slack.state.failures if failure.user == ALICE]
        assert errors == ["operation_timeout", "dispatch_failed"]


async def test_http_requests_are_signed_and_a_wrong_signature_is_told_apart() -> None:
    """The app under test really checks: the same request with another secret is refused by Bolt."""
    async with slack_with_people() as slack:
        app = bolt_app(slack)

        async def listener(ack: Any) -> None:
            await ack("hello")

        app.command("/ottu")(listener)
        async with connected(slack, app, "http"):
            assert (await slack.command(ALICE, GENERAL, "/ottu")).text == "hello"
            slack.state.signing_secret = "another"
            refused = await slack.command(ALICE, GENERAL, "/ottu")
        assert (refused.error, refused.status) == ("http_service_error", 401)


async def test_a_response_url_works_five_times_for_thirty_minutes_and_one_reader() -> None:
    now = 1_700_000_000.0
    async with slack_with_people(clock=lambda: now) as slack:
        url = slack.state.new_response_url("commands", ALICE, GENERAL)
        webhook = AsyncWebhookClient(url, retry_handlers=[])
        assert (await webhook.send(text="only you")).status_code == 200
        assert (await webhook.send(text="changed", replace_original=True)).status_code == 200
        assert (await webhook.send(text="all", response_type="in_channel")).status_code == 200
        assert [message.text for message in slack.seen_by(ALICE).messages] == ["changed", "all"]
        assert [message.text for message in slack.seen_by(BOB).messages] == ["all"]
        assert (await webhook.send(delete_original=True)).status_code == 200
        assert [message.text for message in slack.seen_by(ALICE).messages] == ["all"]
        assert (await webhook.send(text="fifth")).status_code == 200
        sixth = await webhook.send(text="sixth")
        assert (sixth.status_code, "used_url" in sixth.body) == (404, True)

        late = AsyncWebhookClient(slack.state.new_response_url("actions", ALICE, GENERAL), retry_handlers=[])
        now += 1801
        assert "expired_url" in (await late.send(text="late")).body


async def test_content_that_slack_refuses_is_refused_in_a_response_url_too() -> None:
    async with slack_with_people() as slack:
        url = slack.state.new_response_url("commands", ALICE, GENERAL)
        async with httpx.AsyncClient(trust_env=False) as client:
            answers = [
                await client.post(url, json={"text": "x", "colour": "red"}),
                await client.post(url, json={"text": "x", "response_type": "everybody"}),
                await client.post(url, json={"text": ""}),
                await client.post(url, content=b"not json"),
            ]
        assert [answer.json()["error"] for answer in answers] == [
            "invalid_payload",
            "invalid_response_type",
            "no_text",
            "invalid_payload",
        ]
        assert slack.state.messages == []


async def test_people_cannot_do_what_slack_would_not_let_them() -> None:
    async with slack_with_people() as slack:
        slack.add_person("U09OUT", "Olga", team_id="T09OTHER")
        slack.add_channel("C03OLD", "old", [ALICE], is_archived=True)
        slack.add_channel("C04EXT", "shared", [ALICE, "U09OUT"], is_ext_shared=True)
        for user, channel, command in (
            ("U09OUT", GENERAL, "/ottu"),  # not in the channel
            ("U09OUT", "C04EXT", "/ottu"),  # another organisation's command
            (ALICE, "C03OLD", "/ottu"),
            (ALICE, GENERAL, "/other"),
            ("U00NOBODY", GENERAL, "/ottu"),
        ):
            with pytest.raises(Impossible):
                await slack.command(user, channel, command)
        slack.add_person(ALICE, "Alice", deleted=True)
        with pytest.raises(Impossible, match="deactivated"):
            await slack.command(ALICE, GENERAL, "/ottu")
        assert not slack.deliveries


async def test_waiting_in_vain_shows_what_slack_shows() -> None:
    """A test that fails must say what was on the screen, with names for people and the fallback of dates."""
    async with slack_with_people() as slack:
        slack.state.post(GENERAL, slack.state.bot_user, f"<@{BOB}> until <!date^1700000000^{{time}}|22:13> &lt;ok&gt;")
        with pytest.raises(TimeoutError, match="ottu: @Bob until 22:13 <ok>"):
            await slack.wait_for(lambda: slack.messages(GENERAL)[1], seconds=0.05)


async def test_the_app_comes_again_after_a_refresh_and_acknowledges_on_the_new_connection() -> None:
    async with slack_with_people() as slack:
        app = bolt_app(slack)

        async def listener(ack: Any) -> None:
            await ack("hello")

        app.command("/ottu")(listener)
        async with connected(slack, app, "socket"):
            await slack.disconnect()
            await slack.connected()
            assert (await slack.command(ALICE, GENERAL, "/ottu")).text == "hello"
            slack.drop_sockets()
            assert (await slack.command(ALICE, GENERAL, "/ottu")).error == "dispatch_failed"
