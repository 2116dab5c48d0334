"""Ottu's operation webhooks over real HTTP: who is heard, what closes, what raises an alarm, and what is never kept."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from approvals.request import Ending, Request, State
from bot.web import MOST_BODY_BYTES
from bot.webhook import hook_of
from sandbox.ottu_answers import INITIATOR, PG_PARAMS, signature
from sandbox.ottu_book import PAYER
from tests.bot.world import ALICE, AUDIT, CEM, World, a_world

HMAC_KEY = "the-key-of-the-webhooks"
MOVED = [("refund", "ORD123", "5.000", "KWD")]
PERSONAL = [
    *(text for name, text in PAYER.items() if name not in {"customer_address_country", "customer_address_postal_code"}),
    *(str(value) for name, value in INITIATOR.items() if name != "id"),
    *PG_PARAMS.values(),
    HMAC_KEY,
]


@asynccontextmanager
async def hooked(folder: Path, mode: str = "socket") -> AsyncIterator[World]:
    """A world in which Ottu tells the bot of every operation."""
    async with a_world(folder, mode, environment={"OTTU_WEBHOOK_KEY": HMAC_KEY}) as world:
        world.ottu.configure(webhook_url=url_of(world), webhook_key=HMAC_KEY)
        yield world


@pytest.fixture
async def heard(tmp_path: Path) -> AsyncIterator[World]:
    async with hooked(tmp_path) as world:
        yield world


@pytest.fixture(params=["socket", "http"])
async def heard_either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with hooked(tmp_path, request.param) as world:
        yield world


def url_of(world: World) -> str:
    return f"{world.running.address}/ottu/webhook"


async def post(world: World, body: bytes, method: str = "POST") -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.request(method, url_of(world), content=body)).status_code


def signed(document: dict[str, object], key: str = HMAC_KEY) -> bytes:
    return json.dumps({**document, "signature": signature(document, key)}).encode()


def a_document(**changes: object) -> dict[str, object]:
    """What Ottu says of a refund of 5.000 of ORD123 that somebody made in its dashboard."""
    return {
        "amount": "5.000",
        "order_no": "ORD123",
        "operation": "refund",
        "result": "success",
        "success": True,
        "reference_number": "sandbox-of-nobody",
        "txn": {"amount": "5.000", "currency_code": "KWD", "state": "refunded"},
        "source": "input",
        **PAYER,
        **changes,
    }


def alarms(world: World) -> list[str]:
    """The texts of the alarms in the audit channel."""
    return [message.text for message in world.slack.messages(AUDIT) if "Alarm" in message.text]


async def told_all(world: World) -> None:
    """Wait until every webhook is sent, and decided."""
    await world.ottu.webhooks.drain()
    await world.quiet()


def webhooks_taken(world: World) -> int:
    return int(world.store.rows("SELECT count(*) AS n FROM work_jobs WHERE kind = 'webhook'")[0]["n"])


# --- who is heard


async def test_without_the_key_there_is_no_such_address(either: World) -> None:
    """Nothing can be verified, so that nothing is taken."""
    assert await post(either, signed(a_document())) == 404


async def test_only_what_ottu_signed_is_taken(heard_either: World) -> None:
    """All else is answered, written nowhere, and the next good one is heard."""
    document = a_document()
    good = json.loads(signed(document))
    for body, status in (
        (signed(document, "another key"), 401),
        (json.dumps(document).encode(), 401),
        (json.dumps({**good, "signature": good["signature"][:-1]}).encode(), 401),
        (json.dumps({**good, "amount": "50.000"}).encode(), 401),
        (json.dumps({**good, "amount": 5.5}).encode(), 401),
        (json.dumps({**good, "signature": 7}).encode(), 401),
        (b"{}", 401),
        (b"", 400),
        (b"not json", 400),
        (b"[1]", 400),
        (b'{"amount": NaN}', 400),
        (b"\xff\xfe", 400),
        (b'{"a": 1, "a": 2}', 400),
        (b" " * (MOST_BODY_BYTES + 1), 413),
    ):
        assert await post(heard_either, body) == status, body[:60]
    for method in ("GET", "PUT", "DELETE"):
        assert await post(heard_either, signed(document), method) == 405
    assert webhooks_taken(heard_either) == 0
    assert await post(heard_either, signed(document)) == 200
    await heard_either.until(lambda: alarms(heard_either))


async def test_a_payments_event_is_acknowledged_and_ignored(heard: World) -> None:
    payment: dict[str, object] = {"order_no": "ORD123", "state": "paid", "result": "success", "amount": "20.000"}
    for document in (payment, {**payment, "reference_number": "payment-1"}):
        assert await post(heard, signed({**document, **PAYER})) == 200
    assert webhooks_taken(heard) == 0


# --- what a webhook proves


@pytest.mark.parametrize("seconds_late", [0.0, 0.2])
async def test_an_unknown_is_closed_by_its_webhook(tmp_path: Path, seconds_late: float) -> None:
    """Before the connection breaks, or after it: the card says what happened, and nothing is sent again."""
    for mode in ("socket", "http"):
        (tmp_path / mode).mkdir()
        async with hooked(tmp_path / mode, mode) as world:
            world.ottu.configure(webhook_delay_seconds=seconds_late)
            world.ottu.fault("drop_after", seconds_after=0.1)
            await world.approved()
            request = await world.reaches(State.SUCCEEDED)
            assert request.reference_number == world.ottu.operations.performed[0].reference_number
            assert (request.doubtful_attempt, request.answered_minor) == (1, 5_000)
            await world.until(lambda world=world: "Refunded 5.000 KWD" in "".join(m.text for m in world.results()))  # type: ignore[misc]  # a default
            await told_all(world)
            assert world.keys_sent() == [request.tracking_key]
            assert (world.moved(), alarms(world)) == (MOVED, [])
            world.check_record()


async def test_a_webhook_that_comes_again_changes_nothing(heard: World) -> None:
    """Ottu repeats it after a time-out. Also where it comes with its fields in another order, or after a restart."""
    heard.ottu.configure(webhook_repeats=2)
    heard.ottu.fault("drop_after")
    await heard.approved()
    request = await heard.reaches(State.SUCCEEDED)
    await told_all(heard)
    events = len(list(heard.store.events()))
    body = heard.ottu.webhooks.sent[-1].body
    assert [one.outcome for one in heard.ottu.webhooks.sent] == ["200"] * 3
    await heard.stop()
    await heard.start()
    for again in (body, dict(reversed(body.items()))):
        assert await post(heard, json.dumps(again).encode()) == 200
    await heard.quiet()
    assert heard.request() == request
    assert len(list(heard.store.events())) == events
    assert (heard.moved(), alarms(heard), len(heard.results_of(request.id))) == (MOVED, [], 2)


@pytest.mark.parametrize(
    ("fault", "state"),
    [(None, State.SUCCEEDED), ("failed", State.FAILED), ("rejected", State.FAILED), ("queued", State.QUEUED)],
)
async def test_beside_the_answer_a_webhook_is_nothing_new(heard: World, fault: str | None, state: State) -> None:
    """Every operation has one. It alarms nobody, and leaves the next request on that transaction alone."""
    if fault:
        heard.ottu.fault(fault)
    heard.ottu.configure(webhook_delay_seconds=0.1)
    request = await heard.approved()
    await heard.reaches(state, request.id)
    row = heard.request(request.id)
    follower = None if state is State.QUEUED else await heard.ask("refund ORD123 1.000")
    await told_all(heard)
    assert heard.ottu.webhooks.sent
    assert heard.request(request.id) == row
    assert alarms(heard) == []
    assert follower is None or heard.request(follower.id).state is State.PENDING


async def test_an_operation_written_into_a_payments_webhook_proves_nothing(heard: World) -> None:
    """What says that it is a refund is not signed: its reference gives it away, whoever told it first."""
    for order, tell_first in (("ORD123", True), ("USD55", False)):
        payment = heard.ottu.book.find(order_no=order)
        assert payment is not None
        heard.ottu.fault("drop_before")
        amount, currency = ("5.000", "KWD") if order == "ORD123" else ("5.00", "USD")
        reference = f"sandbox{payment.session_id[:6].upper()}"
        event: dict[str, object] = {
            "order_no": order,
            "reference_number": reference,
            "amount": amount,
            "result": "success",
        }
        if tell_first:
            await post(heard, signed(event))
        request = await heard.approved(f"refund {order} 5", CEM)
        await heard.reaches(State.UNKNOWN, request.id)
        forged = {**event, "operation": "refund", "success": True}
        forged["txn"] = {"state": "refunded", "currency_code": currency}
        assert await post(heard, json.dumps({**forged, "signature": signature(event, HMAC_KEY)}).encode()) == 200
        await heard.quiet()
        assert heard.request(request.id).state is State.UNKNOWN


@pytest.mark.parametrize(
    "changes",
    [
        {"txn": {"amount": "50.000", "state": "refunded"}},
        {"txn": {"currency_code": "USD"}, "currency_code": "KWD"},
        {"success": False},
        {"result": "failed"},
        {"result": "done"},
        {"amount": [5]},
        {"txn": {"state": "paid"}},
        {"txn": "refunded"},
        {"operation": 7},
    ],
)
def test_a_webhook_that_contradicts_itself_says_nothing(changes: dict[str, object]) -> None:
    assert hook_of(a_document()).ending is Ending.SUCCEEDED
    document = a_document(**changes)
    if isinstance(document["amount"], list):
        document["customer_email"] = ""
        with pytest.raises(ValueError, match="amount"):
            hook_of(document)  # such a one has no signature that could hold
    else:
        assert hook_of(document).ending is Ending.UNKNOWN


def test_of_a_webhook_only_what_is_not_personal_is_kept() -> None:
    kept = hook_of(a_document(initiator=INITIATOR, pg_params=PG_PARAMS, state=" Paid ", source=["input"]))
    assert [word for word in PERSONAL if word in kept.as_json()] == []
    assert (kept.state, kept.source, kept.amount, kept.currency) == ("paid", None, "5.000", "KWD")
    assert "customer_email" in kept.signed  # the name of the field, not what it says


# --- the bank's decision


@pytest.mark.parametrize(
    ("decides", "state", "moved", "says"),
    [
        ("refunded", State.SUCCEEDED, MOVED, "Refunded 5.000 KWD"),
        ("refund_rejected", State.FAILED, [], "the bank rejected it"),
    ],
)
async def test_a_queued_refund_is_settled_by_the_banks_word(
    heard_either: World, decides: Any, state: State, moved: list[Any], says: str
) -> None:
    world = heard_either
    world.ottu.fault("queued")
    await world.approved()
    queued = await world.reaches(State.QUEUED)
    await told_all(world)
    assert world.request() == queued  # the webhook of the operation itself
    world.ottu.settle_queued(queued.session_id or "", state=decides)
    after = await world.reaches(state)
    await world.until(lambda: len(world.results()) == 2)
    assert says in world.results()[-1].text
    assert says in world.card_text()
    assert (world.moved(), len(world.operations_sent()), alarms(world)) == (moved, 1, [])
    assert after.reference_number == queued.reference_number
    world.check_record()


# --- an operation that nobody asked the bot for


async def test_somebody_elses_refund_raises_an_alarm(heard_either: World) -> None:
    """From the dashboard, from the gateway, or by a stolen key: once each, with what is known of it."""
    world = heard_either
    for source in ("input", "pg"):
        await world.ottu.dashboard("refund", "USD55", "1.50", source=source)
    await world.until(lambda: len(alarms(world)) == 2)
    await told_all(world)
    session = world.ottu.ledger[0].session_id
    for text, source in zip(alarms(world), ("input", "pg"), strict=True):
        for words in ("nobody asked this bot for", "1.50", "USD55", session, f"source: {source}", "<!date^", "record "):
            assert words in text
    assert world.requests() == []


Prepare = Callable[[World], Awaitable[Request]]


async def pending(world: World) -> Request:
    return await world.ask()


async def approved_while_paused(world: World) -> Request:
    await world.type(CEM, "pause")
    await world.told_something(CEM, "Paused")
    request = await world.approved()
    return await world.reaches(State.APPROVED, request.id)


async def checking(world: World) -> Request:
    world.ottu.fault("throttled", endpoint="inquiry", retry_after="3600")
    await world.type(ALICE, "refund ORD123 5.000")
    await world.told_something(ALICE, "It waits")
    return world.request()


@pytest.mark.parametrize("prepare", [checking, pending, approved_while_paused])
async def test_it_stops_what_has_not_been_sent(heard: World, prepare: Prepare) -> None:
    """What was seen and approved is no longer so: the card says why, the requester is told, and nothing is sent."""
    world = heard
    request = await prepare(world)
    await world.ottu.dashboard("refund", "ORD123", "1.000")
    await world.until(lambda: world.request(request.id).state is State.WITHDRAWN)
    await world.until(lambda: alarms(world))
    if prepare is checking:
        await world.told_something(ALICE, "somebody else acted on this transaction outside the bot")
        world.ottu.configure(throttle=False)
        world.hurry("check")
    else:
        await world.reaches(State.WITHDRAWN)
        await world.until(world.results)
        for text in (world.card_text(), world.results()[0].text):
            assert "somebody else acted on this transaction outside the bot" in text
            assert "by the person who asked" not in text
        assert f"<@{ALICE}>" in world.results()[0].text
    if prepare is approved_while_paused:
        await world.resume(CEM)
    await told_all(world)
    assert world.operations_sent() == []
    assert world.moved() == [("refund", "ORD123", "1.000", "KWD")]
    world.check_record()


async def test_it_leaves_one_that_is_under_way_and_is_no_proof_of_it(heard: World) -> None:
    """Another amount, while ours waits for its answer, which never comes."""
    heard.ottu.fault("drop_before", seconds_before=0.4)
    request = await heard.approved()
    await heard.until(heard.operations_sent)
    await heard.ottu.dashboard("refund", "ORD123", "1.000")
    await heard.reaches(State.UNKNOWN, request.id)
    await told_all(heard)
    assert heard.request(request.id).state is State.UNKNOWN
    assert len(alarms(heard)) == 1
    assert heard.moved() == [("refund", "ORD123", "1.000", "KWD")]


# --- nothing personal


def everything_stored(folder: Path) -> str:
    """The database's files, byte by byte."""
    return b"".join(path.read_bytes() for path in folder.iterdir()).decode(errors="replace")


