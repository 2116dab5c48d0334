"""The policy file: read at the start, and again whenever it changes. A bad one is refused, and the old one stays.

The whole file is read at each look: it is small, and no change of it can be overlooked, whether somebody wrote into it
or renamed another over it. It is judged when two looks have found the same, so that half of one is not.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import sqlite3
import stat
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from approvals.policy import Policy, PolicyError, findings, load
from approvals.policy_file import FILE_CHARACTERS_MAXIMUM
from approvals.policy_in_force import InForce, record_adopted, record_refused
from approvals.store import Store
from approvals.work import Work
from bot.acquaintance import CannotStart
from bot.people import People, SlackDown
from bot.settings import Settings

log = logging.getLogger("bot.policies")
LOOK_SECONDS = 1.0
BYTES_MAXIMUM = 4 * FILE_CHARACTERS_MAXIMUM
MOST_TOLD, TOLD_SECONDS = 5, 300.0  # so many bad ones are told in so long: a file that flaps floods nothing


@dataclass(frozen=True)
class Content:
    """What one look has found: the bytes of the file, or the word for why there are none."""

    content: bytes
    unreadable: str | None = None

    @property
    def hash(self) -> str | None:
        """SHA-256, in hex; None where nothing could be read."""
        return None if self.unreadable else hashlib.sha256(self.content).hexdigest()

    def text(self) -> str:
        """Raises UnicodeDecodeError where it is no text."""
        return self.content.decode("utf-8")


def look_at(path: Path) -> Content:
    """The file as it is now. No more of it than a policy may have, and one character."""
    try:
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return Content(b"", FileNotFoundError.__name__)
            return Content(file.read(BYTES_MAXIMUM + 4))
    except OSError as error:
        return Content(b"", type(error).__name__)


def _at_once(path: str, flags: int) -> int:
    """Whoever opens a pipe waits for its writer, and one may take the file's place at any moment."""
    return os.open(path, flags | os.O_NONBLOCK)


def read_policy(settings: Settings) -> Policy:
    """Raises CannotStart where there is no policy file, or a wrong one."""
    return policy_at(settings.policy_file, loopback=settings.ottu_on_loopback)


def policy_at(path: Path, *, loopback: bool) -> Policy:
    """The policy in a file; `loopback`: times may be short, because Ottu is a stand-in. Raises CannotStart."""
    return _first(path, look_at(path), loopback=loopback)


def _first(path: Path, found: Content, *, loopback: bool) -> Policy:
    if found.unreadable:
        raise CannotStart(f"POLICY_FILE {path} cannot be read ({found.unreadable}); copy policy.example.toml")
    try:
        return policy_of(found, loopback=loopback)
    except PolicyError as error:
        raise CannotStart(f"{path}: {error}") from None


def policy_of(found: Content, *, loopback: bool) -> Policy:
    """What that content says. Raises PolicyError."""
    if found.unreadable:
        raise PolicyError(f"policy: the file cannot be read ({found.unreadable}); put it back")
    try:
        return load(found.text(), loopback=loopback)
    except UnicodeDecodeError:
        raise PolicyError("policy: the file is no text in UTF-8; write it anew") from None


def check_people(settings: Settings, policy: Policy) -> None:
    """Can each rule be satisfied? Where no group needs Slack for an answer, that is known before anything starts."""
    if any(entry.startswith("S") for entries in policy.groups.values() for entry in entries):
        return
    members = {name: frozenset(entries) for name, entries in policy.groups.items()}
    for finding in findings(policy, members):
        if finding.level == "error":
            raise CannotStart(f"{settings.policy_file}: {finding.sentence}")


class Policies:
    """The policy file of one process, and the policy that counts."""

    def __init__(self, settings: Settings) -> None:
        """Raises CannotStart."""
        self.settings = settings
        self._seen = self._settled = look_at(settings.policy_file)
        self._counts = False  # until Slack has said who is in its groups
        self._told: Content | None = None  # what was refused for want of people, who may come
        self._told_at: deque[float] = deque(maxlen=MOST_TOLD)
        self.clock = time.monotonic
        policy = _first(settings.policy_file, self._seen, loopback=settings.ottu_on_loopback)
        check_people(settings, policy)
        self.in_force = InForce(policy)

    async def start(self, store: Store, people: People) -> None:
        """Check the first one with the people in Slack's groups, and write down that it counts. Raises CannotStart."""
        policy = self.in_force.now
        problem = await self._nobody_could(policy, people)
        if problem:
            raise CannotStart(f"POLICY_FILE: {problem}")
        record_adopted(store, policy, self._settled.hash)
        self._counts = True

    async def watch(self, store: Store, work: Work, people: People) -> None:
        """Look for ever, once the first one counts."""
        said = ""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if self._counts:
                    await self.look(store, work, people)
            except (SlackDown, sqlite3.Error) as error:  # nothing is decided: the next look finds it again
                if said != str(error):
                    log.warning("policy_not_judged", extra={"facts": {"error": type(error).__name__}})
                said = str(error)
            else:
                said = ""

    async def look(self, store: Store, work: Work, people: People) -> None:
        """One look: what is new, and was there at the look before, is judged. Raises SlackDown, sqlite3.Error."""
        found, before = look_at(self.settings.policy_file), self._seen
        self._seen = found
        if found != before or found == self._settled:
            return
        try:
            policy = policy_of(found, loopback=self.settings.ottu_on_loopback)
        except PolicyError as error:
            if self._tell(store, work, str(error), found):
                self._settled = found
            return
        problem = await self._nobody_could(policy, people)
        if problem is None:
            record_adopted(store, policy, found.hash)
            self.in_force.put(policy)
            self._settled, self._told = found, None
        elif self._told != found and self._tell(store, work, problem, found):
            self._told = found

    def _tell(self, store: Store, work: Work, why: str, found: Content) -> bool:
        """Write down that it is refused; False where too many were just now: it is told later, if it is still so."""
        now = self.clock()
        if len(self._told_at) == MOST_TOLD and now - self._told_at[0] < TOLD_SECONDS:
            return False
        record_refused(store, work, why, found.hash)
        self._told_at.append(now)
        return True

    @staticmethod
    async def _nobody_could(policy: Policy, people: People) -> str | None:
        """Why a rule can be satisfied for no asker. For some asker it is a warning."""
        errors = []
        for finding in findings(policy, await people.members(policy)):
            if finding.level == "error":
                errors.append(finding.sentence)
            else:
                log.warning("policy", extra={"facts": {"finding": finding.sentence}})
        return " ".join([errors[0], *people.unread(policy)]) if errors else None
