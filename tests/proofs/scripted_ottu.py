"""A scripted Ottu with its own ledger: what really happened to the money, whatever was heard of it.

Honest in what its documentation promises, and in nothing else: a readable refusal, a 401 and a 429 mean that nothing
was done; everything else may be said late, wrongly, or not at all.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from approvals.money import to_decimal_text
from tests.proofs.themes import WAYS

if TYPE_CHECKING:
    from tests.proofs.simulated import Simulation

CURRENCY = "KWD"
CHILD_STATES = {
    ("refund", "success"): "refunded",
    ("refund", "queued"): "refund_queued",
    ("refund", "rejected"): "refund_rejected",
    ("capture", "success"): "paid",
    ("void", "success"): "voided",
}
NEVER_REACHES = {"drop before", "502 before", "401", "429", "redirect", "408 before", "look-up failed"}
UNPAID = {"created", "pending", "attempted"}
BEING_REFUSED_SECONDS = 30.0
READ_FAULTS = ("500", "garbage", "drop", "slow", "429")


@dataclass
class Child:
    """One child transaction, as an inquiry lists it."""

    session_id: str
    state: str
    minor: int


@dataclass
class Deed:
    """One operation that the gateway has begun. `outcome` is empty while it is under way."""

    payment: Payment
    operation: str
    minor: int
    destination: str
    key: str | None
    reference: str
    began_at: float
    outcome: str = ""
    ended_at: float = 0.0
    child: Child | None = None

    @property
    def moved(self) -> bool:
        return self.outcome == "success"

    @property
    def may_move(self) -> bool:
        return self.outcome in {"", "success", "queued"}


@dataclass
class Payment:
    """One transaction. Amounts in thousandths."""

    session_id: str
    order_no: str
    state: str
    minor: int
    created_at: float
    children: list[Child] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)

    def total(self, *states: str) -> int:
        return sum(child.minor for child in self.children if child.state in states)

    def left(self, operation: str) -> int:
        if operation == "capture":
            return self.minor - self.total("paid") if self.state == "authorized" else 0
        if operation == "void":
            return self.minor if self.state == "authorized" and not self.children else 0
        taken = self.total("paid") or (self.minor if self.state == "paid" else 0)
        return taken - self.total("refunded", "refund_queued")


class Dripping(httpx.AsyncByteStream):
    """A body of which one byte a second arrives."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for number in range(len(self.body)):
            await asyncio.sleep(1)
            yield self.body[number : number + 1]


