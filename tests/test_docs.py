"""What the README says exists, and what exists the README says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from approvals.request import FINAL, MOVES, State
from bot import settings
from bot.commands import USAGE

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows_of(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, without its head."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_the_commands_of_the_readme_are_the_commands_of_the_grammar() -> None:
    assert [row[0].strip("`") for row in rows_of("What people type")] == list(USAGE.values())


def test_the_settings_of_the_readme_and_of_the_example_are_the_settings_that_are_read() -> None:
    assert [row[0].strip("`") for row in rows_of("Connect your own Slack and Ottu")] == list(settings.KNOWN)
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert re.findall(r"^([A-Z_]+)=", example, re.MULTILINE) == list(settings.KNOWN)


def test_the_states_and_moves_of_the_readme_are_those_of_the_code() -> None:
    assert [row[0] for row in rows_of("What becomes of a request")] == [state.value for state in State]
    diagram = README.split("stateDiagram-v2\n", 1)[1].split("```", 1)[0].split("\n")
    drawn = {tuple(line.strip().split(" --> ")) for line in diagram if line.strip()}
    moves = {(a.value, b.value) for a, following in MOVES.items() for b in following}
    assert drawn == moves | {("[*]", "checking")} | {(state.value, "[*]") for state in FINAL}


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            if not target.startswith("https://"):
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_name_on_the_way_of_a_click_is_in_its_file() -> None:
    """The map of the README: each `name` in [`file`] must be defined there."""
    named = re.findall(r"`(\w+)` (?:and `(\w+)` )?in\s+\[`([\w/]+\.py)`\]", README)
    assert len(named) >= 3
    for first, second, path in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        for name in filter(None, (first, second)):
            assert re.search(rf"def {name}\(", text), f"{name} is not in {path}"


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make (demo|test|check|format|coverage|bench|reliability[-\w]*)\b", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_no_lock_file_names_a_registry_and_everything_in_it_has_a_hash() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text
        assert "--index" not in text
        pinned = re.findall(r"^[a-z0-9][\w.-]*==[^\n]*", text, re.MULTILINE)
        assert pinned
        assert all(line.endswith("\\") for line in pinned)


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    for requirement in project["dependencies"] + project["optional-dependencies"]["dev"]:
        name = re.split(r"[>=\[]", requirement)[0]
        assert re.search(rf"^{re.escape(name)}==", locked, re.MULTILINE), name


def test_the_manifest_is_yaml_and_small() -> None:
    manifest = yaml.safe_load((ROOT / "app_manifest.yml").read_text(encoding="utf-8"))
    assert manifest["features"]["slash_commands"][0]["command"] == "/ottu"
    assert manifest["features"]["slash_commands"][0]["should_escape"] is False
