"""Contention: eight processes on one database file, and several whole bots, all wanting the same at the same moment.

Everybody asks, checks, presses, withdraws and claims everything, in an order of their own, and double-clicks. Run it:
`python -m tests.proofs.contention [seed] [requests]`.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TypeVar

from approvals.policy import Members, load
from approvals.request import Ending, Outcome, Refusal, State
from approvals.store import MovedOn
from tests.approvals.factories import (
    ALICE,
    BOB,
    CEM,
    DENIZ,
    POLICY_TEXT,
    Desk,
    a_reading,
    a_submission,
    open_desk,
    session,
)
from tests.bot.test_restart import Process
from tests.bot.world import World, a_world, with_timing
from tests.proofs.figures import Figures
from tests.proofs.jobs import is_busy

Got = TypeVar("Got")
PROCESSES = 8
PATIENCE_SECONDS = 120  # for the slowest of them, on a busy machine
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
MEMBERS: Members = {"agents": frozenset({ALICE, DENIZ}), "leads": frozenset({BOB, CEM})}
SMALL_MINOR, LARGE_MINOR = 5_000, 16_000  # the large ones need two approvals
AGAIN = 0.3  # of the sends are answered "slow down": approved again, and claimed again


@dataclass
class Seen:
    """What one process saw of the race: each a list of (request, …), in the order in which it happened to it."""

    approved: list[tuple[str, str]] = field(default_factory=list)  # request, person
    withdrawn: list[str] = field(default_factory=list)
    claimed: list[tuple[str, int]] = field(default_factory=list)  # request, attempt
    done: list[str] = field(default_factory=list)  # the money of that request has moved
    taken: list[str] = field(default_factory=list)  # jobs
    locked: int = 0  # a person would have read "not accepted", and pressed again


class Racer:
    """One of the processes."""

    def __init__(self, folder: Path, number: int, seed: int, requests: int) -> None:
        self.chance = random.Random(seed * 1000 + number)  # noqa: S311 - a race, no secret
        self.number = number
        self.requests = requests
        self.seen = Seen()
        self.desk = a_desk(folder, requests, owner=f"elsewhere:{number}:1")
        self.desk.service.new_id = lambda length: "R-" + "".join(self.chance.choices(CROCKFORD, k=length))

    def press(self, act: Callable[[], Got]) -> Got | None:
        """As a person does it: what is refused is refused; where the database was locked, once more."""
        while True:
            try:
                return act()
            except (Refusal, MovedOn):
                return None
            except sqlite3.OperationalError:
                self.seen.locked += 1

    def mixed(self, found: list[Got]) -> list[Got]:
        return self.chance.sample(found, len(found))

    def ask(self) -> None:
        """The same payloads arrive at every process."""
        for number in self.mixed(list(range(self.requests))):
            amount = "16.000" if number % 3 == 0 else "5.000"
            asked = a_submission(origin=f"payload:{number}", reference=f"ORD{number}", asked_amount=amount)
            self.press(partial(self.desk.service.submit, asked, MEMBERS))

    def check(self) -> None:
        for request in self.mixed(self.desk.store.select("1")):
            read = a_reading(session_id=session(int(request.reference[3:])), order_no=request.reference)
            self.press(partial(self.desk.service.check, request.id, read, MEMBERS))

    def decide(self) -> None:
        """Everybody double-clicks on everything, the requester among them, who also takes a third of it back."""
        for request in self.mixed(self.desk.store.in_states(State.PENDING)):
            for person in self.mixed([ALICE, BOB, CEM, DENIZ] * 2):
                is_hers = person == ALICE and self.chance.random() < 0.05 and int(request.reference[3:]) % 3 == 1
                withdraw = partial(self.desk.service.withdraw, request.id, ALICE)
                if is_hers and self.press(withdraw) is not None:
                    self.seen.withdrawn.append(request.id)
                approve = partial(self.desk.service.approve, request.id, person, request.digest or "", MEMBERS)
                if self.press(approve):
                    self.seen.approved.append((request.id, person))

    def send(self) -> None:
        """Until nothing is left that anybody could claim."""
        while waiting := self.desk.store.in_states(State.APPROVED):
            for request in self.mixed(waiting):
                claimed = self.press(partial(self.desk.execution.claim, request.id))
                if claimed is None:
                    continue
                self.seen.claimed.append((claimed.id, claimed.attempt))
                ending = Ending.NOT_EXECUTED if self.chance.random() < AGAIN else Ending.SUCCEEDED
                if ending is Ending.SUCCEEDED:
                    self.seen.done.append(claimed.id)
                outcome = Outcome(ending, "", None)
                self.press(partial(self.desk.execution.settle, claimed.id, claimed.attempt, outcome))

    def take(self) -> None:
        """Jobs: the cards that follow from all that."""
        while jobs := self.press(partial(self.desk.work.take, ["card"], 3)):
            for job in jobs:
                self.seen.taken.append(job.key)
                self.press(partial(self.desk.work.finish, job))


def a_desk(folder: Path, requests: int, owner: str) -> Desk:
    """Of a policy that lets one person ask so much, and limits her to about half of it in all."""
    limit = f'[[limits]]\nname = "half"\noperations = ["refund"]\ncurrency = "KWD"\nper = "requester"\nwithin = "24h"\ntotal = "{limit_minor(requests) / 1000:.3f}"\n'  # noqa: E501 - a table of TOML
    return open_desk(folder, load(f"{POLICY_TEXT}\n{limit}\n[timing]\ncommands_per_minute = 1000\n"), owner=owner)


def limit_minor(requests: int) -> int:
    return requests * SMALL_MINOR


def race(folder: Path, number: int, seed: int, requests: int, start: Barrier) -> Seen:
    """What one process does; every part of it begins at the same moment in all."""
    racer = Racer(folder, number, seed, requests)
    for part in (racer.ask, racer.check, racer.decide, racer.send, racer.take):
        start.wait(PATIENCE_SECONDS)
        part()
    racer.desk.store.database.close()
    return racer.seen


def _raced(folder: str, number: int, seed: int, requests: int, start: Barrier, to: multiprocessing.Queue[Seen]) -> None:
    to.put(race(Path(folder), number, seed, requests, start))


def raced(folder: Path, seed: int, requests: int, processes: int) -> list[Seen]:
    """Run the race to its end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.proofs.contention"])
    start, to = context.Barrier(processes), context.Queue()
    racers = [
        context.Process(target=_raced, args=(str(folder), number, seed, requests, start, to), daemon=True)
        for number in range(processes)
    ]
    for racer in racers:
        racer.start()
    found: list[Seen] = [to.get(timeout=PATIENCE_SECONDS) for _ in racers]
    for racer in racers:
        racer.join(PATIENCE_SECONDS)
    return found


