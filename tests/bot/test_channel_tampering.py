"""`audit channel` names whatever was done to the channels, or to the database behind them."""

from __future__ import annotations

import copy
import json
from collections.abc import Awaitable, Callable
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from sandbox.slack_records import Message
from tests.bot.channels import audited, card_of
from tests.bot.world import ALICE, AUDIT, BOB, CEM, GEN, OUT, World

ROGUE = "U66ROGUE"
OLD_LINK = "1.000001"


def client(world: World) -> AsyncWebClient:
    """The app's own token, in other hands."""
    return AsyncWebClient(world.slack.state.bot_token, base_url=world.slack.api_url)


async def edit(world: World, message: Message, *swaps: tuple[str, str], **metadata: Any) -> None:
    """Replace texts in what the message shows, and fields of its metadata, with the app's own token."""
    shown = json.dumps([message.text, message.blocks], ensure_ascii=False)
    for old, new in swaps:
        assert old in shown, old
        shown = shown.replace(old, new)
    text, blocks = json.loads(shown)
    kept = copy.deepcopy(message.metadata)
    if kept:
        kept["event_payload"] |= metadata
    await client(world).chat_update(
        channel=message.channel, ts=message.ts, text=text, blocks=blocks or None, metadata=kept
    )


def head_shown(message: Message) -> str:
    payload = (message.metadata or {})["event_payload"]
    return f"{payload['seq']}:{payload['head'][:8]}"


async def post(world: World, like: Message, **changes: Any) -> None:
    """Post a message like another one with the app's own token."""
    content = {"text": like.text, "blocks": like.blocks, "metadata": like.metadata, "thread_ts": like.thread_ts}
    await client(world).chat_postMessage(channel=changes.pop("channel", like.channel), **(content | changes))


def as_rogue(world: World, like: Message, **changes: Any) -> None:
    """Post it as another app's bot."""
    if ROGUE not in world.slack.state.people:
        world.slack.add_person(ROGUE, "rogue", is_bot=True)
        world.slack.state.channels[GEN].members.append(ROGUE)
    content = {"blocks": copy.deepcopy(like.blocks), "metadata": copy.deepcopy(like.metadata)} | changes
    world.slack.post_as_app(ROGUE, GEN, like.text, app_id="A66", bot_id="B66", **content)


async def delete(world: World, message: Message) -> None:
    await client(world).chat_delete(channel=message.channel, ts=message.ts)


async def bare(world: World, message: Message) -> None:
    """Keep the words and drop the metadata, as nobody but the app itself could."""
    message.metadata = None
    world.slack.state.changed()


async def pointer(world: World, to_newer: bool) -> None:
    """The card was posted a second time, and the first became a pointer to it, or to nowhere."""
    first = card_of(world, "JPY100")
    await post(world, first)
    newest = world.slack.messages(GEN)[-1]
    link = f"https://local.slack.com/archives/{GEN}/p{(newest.ts if to_newer else OLD_LINK).replace('.', '')}"
    await client(world).chat_update(channel=GEN, ts=first.ts, text=f"This card is now here: {link}")


def done(world: World) -> Message:
    return card_of(world, "ORD123")


def result(world: World) -> Message:
    return world.results()[0]


def alarm(world: World) -> Message:
    return next(message for message in world.slack.messages(AUDIT) if "Alarm" in message.text)


def dated(world: World, **payload: Any) -> dict[str, Any]:
    """The day's head, as the bot posts it, with other fields."""
    seq, head = world.store.head()
    return {"event_type": "ottu_head", "event_payload": {"seq": seq, "head": head} | payload}


async def say_head(world: World, text: str, **payload: Any) -> None:
    await client(world).chat_postMessage(channel=AUDIT, text=text, metadata=dated(world, **payload))


Act = Callable[[World], Awaitable[None]]
Told = list[tuple[str, str, str | None]]
FORGED = "f" * 64


def facts(thing: str, *names: str) -> Told:
    return sorted(("differs", thing, name) for name in names)


async def forged_by_a_person(world: World) -> None:
    world.slack.state.post(GEN, OUT, result(world).text)


async def forged_by_an_app(world: World) -> None:
    as_rogue(world, done(world))


async def forged_by_an_app_without_metadata(world: World) -> None:
    as_rogue(world, done(world), metadata=None)


async def edited_head(world: World) -> None:
    await say_head(world, "Head of the day")
    await edit(world, world.slack.messages(AUDIT)[-1])


