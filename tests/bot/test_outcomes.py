"""What each answer of Ottu means, through the real bot: the row, the card, the result, the ledger, and what was sent.

The rows are those of "What an answer means" for a first attempt. No answer is not "no": where it cannot be told, the
request is unknown, people are told, and nothing is sent again.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from approvals.request import Request, State
from sandbox.serving import serve
from tests.bot.world import ALICE, BOB, CEM, World, a_world, with_timing

MOVED = [("refund", "ORD123", "5.000", "KWD")]
NOT_MOVED: list[tuple[str, str, str, str]] = []
DECLINED = "The payment gateway declined the operation"


class Row(NamedTuple):
    """A fault of the local Ottu, and what must come of it."""

    name: str
    fault: dict[str, Any]
    moved: bool = False
    says: str = ""  # in the result


def status(code: int, body: object = None, when: str = "before") -> dict[str, Any]:
    return {"kind": "status", "status": code, "when": when, "body": body}


PROVEN_NOT_DONE = [
    Row("200, failed", {"kind": "failed"}),
    Row("200, rejected by the bank", {"kind": "rejected"}),
    Row("400, in Ottu's own shape", status(400), says=DECLINED),
    Row("400, by field", status(400, {"amount": ["More than is left."]}), says="More than is left"),
    Row("400, as an error object", status(400, {"error": {"message": "No such card."}}), says="No such card"),
    Row("403", status(403, {"detail": "You do not have permission."}), says="You do not have permission"),
    Row("404", status(404, {"detail": "Not found."}), says="Not found"),
    Row("405", status(405, {"detail": "Method not allowed."}), says="Method not allowed"),
    Row("422", status(422, {"detail": "Not this one."}), says="Not this one"),
]
NOT_KNOWN = [
    Row("400 of the look-up by Tracking-Key", {"kind": "tracking"}),
    Row("400 without a reason", status(400, {})),
    Row("400 that is not JSON", status(400, "<html>")),
    Row("closed before anything was done", {"kind": "drop_before"}),
    Row("closed after the money moved", {"kind": "drop_after"}, True),
    Row("not JSON, nothing done", {"kind": "garbage", "when": "before"}),
    Row("not JSON, done", {"kind": "garbage", "when": "after"}, True),
    Row("301", status(301)),
    Row("408", status(408)),
    Row("409", status(409)),
    Row("500 before the money", status(500)),
    Row("502 after the money", status(502, when="after"), True),
    Row("504 after the money", status(504, when="after"), True),
    Row("200 and an empty object", status(200, {}, "after"), True),
    Row("200 and a list", status(200, [], "after"), True),
    Row("200 and a word nobody knows", {"kind": "disagree", "changes": {"result": "done"}}, True),
    Row("200 that contradicts itself", {"kind": "disagree", "changes": {"success": False}}, True),
    Row("200, failed, yet with a refund", {"kind": "disagree", "changes": {"result": "failed"}}, True),
    Row("another amount", {"kind": "disagree", "changes": {"amount": "5.001"}}, True, "another amount"),
    Row("another amount of the child", {"kind": "disagree", "changes": {"txn": {"amount": "50.000"}}}, True),
    Row("another currency", {"kind": "disagree", "changes": {"txn": {"currency_code": "USD"}}}, True),
    Row("another session", {"kind": "disagree", "changes": {"session_id": "f" * 40}}, True, "another transaction"),
    Row("another operation", {"kind": "disagree", "changes": {"operation": "void"}}, True, "another operation"),
    Row("an unreadable amount", {"kind": "disagree", "changes": {"amount": [5]}}, True),
]


class Seen(NamedTuple):
    """What came of one row: where it stands, what moved, what was sent, and which texts say so."""

    state: State
    moved: bool
    attempts: list[str | None]  # the Tracking-Keys that reached Ottu with it
    card_says: bool
    result_says: bool  # one reply in the card's thread, which the channel sees too
    decisions: set[str]


async def each(world: World, rows: list[Row]) -> dict[str, Request]:
    """Let every row happen to a payment of its own: the requests by the rows' names."""
    made: dict[str, Request] = {}
    for number, row in enumerate(rows):
        world.ottu.create(f"ROW{number}", "20.000", "KWD")
        world.ottu.fault(**row.fault, match=f"ROW{number}")
        made[row.name] = await world.approved(f"refund ROW{number} 5.000", ALICE if number % 2 else CEM)
    for name, request in made.items():
        await world.until(lambda request=request: world.results_of(request.id))  # type: ignore[misc]  # a default
        made[name] = world.request(request.id)
        await world.reaches(made[name].state, request.id)
    return made


