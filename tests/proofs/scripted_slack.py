"""A scripted Slack at the seam of its own client: what was posted, and what goes wrong in between."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

if TYPE_CHECKING:
    from tests.proofs.processes import Simulated
    from tests.proofs.simulated import Simulation

TEAM, APP, BOT_USER = "T01", "A01", "U00BOT"
FAULTS = ("lost before", "lost after", "429", "internal_error", "slow", "token")


@dataclass
class Posted:
    """One message as Slack keeps it."""

    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]]
    metadata: dict[str, Any] | None
    thread_ts: str | None

    def told(self, event_type: str) -> dict[str, Any] | None:
        """The payload of its metadata, where it is of that type."""
        data = self.metadata or {}
        return dict(data["event_payload"]) if data.get("event_type") == event_type else None

    @property
    def buttons(self) -> dict[str, str]:
        """The values of its buttons."""
        found = [element for block in self.blocks if block["type"] == "actions" for element in block["elements"]]
        return {element["action_id"]: element["value"] for element in found}


@dataclass
class SlackScript:
    """The workspace. `down_until`: nothing is answered before that time of the loop."""

    world: Simulation
    messages: dict[str, Posted] = field(default_factory=dict)
    down_until: float = 0.0
    fault_rate: float = 0.0

    def cards(self) -> list[Posted]:
        return [message for message in self.messages.values() if message.told("ottu_request")]

    def fault(self) -> str:
        """What goes wrong with this call; nothing, mostly."""
        world = self.world
        if world.loop.now < self.down_until:
            return "lost before"
        if not world.calm and world.random.random() < self.fault_rate:
            return world.random.choice(FAULTS)
        return ""

    def answer(self, method: str, said: dict[str, Any]) -> dict[str, Any]:
        """What Slack does."""
        match method:
            case "auth.test":
                return {"ok": True, "team_id": TEAM, "user_id": BOT_USER, "bot_id": "B01"}
            case "bots.info":
                return {"ok": True, "bot": {"app_id": APP}}
            case "users.info":
                return {"ok": True, "user": {"id": said["user"], "team_id": TEAM}}
            case "chat.postMessage":
                return self._post(said)
            case "chat.update":
                message = self.messages[said["ts"]]
                message.text, message.blocks, message.metadata = said["text"], said["blocks"], said["metadata"]
                return {"ok": True, "ts": said["ts"]}
            case "chat.getPermalink":
                return {"ok": True, "permalink": f"https://slack/{said['message_ts']}"}
            case "views.publish":
                return {"ok": True, "view": {"id": "V01"}}  # App Home has its own tests
            case "conversations.history":
                return {"ok": True, "messages": self._listed(said["channel"], None)}
            case "conversations.replies":
                return {"ok": True, "messages": self._listed(said["channel"], said["ts"])}
        raise LookupError(method)

    def _post(self, said: dict[str, Any]) -> dict[str, Any]:
        ts = f"{self.world.database_time().timestamp():.0f}.{len(self.messages):06d}"
        self.messages[ts] = Posted(
            said["channel"], ts, said["text"], said.get("blocks") or [], said.get("metadata"), said.get("thread_ts")
        )
        return {"ok": True, "ts": ts}

    def _listed(self, channel: str, thread: str | None) -> list[dict[str, Any]]:
        return [
            {"ts": m.ts, "user": BOT_USER, "metadata": m.metadata}
            for m in self.messages.values()
            if m.channel == channel and m.thread_ts == thread
        ][::-1]


class ScriptedSlack(AsyncWebClient):
    """Slack's client of one process; every call is a point at which it may crash or freeze."""

    def __init__(self, process: Simulated, script: SlackScript) -> None:
        super().__init__("xoxb-simulated", retry_handlers=[])
        self.process = process
        self.script = script

    async def api_call(self, api_method: str, **how: Any) -> Any:
        """One call, instead of the network's."""
        said = how.get("json") or how.get("params") or {}
        await self.process.point(f"slack {api_method}")
        fault = self.script.fault()
        if fault:
            self.script.world.count(f"slack: {fault}")
        if fault == "lost before":
            raise aiohttp.ClientConnectionError("simulated")
        if fault in {"429", "internal_error", "token"}:
            raise self._error(fault)
        await asyncio.sleep(30 if fault == "slow" else 0.05)
        self.process.check_alive()
        answer = self.script.answer(api_method, said)
        self.script.world.say(
            f"slack {self.process.fate.name} {api_method} {said.get('channel', '')} {said.get('text', '')}"
        )
        await self.process.point(f"slack {api_method}, answered")
        if fault == "lost after":
            raise TimeoutError
        return answer

    def _error(self, fault: str) -> SlackApiError:
        code = {"429": "ratelimited", "token": "token_expired"}.get(fault, fault)
        answered = AsyncSlackResponse(
            client=self,
            http_verb="POST",
            api_url="",
            req_args={},
            data={"ok": False, "error": code},
            headers={"Retry-After": "3"} if fault == "429" else {},
            status_code=429 if fault == "429" else 200,
        )
        return SlackApiError(code, answered)  # type: ignore[no-untyped-call]  # as the SDK has it
