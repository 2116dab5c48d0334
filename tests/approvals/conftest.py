"""Fixtures of the tests of what decides and records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from approvals.closing import Closing
from approvals.policy import load

from .factories import POLICY_TEXT, Desk, Opener, open_desk


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Opens a process on the test's database, under a policy of the test's own."""
    with ExitStack() as stack:

        def open_(policy_text: str) -> Desk:
            desk = open_desk(tmp_path, load(policy_text))
            stack.callback(desk.store.database.close)
            return desk

        yield open_


@pytest.fixture
def desk(opened: Opener) -> Desk:
    """One process on an empty database."""
    return opened(POLICY_TEXT)


@pytest.fixture
def closing(desk: Desk) -> Closing:
    """The ways out of an unknown outcome, at that desk."""
    return Closing(desk.service)