def seen(world: World, request: Request, *words: str) -> Seen:
    results = world.results_of(request.id)
    card = world.card(request.id)
    sent = [r for r in world.ottu.requests if r.path.endswith("/operation/")]
    return Seen(
        world.request(request.id).state,
        (request.operation.value, request.order_no, "5.000", "KWD") in world.moved(),
        [r.tracking_key for r in sent if r.body["session_id"] == request.session_id],
        all(word in world.card_text(request.id) for word in words),
        [(r.thread_ts, r.reply_broadcast) for r in results] == [(card.ts, True)]
        and all(word in results[0].text for word in words),
        decision_buttons(world, request.id),
    )


async def sent_once(world: World, request: Request) -> None:
    """Exactly one operation reached Ottu, and none more does when the bot starts again."""
    assert world.keys_sent() == [request.tracking_key]
    await restarted(world)
    assert world.keys_sent() == [request.tracking_key]
    assert world.request(request.id).state is request.state


async def restarted(world: World) -> None:
    """Stop and start the bot, and let it do whatever it finds to do."""
    await world.stop()
    await world.start()
    world.hurry("execute", "check", "card", "notice")
    await world.quiet()


def decision_buttons(world: World, request_id: str | None = None) -> set[str]:
    """The buttons on the card that decide something."""
    actions = {element["action_id"] for _, element in world.card(request_id).elements}
    return actions & {"approve", "reject", "unapprove", "withdraw"}


# --- proof


async def test_success_is_the_answer_that_agrees(world: World) -> None:
    await world.approved()
    request = await world.reaches(State.SUCCEEDED)
    (result,) = await world.until(world.results)
    assert world.moved() == MOVED
    assert (request.answered_minor, request.misses) == (5000, 0)
    assert "Refunded 5.000 KWD" in world.card_text()
    assert "Refunded 5.000 KWD" in result.text
    assert decision_buttons(world) == set()
    await sent_once(world, request)
    world.check_record()


async def test_a_readable_no_is_a_failure_with_its_reason(world: World) -> None:
    """Also after a restart: final is final."""
    made = await each(world, PROVEN_NOT_DONE)
    expected = {
        row.name: Seen(State.FAILED, False, [made[row.name].tracking_key], True, True, set()) for row in PROVEN_NOT_DONE
    }
    for _ in range(2):
        assert {
            row.name: seen(world, made[row.name], "Failed", "No money was moved", row.says) for row in PROVEN_NOT_DONE
        } == expected
        await restarted(world)
    world.check_record()


async def test_a_failed_one_leaves_the_transaction_free(world: World) -> None:
    """After a proven "no" the same refund can be asked for again, as another request with another key."""
    world.ottu.fault("failed")
    first = await world.approved()
    await world.reaches(State.FAILED, first.id)
    second = await world.approved()
    await world.reaches(State.SUCCEEDED, second.id)
    assert world.moved() == MOVED
    assert len(set(world.keys_sent())) == 2


async def test_queued_is_shown_as_such_and_holds_the_transaction(world: World) -> None:
    """The bank decides: nothing has moved, nothing is sent again, and nothing else may be asked meanwhile."""
    world.ottu.fault("queued")
    await world.approved()
    request = await world.reaches(State.QUEUED)
    (result,) = await world.until(world.results)
    assert "the bank decides" in world.card_text()
    assert "Queued at the bank" in result.text
    assert request.tracking_key is not None
    assert request.tracking_key in result.text
    await world.type(BOB, "refund ORD123 1.000")
    assert request.id in await world.told_something(BOB, "One at a time")
    assert world.moved() == NOT_MOVED
    await sent_once(world, request)


# --- no proof


async def test_no_clear_answer_is_unknown_and_never_sent_again(world: World) -> None:
    """Whether or not the money moved: shown in the channel, told to the requester, and not sent again by a restart."""
    made = await each(world, NOT_KNOWN)
    expected = {
        row.name: Seen(State.UNKNOWN, row.moved, [made[row.name].tracking_key], True, True, set()) for row in NOT_KNOWN
    }
    for _ in range(2):
        assert {row.name: seen(world, made[row.name], "Outcome unknown", row.says) for row in NOT_KNOWN} == expected
        await restarted(world)
    for request in made.values():
        assert (request.doubtful_attempt, request.answered_minor, request.reference_number) == (1, None, None)
        await told_of_unknown(world, request)
        shown = world.card_text(request.id) + world.results_of(request.id)[0].text
        assert "No money was moved" not in shown
        assert "*Refunded 5.000" not in shown
    world.check_record()


