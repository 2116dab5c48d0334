"""Hostile surroundings: the real program, on a machine that fails it in every way that can be made for real.

Each scenario holds the same promises: a person or the operator reads one clear sentence, nothing is half done, Ottu is
not reached unless the intent is on disk, what was acknowledged is not lost, and after the trouble the bot goes on by
itself, or says at its start what to do.

Run all, or one: `python -m tests.proofs.surroundings [name]`.
"""

from __future__ import annotations

import asyncio
import resource
import ssl
import sys
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

from approvals.request import Request, State
from approvals.sentences.private import CLICK_NOT_ACCEPTED, NOT_ACCEPTED
from tests.bot.test_restart import Process, a_process, refused_start
from tests.bot.world import ALICE, BOB, CEM, World, a_world, with_timing
from tests.proofs.figures import Figures
from tests.proofs.troubles import (
    Names,
    Unavailable,
    a_small_disk,
    checkpoint,
    damage,
    full,
    limited,
    locked,
    read_only,
)

CERTIFICATE = Path(__file__).parents[1] / "data" / "self-signed.pem"
BRIEF = with_timing(deadline_seconds=2, settle_seconds=2.5, inquiry_gap_seconds=0.2)
Scenario = Callable[[Path], Awaitable[None]]
REFUNDED = ("refund", "ORD123", "5.000", "KWD")
SLOW = ("refund", "USD55", "5.00", "USD")


# --- the database cannot be written


async def _nothing_can_be_written(world: World, trouble: AbstractContextManager[None], pid: int) -> None:
    """While a card waits for its click, and Ottu is about to answer another request."""
    waiting = await world.ask("refund ORD123 5.000")
    world.ottu.fault("slow", match="USD55", seconds_after=1.5)
    under_way = await world.approved("refund USD55 5.00")
    await world.until(world.moved)
    with trouble:
        command = await world.type(ALICE, "refund JPY100 5")
        click = await world.press(BOB, "approve", world.card(waiting.id))
        assert command.text == NOT_ACCEPTED or not command.ok  # too late for Slack, where each look waits for the lock
        assert not click.ok
        await world.told_something(BOB, CLICK_NOT_ACCEPTED)
        await asyncio.sleep(2.0)  # meanwhile Ottu answers
        assert world.request(under_way.id).state is State.EXECUTING  # neither forgotten nor called unknown
        assert world.request(waiting.id).state is State.PENDING
        assert world.moved() == [SLOW]
    await world.reaches(State.SUCCEEDED, under_way.id)
    await world.press(BOB, "approve", world.card(waiting.id))
    await world.reaches(State.SUCCEEDED, waiting.id)
    assert (world.moved(), len(world.operations_sent())) == ([SLOW, REFUNDED], 2)
    assert len(world.requests()) == 2
    assert pid
    world.check_record()


async def disk_full(folder: Path) -> None:
    """Not a byte is left for the log of the database."""
    with a_small_disk(folder) as disk:
        async with a_process(disk) as (world, process):
            await _nothing_can_be_written(world, full(disk), process.pid)


async def writes_fail(folder: Path) -> None:
    """Every write to a file fails, as on a dying disk."""
    async with a_process(folder) as (world, process):
        await _nothing_can_be_written(world, limited(process.pid, resource.RLIMIT_FSIZE, 0), process.pid)


async def locked_for_long(folder: Path) -> None:
    """Another program holds the write lock, longer than anybody waits for it."""
    async with a_process(folder) as (world, process):
        await _nothing_can_be_written(world, locked(folder / "bot.db"), process.pid)


async def disk_full_at_the_start(folder: Path) -> None:
    with a_small_disk(folder) as disk:
        async with a_process(disk) as (world, process):
            request = await world.ask()
            await process.kill()
            with full(disk):
                line = await refused_start(world)
                assert "make room" in line, line
            await process.start()
            await _approved_and_done(world, request)


async def locked_at_the_start(folder: Path) -> None:
    async with a_process(folder) as (world, process):
        request = await world.ask()
        await process.kill()
        with locked(folder / "bot.db"):
            line = await refused_start(world)
        assert "end the program that holds it" in line, line
        await process.start()
        await _approved_and_done(world, request)


async def read_only_at_the_start(folder: Path) -> None:
    """The database's folder, or its file system, was mounted so."""
    home, elsewhere = folder / "home", folder / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    async with a_process(home, environment={"STATE_DIR": str(elsewhere)}) as (world, process):
        request = await world.ask()
        await world.stop()  # our own connection
        await process.kill()
        world.folder = elsewhere  # where the policy is written
        with read_only(home):
            line = await refused_start(world, DATABASE_URL=f"sqlite:///{home / 'bot.db'}")
        assert "DATABASE_URL" in line, line
        assert "make the file and its folder writable" in line, line
        world.folder = home
        await process.start()
        await _approved_and_done(world, request)


