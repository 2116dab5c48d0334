"""What people read in Slack comes from one catalogue: nothing stands elsewhere, nothing is idle or half filled."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from approvals import sentences
from approvals.request import Operation

ROOT = Path(__file__).parents[1]
ELSEWHERE = {
    "approvals/audit.py": "what the command that checks the record says",
    "approvals/choice.py": "SQL",
    "approvals/derived.py": "what the command that checks the record says",
    "approvals/policy_fields.py": "errors of the policy file",
    "approvals/policy_file.py": "errors of the policy file",
    "approvals/policy_rule.py": "errors of the policy file, and the form in which a rule is kept",
    "approvals/schema.py": "SQL",
    "approvals/sqlite.py": "SQL",
    "approvals/store.py": "SQL",
    "approvals/verify.py": "what the command that checks the record says",
    "approvals/work.py": "SQL",
    "bot/__main__.py": "the command line",
    "bot/audit.py": "the command line",
    "bot/backup.py": "the command line",
    "bot/channel_audit.py": "the command line",
    "bot/channel_compare.py": "the command line",
    "bot/channel_export.py": "the command line",
    "bot/channel_history.py": "the command line",
    "bot/demo.py": "the command line",
    "bot/doctor.py": "the command line",
    "bot/export.py": "the command line",
    "bot/markup.py": "HTML",
    "bot/policies.py": "errors of the policy file",
    "bot/report.py": "the command line",
    "bot/report_operations.py": "the page of a month, which is not in Slack",
    "bot/report_page.py": "the page of a month",
    "bot/report_troubles.py": "the page of a month",
    "bot/report_words.py": "the page of a month",
    "bot/settings.py": "errors of the settings",
    "bot/unusable.py": "what ends the program, for its operator",
    "bot/web.py": "what HTTP answers to programs",
    "bot/webhook.py": "what HTTP answers to programs",
}
# What is raised for programs or operators, and SQL: their arguments are for nobody in Slack.
NOT_FOR_PEOPLE = {
    "CannotStart",
    "Finding",
    "LookupError",
    "RuntimeError",
    "SlackDown",
    "TypeError",
    "ValueError",
    "compile",  # of a regular expression
    "execute",
    "rows",
    "select",
}
PARTS_OF_OTHERS = {
    "without reference: ",  # part of the key by which a webhook is known again
    "# TYPE ottu_bot_requests gauge",  # Prometheus' format
    "# TYPE ottu_bot_jobs_waiting gauge",
}
LOOKS_LIKE_A_SENTENCE = re.compile(r"[A-Za-z]{2,}[,.:;]? [a-z]|(?:^|[ *])[A-Z][a-z]{2,}")
MODULES: dict[str, ModuleType] = {
    found.name: importlib.import_module(f"{sentences.__name__}.{found.name}")
    for found in pkgutil.iter_modules(sentences.__path__)
}


def entries() -> Iterator[tuple[str, str]]:
    """Module and name of each entry of the catalogue: what its modules define, and do not keep to themselves."""
    for name, module in MODULES.items():
        for node in ast.parse(inspect.getsource(module)).body:
            defined = [node.name] if isinstance(node, ast.FunctionDef) else []
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
            defined += [target.id for target in targets if isinstance(target, ast.Name) and target.id.isupper()]
            yield from ((name, one) for one in defined if not one.startswith("_"))


# --- nothing stands elsewhere


def spoken(path: Path) -> list[ast.Constant]:
    """The texts of a file that may be for people: without docstrings, and without what is for programs."""
    found: list[ast.Constant] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return
        if isinstance(node, ast.Call) and called(node) in NOT_FOR_PEOPLE:
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in PARTS_OF_OTHERS:
            found.append(node)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def called(call: ast.Call) -> str:
    """The last word of what is called: `execute` of `self.store.database.execute(…)`."""
    return ast.unparse(call.func).rpartition(".")[2]


def sources() -> list[Path]:
    """Every file of `approvals` and `bot` but the catalogue."""
    paths = [path for part in ("approvals", "bot") for path in (ROOT / part).rglob("*.py")]
    return sorted(path for path in paths if path.parent.name != "sentences")


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_sentence_for_people_stands_outside_the_catalogue(path: Path) -> None:
    """And each file that is excused still needs to be."""
    said = [f"{node.lineno}: {node.value!r}" for node in spoken(path) if LOOKS_LIKE_A_SENTENCE.search(str(node.value))]
    assert (said != []) == (str(path.relative_to(ROOT)) in ELSEWHERE), said


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_refusal_brings_a_text_of_its_own(path: Path) -> None:
    """Not even a word, and also where other texts are for operators."""
    refusals = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    texts = [call.args[0] for call in refusals if called(call) in {"Refusal", "CommandError"} and call.args]
    assert not [text.lineno for text in texts if isinstance(text, ast.Constant | ast.JoinedStr | ast.BinOp)]


# --- nothing is idle


def used_in(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of each entry that a file uses, by the names under which it imports them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == sentences.__name__:
            modules |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{sentences.__name__}."):
            yield from ((str(node.module).rpartition(".")[2], alias.name) for alias in node.names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield modules[node.value.id], node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield path.stem if path.parent.name == "sentences" else "", node.id


def test_every_entry_is_used() -> None:
    catalogue = (ROOT / "approvals" / "sentences").glob("*.py")
    used = {entry for path in [*sources(), *catalogue] for entry in used_in(path)}
    assert not set(entries()) - used


# --- nothing is half filled


def samples(hint: object) -> list[object]:
    """Values of that type: both of what makes a difference to a sentence."""
    if isinstance(hint, type) and issubclass(hint, bool):
        return [True, False]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return [one for one in hint if one is not Operation.INQUIRY]  # which is never a request, and never done
    if hint is int:
        return [0, 1, 2, 21, 99]
    if hint is str:
        return ["some words"]
    if hint is type(None):
        return [None]
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    if isinstance(hint, UnionType):
        return [value for one in get_args(hint) for value in samples(one)]
    if get_origin(hint) in {list, Sequence}:
        return [["one", "another"]]
    raise AssertionError(f"a sentence takes a {hint}")


def texts_of(value: Any) -> list[str]:
    """Every text that an entry gives."""
    if callable(value) and not isinstance(value, tuple):
        return list(_called(value))
    if isinstance(value, Mapping):
        return [text for one in value.values() for text in texts_of(one)]
    return [value] if isinstance(value, str) else list(value)


def _called(function: Callable[..., str]) -> Iterator[str]:
    hints = {name: hint for name, hint in get_type_hints(function).items() if name != "return"}
    choices = {name: samples(hint) for name, hint in hints.items()}
    for values in itertools.product(*choices.values()):
        yield function(**dict(zip(choices, values, strict=True)))


@pytest.mark.parametrize(("module", "name"), list(entries()))
def test_every_entry_gives_a_whole_text(module: str, name: str) -> None:
    """With a value of each kind in its places: some text, no place left open, nothing spelled as Python has it."""
    for text in texts_of(getattr(MODULES[module], name)):
        assert isinstance(text, str)
        assert text.strip()
        assert not re.search(r"[{}]|\bNone\b|\['|\bFalse\b|\bTrue\b", text), text
