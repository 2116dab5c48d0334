"""The simulated people: they see the cards and Ottu's dashboard, and do what people do, also twice, also wrongly."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from approvals.request import State
from approvals.sentences import private
from bot import asking, listeners
from bot.payloads import key_of
from tests.proofs.scripted_ottu import Deed, Payment, text
from tests.proofs.scripted_slack import APP, TEAM, Posted
from tests.proofs.virtual import within

if TYPE_CHECKING:
    from tests.proofs.processes import Simulated
    from tests.proofs.simulated import Simulation

ALICE, BOB, CEM, OUT = "U01ALICE", "U02BOB", "U03CEM", "U09DAVE"  # agent; agent and lead; lead; nobody
PEOPLE = (ALICE, BOB, CEM, OUT)
WEIGHTS = (2, 4, 4, 1)  # whoever may decide looks oftener
CHANNEL = "C01GEN"


class Crowd:
    """Everybody. `mistaken`: what they say of an unknown outcome is the opposite of what the ledger shows."""

    def __init__(self, world: Simulation) -> None:
        self.world = world
        self.acknowledged: dict[str, str] = {}  # the key of a payload, and what it was
        self.mistaken = False

    # --- payloads

    def _somewhere(self) -> Simulated | None:
        """The process that Slack reaches just now."""
        alive = list(self.world.alive.values())
        return self.world.random.choice(alive) if alive else None

    def _deliver(self, kind: str, what: str, body: dict[str, Any], listener: Any) -> None:
        process = self._somewhere()
        if process is None:
            return
        key = key_of(kind, body)
        parts = {"work": process.work, "client": process.acquaintance.client, "policy": self.world.policy}
        named = inspect.signature(listener).parameters  # a listener names what it wants, as Bolt has it

        async def ack(**said: Any) -> None:
            if said.get("text") != private.NOT_ACCEPTED and "response_action" not in said:
                self.acknowledged[key] = what

        async def deliver() -> None:
            try:
                await listener(ack, body, **{name: part for name, part in parts.items() if name in named})
            except RuntimeError:
                self.world.count("click not acknowledged")

        self.world.say(what)
        self.world.count(what.split()[1])
        within(process.fate, deliver())

    def type(self, user: str, line: str) -> None:
        """Type a command."""
        body = {"text": line, "channel_id": CHANNEL, "user_id": user, "team_id": TEAM, "api_app_id": APP}
        self._deliver("command", f"{user} types {line}", body | {"trigger_id": self._trigger()}, asking.on_command)

    def press(self, user: str, card: Posted, action: str, *, twice: bool = False) -> None:
        """Press a button; `twice`: the payload comes again, to whichever process."""
        said = {"action_id": action, "value": card.buttons.get(action, "")}
        body = self._from(user, card) | {"actions": [said]}
        for _ in range(2 if twice else 1):
            self._deliver("click", f"{user} presses:{action} {said['value'][:8]}", body, listeners.on_button)

    def close(self, user: str, card: Posted, outcome: str, evidence: str) -> None:
        """Submit the form by which an unknown one is closed."""
        value = card.buttons.get("close", "")
        request_id, _, digest = value.partition(":")
        chosen = {"outcome": {"outcome": {"selected_option": {"value": outcome}}}}
        values = chosen | {"evidence": {"evidence": {"value": evidence}}}
        view = {
            "private_metadata": "|".join([request_id, digest, card.channel, card.ts]),
            "state": {"values": values},
        }
        body = self._from(user, card) | {"view": view}
        self._deliver("click", f"{user} closes:{outcome} {request_id}", body, listeners.on_close_form)

    def _from(self, user: str, card: Posted) -> dict[str, Any]:
        return {
            "user": {"id": user, "team_id": TEAM},
            "api_app_id": APP,
            "trigger_id": self._trigger(),
            "channel": {"id": card.channel},
            "message": {"ts": card.ts},
        }

    def _trigger(self) -> str:
        return f"{self.world.random.getrandbits(64):016x}"

    # --- what they do

    async def ask(self) -> None:
        """Some requests, on one or two transactions."""
        world, random = self.world, self.world.random
        for _ in range(random.choice(world.theme.asks)):
            payment = random.choice(world.ottu.payments)
            self.type(random.choice([ALICE, ALICE, BOB]), self._line(payment))
            await asyncio.sleep(random.choice(world.theme.ask_gap_seconds))

    def _line(self, payment: Payment) -> str:
        random = self.world.random
        operation = {"paid": "refund", "authorized": "capture"}.get(payment.state, "cancel")  # also of one that is over
        if operation == "capture":
            operation = random.choice(["capture", "capture", "void"])
        if operation == "cancel":
            operation = random.choice(["cancel", "expire"])
        amount = ""
        if operation in {"refund", "capture"}:
            amount = random.choice(self.world.theme.amounts)
            if amount == "left":
                amount = text(max(payment.left(operation), 1_000))
            if operation == "refund" and random.random() < 0.05:
                amount += " --wallet"
        name = random.choice([payment.order_no, payment.session_id])
        return f"{operation} {name} {amount}".strip()

    async def act(self, until: float) -> None:
        """Everybody looks now and then, and does something."""
        world = self.world
        while world.loop.now < until:
            await asyncio.sleep(world.random.expovariate(1 / world.theme.act_seconds))
            self.once()

    def once(self) -> None:
        """One person does one thing."""
        world, random = self.world, self.world.random
        if random.random() < world.theme.pauses:
            self.type(random.choice([BOB, CEM]), "pause")
        if random.random() < (world.theme.resumes if world.is_paused() else 0.005):
            self.type(random.choice([BOB, CEM]), "resume")
        if random.random() < world.theme.withdraws:
            payment = random.choice(world.ottu.payments)
            self.type(random.choice([ALICE, BOB]), f"withdraw {random.choice([payment.order_no, payment.session_id])}")
        cards = world.slack.cards()
        if cards:
            self.about(random.choice(cards))

    def about(self, card: Posted) -> None:
        """One person does something with this card."""
        told, random = card.told("ottu_request") or {}, self.world.random
        person = random.choices(PEOPLE, WEIGHTS)[0]
        match told["state"]:
            case State.PENDING:
                kinds = {"approve": 60, "unapprove": 4, "withdraw": 3, "reject": 2, "details": 1}
                action = random.choices(list(kinds), list(kinds.values()))[0]
                if action == "reject":
                    self.type(person, f"reject {told['request']} no")
                else:
                    self.press(person, card, action, twice=random.random() < 0.2)
            case State.APPROVED if random.random() < 0.2:
                self.press(random.choice([ALICE, BOB, person]), card, "withdraw")
            case State.UNKNOWN | State.QUEUED:
                self._doubt(card, told["request"], person)

    def _doubt(self, card: Posted, request_id: str, person: str) -> None:
        random = self.world.random
        if "resend" in card.buttons and random.random() < 0.6:
            self.press(person, card, "resend", twice=random.random() < 0.3)
        elif random.random() < self.world.theme.speaks:
            self.say(card, request_id, person)

    def say(self, card: Posted, request_id: str, person: str) -> None:
        """Say what became of it, truthfully: as the ledger has it."""
        outcome = self.truth(request_id)
        if outcome is None:
            return
        if self.mistaken:
            outcome = "failed" if outcome == "succeeded" else "succeeded"
        if self.world.random.random() < 0.5:
            self.type(person, f"close {request_id} {outcome} looked in the dashboard")
        else:
            self.close(person, card, outcome, "looked in the dashboard")

    def truth(self, request_id: str) -> str | None:
        """What the ledger says; None while nobody can tell yet."""
        row = self.world.row(request_id)
        if row is None or not self.world.oracles.has_ended(row):
            return None
        return "succeeded" if self.world.oracles.was_done(row) else "failed"

    # --- somebody else, in Ottu's dashboard

    async def dashboard(self, until: float) -> None:
        """An operation that nobody asked the bot for."""
        world, random = self.world, self.world.random
        if random.random() >= world.theme.dashboard:
            return
        await asyncio.sleep(random.uniform(0, until - world.loop.now))
        payment = random.choice(world.ottu.payments)
        operation = {"paid": "refund", "authorized": "capture"}.get(payment.state)
        minor = random.choice([5_000, 1_500, 1_500, 700])
        if operation is None or payment.left(operation) < minor:
            return
        world.count("dashboard operation")
        deed = Deed(payment, operation, minor, "pg", None, world.new_reference(), world.loop.now)
        world.ottu.deeds.append(deed)
        world.ottu.end(deed, random.choice(["success", "success", "queued"]) if operation == "refund" else "success")