async def _approved_and_done(world: World, request: Request) -> None:
    """What had waited goes on as if nothing had been."""
    await world.press(BOB, "approve", world.card(request.id))
    await world.reaches(State.SUCCEEDED, request.id)
    assert world.moved() == [REFUNDED]
    world.check_record()


# --- the database is damaged, or gone


async def damaged_at_the_start(folder: Path) -> None:
    """One page is garbage: nothing is decided by what is left. A copy that is put back sends nothing by itself."""
    async with a_process(folder) as (world, process):
        request = await world.ask()
        checkpoint(folder / "bot.db")
        copy = folder / "copy.db"
        copy.write_bytes((folder / "bot.db").read_bytes())
        await process.kill()
        damage(folder / "bot.db", "events")
        line = await refused_start(world)
        assert "malformed" in line, line
        assert "put a copy back" in line, line
        (folder / "bot.db").write_bytes(copy.read_bytes())
        await process.start()
        assert world.request(request.id).state in {State.PENDING, State.UNKNOWN}
        assert world.operations_sent() == []


async def damaged_while_it_runs(folder: Path) -> None:
    """The table of the requests is garbage: nobody is told that anything was done, and Ottu is not reached."""
    async with a_process(folder) as (world, process):
        request = await world.ask()
        card = world.card(request.id)
        await world.stop()  # our own connection, whose pages are still whole
        damage(folder / "bot.db", "requests")
        for person in (BOB, CEM):
            await world.press(person, "approve", card)
        await world.type(ALICE, "refund JPY100 5")
        await asyncio.sleep(2)
        assert world.operations_sent() == []
        assert world.results() == []
        assert any(line["event"] in {"failed", "database", "not_accepted"} for line in process.log)
        await process.kill()
        assert "malformed" in await refused_start(world)


async def log_deleted(folder: Path) -> None:
    """Somebody tidies up, and deletes the write-ahead log of the running bot: what was written before is saved.

    SQLite would go on writing to the nameless file. So nothing is accepted or sent any more, and the bot ends.
    """
    async with a_process(folder, policy=with_timing(deadline_seconds=4)) as (world, process):
        request = await world.ask()
        card = world.card(request.id)
        await world.stop()
        (folder / "bot.db-wal").unlink()
        command = await world.type(ALICE, "refund JPY100 5")
        click = await world.press(BOB, "approve", card)
        assert command.text == NOT_ACCEPTED or not command.ok  # too late for Slack, where each look waits for the lock
        assert not click.ok
        assert await process.ended() == 2
        assert any("was moved or deleted" in line.get("line", "") for line in process.log)
        assert world.operations_sent() == []
        await world.until(lambda: not world.slack.outbox.sockets)
        await process.start()
        await _approved_and_done(world, request)


async def log_missing_at_the_start(folder: Path) -> None:
    """What was sent stood in the log alone, and that is lost: the marker tells, and nothing is sent again."""
    async with a_process(folder, policy=with_timing(deadline_seconds=4)) as (world, process):
        waiting = await world.ask("refund JPY100 5")
        await world.stop()
        checkpoint(folder / "bot.db")
        request = await world.approved("refund ORD123 5.000")
        await world.reaches(State.SUCCEEDED, request.id)
        await world.stop()  # our own connection, which as the last would bring the log into the file
        await process.kill()
        for name in ("bot.db-wal", "bot.db-shm"):
            (folder / name).unlink(missing_ok=True)
        await process.start()
        assert world.request(waiting.id).restored == 1
        await world.until(lambda: any("put back from a copy" in m.text for m in world.slack.messages("C02AUDIT")))
        assert world.moved() == [REFUNDED]


# --- nothing left to open a connection with


async def no_descriptors(folder: Path) -> None:
    """No file and no connection can be opened. The intent is taken back, and what was typed waits on disk."""
    async with a_process(folder, policy=BRIEF) as (world, process):
        world.ottu.fault("throttled", retry_after="2")
        request = await world.approved()
        await world.until(lambda: len(world.operations_sent()) == 1)
        with limited(process.pid, resource.RLIMIT_NOFILE, 1):
            assert (await world.type(ALICE, "refund USD55 1.00")).ok
            await world.until(lambda: world.request(request.id).misses == 1)
            await asyncio.sleep(2.5)  # meanwhile it has looked after other processes, which opens files
            assert len(world.operations_sent()) == 1
        await world.reaches(State.SUCCEEDED, request.id, 30)
        await world.until(lambda: len(world.cards()) == 2, 30)
        assert world.moved() == [REFUNDED]
        world.check_record()


