"""`backup` and `restore`: copy the database while the bot runs, and put one back so that nothing is sent twice.

What a copy takes for unsent may have been sent since it was made. So every request that was open in it becomes
`unknown`, marked restored, and is never sent again: people look it up in Ottu and close it.
"""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from approvals.execution import Execution
from approvals.policy import Policy
from approvals.policy_in_force import InForce
from approvals.request import OPEN
from approvals.store import Store
from approvals.work import Work
from bot import processes
from bot.acquaintance import CannotStart
from bot.app import database_id, new_tracking_key, open_store
from bot.marker import Marker
from bot.policies import read_policy
from bot.record import read_only
from bot.settings import Settings


def backup(settings: Settings, target: Path) -> int:
    """Copy the database to a new file, consistent while the bot runs."""
    if not settings.database_path.exists():
        raise CannotStart(f"DATABASE_URL {settings.database_path} is not there; nothing to copy")
    if target.exists():
        raise CannotStart(f"{target} is there already; name a new file")
    try:
        _copy(settings.database_path, target)
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise CannotStart(f"the copy could not be made: {error}") from None
    print(f"copied to {target}; keep AUDIT_KEY and STATE_DIR elsewhere")
    return 0


def restore(settings: Settings, source: Path | None, *, sure: bool) -> int:
    """Put a copy back (or adopt the one that is there), with every open request unknown; asks first."""
    policy = read_policy(settings)
    if source is not None:
        _check(source)
    _check_nobody_runs(settings)
    where = source or settings.database_path
    print(f"{where}: every request that is open in it becomes unknown and is never sent again.")
    if not sure and not _says_yes():
        print("nothing was changed")
        return 1
    if source is not None:
        _put_back(source, settings.database_path)
    store = open_store(settings)
    try:
        _adopt(settings, store, policy, "put back by the restore command")
    finally:
        store.database.close()
    return 0


def _says_yes() -> bool:
    try:
        return input("Type yes to go on: ").strip() == "yes"
    except EOFError:
        raise CannotStart("nobody is here to be asked; add --yes") from None


def _adopt(settings: Settings, store: Store, policy: Policy, why: str) -> None:
    work = Work(store, processes.this_process())
    execution = Execution(store, work, InForce(policy), new_tracking_key)
    open_ones = store.in_states(*OPEN)
    execution.mark_restored(why)
    Marker(settings.state_directory, store, database_id(work), work.owner).take_over(processes.is_gone)
    for request in open_ones:
        print(f"  {request.id} {request.operation} {request.reference}: was {request.state}, is unknown")
    print(f"{len(open_ones)} open. Look each up in Ottu, and close it by two people: /ottu close.")
    print("Executions are paused: start the bot, and type /ottu resume when you have looked.")


def _check(source: Path) -> None:
    try:
        with closing(sqlite3.connect(read_only(source), uri=True)) as connection:
            intact = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            connection.execute("SELECT 1 FROM requests LIMIT 1").fetchone()
    except sqlite3.Error as error:
        raise CannotStart(f"{source} is no database of this bot: {error}") from None
    if intact != "ok":
        raise CannotStart(f"{source} is damaged ({intact}); take another copy")


def _check_nobody_runs(settings: Settings) -> None:
    path = settings.database_path
    if not path.exists():
        return
    try:
        store = open_store(settings)
    except CannotStart:
        return  # it is damaged, or of another account: that may be why it is being replaced
    try:
        owners = Work(store, processes.this_process()).processes_of(processes.file_identity(str(path)))
    finally:
        store.database.close()
    alive = [owner for owner in owners if processes.is_alive_here(owner)]
    if alive:
        raise CannotStart(f"the bot is running on this database ({alive[0]}); stop it first")


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as reading, closing(sqlite3.connect(target)) as writing:
        reading.backup(writing)


def _put_back(source: Path, path: Path) -> None:
    """The old file and its log move aside, not away: restoring the wrong copy must not lose the right one."""
    aside = next(name for n in itertools.count(1) if not (name := Path(f"{path}.before-restore-{n}")).exists())
    for ending in ("", "-wal", "-shm"):
        old = Path(f"{path}{ending}")
        if old.exists():
            shutil.move(old, f"{aside}{ending}")
    _copy(source, path)
