"""The Web API of the local Slack, driven by the real SDK: as strict as Slack's own."""

from __future__ import annotations

from typing import Any

import aiohttp
import httpx
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.slack import Slack
from tests.sandbox.slack_app import ALICE, BOB, BUTTONS, FORM, GENERAL, Json, slack_with_people, web_client


async def error_of(call: Any) -> str:
    """The error word of a call that must fail."""
    with pytest.raises(SlackApiError) as raised:
        await call
    return str(raised.value.response["error"])


async def test_a_token_is_needed_and_each_kind_opens_its_own_methods() -> None:
    async with slack_with_people() as slack:
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.post(f"{slack.api_url}auth.test")).json()["error"] == "not_authed"
        assert await error_of(web_client(slack, "xoxb-wrong").auth_test()) == "invalid_auth"
        bot, app = web_client(slack), web_client(slack, slack.state.app_token)
        assert await error_of(app.chat_postMessage(channel=GENERAL, text="x")) == "not_allowed_token_type"
        assert await error_of(bot.apps_connections_open(app_token=slack.state.bot_token)) == "not_allowed_token_type"
        who = await bot.auth_test()
        assert (who["user_id"], who["team_id"]) == (slack.state.bot_user, "T01LOCAL")
        assert (await bot.bots_info(bot=who["bot_id"]))["bot"]["app_id"] == slack.state.app_id
        assert await error_of(bot.api_call("chat.postMesage")) == "unknown_method"


@pytest.mark.parametrize(
    ("method", "arguments", "scope"),
    [
        ("chat.postMessage", {"channel": GENERAL, "text": "x"}, "chat:write"),
        ("chat.update", {"channel": GENERAL, "ts": "1", "text": "x"}, "chat:write"),
        ("users.info", {"user": ALICE}, "users:read"),
        ("usergroups.users.list", {"usergroup": "S1"}, "usergroups:read"),
        ("conversations.info", {"channel": GENERAL}, "channels:read"),
        ("conversations.info", {"channel": "C05SECRET"}, "groups:read"),
        ("conversations.history", {"channel": GENERAL}, "channels:history"),
        ("conversations.replies", {"channel": "C05SECRET", "ts": "1"}, "groups:history"),
        ("conversations.open", {"users": ALICE}, "im:write"),
    ],
)
async def test_a_missing_scope_is_named(method: str, arguments: Json, scope: str) -> None:
    async with slack_with_people() as slack:
        slack.add_channel("C05SECRET", "secret", [slack.state.bot_user], is_private=True)
        slack.state.scopes.discard(scope)
        with pytest.raises(SlackApiError) as raised:
            await web_client(slack).api_call(method, json=arguments)
        answer = raised.value.response
        assert (answer["error"], answer["needed"]) == ("missing_scope", scope)


async def test_forms_and_json_are_read_alike() -> None:
    async with slack_with_people() as slack, httpx.AsyncClient(trust_env=False) as client:
        headers = {"Authorization": f"Bearer {slack.state.bot_token}"}
        form = {"channel": GENERAL, "text": "x", "blocks": '[{"type":"divider"}]', "unfurl_links": "false"}
        body = {"channel": GENERAL, "text": "x", "blocks": [{"type": "divider"}], "unfurl_links": False}
        url = f"{slack.api_url}chat.postMessage"
        assert (await client.post(url, data=form, headers=headers)).json()["ok"] is True
        assert (await client.post(url, json=body, headers=headers)).json()["ok"] is True
        assert (await client.post(url, json={**body, "chanel": 1}, headers=headers)).json()["error"] == (
            "invalid_arguments"
        )
        assert [message.blocks[0]["type"] for message in slack.messages(GENERAL)] == ["divider", "divider"]


