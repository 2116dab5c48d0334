"""A policy file that changes counts without a restart, in every part at once; a bad one is refused, the old stays."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from approvals.audit import Event
from approvals.policy import load
from approvals.request import State
from tests.bot.test_processes import two
from tests.bot.world import ALICE, AUDIT, BOB, CEM, GEN, OTHER, OUT, POLICY, World, a_world, with_timing

LEADS = 'leads = ["U02BOB", "U03CEM"]'


def policies(world: World) -> list[Event]:
    """The events about the policy, without those of the start."""
    return [event for event in world.store.events() if event.kind.startswith("policy_")][1:]


def alarms(world: World) -> list[str]:
    return [message.text for message in world.slack.messages(AUDIT)]


def write(world: World, text: str) -> str:
    """As an administrator saves it; the file's hash."""
    world.policy = text
    (world.folder / "policy.toml").write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def rename_over(world: World, text: str) -> str:
    """As many editors save it: a new file that takes the old one's name."""
    world.policy = text
    (world.folder / "policy.toml.new").write_text(text, encoding="utf-8")
    (world.folder / "policy.toml.new").rename(world.folder / "policy.toml")
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("save", [write, rename_over])
async def test_a_good_one_counts_in_every_part(world: World, save: object) -> None:
    """Who may approve, where requests are taken, who may read, which hosts, how long, how many, where alarms go."""
    assert callable(save)
    request = await world.ask()
    await world.press(OUT, "approve")
    await world.told_something(OUT, "You may not approve")
    text = with_timing(
        POLICY.replace(LEADS, f'leads = ["{OUT}", "U03CEM"]')
        .replace('requests = ["C01GEN"]', 'requests = ["C01GEN", "C09OTHER"]')
        .replace('audit = "C02AUDIT"\n', "")
        .replace('hosts = ["hooks.example.com"]', 'hosts = ["new.example.com"]'),
        deadline_seconds=7,
        settle_seconds=70,
        parallel=3,
        inquiry_gap_seconds=61,
    )
    file = save(world, text)
    await world.until(lambda: policies(world))
    (event,) = policies(world)
    assert event.kind == "policy_adopted"
    assert event.facts == {"file": file, "policy": load(text).hash}
    bot = world.running
    assert bot.executing.timing.settle_seconds == 70
    assert bot.tasks.reader.inquiries.gap_seconds() == 61
    assert bot.tasks.delivery.standing.closing.policy is bot.tasks.execution.policy is bot.policies.in_force.now
    lanes = {lane.name: lane.places for lane in bot.worker.lanes}
    assert callable(lanes["execute"])
    assert lanes["execute"]() == 3

    await world.press(BOB, "approve")  # no longer a lead
    await world.told_something(BOB, "You may not approve")
    await world.type(ALICE, "refund USD55 1.00", channel=OTHER)
    await world.until(lambda: [m for m in world.slack.messages(OTHER) if m.metadata])
    await world.type(OUT, "pending")
    await world.told_something(OUT, "Open requests")
    await world.type(ALICE, "inquiry JPY100 --disclose https://hooks.example.com/x")
    await world.told_something(ALICE, "not on the policy's list")
    await world.press(OUT, "approve", world.card(request.id))
    await world.reaches(State.SUCCEEDED, request.id)
    assert alarms(world) == []
    write(world, "nonsense")
    await world.until(lambda: [m for m in world.slack.messages(GEN) if "Alarm" in m.text])
    world.check_record()


async def test_a_call_has_the_new_deadline(world: World) -> None:
    write(world, with_timing(deadline_seconds=0.4, settle_seconds=60))
    await world.until(lambda: policies(world))
    world.ottu.fault("slow", seconds_before=10)
    await world.approved()
    await world.reaches(State.UNKNOWN, seconds=5)


BAD = {
    "no TOML": ("[channels", "is not TOML"),
    "an unknown key": (POLICY.replace("approvals = 2", "aprovals = 2"), "aprovals: is no known key; write approvals"),
    "an unknown group": (POLICY.replace(LEADS, "lead = []"), "there is no group “leads”"),
    "money without approval": (POLICY.replace("approvals = 1", "approvals = 0"), "moves money; write 1 or more"),
    "a rule that nobody can satisfy": (POLICY.replace(LEADS, "leads = []"), "and there is 1. Ask an administrator"),
    "a user group that Slack does not tell": (
        POLICY.replace(LEADS, 'leads = ["S01LEADS"]'),
        "S01LEADS in the group leads counts as nobody: this workspace's plan of Slack has no user groups",
    ),
    "too long": (POLICY + "#" * 900_000, "the file is too long"),
    "no text": ("\udcff", "is no text in UTF-8"),
    "nothing": ("", "is missing"),
}