async def told_of_unknown(world: World, request: Request) -> None:
    """The requester gets a direct message as well: an unknown outcome must not drown in a busy channel."""
    await world.until(
        lambda: [m for m in world.slack.direct_messages(request.requester) if request.id in m.text and "❓" in m.text]
    )


async def test_the_deadline_is_over_the_whole_call(tmp_path: Path) -> None:
    """An answer that drips a byte at a time never stalls long enough for a time-out between two reads."""
    async with a_world(tmp_path, policy=with_timing(deadline_seconds=0.4)) as world:
        world.ottu.fault("dripping", drip_seconds=0.05)
        begun = time.monotonic()
        await world.approved()
        request = await world.reaches(State.UNKNOWN)
        assert time.monotonic() - begun < 3
        assert "the deadline passed" in (request.detail or "")
        assert world.moved() == MOVED
        await told_of_unknown(world, request)
        await sent_once(world, request)


async def test_money_that_moves_after_the_deadline_moves_once(tmp_path: Path) -> None:
    """A slow gateway is not a lost one: what seemed not to have happened happens later, and nothing was sent twice."""
    async with a_world(tmp_path, policy=with_timing(deadline_seconds=0.3)) as world:
        world.ottu.fault("slow", seconds_before=0.8)
        await world.approved()
        request = await world.reaches(State.UNKNOWN)
        assert world.moved() == NOT_MOVED
        await world.until(world.moved)
        await sent_once(world, request)
        assert world.moved() == MOVED


async def test_an_unknown_holds_the_transaction(world: World) -> None:
    """Nobody may ask for the money again while nobody knows whether it moved."""
    world.ottu.fault("drop_after")
    first = await world.approved()
    await world.reaches(State.UNKNOWN)
    session = first.session_id
    for text in ("refund ORD123 1.000", f"refund {session} 1.000", "refund ORD123 full"):
        await world.type(CEM, text)
    await world.until(lambda: world.told(CEM).count(first.id) == 3)
    await world.type(ALICE, f"withdraw {first.id}")
    await world.told_something(ALICE, "cannot be withdrawn any more")
    assert len(world.requests()) == 1
    assert len(world.operations_sent()) == 1


# --- proven not sent, or not executed: the only ones that are sent again


async def test_ottu_slows_us_down(world: World) -> None:
    """429: nothing was done. It waits as long as Ottu asked, says so, and goes on with the same Tracking-Key."""
    world.ottu.fault("throttled", retry_after="1")
    await world.approved()
    waiting = await world.reaches(State.APPROVED)
    assert "not sent yet" in world.card_text()
    assert "Ottu asked to slow down" in world.card_text()
    assert "goes on by itself" in world.card_text()
    begun = time.monotonic()
    request = await world.reaches(State.SUCCEEDED)
    assert time.monotonic() - begun > 0.7
    assert world.keys_sent() == [request.tracking_key] * 2
    assert waiting.tracking_key == request.tracking_key
    assert world.moved() == MOVED
    assert (request.attempt, request.misses, request.doubtful_attempt) == (2, 0, None)
    await world.until(world.results)
    assert len(world.results()) == 1
    world.check_record()


@pytest.mark.parametrize(
    ("then", "state"),
    [({"kind": "failed"}, State.FAILED), ({"kind": "drop_before"}, State.UNKNOWN), ({"kind": "queued"}, State.QUEUED)],
)
async def test_after_a_throttled_attempt_the_next_answer_is_that_of_a_first(
    world: World, then: dict[str, Any], state: State
) -> None:
    """Of two attempts only the second can have been executed, so that its "no" is proof, and its silence is none."""
    world.ottu.fault("throttled", retry_after="3600")
    world.ottu.fault(**then)
    await world.approved()
    await world.reaches(State.APPROVED)
    world.hurry("execute")
    request = await world.reaches(state)
    assert world.keys_sent() == [request.tracking_key] * 2
    assert world.moved() == NOT_MOVED


async def test_what_waits_to_be_sent_can_be_withdrawn(world: World) -> None:
    world.ottu.fault("throttled", retry_after="3600")
    await world.approved()
    await world.reaches(State.APPROVED)
    await world.press(ALICE, "withdraw")
    await world.reaches(State.WITHDRAWN)
    world.hurry("execute")
    await world.quiet()
    assert len(world.operations_sent()) == 1
    assert world.moved() == NOT_MOVED


