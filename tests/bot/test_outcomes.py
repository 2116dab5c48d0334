"""What each answer of Ottu means, through the real bot: the row, the card, the result, the ledger, and what was sent.

The rows are those of "What an answer means" for a first attempt. No answer is not "no": where it cannot be told, the
request is unknown, people are told, and nothing is sent again.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

from approvals.request import Request, State
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