@pytest.mark.parametrize("what", BAD)
async def test_a_bad_one_is_refused_once_and_the_old_one_stays(world: World, what: str) -> None:
    """One alarm that names what is wrong, however long the file stays so; then what was there before goes on."""
    text, told = BAD[what]
    world.slack.state.usergroups_paid = False
    content = text.encode("utf-8", "surrogateescape")
    (world.folder / "policy.toml").write_bytes(content)
    await world.until(lambda: alarms(world))
    (alarm,) = alarms(world)
    assert "cannot be used; the one before stays in force" in alarm
    assert told in alarm
    (event,) = policies(world)
    assert (event.kind, event.facts["file"]) == ("policy_refused", hashlib.sha256(content[:800_004]).hexdigest())
    await world.approved()
    await world.reaches(State.SUCCEEDED)
    for _ in range(3):
        await world.running.policies.look(world.store, world.running.work, world.running.people)
    (world.folder / "policy.toml").write_text(POLICY, encoding="utf-8")  # back to what counts: nothing to tell
    for _ in range(3):
        await world.running.policies.look(world.store, world.running.work, world.running.people)
    assert (len(alarms(world)), len(policies(world))) == (1, 1)
    world.check_record()


async def test_a_file_that_has_gone_is_refused_and_one_that_comes_back_counts(world: World) -> None:
    (world.folder / "policy.toml").unlink()
    await world.until(lambda: alarms(world))
    assert "cannot be read (FileNotFoundError)" in alarms(world)[0]
    write(world, POLICY.replace(LEADS, f'leads = ["{OUT}", "U03CEM"]'))
    await world.until(lambda: len(policies(world)) == 2)
    assert [event.kind for event in policies(world)] == ["policy_refused", "policy_adopted"]
    await world.ask()
    await world.press(OUT, "approve")
    await world.reaches(State.SUCCEEDED)


async def test_one_that_lacks_people_counts_as_soon_as_slack_shows_them(tmp_path: Path) -> None:
    """The same content: nobody has to write it again. Nothing is told twice."""
    async with a_world(tmp_path) as world:
        world.slack.state.groups["S01LEADS"] = []
        write(world, POLICY.replace(LEADS, 'leads = ["S01LEADS"]'))
        await world.until(lambda: alarms(world))
        world.slack.state.groups["S01LEADS"] = [OUT, CEM]
        world.running.people.clock = lambda now=world.running.people.clock: now() + 1000  # type: ignore[misc]  # a default
        await world.until(lambda: len(policies(world)) == 2)
        assert [event.kind for event in policies(world)] == ["policy_refused", "policy_adopted"]
        assert len(alarms(world)) == 1


async def test_nothing_is_decided_while_slack_cannot_say_who_is_in_a_group(world: World) -> None:
    """Neither adopted nor refused: the next look asks again."""
    world.slack.state.groups["S01LEADS"] = [OUT, CEM]
    world.slack.fault("usergroups.users.list", "500", 2)
    write(world, POLICY.replace(LEADS, 'leads = ["S01LEADS"]'))
    await world.until(lambda: policies(world))
    assert [event.kind for event in policies(world)] == ["policy_adopted"]
    assert alarms(world) == []


async def test_half_of_a_file_is_not_judged(world: World) -> None:
    """An editor that empties the file and writes it anew is caught between the two by one look at most."""
    await world.quiet()
    policies_ = world.running.policies
    for text in ("", "[channels]", POLICY + "\n# a remark"):
        write(world, text)
        await policies_.look(world.store, world.running.work, world.running.people)
    await world.until(lambda: policies(world))
    assert [event.kind for event in policies(world)] == ["policy_adopted"]


async def test_a_request_keeps_its_rule_and_says_so(world: World) -> None:
    """Its card has promised two approvals: a laxer rule of tomorrow is for tomorrow's requests."""
    request = await world.ask("refund ORD123 16.000")
    write(world, POLICY.replace("approvals = 2", "approvals = 1"))
    await world.until(lambda: policies(world))
    await world.press(BOB, "approve")
    await world.until(lambda: "1 more approval needed" in world.card_text(request.id))
    assert world.request().rule_text == request.rule_text
    await world.press(CEM, "approve")
    await world.reaches(State.SUCCEEDED)


async def test_a_start_writes_down_which_policy_counts_where_it_is_another(world: World) -> None:
    """And nothing where it is the same."""
    await world.stop()
    await world.start()
    assert policies(world) == []
    await world.stop()
    world.policy = POLICY + "\n# another"
    await world.start()
    (event,) = policies(world)
    assert event.kind == "policy_adopted"
    assert event.facts["policy"] == next(iter(e.facts["policy"] for e in world.store.events() if e.kind == event.kind))


async def test_two_processes_each_take_it_up_and_write_it_once(tmp_path: Path) -> None:
    async with two(tmp_path, "socket") as (world, _, second):
        await second.start()
        await world.slack.connected(2)
        write(world, POLICY.replace(LEADS, f'leads = ["{OUT}", "U03CEM"]'))
        for number in range(6):  # whichever of the two decides; the other may be a look behind
            world.ottu.create(f"NO{number}", "9.000", "KWD")
            request = await world.ask(f"refund NO{number} 1.000")
            while not world.store.approvals(request.id):
                await world.press(OUT, "approve", world.card(request.id))
                await asyncio.sleep(0.2)
            await world.reaches(State.SUCCEEDED, request.id)
        write(world, "nonsense")
        await world.until(lambda: len(policies(world)) == 2)
        await asyncio.sleep(2.2)  # the other one has looked twice
        assert [event.kind for event in policies(world)] == ["policy_adopted", "policy_refused"]
        assert len(alarms(world)) == 1
