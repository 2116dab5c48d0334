"""How each command is typed, for the help and for a refusal: from the one table in the catalogue of sentences."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from approvals.sentences import typed
from approvals.sentences.usage import COMMANDS, FORM, NOTES, example

USAGE: Mapping[str, str] = MappingProxyType({name: line.usage for name, line in COMMANDS.items()})


def how_to_type(name: str) -> str:
    """One sentence with the usage line of a command and an example."""
    line = COMMANDS[name]
    if line.usage == line.example:
        return typed.as_here(usage=line.usage)
    return typed.as_here_for_example(usage=line.usage, example=line.example)


def help_text(topic: str | None) -> str:
    """The help for one command, or for all: plain text with code spans, to be escaped like any text.

    What needs no learning comes first: the form.
    """
    line = COMMANDS.get(topic or "")
    if line:
        return "\n".join([f"`{line.usage}`", line.about, example(text=line.example), *NOTES])
    return "\n".join([FORM, *(f"`{line.usage}`" for line in COMMANDS.values()), *NOTES])
