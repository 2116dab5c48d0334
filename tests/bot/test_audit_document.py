"""The report that docs/audit.md shows is what the command says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from approvals.request import Ending, Outcome
from bot.__main__ import main
from tests.approvals.factories import BOB, CEM, KEY, open_desk
from tests.approvals.raw import without_triggers

DOCUMENT = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
DONE_TO_IT = (
    "UPDATE events SET actor = 'U09DAVE' WHERE seq = 6",
    "UPDATE requests SET amount_minor = 61000",
    "UPDATE events SET hash = '7d1f0c5b' || substr(hash, 9) WHERE seq = 8",
    "INSERT INTO approvals VALUES (4, 'R-0001', 'U09DAVE', '', '', NULL)",
)


def without_hashes(text: str) -> str:
    return re.sub(r"\b[0-9a-f]{8,64}\b", "<hash>", text)


def test_the_report_of_the_document_is_what_the_command_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"^```console\n\$ python -m bot (audit verify [^\n]*)\n(.*?)^```$", DOCUMENT, re.M | re.S)
    desk = open_desk(tmp_path)
    request = desk.approve(desk.pending(asked_amount="16.000"), BOB)
    desk.service.unapprove(request.id, BOB)
    desk.approve(request, BOB, CEM)
    desk.execution.claim(request.id)
    desk.execution.settle(request.id, 1, Outcome(Ending.SUCCEEDED, "", 16_000, "REF1"))
    with without_triggers(desk.store.database.conn):
        for statement in DONE_TO_IT:
            desk.sql(statement)
    desk.store.database.close()
    monkeypatch.chdir(tmp_path)
    for name, value in {"DATABASE_URL": "sqlite:///bot.db", "AUDIT_KEY": KEY.secret.decode()}.items():
        monkeypatch.setenv(name, value)
    assert main(block[0].split()) == 1
    assert without_hashes(capsys.readouterr().out) == without_hashes(block[1])
