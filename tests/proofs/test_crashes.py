"""The short form of the crash enumeration: a few kills and freezes at the most telling points, by real processes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.proofs.crash_trial import Trial
from tests.proofs.crashes import TREE, freeze, run, try_one

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks as only Linux's sockets allow")
TELLING = (
    Trial("full refund", "slow before", "success"),
    Trial("partial refund", "ok", "begin"),
    Trial("void", "dropped after", "begin"),
    Trial("partial refund", "slow before", "never"),
    Trial("partial refund", "queued", "begin", line="http"),
)


def test_a_killed_bot_carries_on_and_moves_money_once() -> None:
    figures = run(18, 1, only=TELLING)
    assert not figures.failures, str(figures)
    assert figures.counted["kills"] >= 18


def test_a_frozen_bot_sends_nothing_late_and_overwrites_nothing() -> None:
    figures = freeze(3, 1, only=TELLING[1:2])
    assert not figures.failures, str(figures)
    assert figures.counted["freezes"] >= 3


MARKERS_READ = (
    "before store.Store.rows<store.Store.head<marker.Marker.why_restored<executing.Executing.adopt"
    "<app.Bot._adopt<app.Bot.serve SELECT events #1"
)


def test_what_another_process_did_while_one_was_starting_is_no_restore() -> None:
    """Frozen when it has seen that there is no marker; the other has written its own, and has made a request."""
    tried, failures = try_one(Trial("partial refund", "ok", "begin", (MARKERS_READ,), "freeze"))
    assert (tried.struck, failures) == (1, [])


WEBHOOK_WRITTEN = (
    "before sqlite.transaction<store.Store.transaction<work.Work.add<webhook._write<webhook.endpoint.receive"
    "<web.BodyLimit.__call__ COMMIT #{}"
)


def test_a_bot_that_is_killed_at_a_webhook_calls_nothing_done() -> None:
    """The second tells what the bank did; Ottu does not send it again where nobody answers."""
    trial = Trial("partial refund", "queued", "begin", (WEBHOOK_WRITTEN.format(2),), line="http")
    tried, failures = try_one(trial)
    assert (tried.struck, failures) == (1, [])
    assert len(tried.points) > 1, "it ended before the bot was up again"


CLAIM_FIRST = """\
        claimed = self.execution.claim(request.id)
        if claimed is None:
            raise PutBack(STOPPED_SECONDS)  # paused; or it has just moved, which the next look will see
        outcome, after = await self._send(claimed, claimed_at)
"""
SEND_FIRST = """\
        unclaimed = dataclasses.replace(request, tracking_key=self.execution.new_key(), attempt=1)
        outcome = await perform.send(self.reader.client, unclaimed, claimed_at)
        claimed = self.execution.claim(request.id)
        assert claimed is not None
        after = await self._settle(claimed, outcome)
"""
AGE = "        return age < 0 or age - self._connecting_seconds > self._limit_seconds\n"
BEFORE_THE_SEND = (
    "before marker.Marker.write<executing.Executing._send<executing.Executing.execute"
    "<worker.Worker._handle<worker.Worker._do file fsync #1"
)


def wounded(tree: Path, file: str, *changes: tuple[str, str]) -> Path:
    """A copy of the code in which something is wrong."""
    shutil.copytree(TREE, tree, ignore=shutil.ignore_patterns(".*", "docs", "__pycache__"))
    code = (tree / file).read_text(encoding="utf-8")
    for old, new in changes:
        assert old in code
        code = code.replace(old, new, 1)
    (tree / file).write_text(code, encoding="utf-8")
    return tree


def test_the_proof_finds_a_claim_that_comes_after_the_send(tmp_path: Path) -> None:
    """A proof that finds nothing in a bot that is wrong would prove nothing."""
    more = ("import asyncio\n", "import asyncio\nimport dataclasses\n")
    tree = wounded(tmp_path / "tree", "bot/executing.py", (CLAIM_FIRST, SEND_FIRST), more)
    figures = run(10, 1, tree=tree, only=TELLING[1:2])
    assert figures.counted["double movements"] > 0, str(figures)


def test_the_proof_finds_a_send_long_after_its_claim(tmp_path: Path) -> None:
    """Frozen after the claim, thawed when another process has given it up."""
    trial = Trial("partial refund", "ok", "begin", (BEFORE_THE_SEND,), "freeze")
    tried, failures = try_one(trial)
    assert (tried.struck, failures) == (1, [])
    _, failures = try_one(trial, tree=wounded(tmp_path / "tree", "ottu/client.py", (AGE, "        return False\n")))
    assert any("sent too late" in failure for failure in failures), failures


def test_the_proof_finds_a_gateway_that_is_slower_than_the_window(tmp_path: Path) -> None:
    """It ignores keys, and enough is left: nothing but the window keeps the money from moving twice."""
    slow = ("SLOW_SECONDS = 0.75", "SLOW_SECONDS = 2.5")
    tree = wounded(tmp_path / "tree", "tests/proofs/crash_trial.py", slow)
    _, failures = try_one(Trial("partial refund", "slow before", "never"), tree=tree)
    assert any("double movements" in failure for failure in failures), failures


def test_the_proof_finds_a_bot_that_refuses_each_webhook(tmp_path: Path) -> None:
    """By reading alone it would come to the same end, and nobody would know that the webhooks do not work."""
    trial = Trial("partial refund", "ok", "begin", line="http")
    never = ("if not ottu.verify(document, key()):", "if True:")
    _, failures = try_one(trial, tree=wounded(tmp_path / "tree", "bot/webhook.py", never))
    assert any("webhooks refused: 401" in failure for failure in failures), failures


def test_the_proof_finds_a_bot_that_leaves_each_webhook_without_an_answer(tmp_path: Path) -> None:
    trial = Trial("partial refund", "ok", "begin", line="http")
    hangs = ("if not ottu.verify(document, key()):", "await __import__('asyncio').sleep(60)\n        if True:")
    _, failures = try_one(trial, tree=wounded(tmp_path / "tree", "bot/webhook.py", hangs))
    assert any("webhooks refused: timed out" in failure for failure in failures), failures
