"""The database was changed behind the channels' back: what the channels still show gives it away."""

from __future__ import annotations

import sqlite3

from approvals.audit import GENESIS, Chain, ChainKey, Event, hashed
from approvals.request import Request, State
from bot.record import reading
from bot.settings import AuditSettings
from tests.bot.channels import audited
from tests.bot.world import World

Statement = tuple[str, tuple[object, ...]]


def rewrite(world: World, *statements: Statement) -> None:
    """Change the record by plain SQL, with its triggers dropped."""
    connection = sqlite3.connect(world.folder / "bot.db", isolation_level=None)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in names:
        connection.execute(f"DROP TRIGGER {name}")
    for sql, values in statements:
        connection.execute(sql, values)
    connection.close()


def chain_anew(world: World) -> None:
    """Make the chain whole again, without a key."""
    connection = sqlite3.connect(world.folder / "bot.db", isolation_level=None)
    connection.row_factory = sqlite3.Row
    rows = [dict(row) for row in connection.execute("SELECT * FROM events ORDER BY seq")]
    connection.execute("DELETE FROM events")
    prev = GENESIS
    for seq, row in enumerate(rows, 1):
        event = Event(**row | {"seq": seq, "prev": prev, "hash": ""})
        prev = ChainKey().hash(hashed(event))
        values = event.__dict__ | {"hash": prev}
        connection.execute(
            "INSERT INTO events VALUES (:seq, :at, :request_id, :kind, :actor, :from_state, :to_state, :version, :data,"
            " :key_id, :prev, :hash)",
            values,
        )
    connection.close()


async def test_a_tail_that_was_cut_is_found_by_every_message_that_names_it(told: World) -> None:
    """The last request, and all that followed the rejection, are gone from the record: the channel still shows them."""
    last, rejected = told.requests()[2].id, told.requests()[1].id
    seq = next(event.seq for event in told.store.events(rejected) if event.to_state == State.REJECTED)
    await told.stop()
    rewrite(
        told,
        ("DELETE FROM events WHERE seq >= ?", (seq,)),
        ("DELETE FROM requests WHERE id = ?", (last,)),
        ("UPDATE requests SET state = 'pending', version = 2, detail = NULL WHERE id = ?", (rejected,)),
    )
    found = await audited(told)
    assert found.status == 1
    assert {(one["request"], one["thing"]) for one in found.found["differences"]} == {
        (rejected, "card"),
        (rejected, "result"),
        (last, "card"),
        (None, "alarm"),
    }
    assert all("does not contain" in one["sentence"] for one in found.found["differences"])


async def test_a_record_that_was_written_anew_is_found_by_the_heads_in_the_channel(told: World) -> None:
    """One amount was changed everywhere, and the chain recomputed: it holds, but it is another one."""
    first = told.requests()[0].id
    await told.stop()
    rewrite(
        told,
        ("UPDATE requests SET amount_minor = 50000 WHERE id = ?", (first,)),
        ("""UPDATE events SET data = replace(data, '"amount_minor":5000', '"amount_minor":50000')""", ()),
    )
    chain_anew(told)
    with reading(AuditSettings(told.folder / "bot.db", told.folder, b"")) as store:
        chain = Chain(store.key)
        assert [one for event in store.events() for one in chain.differences(event)] + list(chain.end()) == []
    found = await audited(told)
    differing = [one for one in found.found["differences"] if one["request"] == first]
    assert {one["fact"] for one in differing} >= {"amount", "metadata head", "record"}
    assert any("the chain does not contain" in one["sentence"] for one in differing)
    shown = next(one for one in differing if one["fact"] == "amount" and one["thing"] == "card")
    assert (shown["shown"], shown["recorded"]) == ("Refund 5.000 KWD", "Refund 50.000 KWD")


async def test_a_request_put_into_the_record_has_no_card(told: World) -> None:
    """A refund that nobody asked for is written into the database: its events hold, no channel ever showed it."""
    first = told.requests()[0].id
    await told.stop()
    names = ", ".join(name for name in Request.__dataclass_fields__ if name not in {"id", "origin", "tracking_key"})
    rewrite(
        told,
        (
            f"INSERT INTO requests (id, origin, tracking_key, {names})"  # noqa: S608 - the names are our own
            f" SELECT 'R-9999', 'made up', 'made up', {names} FROM requests WHERE id = ?",
            (first,),
        ),
        (
            "INSERT INTO events SELECT seq + 1000, at, 'R-9999', kind, actor, from_state, to_state, version,"
            " replace(data, ?, 'R-9999'), key_id, prev, substr('made up' || hash, 1, 64) FROM events"
            " WHERE request_id = ?",
            (first, first),
        ),
    )
    chain_anew(told)
    found = await audited(told, whole=True)
    assert found.told() == [("missing", "card", None), ("missing", "result", None)]
    assert {one["request"] for one in found.found["differences"]} == {"R-9999"}


async def test_damaged_events_are_a_difference_and_no_crash(told: World) -> None:
    first = told.requests()[0].id
    await told.stop()
    rewrite(told, ("""UPDATE events SET data = '{"set":{"state":"lost"}}' WHERE request_id = ?""", (first,)))
    found = await audited(told)
    assert {one["request"] for one in found.found["differences"]} == {first}
    assert any("audit verify" in one["sentence"] for one in found.found["differences"])