# --- the way to Ottu


async def name_not_found(folder: Path) -> None:
    """DNS fails: what is asked waits and says so; what is approved is not sent, and is sent once it can be."""
    names = Names(folder)
    policy = with_timing(deadline_seconds=2)
    async with a_world(folder, started=False, policy=policy) as world:
        world.environment["OTTU_BASE_URL"] = world.ottu_url.replace("127.0.0.1", "localhost")
        process = Process(world, through=names.through)
        try:
            await process.start()
            request = await world.ask()
            names.set("")
            asked = len(world.ottu.requests)
            await world.press(BOB, "approve", world.card(request.id))
            await world.until(lambda: world.request(request.id).misses == 1)
            await world.type(ALICE, "refund USD55 1.00")
            assert "no connection to Ottu" in await world.told_something(ALICE, "It waits")
            assert len(world.ottu.requests) == asked
            names.set("127.0.0.1 localhost")
            await world.reaches(State.SUCCEEDED, request.id)
            await world.until(lambda: len(world.cards()) == 2)
            assert world.moved() == [REFUNDED]
            world.check_record()
        finally:
            await process.stop()


@asynccontextmanager
async def _self_signed() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server whose certificate nobody vouches for; what it was told once a client had trusted it."""
    told: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(await reader.read(1024))
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", told


async def certificate_not_trusted(folder: Path) -> None:
    """TLS fails: the person reads why it waits, and not a byte of the request, with its key, is sent."""
    async with _self_signed() as (url, told):
        async with a_process(folder, environment={"OTTU_BASE_URL": url}) as (world, _):
            await world.type(ALICE, "refund ORD123 5.000")
            said = await world.told_something(ALICE, "It waits")
            assert "certificate verify failed" in said, said
            assert world.request().state is State.CHECKING
            await world.type(ALICE, f"withdraw {world.request().id}")
            await world.until(lambda: world.request().state is State.WITHDRAWN)
            world.check_record()
        assert told == []


async def a_byte_a_second(folder: Path) -> None:
    """The answer drips: the deadline ends it, the outcome is unknown, and what Ottu shows afterwards decides."""
    async with a_process(folder, policy=BRIEF) as (world, _):
        world.ottu.configure(throttle_scale=0.00005)
        world.ottu.fault("dripping", endpoint="inquiry")
        await world.type(ALICE, "refund ORD123 5.000")
        await world.told_something(ALICE, "It waits")
        await world.until(lambda: len(world.cards()) == 1, 20, hurry=("check",))
        request = world.request()
        world.ottu.fault("dripping")
        begun = time.monotonic()
        await world.press(BOB, "approve")
        await world.until(lambda: world.request(request.id).state is State.UNKNOWN)
        assert time.monotonic() - begun < 6
        await world.reaches(State.SUCCEEDED, request.id, 20)
        assert (world.moved(), len(world.operations_sent())) == ([REFUNDED], 1)
        world.check_record()


SCENARIOS: tuple[Scenario, ...] = (
    disk_full,
    writes_fail,
    locked_for_long,
    disk_full_at_the_start,
    locked_at_the_start,
    read_only_at_the_start,
    log_deleted,
    log_missing_at_the_start,
    damaged_at_the_start,
    damaged_while_it_runs,
    no_descriptors,
    name_not_found,
    certificate_not_trusted,
    a_byte_a_second,
)


def run(names: Sequence[str] = (), rounds: int = 1) -> Figures:
    """Each scenario, or those named, so many times."""
    begun = time.monotonic()
    chosen = [scenario for scenario in SCENARIOS if not names or scenario.__name__ in names]
    held = impossible = 0
    failures: list[str] = []
    for scenario in chosen * rounds:
        try:
            with tempfile.TemporaryDirectory() as folder:
                asyncio.run(scenario(Path(folder)))  # type: ignore[arg-type]  # they are coroutines
            held += 1
        except Unavailable:
            impossible += 1
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            why = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
            failures.append(f"python -m tests.proofs.surroundings {scenario.__name__}: {why} {str(error)[:300]}")
    counted = {"scenarios held": held, "not possible here": impossible, "broken": len(failures)}
    return Figures("surroundings", 0, time.monotonic() - begun, counted, failures)


if __name__ == "__main__":
    figures = run(sys.argv[1:])
    print(figures)
    sys.exit(bool(figures.failures))
