"""With what a simulated world begins: its policy, and a database that has just been made."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from approvals.audit import ChainKey
from approvals.money import to_decimal_text
from approvals.policy import Policy, load
from approvals.sqlite import open_database
from approvals.store import Store
from approvals.work import Work
from bot.app import ACCOUNT
from tests.proofs.memory import MEMORY
from tests.proofs.scripted_ottu import CURRENCY
from tests.proofs.themes import Terms

EPOCH = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
POLICY = """
[[limits]]
name = "daily"
operations = ["refund"]
currency = "KWD"
per = "all"
within = "{within}"
total = "{total}"

[timing]
remind_after = ["4h"]
expires_after = "{expires_after}"
lapse_after = "{lapse_after}"
queued_days = {queued_days}
"""


@cache
def policy(terms: Terms) -> Policy:
    """The policy of the tests, with a limit."""
    text = (Path(__file__).parents[1] / "data" / "policy.toml").read_text(encoding="utf-8")
    return load(text + POLICY.format(**asdict(terms), total=to_decimal_text(terms.total_minor, CURRENCY)))


@cache
def template() -> bytes:
    """A database that has just been made."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder) / "bot.db"
        database = open_database(path)
        store = Store(database, ChainKey(), lambda: EPOCH)
        Work(store, "template:1:1").set_fact(ACCOUNT, {"url": "http://127.0.0.1:9"})
        store.record("database_created", "bot")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        return path.read_bytes()