def answer(status: int, body: Any, **headers: str) -> httpx.Response:
    """A whole answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    stream = httpx.ByteStream(content)  # to be read once, as what a connection brings
    return httpx.Response(status, stream=stream, headers={name.replace("_", "-"): v for name, v in headers.items()})


def failure(operation: str, detail: str) -> dict[str, Any]:
    return {"detail": detail, "operation": operation, "result": "failed"}


@dataclass
class OttuScript:
    """The gateway of one world. `key_stored`: at "start", on "success", or "never" (it ignores them)."""

    world: Simulation
    key_stored: str = "success"
    caps: bool = True
    slowest_seconds: float = 540.0  # shorter than the settle window: what the promises rest on
    has_child_ids: bool = True
    ways: Mapping[str, int] = field(default_factory=lambda: dict(WAYS))
    lag_seconds: float = 0.0  # so late an inquiry lists a child
    payments: list[Payment] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    unauthorized_until: float = 0.0
    unreachable_until: float = 0.0

    def of_key(self, key: str | None) -> list[Deed]:
        """What was done with a key."""
        return [deed for deed in self.deeds if key is not None and deed.key == key]

    def find(self, body: dict[str, Any]) -> Payment | None:
        name, value = (
            ("session_id", body.get("session_id")) if body.get("session_id") else ("order_no", body["order_no"])
        )
        return next((payment for payment in self.payments if getattr(payment, name) == value), None)

    # --- the three calls

    async def respond(self, request: httpx.Request) -> httpx.Response:
        """What Ottu answers; raises httpx's errors where the connection breaks."""
        world = self.world
        if world.loop.now < self.unauthorized_until:
            world.count("ottu: 401")
            return answer(401, {"detail": "Invalid credentials."})
        if request.method == "GET":
            return await self._retrieve(request.url.path.rstrip("/").rsplit("/", 1)[-1])
        body = json.loads(request.content)
        if request.url.path.endswith("/inquiry/"):
            return await self._inquiry(body)
        return await self.operation(body, request.headers.get("Tracking-Key"))

    def _trouble(self, rate: float) -> bool:
        return not self.world.calm and self.world.random.random() < rate

    async def _read_fault(self) -> httpx.Response | None:
        """A read that goes wrong: it says nothing of any operation."""
        if not self._trouble(0.15):
            return None
        kind = self.world.random.choice(READ_FAULTS)
        self.world.count(f"ottu read: {kind}")
        if kind == "drop":
            raise httpx.ReadError("simulated")
        if kind == "slow":
            await asyncio.sleep(200)
        if kind == "429":
            return answer(429, {"detail": "throttled"}, Retry_After="20")
        return answer(500, {}) if kind == "500" else answer(200, b"<html>")

    async def _retrieve(self, session_id: str) -> httpx.Response:
        fault = await self._read_fault()
        if fault is not None:
            return fault
        await asyncio.sleep(0.1)
        payment = next((one for one in self.payments if one.session_id == session_id), None)
        queued = next((d for d in self.deeds if d.child is not None and d.child.session_id == session_id), None)
        if queued is not None and queued.child is not None and self.has_child_ids:
            about = {"amount": text(queued.minor), "currency_code": CURRENCY, "is_sandbox": True}
            return answer(200, {"state": queued.child.state, "session_id": session_id, **about})
        if payment is None:
            return answer(404, {"detail": "Not found."})
        return answer(200, self._shown(payment) | {"amount": text(payment.minor)})

    def _shown(self, payment: Payment) -> dict[str, Any]:
        return {
            "state": payment.state,
            "currency_code": CURRENCY,
            "order_no": payment.order_no,
            "session_id": payment.session_id,
            "is_sandbox": True,
        }

    async def _inquiry(self, body: dict[str, Any]) -> httpx.Response:
        payment, now = self.find(body), self.world.loop.now
        if payment is None:
            return answer(400, {"detail": "No payment attempts found for this Lookup", "result": "failed"})
        recent = [at for at in payment.asked_at if at > now - 86_400]
        possible = max([payment.created_at + 600, *(at + 1_800 for at in recent[-1:])])
        if len(recent) >= 3 or now < possible:
            self.world.count("ottu: inquiry throttled")
            wait = {} if len(recent) >= 3 else {"Retry_After": str(int(possible - now) + 1)}
            return answer(429, {"detail": "Request was throttled."}, **wait)
        payment.asked_at.append(now)
        fault = await self._read_fault()
        if fault is not None:
            return fault
        await asyncio.sleep(0.5)
        self.world.count("ottu: inquiry answered")
        children = [self._child(child) for child in self._listed(payment)]
        settled = {"settled_amount": text(payment.minor)} if payment.state == "paid" else {}
        about = {"amount": text(payment.minor), "result": "success", "reference_number": f"PAY{payment.order_no}"}
        refunded = {
            "refunded_amount": text(sum(child.minor for child in self._listed(payment) if child.state == "refunded"))
        }
        return answer(200, {**self._shown(payment), **about, **settled, **refunded, "transactions": children})

    def _listed(self, payment: Payment) -> list[Child]:
        """The children that an inquiry knows of already."""
        late = [deed.child for deed in self.deeds if deed.began_at > self.world.loop.now - self.lag_seconds]
        return [child for child in payment.children if not any(child is one for one in late)]

    def _child(self, child: Child) -> dict[str, Any]:
        names = {"session_id": child.session_id} if self.has_child_ids else {}
        return {**names, "state": child.state, "amount": text(child.minor), "currency_code": CURRENCY}

    # --- an operation

    async def operation(self, body: dict[str, Any], key: str | None) -> httpx.Response:
        world, operation = self.world, body["operation"]
        ways = self.ways
        way = "ok" if world.calm else world.random.choices(list(ways), list(ways.values()))[0]
        payment = self.find(body)
        if payment is None:
            return answer(400, {"session_id": ["No payment transaction was found."]})
        world.count(f"ottu operation: {way}")
        world.say(f"ottu gets {operation} {payment.order_no} {body.get('amount', '')} key {key}: {way}")
        if operation not in {"cancel", "expire"}:
            asked = int(body["amount"].replace(".", "")) if "amount" in body else payment.left(operation)
            world.postman.tempt(payment, operation, asked)
        if way in NEVER_REACHES:
            return await self._unreached(way, operation)
        if operation in {"cancel", "expire"}:
            return await self._internal(payment, operation, key, way)
        stored = self._stored(key, payment)
        if stored is not None:
            world.count(f"a known key answers: {stored.outcome or 'under way'}")
            return self._latest(stored)
        minor = payment.left(operation) if operation == "void" else int(body["amount"].replace(".", ""))
        if way == "refused" or not self._fits(payment, operation, minor):
            return answer(400, failure(operation, "The gateway does not allow it."))
        return await self._run(payment, operation, minor, body.get("destination", "pg"), key, way)

    async def _unreached(self, way: str, operation: str) -> httpx.Response:
        if way == "drop before":
            raise httpx.RemoteProtocolError("simulated")
        if way == "401":
            self.unauthorized_until = self.world.loop.now + BEING_REFUSED_SECONDS
            return answer(401, {"detail": "Invalid credentials."})
        if way == "429":
            return answer(429, {"detail": "throttled"}, Retry_After="15")
        if way == "look-up failed":
            return answer(400, failure("operation_tracking", "It cannot be looked up."))
        status = {"502 before": 502, "redirect": 307, "408 before": 408}[way]
        return answer(status, failure(operation, "Something went wrong."), Location="https://elsewhere.example/")

    async def _internal(self, payment: Payment, operation: str, key: str | None, way: str) -> httpx.Response:
        world = self.world
        if payment.state not in UNPAID or way == "refused":
            return answer(400, failure(operation, f"It is {payment.state}."))
        deed = Deed(payment, operation, payment.minor, "pg", key, world.new_reference(), world.loop.now)
        self.deeds.append(deed)
        await asyncio.sleep(world.random.uniform(61, self.slowest_seconds) if "slow" in way or "later" in way else 0.2)
        deed.outcome, deed.ended_at = "success" if payment.state in UNPAID else "failed", world.loop.now
        world.say(f"Ottu: {operation} {payment.order_no} {key} is {deed.outcome}")
        if not deed.moved:
            return answer(400, failure(operation, f"It is {payment.state}."))
        payment.state = "canceled" if operation == "cancel" else "expired"
        world.oracles.judge_once(deed)
        return self._heard(way, {"detail": "Done.", "operation": operation, "result": "success"})

    def _stored(self, key: str | None, payment: Payment) -> Deed | None:
        if self.key_stored == "never":
            return None
        deeds = [deed for deed in self.of_key(key) if deed.payment is payment]
        if self.key_stored == "success":
            deeds = [deed for deed in deeds if deed.outcome in {"success", "queued", "rejected"}]
        return deeds[-1] if deeds else None

    def _latest(self, deed: Deed) -> httpx.Response:
        if deed.outcome == "":
            return answer(400, failure("operation_tracking", "The operation is still being processed."))
        if deed.outcome in {"failed", "rejected"}:
            return answer(400, failure(deed.operation, "The gateway declined it."))
        return answer(200, external(deed))

    def _fits(self, payment: Payment, operation: str, minor: int) -> bool:
        return not self.caps or 0 < minor <= payment.left(operation)

    async def _run(
        self, payment: Payment, operation: str, minor: int, destination: str, key: str | None, way: str
    ) -> httpx.Response:
        """The gateway at work: it goes on whether or not anybody still listens."""
        world = self.world
        deed = Deed(payment, operation, minor, destination, key, world.new_reference(), world.loop.now)
        self.deeds.append(deed)
        queues = way.startswith("queued") and operation == "refund"
        outcome = "failed" if way.startswith("failed") else "queued" if queues else "success"
        if way == "gateway timeout, moves later":
            world.around(self._end_later(deed, outcome))
            return answer(504, {"detail": "Gateway timeout."})
        slow = way == "slow"
        await asyncio.sleep(world.random.uniform(61, self.slowest_seconds) if slow else world.random.uniform(0.1, 4))
        self.end(deed, outcome)
        if deed.outcome == "failed" and outcome != "failed":
            return answer(400, failure(operation, "Nothing is left."))
        return self._heard(way, external(deed))

    async def _end_later(self, deed: Deed, outcome: str) -> None:
        await asyncio.sleep(self.world.random.uniform(1, self.slowest_seconds))
        self.end(deed, outcome)

    def _heard(self, way: str, said: dict[str, Any]) -> httpx.Response:
        """What arrives of the answer."""
        if way == "drop after" or way.endswith("unheard"):
            raise httpx.ReadError("simulated")
        if way == "502 after":
            return answer(502, {})
        if way == "garbage after":
            return answer(200, b'{"result": "succ')
        if way == "drips":
            return httpx.Response(200, stream=Dripping(json.dumps(said).encode()))
        if way == "mixed":
            return answer(200, said | {"success": said["result"] == "failed"})
        if way == "disagrees":
            return answer(200, said | {"amount": "1.001", "session_id": "e" * 40})
        return answer(200, said)

    def end(self, deed: Deed, outcome: str) -> None:
        """The gateway has decided: the money has moved, or it never will."""
        if outcome != "failed" and not self._fits(deed.payment, deed.operation, deed.minor):
            outcome = "failed"
        self._write(deed, outcome)
        if outcome == "queued":
            self.world.around(self._bank(deed))

    async def _bank(self, deed: Deed) -> None:
        random, theme = self.world.random, self.world.theme
        await asyncio.sleep(random.uniform(*random.choice(theme.bank_seconds)))
        self._write(deed, "rejected" if random.random() < theme.rejected else "success")

    def _write(self, deed: Deed, outcome: str) -> None:
        deed.outcome, deed.ended_at = outcome, self.world.loop.now
        self.world.say(f"gateway: {deed.operation} {deed.payment.order_no} {deed.minor} {deed.key} is {outcome}")
        state = CHILD_STATES.get((deed.operation, outcome))
        if state and deed.child is None:
            deed.child = Child(self.world.new_session(), state, deed.minor)
            deed.payment.children.append(deed.child)
        elif state and deed.child is not None:
            deed.child.state = state
        self.world.moved(deed)


def text(minor: int) -> str:
    return to_decimal_text(minor, CURRENCY)


def external(deed: Deed) -> dict[str, Any]:
    """The answer of an external operation, which is its webhook too."""
    result = {"success": "success", "queued": "queued", "rejected": "rejected"}.get(deed.outcome, "failed")
    child = deed.child
    txn = {"amount": text(deed.minor), "currency_code": CURRENCY, "session_id": child.session_id if child else None}
    return {
        "amount": text(deed.minor),
        "session_id": deed.payment.session_id,
        "order_no": deed.payment.order_no,
        "operation": deed.operation,
        "result": result,
        "success": result in {"success", "queued"},
        "reference_number": deed.reference,
        "is_sandbox": True,
        "source": "input",
        "currency_code": CURRENCY,
        **({"txn": {**txn, "state": child.state}} if child else {}),
    }