def broken(desk: Desk, seen: list[Seen], requests: int) -> list[str]:
    """What of the promises does not hold after the race."""
    rows = desk.store.select("1")
    claims = Counter(claim for one in seen for claim in one.claimed)
    done = Counter(request for one in seen for request in one.done)
    given = Counter(approval for one in seen for approval in one.approved)
    taken = Counter(key for one in seen for key in one.taken)
    withdrawn = Counter(request for one in seen for request in one.withdrawn)
    checks = {
        "a payload made two requests, or none": len(rows) != requests,
        "one attempt was claimed twice": any(count > 1 for count in claims.values()),
        "money moved twice": any(count > 1 for count in done.values()),
        "an approval counted twice": any(count > 1 for count in given.values()),
        "a job was done twice": any(count > 1 for count in taken.values()),
        "a card was brought by nobody": taken.keys() != {f"card:{row.id}" for row in rows if row.digest},
        "a request was withdrawn twice, or sent as well": any(
            count > 1 or done[request] for request, count in withdrawn.items()
        ),
        "the chain or a row is not what the events make of it": bool(desk.differences()),
        "something was done that is not shown so": {r.id for r in rows if r.state is State.SUCCEEDED} != done.keys(),
        "something is left open": any(row.is_open for row in rows),
    }
    found = [what for what, is_broken in checks.items() if is_broken]
    return [*found, *_quorum(desk, given), *_limits(desk, requests)]


def _quorum(desk: Desk, given: Counter[tuple[str, str]]) -> list[str]:
    """Exactly as many approvals stand as the rule needs, each the one that somebody was told of, none the asker's."""
    found = []
    for row in desk.store.in_states(State.SUCCEEDED):
        people = [approval.person for approval in desk.store.approvals(row.id)]
        told = sorted(person for request, person in given if request == row.id)
        if sorted(people) != told or len(people) != row.approvals_needed or row.requester in people:
            found.append(f"{row.id} was approved by {people}, and needed {row.approvals_needed}")
    return found


