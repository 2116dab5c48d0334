"""The main job, shown: a local Slack and a local Ottu (the sandbox), and the real bot as a process of its own.

An agent asks for a refund, another person approves; the channel is printed as it develops, then the money that the
local Ottu moved beside the bot's own record. Exit status 0 where the two agree.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from bot.settings import KNOWN

Found = TypeVar("Found")
ROOT = Path(__file__).parents[1]
STEP_SECONDS = 10.0  # no step of the demo takes so long
COMMAND = "refund ORD123 5.000 damaged in transit"
POLICY = """
[channels]
requests = ["C01GEN"]
audit = "C02AUDIT"

[groups]
agents = ["U01ALICE", "U02BOB"]
leads = ["U02BOB", "U03CEM"]

[[rules]]
name = "money"
operations = ["refund", "capture", "void"]
ask = ["agents", "leads"]
approve = ["leads"]
approvals = 1

[[rules]]
name = "unpaid links"
operations = ["cancel", "expire", "inquiry"]
ask = ["agents", "leads"]
approvals = 0

[[rules]]
name = "never from chat"
operations = ["delete"]
block = "Delete is done by the platform team."
"""


def main(*, stay: bool) -> int:
    """Run the demo. `stay`: keep everything running afterwards, for a browser."""
    try:
        return _run(stay)
    except KeyboardInterrupt:
        print()
        return 130


def _run(stay: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="ottu-bot-demo-") as folder, _sandbox(stay) as where:
        (Path(folder) / "policy.toml").write_text(POLICY, encoding="utf-8")
        with _process([sys.executable, "-m", "bot", "run"], Path(folder), _environment(where, Path(folder))):
            agrees = Demo(where, Path(folder) / "ottu-bot.db").run()
            if stay and agrees:
                _go_on_by_hand(where)
    return 0 if agrees else 1


def _environment(where: dict[str, str], folder: Path) -> dict[str, str]:
    """The bot's environment: this one's without anything of another Slack or Ottu."""
    foreign = {*KNOWN, *(f"{name}_FILE" for name in KNOWN)}
    mine = {
        name: value
        for name, value in os.environ.items()
        if name not in foreign and not name.startswith(("SLACK_", "OTTU_")) and not name.lower().endswith("_proxy")
    }
    return mine | {
        "SLACK_BOT_TOKEN": where["slack_bot_token"],
        "SLACK_APP_TOKEN": where["slack_app_token"],
        "SLACK_API_URL": where["slack_api_url"],
        "OTTU_BASE_URL": where["ottu_base_url"],
        "OTTU_API_KEY": where["ottu_api_key"],
        "DATABASE_URL": f"sqlite:///{folder / 'ottu-bot.db'}",
        "POLICY_FILE": str(folder / "policy.toml"),
        "HOST": "127.0.0.1",
        "PORT": "0",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
    }


@contextmanager
def _process(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A program that is told to end when the block is left. What it logs is kept beside the database."""
    with (folder / f"{command[2]}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(  # noqa: S603 - our own programs
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STEP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()


@contextmanager
def _sandbox(stay: bool) -> Iterator[dict[str, str]]:
    """The local Slack and the local Ottu; gives their addresses and secrets."""
    ports = ["--slack-port", "0", "--ottu-port", "0"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with (
        tempfile.TemporaryDirectory(prefix="ottu-sandbox-") as folder,
        _process([sys.executable, "-m", "sandbox", *ports, "--with-parent"], Path(folder), environment) as process,
    ):
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise SystemExit("ottu-bot: the sandbox did not start; try `python -m sandbox`")
        where: dict[str, str] = json.loads(line)
        if stay:
            print(f"The local Slack has a page: {where['page_url']}\n")
        yield where


class Demo:
    """The two people, what they do, and what is printed of it."""

    def __init__(self, where: dict[str, str], database: Path) -> None:
        self.where = where
        self.database = database
        self.client = httpx.Client(timeout=STEP_SECONDS, trust_env=False)
        self.printed: set[tuple[str, str]] = set()
        self.names: dict[str, str] = {}

    def run(self) -> bool:
        """The whole job; True where the two ledgers agree."""
        with self.client:
            self._until("the bot to connect", lambda: self._state()["connections"])
            self.names = {person["id"]: person["name"] for person in self._state()["people"]}
            self._ottu(
                "faults", {"kind": "slow", "seconds_after": 1.0}
            )  # so that the card can be seen while it is sent
            print("#payments, as it develops")
            self._say("Alice types", f"/ottu {COMMAND}")
            answer = self._act(
                "command", {"user": "U01ALICE", "channel": "C01GEN", "command": "/ottu", "text": COMMAND}
            )
            self._say("only Alice sees", answer["text"])
            card = self._until("the card", self._card)
            self._say("Bob presses", "Approve, and confirms the amount")
            self._act("click", {"user": "U02BOB", "channel": "C01GEN", "message_ts": card, "action_id": "approve"})
            self._until("the result", self._result)
            return self._compare()

    def _say(self, who: str, what: str) -> None:
        print(f"  {time.strftime('%H:%M:%S')}  {who + ':' if who else '':<20} {what}", flush=True)

    def _act(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        return dict(self.client.post(f"{self.where['slack_control_url']}{name}", json=body).raise_for_status().json())

    def _ottu(self, name: str, body: dict[str, Any]) -> Any:
        return self.client.post(f"{self.where['ottu_control_url']}{name}", json=body).raise_for_status().json()

    def _state(self) -> dict[str, Any]:
        return dict(self.client.get(f"{self.where['slack_control_url']}state").raise_for_status().json())

    def _until(self, what: str, look: Callable[[], Found]) -> Found:
        """Look until there is something; print whatever is new in the channel meanwhile."""
        give_up_at = time.monotonic() + STEP_SECONDS
        while time.monotonic() < give_up_at:
            found = look()
            self._print_new()
            if found:
                return found
            time.sleep(0.05)
        log = self.database.with_name("bot.log")
        last = "\n".join(log.read_text(encoding="utf-8").splitlines()[-5:]) if log.exists() else ""
        raise SystemExit(f"ottu-bot: the demo waited {STEP_SECONDS:.0f} s for {what}. The bot's log ends:\n{last}")

    def _messages(self) -> list[dict[str, Any]]:
        return [one for one in self._state()["messages"] if one["channel"] == "C01GEN" and not one["ephemeral_to"]]

    def _print_new(self) -> None:
        for message in self._messages():
            key = (message["ts"], message["plain"])
            if key not in self.printed:
                self.printed.add(key)
                where = "bot, in the thread" if message["thread_ts"] else "bot, on its card"
                for number, line in enumerate(message["plain"].splitlines()):
                    self._say(where if number == 0 else "", line.replace("*", "").replace("`", "").strip("_"))

    def _card(self) -> str | None:
        return next((str(one["ts"]) for one in self._messages() if not one["thread_ts"]), None)

    def _result(self) -> bool:
        done = any("Done" in one["plain"] for one in self._messages() if not one["thread_ts"])
        return done and any(one["thread_ts"] for one in self._messages())

    # --- the two ledgers

    def _compare(self) -> bool:
        moved = self.client.get(f"{self.where['ottu_control_url']}ledger").raise_for_status().json()
        theirs = [
            (line["kind"], line["order_no"], line["amount"], line["currency"], line["tracking_key"]) for line in moved
        ]
        ours = self._record()
        print("\nMoney that the local Ottu moved")
        self._table(theirs)
        print("The bot's own record")
        self._table(ours)
        agrees = theirs == ours and len(ours) == 1
        print("They agree: the money moved once." if agrees else "They do NOT agree.")
        return agrees

    def _record(self) -> list[tuple[str, ...]]:
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            return connection.execute(
                "SELECT operation, transaction_of, amount, currency, tracking_key FROM requests_readable"
                " WHERE state = 'succeeded' ORDER BY state_at"
            ).fetchall()
        finally:
            connection.close()

    @staticmethod
    def _table(lines: Sequence[tuple[str, ...]]) -> None:
        for kind, order, amount, currency, key in lines or [("nothing", "", "", "", "")]:
            print(f"  {kind:<8} {order:<8} {amount:>8} {currency}  {key}")


def _go_on_by_hand(where: dict[str, str]) -> None:
    try:
        print(
            f"\nGo on by hand: open {where['page_url']} in a browser, choose who you are, and type"
            "\n  /ottu capture AUTH7 full     then approve it as Bob or Cem"
            "\n  /ottu refund USD55 60        more than was paid"
            "\n  /ottu help"
            "\nCtrl-C ends it."
        )
        signal.pause()
    except KeyboardInterrupt:
        print()
