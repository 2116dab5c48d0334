"""Everything that a policy file can say, through the real bot: what each person sees, and what reaches Ottu."""

from __future__ import annotations

from pathlib import Path

import pytest

from approvals.request import Request, State
from tests.bot.world import ALICE, BOB, CEM, GEN, OUT, POLICY, World, a_world, with_timing

HEAD = """
[channels]
requests = ["C01GEN"]

[groups]
agents = ["U01ALICE", "U02BOB"]
leads = ["U03CEM"]
owners = ["U09DAVE", "U03CEM"]
"""
TIERS = """
[[rules]]
name = "dollars are others'"
operations = ["refund"]
currency = "USD"
block = "Dollars are refunded by the branch in Dubai."

[[rules]]
name = "very large"
operations = ["refund"]
currency = "KWD"
above = "15.000"
ask = ["agents"]
approve = ["owners", "leads"]
approvals = 2

[[rules]]
name = "large"
operations = ["refund"]
currency = "KWD"
above = "5.000"
ask = ["agents"]
approve = ["owners"]

[[rules]]
name = "rest"
operations = ["refund", "capture", "void"]
ask = ["agents", "leads"]
approve = ["agents", "leads"]
"""
ONE = """
[[rules]]
name = "money"
operations = ["refund", "capture", "void"]
ask = ["agents"]
approve = ["agents", "leads"]
"""


async def answered(world: World, user: str, text: str, told: str) -> str:
    """Type something that is refused; what the person was told. There is no card, and nothing was sent."""
    cards = len(world.cards())
    await world.type(user, text)
    said = await world.told_something(user, told)
    await world.quiet()
    assert len(world.cards()) == cards
    assert all(told not in message.text for message in world.slack.messages(GEN))
    return said


async def may_approve(world: World, request: Request) -> list[str]:
    """Who is told in Details that they can approve."""
    found = []
    for user in (ALICE, BOB, CEM, OUT):
        before = len(world.private(user))
        await world.press(user, "details", world.card(request.id))
        await world.until(lambda user=user, before=before: len(world.private(user)) > before)  # type: ignore[misc]  # defaults
        if "You can." in world.private(user)[before].text:
            found.append(user)
    return found


@pytest.mark.parametrize(
    ("text", "rule", "can", "needed"),
    [
        ("refund ORD123 5.000", "rest", [BOB, CEM], 1),  # exactly the limit is not above it
        ("refund ORD123 5.001", "large", [CEM, OUT], 1),
        ("refund ORD123 15.000", "large", [CEM, OUT], 1),
        ("refund ORD123 15.001", "very large", [CEM, OUT], 2),
        ("refund ORD123 full", "very large", [CEM, OUT], 2),
        ("refund JPY100 50", "rest", [BOB, CEM], 1),  # another currency
    ],
)
async def test_tiers_by_amount_and_currency(tmp_path: Path, text: str, rule: str, can: list[str], needed: int) -> None:
    """The first rule that fits decides who and how many; somebody in two of its groups counts once."""
    policy = f'{HEAD}{TIERS}\n[powers]\nread = ["agents", "leads", "owners"]\n'
    async with a_world(tmp_path, policy=policy) as world:
        request = await world.ask(text)
        assert (request.rule_name, request.approvals_needed) == (rule, needed)
        assert await may_approve(world, request) == can
        for user in {ALICE, BOB, CEM, OUT} - set(can):
            await world.press(user, "approve")
            await world.told_something(user, "You asked for" if user == ALICE else "You may not approve")
        assert world.nothing_done()
        for number, user in enumerate(can[:needed], start=1):
            await world.press(user, "approve")
            await world.until(lambda number=number: len(world.store.approvals(request.id)) == number)  # type: ignore[misc]  # a default
        await world.reaches(State.SUCCEEDED)


async def test_a_block_of_one_currency_says_its_reason(tmp_path: Path) -> None:
    async with a_world(tmp_path, policy=HEAD + TIERS) as world:
        await answered(world, ALICE, "refund USD55 1.00", "Dollars are refunded by the branch in Dubai.")
        await answered(world, ALICE, "delete ORD123", "No rule of the policy allows delete. Ask an administrator")
        assert world.operations_sent() == []


def a_limit(per: str, total: str = "8.000") -> str:
    return f"""
[[limits]]
name = "day"
operations = ["refund", "capture"]
currency = "KWD"
per = "{per}"
within = "24h"
total = "{total}"
"""


