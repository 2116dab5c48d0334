"""What an operator is told of a database, or of a directory, that the bot cannot use: what is wrong, and what to do."""

from __future__ import annotations

import errno
from pathlib import Path

from bot.acquaintance import CannotStart

WHAT_TO_DO = {  # by SQLite's own words, and those of `approvals.sqlite`
    "locked": "end the program that holds it (a backup, a SQL shell), and start again",
    "moved or deleted": "look for the file, or put a copy back; then start again",
    "full": "make room on its disk, and start again",
    "readonly": "make the file and its folder writable for this user",
    "unable to open": "make sure that its folder exists, and that this user may write there",
    "malformed": "keep the file, and put a copy back: python -m bot restore FILE",
    "not a database": "name another file, or put a copy back: python -m bot restore FILE",
}


def unusable(database: Path, error: Exception) -> CannotStart:
    """The database cannot be used, or not any more."""
    advice = next((f"; {advice}" for words, advice in WHAT_TO_DO.items() if words in str(error)), "")
    return CannotStart(f"DATABASE_URL {database} cannot be used: {error}{advice}")


def unwritable(state_directory: Path, error: OSError) -> CannotStart:
    """The directory of the markers cannot be written."""
    advice = "make room on its disk" if error.errno == errno.ENOSPC else "make it writable"
    return CannotStart(f"STATE_DIR {state_directory} cannot be written ({error.strerror}); {advice}")
