"""The trail takes new rows, and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import random
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from quaestor.audit.append import EntryIds, append, entry_rows, payload_rows
from quaestor.audit.entry import canonical_bytes, commitment, decode_entry
from quaestor.audit.payload import Retention, make_payload
from quaestor.store.database import Database
from tests.audit.builders import an_entry, append_entries
from tests.support.database import TestDatabase


async def test_an_entry_is_stored_with_its_commitment(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    entry = an_entry(document_id=7, correlation_id="c-7", details={"said": "Müller"})

    async with worker.transaction() as connection:
        await append(connection, [entry])

    row = await worker.fetchrow("select * from quaestor.audit")
    assert row is not None
    assert row["canonical"] == canonical_bytes(entry)
    assert row["commitment"] == commitment(row["salt"], row["canonical"])
    assert (row["id"], row["at"], row["entity"]) == (entry.id, entry.at, "DE01")
    assert (row["document_id"], row["correlation_id"]) == (7, "c-7")
    assert decode_entry(row["canonical"]) == entry


async def test_a_payload_is_stored_once_however_often_it_is_appended(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker")
    payload = make_payload("DE01", Retention.WIRE, b"<order/>")

    for _ in range(2):
        async with worker.transaction() as connection:
            await append_entries(connection, 2, (payload, payload), payloads=(payload.reference,))

    rows = await worker.fetch("select hash from quaestor.audit_payload")
    assert [row["hash"] for row in rows] == [hashlib.sha256(b"<order/>").digest()]


async def test_what_was_rolled_back_was_never_there(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")

    async def failing() -> None:
        async with worker.transaction() as connection:
            await append_entries(connection, 3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()

    assert await worker.fetchval("select count(*) from quaestor.audit") == 0


async def test_committers_that_share_payloads_never_dead_lock(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker", max_size=8, acquire_timeout_s=30)
    payloads = [make_payload("DE01", Retention.WIRE, bytes([n])) for n in range(60)]

    async def commit(seed: int) -> None:
        shuffled = random.Random(seed).sample(payloads, len(payloads))
        async with worker.transaction() as connection:
            await append_entries(connection, 1, tuple(shuffled))

    await asyncio.gather(*(commit(seed) for seed in range(40)))

    assert await worker.fetchval("select count(*) from quaestor.audit_payload") == 60
    assert await worker.fetchval("select count(*) from quaestor.audit") == 40


async def test_a_change_whose_entry_cannot_be_written_does_not_happen(
    database: TestDatabase,
) -> None:
    worker, owner = await database.connect("quaestor_worker"), await database.connect()
    await owner.fetch("drop table quaestor.audit cascade")

    async def change() -> None:
        async with worker.transaction() as connection:
            await connection.execute(
                "insert into quaestor.worker (id, started_at, seen_at) values ('w', now(), now())"
            )
            await append_entries(connection)

    with pytest.raises(asyncpg.UndefinedTableError):
        await change()
    assert await worker.fetchval("select count(*) from quaestor.worker") == 0


async def test_ids_of_many_takers_are_distinct(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    first, second = EntryIds(), EntryIds()

    async with worker.connection() as connection:
        taken = [
            number
            for ids, count in ((first, 700), (second, 1), (first, 700), (second, 2500))
            for number in await ids.take(connection, count)
        ]

    assert len(set(taken)) == 3901


def test_payloads_are_inserted_in_the_order_of_their_keys() -> None:
    payloads = [
        make_payload(entity, Retention.WIRE, bytes([n])) for n in range(20) for entity in "BA"
    ]

    rows = payload_rows([*payloads, *payloads])

    keys = list(zip(rows.entities, rows.retentions, rows.hashes, strict=True))
    assert keys == sorted(keys)
    assert len(keys) == 40


def test_each_entry_has_a_salt_of_its_own() -> None:
    rows = entry_rows([an_entry(), an_entry()])

    assert len(set(rows.salts)) == 2
    assert len(set(rows.commitments)) == 2


_CHANGES = {
    "update": "update quaestor.{table} set {column} = {column}",
    "delete": "delete from quaestor.{table}",
    "truncate": "truncate quaestor.{table} cascade",
}
_TABLES = {
    "audit": "commitment",
    "audit_other": "commitment",
    "audit_payload": "content",
    "subject": "sealed",
    "audit_leaf": "leaf_hash",
    "audit_node": "hash",
    "audit_epoch": "system_identifier",
    "checkpoint": "note",
}


async def accepted(pool: Database, refusal: type[asyncpg.PostgresError]) -> list[str]:
    """Which of all changes to all tables were not refused in this way."""
    taken = []
    for table, column in _TABLES.items():
        for change in _CHANGES.values():
            statement = change.format(table=table, column=column)
            try:
                await pool.fetch(statement)
            except refusal:
                continue
            taken.append(statement)
    return taken


async def test_the_owner_cannot_change_the_trail(database: TestDatabase) -> None:
    owner = await database.connect()

    assert await accepted(owner, asyncpg.RestrictViolationError) == []


@pytest.mark.parametrize("role", ["quaestor_worker", "quaestor_gateway", "quaestor_reader"])
async def test_the_application_has_no_right_to_change_the_trail(
    database: TestDatabase, role: str
) -> None:
    pool = await database.connect(role)

    assert await accepted(pool, asyncpg.InsufficientPrivilegeError) == []


async def test_nobody_states_his_own_transaction_id(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await worker.fetch(
            "insert into quaestor.audit (id, txid, at, entity, correlation_id, commitment)"
            " values (1, '1', now(), 'DE01', 'c', sha256(''))"
        )


async def test_a_gateway_sees_and_adds_only_what_belongs_to_its_entities(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker")
    gateway = await database.connect("quaestor_gateway")
    payloads = tuple(make_payload(name, Retention.WIRE, b"x") for name in ("DE01", "FR01"))
    async with worker.transaction() as connection:
        await append_entries(connection, 1, payloads, entity="DE01")
        await append_entries(connection, 1, entity="FR01")

    async with gateway.transaction(entities=["FR01"]) as connection:
        await append_entries(connection, 1, entity="FR01")
        seen = await connection.fetch("select entity from quaestor.audit")
        payloads_seen = await connection.fetch("select entity from quaestor.audit_payload")

    assert [row["entity"] for row in seen] == ["FR01", "FR01"]
    assert [row["entity"] for row in payloads_seen] == ["FR01"]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with gateway.transaction(entities=["FR01"]) as connection:
            await append_entries(connection, 1, entity="DE01")


async def test_every_table_of_the_trail_forces_row_level_security(
    database: TestDatabase,
) -> None:
    owner = await database.connect()

    unguarded = await owner.fetch(
        "select relname from pg_class where relnamespace = 'quaestor'::regnamespace"
        " and (relname like 'audit%' or relname in ('subject', 'checkpoint'))"
        " and relkind in ('r', 'p') and not (relrowsecurity and relforcerowsecurity)"
    )

    assert unguarded == []


async def test_an_entry_of_any_month_finds_a_partition(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    now = await worker.fetchval("select quaestor.clock()")
    times = [datetime(1999, 12, 31, tzinfo=UTC), now, now + timedelta(days=40)]

    async with worker.transaction() as connection:
        ids = await EntryIds().take(connection, 3)
        await append(connection, [an_entry(id=ids[n], at=at) for n, at in enumerate(times)])

    rows = await worker.fetch(
        "select tableoid::regclass::text as name from quaestor.audit order by at"
    )
    assert rows[0]["name"] == "audit_other"
    assert rows[1]["name"] == f"audit_{now:%Y_%m}"
    assert rows[2]["name"] == f"audit_{times[2]:%Y_%m}"


async def test_partitions_are_made_ahead_by_the_worker_and_only_once(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker")
    async with worker.transaction() as connection:
        made = await connection.fetchval("select quaestor.audit_partitions(6)")
        again = await connection.fetchval("select quaestor.audit_partitions(6)")

    assert (made, again) == (3, 0)


async def test_a_month_with_rows_in_the_default_partition_stays_there(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker")
    now = await worker.fetchval("select quaestor.clock()")
    async with worker.transaction() as connection:
        await append(connection, [an_entry(at=now + timedelta(days=31 * 6))])

    async with worker.transaction() as connection:
        made = await connection.fetchval("select quaestor.audit_partitions(8)")

    assert made == 4