@pytest.mark.parametrize(
    ("per", "whose", "others"),
    [("requester", "per person", True), ("transaction", "per transaction", False), ("all", "for everyone", False)],
)
async def test_a_limit_counts_what_is_open_and_what_is_done(tmp_path: Path, per: str, whose: str, others: bool) -> None:
    """Exactly the rest is allowed. Another person, and another transaction, count as the limit says."""
    async with a_world(tmp_path, policy=HEAD + ONE + a_limit(per)) as world:
        world.ottu.create("SECOND", "20.000", "KWD")
        await world.approved("refund ORD123 5.000", ALICE, CEM)
        await world.reaches(State.SUCCEEDED)
        said = await answered(world, ALICE, "refund ORD123 3.001", "Limit “day” allows 8.000 KWD")
        assert f"{whose}" in said
        assert "within 24h, and 3.000 KWD is left" in said or "within 1d, and 3.000 KWD is left" in said
        last = await world.ask("refund ORD123 3.000")
        if per != "transaction":
            await answered(world, ALICE, "refund SECOND 0.001", "and 0.000 KWD is left")
        if others or per == "transaction":
            await world.ask("refund SECOND 6.000", BOB)
        else:
            await answered(world, BOB, "refund SECOND 0.001", "and 0.000 KWD is left")
        await world.press(ALICE, "withdraw", world.card(last.id))
        await world.reaches(State.WITHDRAWN, last.id)
        assert (await world.ask("refund ORD123 2.000")).state is State.PENDING  # what is withdrawn counts no longer


@pytest.mark.parametrize(
    ("rule", "bad", "good", "told"),
    [
        ("required", "", "damaged in transit", "Rule “money” needs a reason: write it at the end."),
        ("[A-Z]+-[0-9]+", "ticket PAY-7", "PAY-7", "does not have the form that rule “money” asks for: [A-Z]+-[0-9]+"),
    ],
)
async def test_a_reason_as_the_rule_asks_for_it(tmp_path: Path, rule: str, bad: str, good: str, told: str) -> None:
    async with a_world(tmp_path, policy=f'{HEAD}{ONE}reason = "{rule}"\n') as world:
        await answered(world, ALICE, f"refund ORD123 5.000 {bad}", told)
        assert world.request().state is State.REFUSED
        request = await world.ask(f"refund ORD123 5.000 {good}")
        assert request.reason == good


async def test_what_nobody_could_approve_is_refused_when_it_is_asked(tmp_path: Path) -> None:
    """For the one person whose request it is; for others the rule works."""
    policy = HEAD + ONE.replace('approve = ["agents", "leads"]', 'approve = ["agents"]\napprovals = 2').replace(
        'ask = ["agents"]', 'ask = ["agents", "owners"]'
    )
    async with a_world(tmp_path, policy=policy) as world:
        said = await answered(world, ALICE, "refund ORD123 5.000", "needs approval from 2 in agents")
        assert "other than the requester, and there is 1. Ask an administrator to add people." in said
        request = await world.ask(user=OUT)
        for user in (ALICE, BOB):
            await world.press(user, "approve")
        await world.reaches(State.SUCCEEDED, request.id)


async def test_a_runaway_script_does_not_fill_the_channel(tmp_path: Path) -> None:
    """Three cards, and a private answer to each other command: in how many seconds to go on. Others are not held up."""
    async with a_world(tmp_path, policy=with_timing(commands_per_minute=3)) as world:
        for number in range(10):
            world.ottu.create(f"RUN{number}", "9.000", "KWD")
            await world.type(ALICE, f"refund RUN{number} 1.000")
        await world.until(lambda: world.told(ALICE).count("That is more than 3 requests in a minute") == 7)
        await world.quiet()
        assert len(world.cards()) == len(world.requests()) == 3
        seconds = [m.text for m in world.private(ALICE) if "Go on in" in m.text]
        assert all(0 < int(text.split("Go on in ")[1].split()[0]) <= 60 for text in seconds)
        assert "more than 3" not in world.told(BOB)
        assert (await world.ask(user=BOB)).state is State.PENDING
        assert world.refused_attempts() == ["too_many"] * 7


async def test_the_first_rule_that_fits_decides_and_the_card_names_it(tmp_path: Path) -> None:
    async with a_world(tmp_path, policy=POLICY) as world:
        await world.ask("refund ORD123 16.000")
        assert "rule “large refunds”" in world.card_text()
        assert "2 more approvals needed" in world.card_text()
