"""What a trial is made of: who asks for what, what goes wrong at Ottu, and where the bot is struck meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.ottu import OttuSandbox, create_ottu
from sandbox.serving import serve
from sandbox.slack import Slack, serve_slack
from tests.bot.world import ALICE, AUDIT, BOB, CEM, GEN, KEY, OUT, with_timing
from tests.proofs.crash_points import Blow
from tests.proofs.nursery import Nursery

DEADLINE_SECONDS = 0.6
SETTLE_SECONDS = 0.8
SLOW_SECONDS = 0.75  # beyond the deadline, within the settle window, as that must be
ACK_SECONDS = 1.5
WEBHOOK_SECONDS = 0.5  # in reality 15, as Slack's 3 are 1.5 here
INQUIRY_GAP_SECONDS = 0.7  # longer than a restart, after which what was read before it still counts
POLICY = with_timing(
    deadline_seconds=DEADLINE_SECONDS, settle_seconds=SETTLE_SECONDS, inquiry_gap_seconds=INQUIRY_GAP_SECONDS
)


@dataclass(frozen=True)
class Scenario:
    """What Alice asks for, of which payment, and who approves it. `amount`: of a movement of money, if it is one."""

    text: str  # with {} for the order number
    payment: tuple[str, str, str]  # amount, currency, state
    kind: str
    amount: str
    approvers: tuple[str, ...] = (BOB,)


# Of the partial ones so much is left that only the bot prevents a second movement.
SCENARIOS = {
    "partial refund": Scenario("refund {} 5.000", ("100.000", "KWD", "paid"), "refund", "5.000"),
    "full refund": Scenario("refund {} full", ("10.000", "KWD", "paid"), "refund", "10.000"),
    "large refund": Scenario("refund {} 16.000", ("200.000", "KWD", "paid"), "refund", "16.000", (BOB, CEM)),
    "capture": Scenario("capture {} full", ("12.500", "KWD", "authorized"), "capture", "12.500"),
    "void": Scenario("void {}", ("12.500", "KWD", "authorized"), "void", "12.500"),
    "cancel": Scenario("cancel {}", ("7.250", "KWD", "pending"), "cancel", "", ()),
}
# What Ottu does to the operation, and, from the approval on, to inquiries.
FAULTS: dict[str, dict[str, Any]] = {
    "ok": {},
    "slow before": {"kind": "slow", "seconds_before": SLOW_SECONDS},
    "slow after": {"kind": "slow", "seconds_after": SLOW_SECONDS},
    "dropped before": {"kind": "drop_before"},
    "dropped after": {"kind": "drop_after"},
    "502 before": {"kind": "status", "when": "before"},
    "502 after": {"kind": "status", "when": "after"},
    "garbage before": {"kind": "garbage", "when": "before"},
    "garbage after": {"kind": "garbage", "when": "after"},
    "400": {"kind": "status", "when": "before", "status": 400},
    "queued": {"kind": "queued"},
    "lost and unreadable": {"kind": "drop_after"},
}
UNREADABLE: dict[str, Any] = {"kind": "status", "endpoint": "inquiry", "when": "before", "status": 400, "count": 10}
REFUNDS = ("partial refund", "full refund", "large refund")
KEYS = ("begin", "success", "never")  # "never": the gateway ignores them, and a second send moves money again
LINES = ("socket", "http")  # how Slack reaches the bot; over HTTP Ottu does, too, with its webhooks


@dataclass(frozen=True)
class Trial:
    """What is tried. `strikes`: at which point the first process is struck, then the next …"""

    scenario: str
    fault: str
    key: str
    strikes: tuple[str, ...] = ()
    blow: Blow = "kill"
    tell: bool = False  # have every process tell its points
    line: str = "socket"

    def __str__(self) -> str:
        strikes = " ".join(f"--point {strike!r}" for strike in self.strikes)
        blow = "" if self.blow == "kill" else " --freeze"
        return (
            f"--scenario {self.scenario!r} --fault {self.fault!r} --key {self.key} --line {self.line} {strikes}{blow}"
        )


@dataclass
class Tried:
    """What came of it. `began`: how many points the first process passed before it and Slack had met."""

    failures: list[tuple[str, str]] = field(default_factory=list)
    struck: int = 0
    ended: str = ""  # in which state, and why
    folder: str = ""  # with the database and the log
    by_people: bool = False  # two people closed it
    by_webhook: bool = False  # the bank paid what was queued, and the bot took Ottu's word of it
    points: list[list[str]] = field(default_factory=list)  # of each process, where they were told
    began: int = 0


@dataclass
class Stage:
    """The servers, which live through many trials."""

    folder: Path
    slack: Slack
    ottu: OttuSandbox
    ottu_url: str
    nursery: Nursery
    count: int = 0


@asynccontextmanager
async def a_stage(folder: Path, nursery: Nursery) -> AsyncIterator[Stage]:
    """A local Slack and a local Ottu for many trials."""
    ottu = create_ottu(api_key=KEY)
    ottu.configure(throttle=False, webhook_timeout_seconds=WEBHOOK_SECONDS)
    async with (
        serve(ottu.app) as ottu_url,
        serve_slack(ottu_base_url=ottu_url, ack_seconds=ACK_SECONDS) as slack,
    ):
        for user, name in {ALICE: "Alice", BOB: "Bob", CEM: "Cem", OUT: "Dave"}.items():
            slack.add_person(user, name)
        for channel, name in {GEN: "payments", AUDIT: "audit"}.items():
            slack.add_channel(channel, name, [ALICE, BOB, CEM, OUT, slack.state.bot_user])
        yield Stage(folder, slack, ottu, ottu_url, nursery)