async def test_nothing_personal_of_a_webhook_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in Slack, nor in a log, nor on the disk: of ours, of somebody else's, and of those that are refused."""
    caplog.set_level(logging.DEBUG, "bot")
    async with hooked(tmp_path) as world:
        world.ottu.fault("drop_after")
        await world.approved()
        await world.reaches(State.SUCCEEDED)
        await world.ottu.dashboard("refund", "USD55", "1.50")
        await world.until(lambda: alarms(world))
        payment = world.ottu.book.find(order_no="JPY100")
        assert payment is not None
        documents: list[dict[str, object]] = [
            a_document(initiator=INITIATOR, pg_params=PG_PARAMS),
            a_document(reference_number="", initiator=INITIATOR),
            {"order_no": "JPY100", "reference_number": "payment-7", "state": "paid", **PAYER},
        ]
        for document in documents:
            assert await post(world, signed(document)) == 200
            assert await post(world, signed(document, "another key")) == 401
        await told_all(world)
        slack = json.dumps([call.arguments for call in world.slack.state.calls], ensure_ascii=False, default=str)
        slack += world.slack.transcript()
    logged = "\n".join(repr(vars(record)) for record in caplog.records if record.name.startswith("bot"))
    stored = everything_stored(tmp_path)
    assert "webhook_refused" in logged
    assert "sandbox-of-nobody" in slack
    assert "payment-7" in stored
    for where, text in {"Slack": slack, "the log": logged, "the disk": stored}.items():
        assert [word for word in PERSONAL if word in text] == [], where