async def test_posting_is_refused_where_slack_refuses_it() -> None:
    async with slack_with_people() as slack:
        slack.add_channel("C03OLD", "old", [slack.state.bot_user], is_archived=True)
        slack.add_channel("C04OUT", "elsewhere", [ALICE])
        slack.add_channel("C05SECRET", "secret", [ALICE], is_private=True)
        client = web_client(slack)
        reasons = {
            "C03OLD": "is_archived",
            "C04OUT": "not_in_channel",
            "C05SECRET": "channel_not_found",
            "C09NONE": "channel_not_found",
        }
        for channel, reason in reasons.items():
            assert await error_of(client.chat_postMessage(channel=channel, text="x")) == reason
        assert await error_of(client.api_call("chat.postMessage", json={"channel": GENERAL, "text": ""})) == "no_text"
        assert await error_of(client.chat_postMessage(channel=GENERAL, text="x" * 40_001)) == "msg_too_long"
        assert await error_of(client.chat_postMessage(channel=GENERAL, text="x", thread_ts="1.1")) == (
            "thread_not_found"
        )
        too_many = client.chat_postMessage(channel=GENERAL, text="x", blocks=[{"type": "divider"}] * 51)
        assert await error_of(too_many) == "invalid_blocks"
        metadata = {"event_type": "ottu_request", "event_payload": "R-7K2M"}
        assert await error_of(client.chat_postMessage(channel=GENERAL, text="x", metadata=metadata)) == (
            "invalid_metadata_format"
        )
        assert slack.state.messages == []


async def test_a_direct_message_goes_by_the_persons_id() -> None:
    async with slack_with_people() as slack:
        client = web_client(slack)
        sent = await client.chat_postMessage(channel=ALICE, text="for you")
        assert sent["channel"] == "D01ALICE"
        assert [message.text for message in slack.direct_messages(ALICE)] == ["for you"]
        assert slack.seen_by(BOB).messages == []
        slack.state.messages_tab_enabled = False
        assert await error_of(client.chat_postMessage(channel=ALICE, text="x")) == "messages_tab_disabled"


async def test_an_update_changes_own_messages_only_and_keeps_what_they_said() -> None:
    """Text without blocks removes the blocks; without metadata the old stays."""
    async with slack_with_people() as slack:
        client = web_client(slack)
        metadata = {"event_type": "ottu_request", "event_payload": {"request": "R-7K2M"}}
        ts = (await client.chat_postMessage(channel=GENERAL, text="a", blocks=[BUTTONS], metadata=metadata))["ts"]
        await client.chat_update(channel=GENERAL, ts=ts, text="b")
        message = slack.messages(GENERAL)[0]
        assert (message.text, message.blocks, message.metadata) == ("b", [], metadata)
        assert (message.edits[0]["text"], message.edits[0]["blocks"][0]["block_id"]) == ("a", "decision")
        said = slack.say(ALICE, GENERAL, "mine")
        assert await error_of(client.chat_update(channel=GENERAL, ts=said.ts, text="x")) == "cant_update_message"
        assert await error_of(client.chat_update(channel=GENERAL, ts="1.1", text="x")) == "message_not_found"
        hidden = await client.chat_postEphemeral(channel=GENERAL, user=ALICE, text="psst")
        assert await error_of(client.chat_update(channel=GENERAL, ts=hidden["message_ts"], text="x")) == (
            "message_not_found"
        )


async def test_history_is_paged_newest_first_without_replies_or_ephemerals() -> None:
    async with slack_with_people() as slack:
        client = web_client(slack)
        metadata = {"event_type": "ottu_request", "event_payload": {"n": 1}}
        first = await client.chat_postMessage(channel=GENERAL, text="1", metadata=metadata)
        await client.chat_postMessage(channel=GENERAL, text="hidden reply", thread_ts=first["ts"])
        await client.chat_postMessage(channel=GENERAL, text="2", thread_ts=first["ts"], reply_broadcast=True)
        await client.chat_postEphemeral(channel=GENERAL, user=ALICE, text="psst")
        await client.chat_postMessage(channel=GENERAL, text="3")
        page = await client.conversations_history(channel=GENERAL, limit=2)
        assert ([one["text"] for one in page["messages"]], page["has_more"]) == (["3", "2"], True)
        cursor = page["response_metadata"]["next_cursor"]
        rest = await client.conversations_history(channel=GENERAL, limit=2, cursor=cursor, include_all_metadata=True)
        assert [(one["text"], one["metadata"]) for one in rest["messages"]] == [("1", metadata)]
        assert (await client.conversations_history(channel=GENERAL))["messages"][-1].get("metadata") is None
        thread = await client.conversations_replies(channel=GENERAL, ts=first["ts"])
        assert [one["text"] for one in thread["messages"]] == ["1", "hidden reply", "2"]
        after = await client.conversations_history(channel=GENERAL, oldest=first["ts"])
        assert [one["text"] for one in after["messages"]] == ["3", "2"]
        assert await error_of(client.conversations_history(channel=GENERAL, cursor="%")) == "invalid_cursor"


