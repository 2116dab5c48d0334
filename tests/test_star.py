"""The star of imports: `bot` knows `approvals` and `ottu`; those two, and the sandbox, know nobody."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {"ottu": set(), "approvals": set(), "sandbox": set(), "bot": {"approvals", "ottu"}}
OUTSIDE_APPROVALS = {"httpx", "slack_sdk", "slack_bolt", "aiohttp", "asyncio", "time"}


def imported(path: Path) -> set[str]:
    """The top-level names that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_along_the_star(package: str) -> None:
    forbidden = set(MAY_IMPORT) - MAY_IMPORT[package] - {package}
    for path in (ROOT / package).rglob("*.py"):
        assert not imported(path) & forbidden, path.name


def test_approvals_knows_no_slack_no_network_and_no_clock() -> None:
    """Time comes from the database or as an argument, so that the record never hangs on a process's clock."""
    for path in (ROOT / "approvals").rglob("*.py"):
        allowed = {"time"} if path.name == "sqlite.py" else set()  # it waits while another process opens the file
        assert not imported(path) & (OUTSIDE_APPROVALS - allowed), path.name


def test_few_files_of_the_bot_know_ottu() -> None:
    """`perform`, `reader` and `webhook` translate; the others hold a client or a clock, or pass an error's words on."""
    translators = {"perform.py", "reader.py", "webhook.py"}
    users = {path.name for path in (ROOT / "bot").glob("*.py") if "ottu" in imported(path)}
    assert users - translators <= {"app.py", "credentials.py", "doctor.py", "executing.py", "inquire.py", "parts.py"}
