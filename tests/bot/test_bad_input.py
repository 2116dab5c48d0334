"""What cannot be read, and what cannot be done: one short private answer, and nothing of it anywhere else."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from approvals.request import State
from tests.bot.world import ALICE, BOB, CEM, GEN, World, a_world, read_rows

CARD_NUMBERS = ["4111111111111111", "4111 1111 1111 1111", "5555-5555-5555-4444", "٤١١١١١١١١١١١١١١١", "378282246310005"]
LONGEST_ANSWER_CHARACTERS = 300

UNREADABLE = [
    ("refund", "Type `/ottu refund"),
    ("refund ORD123", "Type `/ottu refund"),
    ("refnud ORD123 5.000", "did you mean `refund`"),
    ("refund ORD123 -5.000", "amount"),
    ("refund ORD123 +5.000", "amount"),
    ("refund ORD123 5e3", "amount"),
    ("refund ORD123 5_000", "amount"),
    ("refund ORD123 ٥٫٠٠٠", "amount"),
    ("refund ORD123 5,000", "`5.000`"),
    ("refund ORD123 5.000KWD", "space"),
    ("refund ORD123 KWD 5.000", "after the amount"),
    ("refund ORD123 5.0001 KWD", "KWD"),
    ("refund ORD123 5.00 JPY", "JPY"),
    ("refund ORD123 5.000 USD", "USD"),
    ("refund ORD123 5.0001", "decimals"),
    ("refund ORD123 0", "amount"),
    ("refund ORD123 five", "amount"),
    ("refund ORD123 .5", "amount"),
    ("refund ORD123 5.", "amount"),
    ("refund ORD123 NaN", "amount"),
    ("refund ORD123 ５.０００", "amount"),
    ("refund ORD123 5\u066b000", "amount"),
    ("refund ORD123 12345678901234.000", "digits"),
    ("refund ORD\x07123 5.000", "invisible"),
    ("refund <https://example.com/x|x> 5.000 --walet", "--wallet"),
    (("noise " * 700)[:4000], "no such command"),
    ("refund ORD123 5.000 --walet", "--wallet"),
    ("refund ORD123 5.000 —walet", "--wallet"),
    ("refund --wallet ORD123 5.000", "before the options"),
    ("capture AUTH7 5.000 --wallet", "only for refund"),
    ("void AUTH7 5.000", "always takes the whole"),
    ("void AUTH7 full", "always takes the whole"),
    ("cancel", "Type `/ottu cancel"),
    ("refund <@U02BOB> 5.000", "mention"),
    ("refund @bob 5.000", "mention"),
    ("refund session:123 5.000", "40 hex"),
    ('refund "ORD 123 5.000', "quotes"),
    (f"refund {'x' * 129} 5.000", "128"),
    (f"refund ORD123 5.000 {'x' * 501}", "500"),
    ("x" * 4001, "4000"),
    ("refund ORD\u202e123 5.000", "invisible"),
    ("refund ORD123 5.000 a\x07b", "invisible"),
    ("inquiry ORD123 5.000", "no amount"),
    ("inquiry ORD123 --disclose ftp://example.com", "https"),
    ("reject R-7K2M", "Type `/ottu reject"),
    ("reject nonsense because", "Type `/ottu reject"),
    ("close R-7K2M perhaps seen", "Type `/ottu close"),
    ("close R-7K2M succeeded", "Type `/ottu close"),
    ("withdraw R-7K2M and more", "nothing after"),
    ("history R-7K2M", "/ottu status"),
    ("pending all", "nothing more"),
    ("<!channel> refund", "no such command"),
]


def _shown(world: World) -> str:
    """Everything that anybody, or the Slack API, was ever shown."""
    calls = json.dumps([call.arguments for call in world.slack.state.calls], ensure_ascii=False, default=str)
    messages = [json.dumps([m.text, m.blocks, m.metadata], ensure_ascii=False) for m in world.slack.state.messages]
    return "\n".join([calls, *messages])


async def test_what_does_not_parse_is_answered_at_once_and_written_nowhere(either: World) -> None:
    """One short private answer that says what to type; no card, no request, nothing in the inbox, nothing of Ottu."""
    world = either
    for text, part in UNREADABLE:
        before = len(world.slack.state.messages)
        ack = await world.type(ALICE, text)
        assert ack.message is not None, text
        assert part in ack.text, (text, ack.text)
        assert 0 < len(ack.text) <= LONGEST_ANSWER_CHARACTERS, (text, ack.text)
        assert ack.message.ephemeral_to == ALICE
        assert len(world.slack.state.messages) == before + 1
        assert "<!" not in ack.text
    await world.quiet()
    assert (world.requests(), world.cards(), list(world.ottu.requests)) == ([], [], [])
    jobs = "SELECT count(*) FROM work_jobs WHERE kind IN ('command', 'inquiry', 'click')"
    assert read_rows(world.folder / "bot.db", jobs) == [(0,)]
    assert [event.kind for event in world.running.store.events()] == ["database_created", "policy_adopted"]
    assert world.slack.messages(GEN) == []


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_nothing_of_a_card_number_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str) -> None:
    """Not in a message, not in a log (also at DEBUG), not in the files of the database; in whatever place it stands."""
    caplog.set_level(logging.DEBUG, logger="bot")
    templates = [
        "refund {} 5.000",
        "refund ORD123 {}",
        "refund ORD123 5.000 {}",
        "refund ORD123 5.000 KWD for card {} please",
        "void AUTH7 {}",
        "status {}",
        "withdraw {}",
        "reject R-7K2M {}",
        "close R-7K2M failed {}",
        "pause {}",
        "{}",
    ]
    async with a_world(tmp_path, mode) as world:
        for number in CARD_NUMBERS:
            for template in templates:
                ack = await world.type(ALICE, template.format(number))
                assert "card number" in ack.text, (template, ack.text)
                assert len(ack.text) <= LONGEST_ANSWER_CHARACTERS
        await world.quiet()
        assert (world.requests(), world.cards(), list(world.ottu.requests)) == ([], [], [])
        shown = _shown(world)
    _assert_nowhere(tmp_path, shown, caplog)


def _assert_nowhere(folder: Path, shown: str, caplog: pytest.LogCaptureFixture) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.suffix != ".toml"}
    assert "bot.db" in files
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    for number in CARD_NUMBERS:
        assert number not in shown
        assert number not in logged
        for name, content in files.items():
            assert number.encode() not in content, name
            assert json.dumps(number).strip('"').encode() not in content, name


# --- the form that asks for a reason


async def _open_form(world: World) -> None:
    await world.press(BOB, "reject")
    await world.slack.wait_for(lambda: world.slack.seen_by(BOB).views)


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_a_rejection_without_a_fit_reason_shows_why_under_the_field(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    """The form stays open, and nothing is decided; of a card number nothing is kept."""
    caplog.set_level(logging.DEBUG, logger="bot")
    async with a_world(tmp_path, mode) as world:
        await world.ask()
        await _open_form(world)
        for reason, why in [
            (" ", "Say why"),
            ("\n\t", "Say why"),
            *((f"paid with {number}", "card number. Leave it out") for number in CARD_NUMBERS),
            ("x\u202ey", "invisible"),
        ]:
            ack = await world.slack.submit_view(BOB, None, {"reason": reason})
            assert why in ack.errors["reason"], reason
        long = {"state": {"values": {"reason": {"reason": {"value": "x" * 3000}}}}}
        ack = await world.slack.submit_view(BOB, None, {"reason": "x"}, view=long)
        assert "500" in ack.errors["reason"]
        await world.quiet()
        assert world.nothing_done()
        assert world.refused_attempts() == []
        await world.slack.submit_view(BOB, None, {"reason": "not\nneeded <!channel>"})
        assert (await world.reaches(State.REJECTED)).detail == "not needed <!channel>"
        await world.until(world.results)
        assert "<!channel>" not in _shown(world).replace("&lt;!channel&gt;", "")
        shown = _shown(world)
    _assert_nowhere(tmp_path, shown, caplog)


# --- what parses, and is not possible

IMPOSSIBLE = [
    ("refund NOSUCH 5.000", "Ottu knows no payment"),
    (f"refund {'0' * 40} 5.000", "Ottu"),
    ("refund ORD123 20.001", "20.000 KWD"),
    ("refund ORD123 5.00 USD", "KWD"),
    ("refund USD55 5.001", "USD"),
    ("refund JPY100 5.00", "JPY"),
    ("refund LINK9 1.000", "LINK9"),
    ("void ORD123", "paid"),
    ("capture ORD123 full", "paid"),
    ("cancel ORD123", "paid"),
]


@pytest.mark.parametrize(("text", "part"), IMPOSSIBLE)
async def test_what_is_not_possible_is_refused_privately(world: World, text: str, part: str) -> None:
    """The acknowledgement and one answer, both private; the request is on record as refused, and has no card."""
    await world.type(ALICE, text)
    await world.until(lambda: world.request().state is State.REFUSED)
    await world.until(lambda: len(world.private(ALICE)) == 2)
    await world.quiet()
    answer = world.private(ALICE)[1].text
    assert part in answer, answer
    assert world.request().id in answer
    assert len(answer) <= LONGEST_ANSWER_CHARACTERS
    assert len(world.private(ALICE)) == 2
    assert (world.slack.messages(GEN), world.operations_sent()) == ([], [])
    world.check_record()


async def test_an_operation_that_the_policy_blocks_is_answered_in_its_own_words(world: World) -> None:
    await world.type(CEM, "delete ORD123")
    await world.told_something(CEM, "Delete is done by the platform team.")
    assert (world.requests(), world.refused_attempts(), list(world.ottu.requests)) == ([], ["blocked"], [])