async def test_people_groups_and_channels_are_as_slack_describes_them() -> None:
    async with slack_with_people() as slack:
        client = web_client(slack)
        slack.add_person("U09OUT", "Olga", team_id="T09OTHER")
        slack.add_person("U08GONE", "Gus", deleted=True)
        slack.add_person("U07GUEST", "Gwen", is_restricted=True)
        slack.state.groups["S01LEADS"] = [BOB]
        assert (await client.users_info(user="U09OUT"))["user"]["is_stranger"] is False
        assert "is_stranger" not in (await client.users_info(user=ALICE))["user"]
        assert "is_restricted" not in (await client.users_info(user="U08GONE"))["user"]
        assert (await client.users_info(user="U07GUEST"))["user"]["is_restricted"] is True
        assert await error_of(client.users_info(user="U00NONE")) == "user_not_found"
        assert (await client.usergroups_users_list(usergroup="S01LEADS"))["users"] == [BOB]
        assert await error_of(client.usergroups_users_list(usergroup="S09NONE")) == "no_such_subteam"
        slack.state.usergroups_paid = False
        assert await error_of(client.usergroups_users_list(usergroup="S01LEADS")) == "plan_upgrade_required"
        info = (await client.conversations_info(channel=GENERAL))["channel"]
        assert (info["is_member"], info["is_archived"], info["is_ext_shared"]) == (True, False, False)
        members = await client.conversations_members(channel=GENERAL)
        assert members["members"] == [ALICE, BOB, slack.state.bot_user]
        sent = await client.chat_postMessage(channel=GENERAL, text="x")
        link = (await client.chat_getPermalink(channel=GENERAL, message_ts=sent["ts"]))["permalink"]
        assert link == f"https://local.slack.com/archives/C01GEN/p{sent['ts'].replace('.', '')}"


async def test_a_trigger_opens_one_form_within_three_seconds() -> None:
    now = 1_700_000_000.0
    async with slack_with_people(clock=lambda: now) as slack:
        client = web_client(slack)
        trigger = slack.state.new_trigger(ALICE)
        await client.views_open(trigger_id=trigger, view=FORM)
        assert await error_of(client.views_open(trigger_id=trigger, view=FORM)) == "exchanged_trigger_id"
        late = slack.state.new_trigger(ALICE)
        now += 3.1
        assert await error_of(client.views_open(trigger_id=late, view=FORM)) == "expired_trigger_id"
        assert await error_of(client.views_open(trigger_id="1.2.3", view=FORM)) == "invalid_trigger_id"
        long_title = FORM | {"title": {"type": "plain_text", "text": "x" * 25}}
        refused = client.views_open(trigger_id=slack.state.new_trigger(ALICE), view=long_title)
        assert await error_of(refused) == "invalid_arguments"


async def test_a_view_is_updated_only_over_the_one_that_was_read() -> None:
    async with slack_with_people() as slack:
        client = web_client(slack)
        view = (await client.views_open(trigger_id=slack.state.new_trigger(ALICE), view=FORM))["view"]
        await client.views_update(view_id=view["id"], hash=view["hash"], view=FORM)
        stale = client.views_update(view_id=view["id"], hash=view["hash"], view=FORM)
        assert await error_of(stale) == "hash_conflict"
        assert await error_of(client.views_update(view_id="V0", view=FORM)) == "not_found"
        home = {"type": "home", "blocks": [BUTTONS]}
        await client.views_publish(user_id=ALICE, view=home)
        assert await error_of(client.views_publish(user_id=ALICE, view=home, hash="1.a")) == "hash_conflict"