def _limits(desk: Desk, requests: int) -> list[str]:
    """Never above the limit, at any moment: what was let through at its checking, less what was withdrawn later."""
    passed = [row for row in desk.store.select("1") if row.digest]
    total = sum(row.amount_minor or 0 for row in passed)
    refused = [row for row in desk.store.in_states(State.REFUSED) if "Limit" not in (row.detail or "")]
    found = [f"{row.id} was refused: {row.detail}" for row in refused]
    if total > limit_minor(requests):
        found.append(f"{total} passed a limit of {limit_minor(requests)}")
    if total + LARGE_MINOR <= limit_minor(requests):
        found.append(f"only {total} of {limit_minor(requests)} passed")
    return found


# --- whole bots


async def whole_bots(folder: Path, refunds: int, processes: int) -> list[str]:
    """Several bots, one file, one Slack: everybody double-clicks on every card at once; the ledger has each once."""
    async with (
        a_world(folder, started=False, policy=with_timing(commands_per_minute=1000)) as world,
        AsyncExitStack() as stack,
    ):
        for number in range(processes):
            process = Process(world)
            stack.push_async_callback(process.stop)
            await process.start()
            await world.until(lambda count=number + 1: len(world.slack.outbox.sockets) == count)  # type: ignore[misc]  # a default
        world.ottu.settings.key_stored = "never"  # else Ottu would absorb what is sent twice
        for number in range(refunds):
            world.ottu.create(f"ROW{number}", "20.000", "KWD")
        await asyncio.gather(*(world.type(ALICE, f"refund ROW{number} 5.000") for number in range(refunds)))
        await world.until(lambda: len(world.cards()) == refunds, 60 + 3 * refunds)  # 30 inquiries a minute
        clicks = [world.press(person, "approve", card) for card in world.cards() for person in (BOB, CEM) * 2]
        await asyncio.gather(*clicks)
        await world.until(lambda: all(request.state is State.SUCCEEDED for request in world.requests()), 120)
        await world.until(lambda: not is_busy(world.store), 120)  # what is sent a second time, say
        return _of_bots(world, refunds)


def _of_bots(world: World, refunds: int) -> list[str]:
    moved = Counter(order for _, order, _, _ in world.moved())
    expected = Counter({f"ROW{number}": 1 for number in range(refunds)})
    found = [f"the ledger has {moved - expected} too much, and lacks {expected - moved}"] if moved != expected else []
    if any(len(world.store.approvals(request.id)) != 1 for request in world.requests()):
        found.append("an approval counted twice")
    sent = Counter(str(body.get("session_id")) for body in world.operations_sent())
    if len(sent) != refunds or sent.total() != refunds:
        found.append(f"{sent.total()} operations were sent for {refunds} refunds")
    for request in world.requests():
        cards = [card for card in world.cards() if (card.metadata or {})["event_payload"]["request"] == request.id]
        if (len(cards), len(world.results_of(request.id))) != (1, 1):
            found.append(f"{request.id} has {len(cards)} cards and {len(world.results_of(request.id))} results")
    world.check_record()
    return found


def run(seed: int, requests: int = 300, refunds: int = 36, processes: int = PROCESSES) -> Figures:
    """One race of processes, and one of whole bots."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        seen = raced(Path(folder), seed, requests, processes)
        desk = a_desk(Path(folder), requests, owner="elsewhere:0:0")
        failures = broken(desk, seen, requests)
        desk.store.database.close()
    with tempfile.TemporaryDirectory() as folder:
        failures += asyncio.run(whole_bots(Path(folder), refunds, 3)) if refunds else []
    counted = {
        "processes": processes,
        "requests": requests,
        "approvals counted": sum(len(one.approved) for one in seen),
        "withdrawn": sum(len(one.withdrawn) for one in seen),
        "claims": sum(len(one.claimed) for one in seen),
        "times that somebody had to press again": sum(one.locked for one in seen),
        "refunds by 3 bots": refunds,
        "broken": len(failures),
    }
    replay = f"python -m tests.proofs.contention {seed} {requests}"
    return Figures("contention", seed, time.monotonic() - begun, counted, [f"{replay}: {why}" for why in failures])


if __name__ == "__main__":
    figures = run(*(int(word) for word in sys.argv[1:3] or ["1"]))
    print(figures)
    sys.exit(bool(figures.failures))
