"""The worker loses no job: not one that waited before it failed, nor one whose end could not be written at once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from approvals.audit import ChainKey
from approvals.sqlite import open_database
from approvals.store import Store
from approvals.work import Job, Work
from bot.worker import MOST_TRIES, Lane, PutBack, Worker

Handler = Callable[[Job], Awaitable[None]]


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Work]:
    database = open_database(tmp_path / "bot.db")
    yield Work(Store(database, ChainKey()), "here:1:1")
    database.close()


@contextmanager
def locked(work: Work) -> Iterator[None]:
    """Another program has the database."""
    connection = sqlite3.connect(work.store.path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("ROLLBACK")
    connection.close()


@asynccontextmanager
async def running(work: Work, handler: Handler) -> AsyncIterator[list[str]]:
    """A worker with one job; the keys of the jobs that it has given up."""
    given_up: list[str] = []
    worker = Worker(
        work,
        [Lane("lane", {"kind": handler}, 1)],
        gave_up=lambda job: given_up.append(job.key),
        uniform=lambda _low, _high: 0.001,
    )
    work.add("job", "kind", {})
    task = asyncio.create_task(worker.run())
    yield given_up
    await worker.stop(patience={})
    await task


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not look():  # noqa: ASYNC110 - the database has no event to wait for
            await asyncio.sleep(0.01)


async def test_a_job_that_waited_often_has_its_tries_left(work: Work) -> None:
    """A pause puts an execution back every two seconds; one mistake after that is the first, not the last."""
    begun = 0

    async def handler(_: Job) -> None:
        nonlocal begun
        begun += 1
        if begun <= MOST_TRIES:
            raise PutBack(0.001)
        if begun == MOST_TRIES + 1:
            raise RuntimeError("once")

    async with running(work, handler) as given_up:
        await until(lambda: not work.counts())
    assert given_up == []
    assert begun == MOST_TRIES + 2


async def test_a_job_that_always_fails_is_given_up(work: Work) -> None:
    async def handler(_: Job) -> None:
        raise RuntimeError("always")

    async with running(work, handler) as given_up:
        await until(lambda: given_up)
        await until(lambda: not work.counts())


async def test_a_database_that_cannot_be_used_is_no_reason_to_give_a_job_up(work: Work) -> None:
    begun = 0

    async def handler(_: Job) -> None:
        nonlocal begun
        begun += 1
        if begun <= MOST_TRIES + 2:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

    async with running(work, handler) as given_up:
        await until(lambda: not work.counts())
    assert given_up == []


@pytest.mark.parametrize("ends", ["done", "put back", "by a mistake"])
async def test_the_end_of_a_job_is_written_once_the_database_lets_us(work: Work, ends: str) -> None:
    """Else the job would stay in the hands of a process that lives, and nobody would take it again."""
    begun = 0
    lock = locked(work)

    async def handler(_: Job) -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            lock.__enter__()
            asyncio.get_running_loop().call_later(1.5, lock.__exit__, None, None, None)
            if ends == "put back":
                raise PutBack(0.01)
            if ends == "by a mistake":
                raise RuntimeError("once")

    async with running(work, handler):
        await until(lambda: not work.counts())
    assert begun == (1 if ends == "done" else 2)