async def test_ottu_is_down_and_comes_back(tmp_path: Path) -> None:
    """A refused connection carried nothing: the approval stands, the card says why, and it goes on by itself."""
    async with a_world(tmp_path, started=False) as world:
        port = await asked_then_down(world)
        await world.press(BOB, "approve")
        await world.until(lambda: world.request().misses == 1)
        waiting = await world.reaches(State.APPROVED)
        assert "not sent yet" in world.card_text()
        assert "goes on by itself" in world.card_text()
        assert world.operations_sent() == []
        async with serve(world.ottu.app, port):
            request = await world.reaches(State.SUCCEEDED)  # after the first two seconds of back-off
        assert world.keys_sent() == [request.tracking_key] == [waiting.tracking_key]
        assert world.moved() == MOVED
        assert (request.attempt, request.misses) == (2, 1)


async def test_the_fifth_time_that_nothing_could_be_sent_is_a_failure(tmp_path: Path) -> None:
    """Five refused connections: final, with the reason; nothing moved, and the transaction is free again."""
    async with a_world(tmp_path, started=False) as world:
        port = await asked_then_down(world)
        await world.press(BOB, "approve")
        for missed in range(1, 5):
            await world.until(lambda missed=missed: world.request().misses == missed)  # type: ignore[misc]  # a default
            await world.reaches(State.APPROVED)
            assert waits_seconds(world) == pytest.approx(2**missed, abs=1)
            world.hurry("execute")
        request = await world.reaches(State.FAILED)
        assert request.misses == 5
        (result,) = await world.until(world.results)
        assert "could not reach Ottu 5 times; nothing was sent" in result.text
        async with serve(world.ottu.app, port):
            world.hurry("execute")
            await world.quiet()
            await world.approved()
            await world.until(world.moved)
        assert world.moved() == MOVED
        assert len(world.operations_sent()) == 1


async def asked_then_down(world: World) -> int:
    """A pending request, and an Ottu that nobody answers for; its port."""
    async with serve(world.ottu.app) as url:
        world.environment["OTTU_BASE_URL"] = url
        await world.start()
        await world.ask()
    return int(url.rsplit(":", 1)[1])


def waits_seconds(world: World) -> float:
    """How long the execution is put off."""
    (row,) = world.store.rows(
        "SELECT (julianday(due_at) - julianday('now')) * 86400 AS seconds FROM work_jobs WHERE kind = 'execute'"
    )
    return float(row["seconds"])


# --- credentials


async def test_refused_credentials_stop_everything_until_they_are_accepted_again(world: World) -> None:
    """401: that one failed; no other is sent, and whoever watches is told, until a harmless call is accepted."""
    waiting = await world.ask("refund USD55 9.99", CEM)
    world.ottu.fault("unauthorized")
    world.ottu.fault("unauthorized", endpoint="retrieve", match="0" * 40)
    first = await world.approved()
    failed = await world.reaches(State.FAILED, first.id)
    assert "did not accept the bot's credentials" in (failed.detail or "")
    assert await world.readyz() == (503, {"slack": True, "database": True, "executing": False})

    await world.press(BOB, "approve", world.card(waiting.id))
    await world.reaches(State.APPROVED, waiting.id)
    world.hurry("execute")
    await world.until(lambda: "0" * 40 in [r.path.split("/")[-2] for r in world.ottu.requests])
    assert len(world.operations_sent()) == 1

    world.hurry("probe")
    await world.until(lambda: world.bot and world.bot.tasks.execution.stopped() is None)
    world.hurry("execute")
    await world.reaches(State.SUCCEEDED, waiting.id)
    assert (await world.readyz())[0] == 200
    assert world.moved() == [("refund", "USD55", "9.99", "USD")]
    assert [event.kind for event in world.store.events()].count("credentials_accepted") == 1
    world.check_record()


async def test_the_stop_outlives_a_restart(world: World) -> None:
    """The credentials are still the refused ones: the bot that starts again asks before it sends."""
    waiting = await world.ask("refund USD55 9.99", CEM)
    world.ottu.fault("unauthorized")
    world.ottu.fault("unauthorized", endpoint="retrieve", count=2, match="0" * 40)
    first = await world.approved()
    await world.reaches(State.FAILED, first.id)
    await world.quiet()
    await world.stop()
    await world.start()
    assert (await world.readyz())[0] == 503
    await world.press(BOB, "approve", world.card(waiting.id))
    await world.reaches(State.APPROVED, waiting.id)
    world.hurry("probe")
    await world.quiet()
    assert len(world.operations_sent()) == 1
    world.hurry("probe")
    await world.until(lambda: world.bot and world.bot.tasks.execution.stopped() is None)
    world.hurry("execute")
    await world.reaches(State.SUCCEEDED, waiting.id)


# --- the other operations