async def test_a_home_tab_is_one_persons_and_within_slacks_limits() -> None:
    """A hundred blocks, ids unique, 250 kB; nothing where the app has no such tab."""
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}}
    async with slack_with_people() as slack:
        publish = web_client(slack).views_publish

        async def refused(*blocks: Json, **more: Any) -> str:
            return await error_of(publish(**{"user_id": ALICE, "view": {"type": "home", "blocks": blocks}, **more}))

        await publish(user_id=ALICE, view={"type": "home", "blocks": [section] * 100})
        assert await refused(*[section] * 101) == "invalid_arguments"
        assert await refused(BUTTONS, BUTTONS) == "invalid_arguments"
        assert await refused(view=FORM) == "invalid_arguments"
        assert await refused(*[section | {"text": {"type": "mrkdwn", "text": "x" * 3000}}] * 90) == "view_too_large"
        assert await refused(section, user_id="U0NOBODY") == "user_not_found"
        assert slack.seen_by(BOB).home is None
        slack.state.home_tab_enabled = False
        assert await refused(section) == "not_enabled"


async def test_one_post_a_second_per_channel_when_switched_on() -> None:
    now = 1_700_000_000.0
    async with slack_with_people(clock=lambda: now) as slack:
        client = web_client(slack)
        slack.state.rate_limits = True
        await client.chat_postMessage(channel=GENERAL, text="1")
        with pytest.raises(SlackApiError) as raised:
            await client.chat_postMessage(channel=GENERAL, text="2")
        assert (raised.value.response.status_code, raised.value.response.headers["Retry-After"]) == (429, "1")
        await client.chat_postMessage(channel=ALICE, text="another channel")
        now += 1
        await client.chat_postMessage(channel=GENERAL, text="3")
        assert [message.text for message in slack.messages(GENERAL)] == ["1", "3"]


async def outcome(client: AsyncWebClient) -> str:
    """What a poster is told: ok, an HTTP status, or that the line went dead."""
    try:
        await client.chat_postMessage(channel=GENERAL, text="x")
    except SlackApiError as error:
        return str(error.response.status_code)
    except aiohttp.ClientError:
        return "no answer"
    return "ok"


@pytest.mark.parametrize(
    ("kind", "told", "posted"),
    [
        ("ratelimited", "429", 0),
        ("500", "500", 0),
        ("503", "503", 0),
        ("hang", "no answer", 0),
        ("drop_before", "no answer", 0),
        ("drop_after", "no answer", 1),
        ("hang_after", "no answer", 1),
        ("internal_error", "200", 0),
    ],
)
async def test_a_fault_strikes_as_often_as_asked(kind: str, told: str, posted: int) -> None:
    """After = the message is there although nobody was told."""
    async with slack_with_people() as slack:
        client = web_client(slack)
        slack.fault("chat.postMessage", kind, times=1, seconds=0.05)
        assert await outcome(client) == told
        assert len(slack.messages(GENERAL)) == posted
        assert await outcome(client) == "ok"


async def test_an_address_for_a_socket_is_good_once() -> None:
    async with slack_with_people() as slack:
        url = await socket_url(slack)
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url) as socket:
                hello = await socket.receive_json()
                assert (hello["connection_info"]["app_id"], hello["num_connections"]) == ("A01OTTUBOT", 1)
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(url)


async def test_an_eleventh_socket_is_sent_away() -> None:
    async with slack_with_people() as slack, aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(await socket_url(slack)) for _ in range(10)]
        hellos = [await socket.receive_json() for socket in sockets]
        assert hellos[-1]["num_connections"] == 10
        async with session.ws_connect(await socket_url(slack)) as eleventh:
            assert (await eleventh.receive_json())["reason"] == "too_many_websockets"
        for socket in sockets:
            await socket.close()


async def socket_url(slack: Slack) -> str:
    """A fresh Socket Mode address."""
    client = web_client(slack)
    return str((await client.apps_connections_open(app_token=slack.state.app_token))["url"])
