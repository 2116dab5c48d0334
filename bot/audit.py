"""`audit verify`: is the record whole and unaltered? It needs no secret of Slack or Ottu, and writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NoReturn, TextIO

from tqdm import tqdm

from approvals.audit import UNKEYED, Event
from approvals.store import Store
from approvals.verify import differences
from bot.acquaintance import CannotStart
from bot.marker import read_marks
from bot.record import reading
from bot.settings import AuditSettings

ANCHOR = re.compile(r"(?:record )?([0-9]{1,18}):([0-9a-f]{8,64})")
UNPROVEN = "without AUDIT_KEY whoever can write to the file can write all of it anew; give what Slack shows as --anchor"
UNREADABLE = "AUDIT_KEY is not set, and the record has a key: without it nobody can tell whether an event was altered"
UNANCHORED = "no marker of this database in STATE_DIR and no --anchor: a tail that was cut off would not show"
LONGEST_LINE = 1_000  # characters
Head = tuple[int, str, str]  # number and hash of an event, and who says so
QUICK_SECONDS = 1.0  # what is over sooner needs no progress bar


def verify_record(settings: AuditSettings, *, unkeyed_until: int = 0, anchors: Sequence[str] = ()) -> int:
    """Print each difference and the head; exit status 1 where there is any difference.

    `anchors`: events as Slack shows them, `SEQ:HASH` with 8 hex digits of the hash at least.
    """
    known = [_anchor(text) for text in anchors]
    count = 0
    with reading(settings) as store:
        seq, head = store.head()
        keyed = bool(seq) and store.event(seq).key_id != UNKEYED
        known += heads_of_sends(settings, store)
        with progress(seq) as bar:

            def watch(events: Iterator[Event]) -> Iterator[Event]:
                for event in events:
                    yield event
                    bar.update()

            for found in (
                differences(store, unkeyed_until=unkeyed_until, watch=watch),
                missing(store, known),
            ):
                for difference in found:
                    count += 1
                    with bar.external_write_mode():
                        print(plain(difference))
    print(f"{count} differences in {seq} events; head {seq}:{plain(head)}")
    if not settings.key:
        print(UNREADABLE if keyed else UNPROVEN)
    if not known:
        print(UNANCHORED)
    return 1 if count else 0


def plain(text: str) -> str:
    """One line that moves no cursor: whoever writes into the record may write for the eyes of whoever verifies it."""
    shown = text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]}…"
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in shown)


def progress(events: int, *, file: TextIO | None = None, quick_seconds: float = QUICK_SECONDS) -> tqdm[NoReturn]:
    """A bar at a terminal, where it takes longer; else nothing is shown."""
    return tqdm(total=events, unit=" events", delay=quick_seconds, disable=None, leave=False, file=file)


def _anchor(text: str) -> Head:
    match = ANCHOR.fullmatch(text.strip().lower())
    if match is None:
        raise CannotStart("--anchor takes SEQ:HASH with at least 8 digits of the hash, such as 6:e47aa652")
    return int(match[1]), match[2], "--anchor"


def heads_of_sends(settings: AuditSettings, store: Store) -> list[Head]:
    """What the markers beside the database say that it must contain."""
    marks = read_marks(settings.state_directory, store)
    return [(mark.seq, mark.hash, "the marker of a send") for mark in marks if mark.seq]


def missing(store: Store, known: Sequence[Head]) -> Iterator[str]:
    """Heads that are known from outside the database: the markers beside it, and what somebody read in Slack."""
    for seq, head, whose in known:
        here = store.hash_of(seq)
        if here is None or not here.startswith(head):
            there = f"it has {here[: len(head)]} there" if here else f"it ends at event {store.head()[0]}"
            yield f"event {seq}: {whose} says {head[:8]}, which the record does not contain; {there}"
