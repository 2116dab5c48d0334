"""Ottu's webhooks on their way: late, repeated, lost, with unsigned fields changed, or forged."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from bot import webhook
from sandbox.ottu_answers import signature
from tests.proofs.scripted_ottu import Deed, Payment, external
from tests.proofs.virtual import within
from tests.proofs.wounds import DEAF

if TYPE_CHECKING:
    from tests.proofs.simulated import Simulation

KEY = "simulated-webhook-key"
RELABELLED = ("session", "operation", "success", "child", "nothing said")
FORGED = ("success", "success", "queued", "rejected")
TRIES, AGAIN_SECONDS = 4, 60.0
DELAYS = {"at once": (0.0, 2.0), "soon": (2.0, 90.0), "late": (90.0, 9_000.0), "very late": (6_000.0, 20_000.0)}


@dataclass
class Postman:
    """Brings webhooks to whichever process answers. `accepted`: when which reference was taken first."""

    world: Simulation
    loss: float = 0.3
    accepted: dict[str, float] = field(default_factory=dict)

    def send(self, deed: Deed) -> None:
        """Tell of a deed, perhaps."""
        world, random = self.world, self.world.random
        if deed.outcome == "" or random.random() < self.loss:
            world.count("webhook lost")
            return
        document = external(deed)
        document["signature"] = signature(document, KEY)
        when, theme = random.choice(world.theme.delays), world.theme
        world.count(f"webhook {when}")
        world.around(self._bring(document, random.uniform(*DELAYS[when]), deed.reference))
        if random.random() < theme.repeated:
            world.count("webhook repeated")
            world.around(self._bring(document, random.uniform(0, 4_000), deed.reference))
        if random.random() < theme.relabelled:
            world.around(self._bring(self._relabelled(document), random.uniform(0, 1_000), None))

    def tempt(self, payment: Payment, operation: str, minor: int) -> None:
        """An operation has come to Ottu, whatever becomes of it: somebody who has no key says that he knows."""
        random = self.world.random
        if random.random() >= self.world.theme.forged:
            return
        said = random.choice(FORGED)
        self.world.count(f"webhook forged: {said}")
        document = external(Deed(payment, operation, minor, "pg", None, self.world.new_reference(), 0.0, said))
        document["signature"] = signature(document, random.choice(["", "guessed", KEY[:-1]]))
        self.world.around(self._bring(document, random.uniform(0, 1_000), None, forged=True))

    def _relabelled(self, document: dict[str, Any]) -> dict[str, Any]:
        """The signature still holds: what is changed is not signed."""
        kind = self.world.random.choice(RELABELLED)
        self.world.count(f"webhook relabelled: {kind}")
        match kind:
            case "session":
                return document | {"session_id": self.world.random.choice(self.world.ottu.payments).session_id}
            case "operation":
                return document | {"operation": "capture" if document["operation"] == "refund" else "refund"}
            case "success":
                return document | {"success": not document["success"]}
            case "child":
                return document | {"txn": {**document.get("txn", {}), "state": "refund_rejected"}}
        return {name: value for name, value in document.items() if name not in {"operation", "txn", "success"}}

    async def _bring(
        self, document: dict[str, Any], delay_seconds: float, reference: str | None, *, forged: bool = False
    ) -> None:
        await asyncio.sleep(delay_seconds)
        for _ in range(TRIES):
            status = await self._delivered(document)
            if status == 200:
                if reference:
                    self.accepted.setdefault(reference, self.world.loop.now)
                if forged:
                    self.world.fail("a forged webhook was taken")
                return
            if status in {400, 401}:
                if not forged:
                    self.world.fail(f"a genuine webhook was refused: {document}")
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _delivered(self, document: dict[str, Any]) -> int | None:
        """The status; None where nobody answers in time."""
        alive = list(self.world.alive.values())
        if not alive:
            return None
        process = self.world.random.choice(alive)
        if self.world.wound == DEAF:
            document = {**document, "signature": signature(document, KEY)}
        receive = webhook.endpoint(process.work, lambda: KEY)
        status: list[int] = []

        async def body() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(document).encode()}

        async def deliver() -> None:
            request = Request({"type": "http", "method": "POST", "headers": [], "path": "/ottu/webhook"}, body)
            status.append((await receive(request)).status_code)

        within(process.fate, deliver())
        await asyncio.sleep(15)
        return status[0] if status else None
