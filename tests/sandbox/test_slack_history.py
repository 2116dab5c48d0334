"""What a reader of the local Slack's histories finds: deleted and edited messages, other apps, exports."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from tests.sandbox.slack_app import ALICE, GENERAL, slack_with_people, web_client
from tests.sandbox.test_slack_api import error_of


async def test_only_own_messages_are_deleted_and_a_thread_keeps_the_place_of_its_first_one() -> None:
    async with slack_with_people() as slack:
        client = web_client(slack)
        root = (await client.chat_postMessage(channel=GENERAL, text="card"))["ts"]
        reply = (await client.chat_postMessage(channel=GENERAL, text="result", thread_ts=root))["ts"]
        said = slack.say(ALICE, GENERAL, "hello")
        assert await error_of(client.chat_delete(channel=GENERAL, ts=said.ts)) == "cant_delete_message"
        assert await error_of(client.chat_delete(channel=GENERAL, ts="1.000000")) == "message_not_found"
        await client.chat_delete(channel=GENERAL, ts=root)
        tombstone = (await client.conversations_history(channel=GENERAL))["messages"][-1]
        assert (tombstone["ts"], tombstone["subtype"], tombstone["reply_count"]) == (root, "tombstone", 1)
        assert [one["text"] for one in (await client.conversations_replies(channel=GENERAL, ts=root))["messages"]] == [
            "This message was deleted.",
            "result",
        ]
        assert await error_of(client.chat_update(channel=GENERAL, ts=root, text="x")) == "message_not_found"
        await client.chat_delete(channel=GENERAL, ts=reply)
        assert slack.messages(GENERAL) == [said]


async def test_an_edited_message_says_when_and_another_app_is_named_as_such() -> None:
    async with slack_with_people() as slack:
        client = web_client(slack)
        slack.add_person("U0OTHER", "other", is_bot=True)
        slack.add_channel(GENERAL, "payments", [ALICE, "U0OTHER", slack.state.bot_user])
        ts = (await client.chat_postMessage(channel=GENERAL, text="1"))["ts"]
        await client.chat_update(channel=GENERAL, ts=ts, text="2")
        slack.post_as_app("U0OTHER", GENERAL, "3", app_id="A0OTHER", bot_id="B0OTHER")
        other, own = (await client.conversations_history(channel=GENERAL))["messages"]
        assert float(own["edited"]["ts"]) > float(ts)
        assert (other["user"], other["app_id"], other["bot_id"]) == ("U0OTHER", "A0OTHER", "B0OTHER")
        assert await error_of(client.chat_update(channel=GENERAL, ts=other["ts"], text="x")) == "cant_update_message"


async def test_an_export_is_a_folder_of_days_with_replies_among_the_messages(tmp_path: Path) -> None:
    async with slack_with_people() as slack:
        slack.add_channel("C05SECRET", "secret", [slack.state.bot_user], is_private=True)
        metadata = {"event_type": "ottu_request", "event_payload": {"n": 1}}
        root = (await web_client(slack).chat_postMessage(channel=GENERAL, text="card", metadata=metadata))["ts"]
        slack.say(ALICE, GENERAL, "why?", root)
        slack.export(tmp_path / "whole")
        slack.export(tmp_path / "bare", with_metadata=False)
        day = datetime.fromtimestamp(float(root), UTC).date().isoformat()
        messages = json.loads((tmp_path / "whole" / "payments" / f"{day}.json").read_text())
        assert [(one["text"], one.get("metadata")) for one in messages] == [("card", metadata), ("why?", None)]
        assert messages[1]["thread_ts"] == root
        assert "metadata" not in (tmp_path / "bare" / "payments" / f"{day}.json").read_text()
        assert [one["id"] for one in json.loads((tmp_path / "whole" / "groups.json").read_text())] == ["C05SECRET"]