def approve_of(world: World) -> str:
    """The button of a card that waits, as it stands in its blocks."""
    blocks = card_of(world, "JPY100").blocks
    return json.dumps(
        next(e for b in blocks for e in b.get("elements", []) if e.get("action_id") == "approve"), ensure_ascii=False
    )


def menu_of(world: World) -> str:
    """A menu in its place, of which one choice approves."""
    chosen = {"text": {"type": "plain_text", "text": "Details"}, "value": json.loads(approve_of(world))["value"]}
    return json.dumps({"type": "overflow", "action_id": "approve", "options": [chosen, {**chosen, "value": "x"}]})


async def quoted(world: World) -> None:
    world.slack.say(ALICE, GEN, f"What became of {world.requests()[0].id}? The record is at {head_shown(done(world))}?")


CASES: dict[str, tuple[Act, Told]] = {
    "nothing": (lambda w: say_head(w, "Head of the day"), []),
    "the amount in the title of a card": (
        lambda w: edit(w, done(w), ("Refund 5.000 KWD", "Refund 50.000 KWD")),
        facts("card", "amount"),
    ),
    "an amount among the figures": (
        lambda w: edit(w, done(w), ("*Left to refund*\\n20.000 KWD", "*Left to refund*\\n90.000 KWD")),
        facts("card", "amount", "figures"),
    ),
    "two figures exchanged": (
        lambda w: edit(w, card_of(w, "USD55"), ("*Transaction*\\nUSD55", "*Transaction*\\npaid")),
        facts("card", "figures"),
    ),
    "the transaction": (
        lambda w: edit(w, done(w), ("· ORD123", "· ORD124")),
        facts("card", "transaction"),
    ),
    "the operation": (
        lambda w: edit(w, done(w), ("Refund 5.000", "Void 5.000")),
        facts("card", "operation"),
    ),
    "the word of the state": (
        lambda w: edit(w, done(w), ("*Done*", "*Failed*")),
        facts("card", "state"),
    ),
    "who asked": (
        lambda w: edit(w, done(w), (f"Asked by <@{ALICE}>", f"Asked by <@{OUT}>")),
        facts("card", "requester"),
    ),
    "who approved": (
        lambda w: edit(w, done(w), (f"Approved by <@{BOB}>", f"Approved by <@{CEM}>")),
        facts("card", "people"),
    ),
    "when it was asked": (
        lambda w: edit(w, done(w), ("<!date^1", "<!date^2")),
        facts("card", "time"),
    ),
    "why it was rejected": (
        lambda w: edit(w, card_of(w, "USD55"), ("ticket 7", "ticket 8")),
        facts("card", "detail"),
    ),
    "the rule": (lambda w: edit(w, done(w), ("rule “money”", "rule “none”")), facts("card", "rule")),
    "the name of the request": (
        lambda w: edit(w, done(w), ((w.requests()[0].id), "R-0000")),
        facts("card", "buttons", "request"),
    ),
    "what notifications show": (
        lambda w: edit(w, done(w), (": Done (", ": Failed (")),
        facts("card", "notification"),
    ),
    "a button of another request": (
        lambda w: edit(w, card_of(w, "JPY100"), (w.requests()[2].digest or "", "0" * 32)),
        facts("card", "buttons"),
    ),
    "a button that does another thing than it says": (
        lambda w: edit(w, card_of(w, "JPY100"), ('"action_id": "details"', '"action_id": "unapprove"')),
        facts("card", "buttons"),
    ),
    "a button that says another thing than it does": (
        lambda w: edit(w, card_of(w, "JPY100"), ('"Approve"', '"Details"')),
        facts("card", "buttons"),
    ),
    "a menu that approves": (
        lambda w: edit(w, card_of(w, "JPY100"), (approve_of(w), menu_of(w))),
        facts("card", "buttons"),
    ),
    "the visible head of a card": (
        lambda w: edit(w, done(w), (head_shown(done(w)), "3:0000abcd")),
        facts("card", "record"),
    ),
    "the head in the metadata": (lambda w: edit(w, done(w), head=FORGED), facts("card", "metadata head")),
    "the sequence in the metadata": (lambda w: edit(w, done(w), seq=2), facts("card", "metadata seq")),
    "the state in the metadata": (lambda w: edit(w, done(w), state="failed"), facts("card", "metadata state")),
    "the digest in the metadata": (lambda w: edit(w, done(w), digest="0" * 32), facts("card", "metadata digest")),
    "more in the metadata": (lambda w: edit(w, done(w), more=1), facts("card", "metadata more")),
    "the version in the metadata": (
        lambda w: edit(w, done(w), version=99),
        [("unrecorded", "card", "version")],
    ),
    "another request in the metadata": (
        lambda w: edit(w, done(w), request="R-0000"),
        [("missing", "card", None), ("misplaced", "result", None), ("unrecorded", "card", None)],
    ),
    "no metadata any more": (lambda w: bare(w, done(w)), facts("card", "metadata")),
    "an edited result": (
        lambda w: edit(w, result(w), ("Refunded 5.000 KWD", "Refunded 6.000 KWD")),
        [*facts("result", "amount", "state"), ("edited", "result", None)],
    ),
    "a result that was edited to the same": (
        lambda w: edit(w, result(w)),
        [("edited", "result", None)],
    ),
    "a result's reference": (
        lambda w: edit(w, result(w), (w.requests()[0].tracking_key or "", "another")),
        [*facts("result", "reference"), ("edited", "result", None)],
    ),
    "a result's visible head": (
        lambda w: edit(w, result(w), (head_shown(result(w)), "6:0000abcd")),
        [*facts("result", "record"), ("edited", "result", None)],
    ),
    "a deleted card": (lambda w: delete(w, done(w)), [("missing", "card", None)]),
    "a deleted card without replies": (lambda w: delete(w, card_of(w, "JPY100")), [("missing", "card", None)]),
    "a deleted result": (lambda w: delete(w, result(w)), [("missing", "result", None)]),
    "a deleted result that stood in the thread alone": (
        lambda w: delete(w, w.results()[1]),
        [("missing", "result", None)],
    ),
    "a card of another app": (forged_by_an_app, [("foreign", "card", None)]),
    "a card of another app without metadata": (forged_by_an_app_without_metadata, [("foreign", "card", None)]),
    "a result that a person copied": (forged_by_a_person, [("foreign", "result", None)]),
    "what people talk about": (quoted, []),
    "a doubled card": (lambda w: post(w, card_of(w, "JPY100")), [("doubled", "card", None)]),
    "a doubled result": (lambda w: post(w, result(w)), [("doubled", "result", None)]),
    "a pointer to the newer card": (lambda w: pointer(w, True), []),
    "a pointer to nowhere": (lambda w: pointer(w, False), [("doubled", "card", None)]),
    "a result outside the thread": (
        lambda w: _moved(w, result(w), thread_ts=None),
        [("misplaced", "result", None)],
    ),
    "a card in another channel": (
        lambda w: _moved(w, card_of(w, "JPY100"), channel=AUDIT),
        [("misplaced", "card", None)],
    ),
    "a head that the chain does not contain": (
        lambda w: say_head(w, "Head of the day", head=FORGED),
        [("unrecorded", "head", "record")],
    ),
    "a head that shows another than it carries": (
        lambda w: say_head(w, f"Head of the day: {head_shown(done(w))}"),
        facts("head", "record"),
    ),
    "a head that was edited to the same": (edited_head, [("edited", "head", None)]),
    "the words of an alarm": (
        lambda w: edit(w, alarm(w), ("Somebody", "Nobody")),
        [("edited", "alarm", None)],
    ),
    "a deleted alarm": (lambda w: delete(w, alarm(w)), [("missing", "alarm", None)]),
    "an edited alarm": (
        lambda w: edit(w, alarm(w), ("3.000 KWD", "0.003 KWD")),
        [*facts("alarm", "amount"), ("edited", "alarm", None)],
    ),
    "an alarm that nobody raised": (
        lambda w: client(w).chat_postMessage(channel=AUDIT, text="🚨 *Alarm* · look at 3:0000abcd"),  # type: ignore[dict-item, return-value]  # its answer is not used
        [("unrecorded", "alarm", None)],
    ),
}


OTHER_WORDS = {"the words of an alarm"}


async def _moved(world: World, message: Message, **where: Any) -> None:
    """Post it elsewhere, and delete it where it was."""
    await post(world, message, **where)
    await delete(world, message)


async def test_every_kind_of_tampering_is_named_and_nothing_else(told: World) -> None:
    """One world; each case is done to it, audited, and undone."""
    true = copy.deepcopy(told.slack.state.messages)
    found: dict[str, Told] = {}
    for name, (act, _) in CASES.items():
        await act(told)
        one = await audited(told)
        assert one.status == (1 if one.told() else 0)
        assert (one.found["other_words"] == []) == (name not in OTHER_WORDS)
        found[name] = one.told()
        told.slack.state.messages[:] = copy.deepcopy(true)
    assert found == {name: sorted(due, key=str) for name, (_, due) in CASES.items()}
