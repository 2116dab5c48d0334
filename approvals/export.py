"""What an auditor gets: each row of the record with its amounts as decimals too, and each event as a line for a log.

Pure: from rows to records. The tables and columns here are those that docs/audit-columns.md explains.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, get_args, get_type_hints

from approvals import money
from approvals.audit import Event
from approvals.closing import Proposal
from approvals.request import Request
from approvals.store import Approval

Record = dict[str, Any]
SCHEMA = "ottu-bot/event/1"  # of the lines of events; the number goes up with every change of docs/event.schema.json
MINOR, DECIMAL = "_minor", "_decimal"


@dataclass(frozen=True)
class Column:
    """One column of an export: whole numbers (`int`) or text (`str`), and whether it is never empty."""

    kind: type[int] | type[str]
    always: bool


def _columns(shape: type) -> dict[str, Column]:
    """The columns of a table whose rows have that shape, each amount followed by itself as a decimal."""
    columns: dict[str, Column] = {}
    for name, hint in get_type_hints(shape).items():
        kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        always = type(None) not in kinds
        columns[name] = Column(int if int in kinds else str, always)
        if name.endswith(MINOR):
            columns[name.removesuffix(MINOR) + DECIMAL] = Column(str, always)
    return columns


_EVENT_AMOUNT = {
    "amount_minor": Column(int, always=False),
    "amount_decimal": Column(str, always=False),
    "currency": Column(str, always=False),
}
TABLES: Mapping[str, Mapping[str, Column]] = {
    "requests": _columns(Request),
    "events": {**_columns(Event), **_EVENT_AMOUNT},
    "approvals": _columns(Approval),
    "closings": _columns(Proposal),
}


def record(table: str, row: Mapping[str, Any]) -> Record:
    """A row as `Store.chosen` gives it, with the columns of its table in TABLES, in their order."""
    facts = {**row, **_event_amount(row)} if table == "events" else dict(row)
    places = facts.get("decimals")
    for name in [name for name in facts if name.endswith(MINOR)]:
        facts[name.removesuffix(MINOR) + DECIMAL] = _decimal(facts[name], places)
    return {name: facts[name] for name in TABLES[table]}


def _event_amount(row: Mapping[str, Any]) -> Record:
    """The amount of the event's request, as the record knew it at that event."""
    terms = json.loads(row["terms"])["set"] if row["terms"] else {}
    return {name: terms.get(name) for name in ("amount_minor", "currency", "decimals")}


def _decimal(amount_minor: int | None, places: int | None) -> str | None:
    return None if amount_minor is None or places is None else money.with_decimals(amount_minor, places)


def event_line(row: Mapping[str, Any]) -> Record:
    """An event for a log, as docs/event.schema.json has it: `data` is the text under the hash, `facts` is it read.

    Raises ValueError, KeyError or TypeError where the record holds what the bot never writes.
    """
    event = record("events", row)
    facts = json.loads(event["data"])
    if not isinstance(facts, dict):
        raise TypeError(f"the data of event {event['seq']} is no object")
    amount = {"decimal": event["amount_decimal"], "minor": event["amount_minor"], "currency": event["currency"]}
    return {
        "schema": SCHEMA,
        **{name: event[name] for name in ("seq", "at", "kind", "actor")},
        "request": event["request_id"],
        **{name: event[name] for name in ("from_state", "to_state", "version")},
        "amount": amount if amount["minor"] is not None else None,
        "facts": facts,
        **{name: event[name] for name in ("data", "key_id", "prev", "hash")},
    }


def as_line(facts: Mapping[str, Any]) -> bytes:
    """One line of JSON, in UTF-8, with its end."""
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


# A cell that begins with one of these is a formula to a spreadsheet (OWASP, "CSV Injection"; ASVS adds the NUL). The
# wide forms count where the spreadsheet is Chinese or Japanese. Where it takes `;` for the comma, a cell begins behind
# each `;` too, and then behind the end of each line: so those places are looked at as well.
_FORMULA = "=+\\-@＝＋－＠\t\r\n\0"
_BEGINNING = r"(?:\A|(?<=[;\t\r\n]))"
_TO_MARK = re.compile(f"{_BEGINNING}(?=['{_FORMULA}])")
_MARKED = re.compile(f"{_BEGINNING}'(?=['{_FORMULA}])")


def cell(text: str) -> str:
    """The text for a spreadsheet: an apostrophe before what would make it a formula, and before an apostrophe there."""
    return _TO_MARK.sub("'", text)


def text_of(cell: str) -> str:
    """What the cell was made from: the way back."""
    return _MARKED.sub("", cell)