@pytest.mark.parametrize(
    ("typed", "moved", "sent"),
    [
        (
            "refund ORD123 5.000 --wallet",
            ("refund", "ORD123", "5.000", "KWD"),
            {"operation": "refund", "amount": "5.000", "destination": "wallet"},
        ),
        ("capture AUTH7 10", ("capture", "AUTH7", "10.000", "KWD"), {"operation": "capture", "amount": "10.000"}),
        ("capture AUTH7 full", ("capture", "AUTH7", "12.500", "KWD"), {"operation": "capture", "amount": "12.500"}),
        ("void AUTH7", ("void", "AUTH7", "12.500", "KWD"), {"operation": "void"}),
        ("refund JPY100 250", ("refund", "JPY100", "250", "JPY"), {"operation": "refund", "amount": "250"}),
        ("refund USD55 0.5", ("refund", "USD55", "0.50", "USD"), {"operation": "refund", "amount": "0.50"}),
    ],
)
async def test_each_money_operation_is_sent_as_approved(
    world: World, typed: str, moved: tuple[str, str, str, str], sent: dict[str, str]
) -> None:
    """By session id, with the exact amount in the currency's decimals, and to the wallet only where that was said."""
    await world.approved(typed)
    request = await world.reaches(State.SUCCEEDED)
    assert world.moved() == [moved]
    assert world.operations_sent() == [{"session_id": request.session_id, **sent}]
    (result,) = await world.until(world.results)
    assert ("to the wallet" in result.text) == ("--wallet" in typed)
    assert ("wallet" in world.card_text()) == ("--wallet" in typed)
    assert [line.destination for line in world.ottu.ledger] == ["wallet" if "--wallet" in typed else "pg"]


@pytest.mark.parametrize(
    ("typed", "fields", "says"),
    [
        ("refund NOWALLET 1.000 --wallet", {"has_wallet": False}, "no active wallet"),
        ("refund NOREFUND 1.000", {"unsupported": frozenset({"refund"})}, "does not support refund"),
        ("refund FOREIGN 1.000", {"gateway_currency": "USD"}, "foreign currency"),
    ],
)
async def test_what_only_the_gateway_knows_comes_back_as_its_reason(
    world: World, typed: str, fields: dict[str, Any], says: str
) -> None:
    world.ottu.create(typed.split()[1], "9.000", "KWD", **fields)
    await world.approved(typed)
    request = await world.reaches(State.FAILED)
    assert says in (request.detail or "")
    assert world.moved() == NOT_MOVED


@pytest.mark.parametrize(("operation", "after"), [("cancel", "canceled"), ("expire", "expired")])
async def test_an_unpaid_link_needs_no_approval_and_has_no_decision_buttons(
    world: World, operation: str, after: str
) -> None:
    """Nobody tried to pay: Ottu knows no session for it yet, so that the order number is sent as typed."""
    await world.type(CEM, "pause for a look at the card")
    await world.told_something(CEM, "Paused")
    await world.type(ALICE, f"{operation} LINK9")
    waiting = await world.reaches(State.APPROVED)
    assert decision_buttons(world) == {"withdraw"}
    assert waiting.approvals_needed == 0
    await world.resume(CEM)
    await world.until(lambda: not world.running.tasks.execution.stopped())
    world.hurry("execute")
    request = await world.reaches(State.SUCCEEDED)
    assert world.operations_sent() == [{"operation": operation, "order_no": "LINK9"}]
    found = world.ottu.book.find(order_no="LINK9")
    assert found is not None
    assert found.state == after
    (result,) = await world.until(world.results)
    assert "no approval needed by the rule" in result.text
    assert decision_buttons(world) == set()
    await sent_once(world, request)


async def test_an_attempted_link_is_cancelled_by_its_session(world: World) -> None:
    payment = world.ottu.create("TRIED", "3.000", "KWD", "attempted")
    await world.type(ALICE, "cancel TRIED")
    await world.reaches(State.SUCCEEDED)
    assert world.operations_sent() == [{"operation": "cancel", "session_id": payment.session_id}]
    assert payment.state == "canceled"


async def test_cancel_without_an_answer_is_unknown_too(world: World) -> None:
    world.ottu.fault("drop_before")
    await world.type(ALICE, "cancel LINK9")
    request = await world.reaches(State.UNKNOWN)
    await told_of_unknown(world, request)
    await sent_once(world, request)


async def test_delete_is_blocked_with_the_policys_sentence(world: World) -> None:
    """Neither a request nor a single call to Ottu; the attempt is in the record."""
    await world.type(ALICE, "delete LINK9")
    await world.told_something(ALICE, "Delete is done by the platform team.")
    assert world.requests() == []
    assert list(world.ottu.requests) == []
    assert world.refused_attempts() == ["blocked"]
