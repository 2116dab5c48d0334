"""What the README and docs/ say exists, and what exists the README says."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from approvals.policy import load
from approvals.policy_file import PolicyFile, Timing
from approvals.request import FINAL, MOVES, State
from bot import doctor, settings
from bot.__main__ import parser
from bot.commands import USAGE
from bot.policies import read_policy
from tests.bot.world import a_world

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETUP = (ROOT / "docs" / "setup.md").read_text(encoding="utf-8")


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


# --- docs/setup.md


def blocks(language: str) -> list[str]:
    """The blocks of code in docs/setup.md that are in that language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", SETUP, re.MULTILINE | re.DOTALL)


def the_policy() -> str:
    """The example policy, with the ids that docs/setup.md puts in: its tables take the place of the example's."""
    example = (ROOT / "policy.example.toml").read_text(encoding="utf-8")
    return blocks("toml")[0] + example[example.index("# [powers]") :]


def commands_shown() -> Iterator[str]:
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        yield from re.findall(r"python -m bot\b([^`\n]*)", document.read_text(encoding="utf-8"))


def test_every_command_of_the_program_that_is_shown_exists() -> None:
    shown = [shlex.split(arguments, comments=True) for arguments in commands_shown()]
    assert ["doctor"] in shown
    for arguments in shown:
        parser().parse_args(arguments)


def test_every_setting_of_the_set_up_exists() -> None:
    named = {name.removesuffix("_FILE") for name in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", SETUP)}
    assert named
    assert named <= settings.KNOWN.keys()


def test_every_policy_key_of_the_set_up_exists_and_its_excerpt_is_right() -> None:
    load(the_policy())
    fields = PolicyFile.model_fields
    named = re.findall(r"`\[(\w+)\] (\w+)`", SETUP)
    assert named
    for table, key in named:
        model: Any = fields[table].annotation
        assert key in {field.alias or name for name, field in model.model_fields.items()}, f"[{table}] {key}"


def test_the_scopes_that_the_set_up_explains_are_those_of_the_manifest() -> None:
    manifest = yaml.safe_load((ROOT / "app_manifest.yml").read_text(encoding="utf-8"))
    explained = SETUP.split("| scope |", 1)[1].split("\n\n", 1)[0]
    assert set(re.findall(r"`([a-z]+(?::[a-z]+)?)`", explained)) == set(manifest["oauth_config"]["scopes"]["bot"])


def merged(old: Any, new: Any) -> Any:
    """`old` with what `new` says; lists item by item."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: merged(old.get(key), value) for key, value in new.items()}
    if isinstance(old, list) and isinstance(new, list):
        return [merged(*pair) for pair in zip(old, new, strict=True)]
    return new


def test_the_lines_for_http_mode_make_a_manifest_that_slack_takes() -> None:
    """Whatever Slack would send must have an address, else it is lost."""
    (lines,) = blocks("yaml")
    schema = json.loads((ROOT / "tests" / "data" / "slack-manifest.schema.json").read_text(encoding="utf-8"))
    manifest = yaml.safe_load((ROOT / "app_manifest.yml").read_text(encoding="utf-8"))
    for_http = merged(manifest, yaml.safe_load(lines.replace("<your host>", "bot.example.com")))
    jsonschema.validate(for_http, schema)
    places = [*for_http["features"]["slash_commands"], for_http["settings"]["interactivity"]]
    places += [for_http["settings"]["event_subscriptions"]] if "event_subscriptions" in for_http["settings"] else []
    addresses = {place.get("url") or place.get("request_url") for place in places}
    assert addresses == {"https://bot.example.com/slack/events"}
    assert for_http["settings"]["socket_mode_enabled"] is False


def test_the_unit_gives_a_call_that_is_under_way_its_time() -> None:
    (unit,) = blocks("ini")
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert int(seconds) > Timing().deadline_seconds + 10


async def test_the_output_that_the_set_up_shows_is_what_the_doctor_says(tmp_path: Path) -> None:
    async with a_world(tmp_path, started=False) as world:
        world.policy = the_policy()
        world.environment = {"OTTU_WEBHOOK_KEY": ""}
        policy = read_policy(world.settings)
        said = "\n".join(map(str, await doctor.examine(world.settings, policy)))
        checked = "\n".join(map(str, await doctor.policy_findings(world.settings, policy)))
    said = said.replace(world.ottu_url, "http://127.0.0.1:8022")
    said = said.replace(str(world.settings.database_path), "/var/lib/ottu-bot/ottu-bot.db")
    shown = {block.partition("\n")[0]: block.partition("\n")[2].strip() for block in blocks("console")}
    assert shown["$ .venv/bin/python -m bot doctor"] == said
    assert shown["$ .venv/bin/python -m bot policy check"] == f"ok    policy.toml is well formed\n{checked}"


@pytest.mark.parametrize(
    ("pattern", "found_as"),
    [
        (r"doctor: `([^`]+)`", "{}"),
        (r"`ottu-bot: … ([a-z][^`…]+?)[ ;,]*[…`]", "{}"),
        (r'`"event": "(\w+)"`', 'log.{level}("{}"'),
    ],
)
def test_what_the_trouble_table_quotes_the_program_says(pattern: str, found_as: str) -> None:
    """Somebody looks for the very words that they see."""
    paths = [path for part in ("bot", "approvals") for path in (ROOT / part).glob("*.py")]
    source = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    quoted = re.findall(pattern, SETUP.split("## 9. ", 1)[1])
    assert quoted
    for words in quoted:
        levels = ("info", "warning", "error")
        assert any(found_as.format(words, level=level) in source for level in levels), words
