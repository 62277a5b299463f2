"""Leaves are gap-free and final, whoever commits late, dies, or takes over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from quaestor.audit.entry import leaf_hash
from quaestor.audit.merkle import Frontier, verify_consistency, verify_inclusion
from quaestor.audit.sequencer import Sequencer, SequencerFenced, measure_lag
from quaestor.audit.tree import TreeIncomplete, consistency_proof, inclusion_proof, tree_root
from quaestor.store.database import Database
from tests.audit.builders import append_entries, place_all
from tests.support.database import TestDatabase

DEADLINE_S = 30.0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():  # noqa: ASYNC110 -- what is waited for is in the database
            await asyncio.sleep(0.005)


async def leaves(pool: Database) -> list[tuple[int, int]]:
    rows = await pool.fetch("select leaf, audit_id from quaestor.audit_leaf order by leaf")
    return [(row["leaf"], row["audit_id"]) for row in rows]


async def committed(pool: Database) -> list[int]:
    rows = await pool.fetch("select id from quaestor.audit order by txid, id")
    return [row["id"] for row in rows]


async def test_entries_get_their_leaves_in_order_without_gaps(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    for _ in range(3):
        async with worker.transaction() as connection:
            await append_entries(connection, 5)

    await place_all(worker, batch=4)

    assert await leaves(worker) == list(enumerate(await committed(worker)))


async def test_a_leaf_holds_id_and_commitment(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    async with worker.transaction() as connection:
        await append_entries(connection)

    await place_all(worker)

    row = await worker.fetchrow(
        "select * from quaestor.audit a join quaestor.audit_leaf l on l.audit_id = a.id"
    )
    assert row is not None
    assert row["leaf_hash"] == leaf_hash(row["id"], row["commitment"])


async def test_nothing_overtakes_a_transaction_that_is_still_running(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker")
    late = await database.connect("quaestor_worker", application_name="a slow import")
    async with late.transaction() as slow:
        [first] = await append_entries(slow)
        async with worker.transaction() as connection:
            [second] = await append_entries(connection)

        placed_meanwhile = await place_all(worker)
        async with worker.connection() as connection:
            lag = await measure_lag(connection, limit_s=0.0)

    placed = await place_all(worker)
    assert (placed_meanwhile, placed) == (0, 2)
    assert await leaves(worker) == [(0, first), (1, second)]
    assert lag.entries == 1
    assert lag.blocker is not None
    assert lag.blocker.application == "a slow import"
    assert lag.blocker.pid is not None
    assert lag.blocker.age_s is not None
    assert lag.blocker.age_s > 0
    assert lag.refusal is not None
    assert lag.refusal.code == "audit_horizon_blocked"
    assert lag.refusal.details["application"] == "a slow import"


async def test_a_short_lag_blames_nobody(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    async with worker.transaction() as slow:
        await append_entries(slow)
        async with worker.transaction() as connection:
            await append_entries(connection)

        async with worker.connection() as connection:
            lag = await measure_lag(connection, limit_s=60.0)

    assert (lag.entries, lag.blocker, lag.refusal) == (1, None, None)


async def test_without_a_sequencer_the_lag_grows_and_blames_nobody(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker")
    async with worker.transaction() as connection:
        await append_entries(connection, 3)

    async with worker.connection() as connection:
        lag = await measure_lag(connection, limit_s=0.0)

    assert (lag.entries, lag.blocker) == (3, None)
    assert lag.waiting_s > 0
    assert lag.refusal is not None
    assert lag.refusal.code == "audit_leaves_behind"


async def test_only_one_sequencer_leads(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    first, second = Sequencer(worker), Sequencer(worker)

    async with worker.connection() as one, worker.connection() as other:
        assert await first.lead(one)
        assert not await second.lead(other)

    async with worker.connection() as other:
        assert await second.lead(other)


async def test_a_sequencer_whose_lock_is_lost_writes_nothing_more(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker")
    first, second = Sequencer(worker), Sequencer(worker)
    async with worker.connection() as one, worker.connection() as other:
        await first.lead(one)
        await one.execute("select pg_advisory_unlock_all()")
        await second.lead(other)
        async with worker.transaction() as connection:
            await append_entries(connection, 2)

        with pytest.raises(SequencerFenced):
            await first.place(one)

        assert not first.leading
        assert await leaves(worker) == []
        assert (await second.place(other)).count == 2


async def _write(pool: Database, seed: int, written: set[int]) -> None:
    """Transactions of one to four entries; a fifth of them is undone."""
    chance = random.Random(seed)
    for _ in range(12):
        transaction_ids: list[int] = []
        undone = chance.random() < 0.2
        try:
            async with pool.transaction() as connection:
                for _ in range(chance.randint(1, 3)):
                    transaction_ids += await append_entries(connection, chance.randint(1, 4))
                if undone:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            continue
        written.update(transaction_ids)


async def _write_slowly(
    pool: Database, until_written: int, written: set[int], begun: asyncio.Event
) -> None:
    """One transaction that stays open until the others have written so many entries."""

    async def others_are_far() -> bool:
        return len(written) >= until_written

    async with pool.transaction() as connection:
        mine = await append_entries(connection, 2)
        begun.set()
        await until(others_are_far)
        mine += await append_entries(connection, 2)
    written.update(mine)


async def _follow(pool: Database, seen: list[tuple[int, int]], stop: asyncio.Event) -> None:
    """An outside reader: keeps the last leaf it saw, and asks for later ones only."""
    while not stop.is_set():
        last = seen[-1][0] if seen else -1
        rows = await pool.fetch(
            "select leaf, audit_id from quaestor.audit_leaf where leaf > $1 order by leaf", last
        )
        seen.extend((row["leaf"], row["audit_id"]) for row in rows)
        await asyncio.sleep(0)


async def _kill_the_leader(pool: Database, killed: list[int], stop: asyncio.Event) -> None:
    while not stop.is_set():
        rows = await pool.fetch(
            "select pid, pg_terminate_backend(pid) from pg_locks"
            " where locktype = 'advisory' and granted"
            " and database = (select oid from pg_database where datname = current_database())"
        )
        killed.extend(row["pid"] for row in rows)
        await asyncio.sleep(0.05)


async def _run_writers(pool: Database, written: set[int]) -> None:
    async with asyncio.TaskGroup() as group:
        for share in (50, 120, 200):
            begun = asyncio.Event()
            group.create_task(_write_slowly(pool, share, written, begun))
            await begun.wait()
        for seed in range(12):
            group.create_task(_write(pool, seed, written))


async def _wait_until_placed(pool: Database, seen: list[tuple[int, int]], count: int) -> None:
    async def all_seen() -> bool:
        return len(seen) >= count

    await until(all_seen)


async def test_a_reader_by_leaf_misses_nothing_and_sees_nothing_twice(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker", max_size=20, acquire_timeout_s=DEADLINE_S)
    placing = await database.connect("quaestor_worker")
    written: set[int] = set()
    seen: list[tuple[int, int]] = []
    stop, stop_reading = asyncio.Event(), asyncio.Event()
    sequencer = Sequencer(placing, batch=7, poll_s=0.001)

    async with asyncio.TaskGroup() as group:
        group.create_task(sequencer.run(stop))
        group.create_task(_follow(worker, seen, stop_reading))
        await _run_writers(worker, written)
        await _wait_until_placed(worker, seen, len(written))
        stop.set()
        stop_reading.set()

    assert [leaf for leaf, _ in seen] == list(range(len(written)))
    assert {audit_id for _, audit_id in seen} == written == set(await committed(worker))
    assert [audit_id for _, audit_id in seen] == await committed(worker)


async def test_dying_sequencers_are_succeeded_without_gap_or_repetition(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker", max_size=20, acquire_timeout_s=DEADLINE_S)
    owner = await database.connect(max_size=3)
    placing = [await database.connect("quaestor_worker", max_size=2) for _ in range(3)]
    written: set[int] = set()
    killed: list[int] = []
    seen: list[tuple[int, int]] = []
    stop, stop_killing, stop_reading = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async with asyncio.TaskGroup() as group:
        for pool in placing:
            group.create_task(Sequencer(pool, batch=3, poll_s=0.001, stand_by_s=0.01).run(stop))
        group.create_task(_kill_the_leader(owner, killed, stop_killing))
        group.create_task(_follow(worker, seen, stop_reading))
        await _run_writers(worker, written)
        stop_killing.set()
        await _wait_until_placed(worker, seen, len(written))
        stop.set()
        stop_reading.set()

    assert len(killed) > 3
    assert [leaf for leaf, _ in seen] == list(range(len(written)))
    assert [audit_id for _, audit_id in seen] == await committed(worker)
    assert {audit_id for _, audit_id in seen} == written


async def test_a_dump_restored_into_a_new_cluster_goes_on_where_it_was(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker")
    owner = await database.connect()
    async with worker.transaction() as connection:
        await append_entries(connection, 3)
    await place_all(worker)
    # As a new cluster would find it: another identifier, and entries of transactions far ahead.
    await owner.fetch("update quaestor.audit_sequencer set system_identifier = '1'")
    await owner.fetch(
        "insert into quaestor.audit (id, txid, at, entity, correlation_id, commitment)"
        " select 500000 + n, (9000000000 + n)::text::xid8, now(), 'DE01', 'c', sha256('')"
        " from generate_series(1, 4) n"
    )

    inherited = await place_all(worker)
    async with worker.transaction() as connection:
        await append_entries(connection, 2)
    after = await place_all(worker)

    assert (inherited, after) == (7, 9)
    placed = await leaves(worker)
    assert [leaf for leaf, _ in placed] == list(range(9))
    assert [audit_id for _, audit_id in placed][3:7] == [500001, 500002, 500003, 500004]
    assert await worker.fetchval("select first_leaf from quaestor.audit_epoch") == 7


async def test_the_stored_tree_proves_every_leaf_and_every_growth(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker")
    async with worker.transaction() as connection:
        await append_entries(connection, 800)
    await place_all(worker, batch=300)
    rows = await worker.fetch("select leaf_hash from quaestor.audit_leaf order by leaf")
    frontier, roots = Frontier(), [Frontier().root]
    for row in rows:
        frontier.push(row["leaf_hash"])
        roots.append(frontier.root)

    async with worker.connection() as connection:
        sizes = [0, 1, 2, 255, 256, 257, 300, 511, 512, 513, 799, 800]
        computed = [await tree_root(connection, size) for size in sizes]
        inclusion = [
            verify_inclusion(
                leaf,
                800,
                rows[leaf]["leaf_hash"],
                await inclusion_proof(connection, leaf, 800),
                roots[800],
            )
            for leaf in (0, 1, 255, 256, 511, 512, 700, 799)
        ]
        consistency = [
            verify_consistency(
                old, 800, roots[old], roots[800], await consistency_proof(connection, old, 800)
            )
            for old in sizes
        ]
        with pytest.raises(TreeIncomplete):
            await tree_root(connection, 801)

    assert computed == [roots[size] for size in sizes]
    assert all(inclusion)
    assert all(consistency)


async def test_a_gateway_cannot_place_leaves(database: TestDatabase) -> None:
    gateway = await database.connect("quaestor_gateway")

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await gateway.fetch("insert into quaestor.audit_leaf values (0, 1, now(), sha256(''))")
