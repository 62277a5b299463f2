"""Every table that holds an entity's data shows it to that entity alone (invariant I27)."""

from __future__ import annotations

import asyncpg
import pytest

from quaestor.actions.checking import read_balances
from tests.support.database import TestDatabase
from tests.support.engine import bench_on

# What belongs to the deployment and names no entity.
SHARED = {
    "audit_archive",
    "audit_epoch",
    "audit_leaf",
    "audit_node",
    "audit_sequencer",
    "checkpoint",
    "clock_offset",
    "deployment",
    "epoch",
    "migration",
    "outcome_spool",
    "stream",
    "release",
    "replica",
    "release_current",
    "system_state",
    "webhook_delivery",
    "worker",
}
APPLICATION_ROLES = ("quaestor_worker", "quaestor_gateway", "quaestor_reader")


async def test_each_table_with_an_entity_forces_row_security(database: TestDatabase) -> None:
    owner = await database.connect()

    rows = await owner.fetch(
        "select relname, relrowsecurity and relforcerowsecurity as forced, exists ("
        "  select from pg_attribute where attrelid = c.oid and attname = 'entity') as has_entity "
        "from pg_class c where relnamespace = 'quaestor'::regnamespace and relkind in ('r', 'p')"
    )

    unguarded = {row["relname"] for row in rows if row["has_entity"] and not row["forced"]}
    without = {row["relname"] for row in rows if not row["has_entity"]}
    assert unguarded == set()
    assert without <= SHARED


async def test_no_application_role_owns_a_table_or_passes_by_row_security(
    database: TestDatabase,
) -> None:
    owner = await database.connect()

    owned = await owner.fetchval(
        "select count(*) from pg_class c join pg_roles r on r.oid = c.relowner "
        "where relnamespace = 'quaestor'::regnamespace and rolname = any($1)",
        list(APPLICATION_ROLES),
    )
    bypassing = await owner.fetchval(
        "select count(*) from pg_roles where rolname = any($1) and (rolbypassrls or rolsuper)",
        list(APPLICATION_ROLES),
    )

    assert (owned, bypassing) == (0, 0)


@pytest.mark.parametrize(("entities", "seen"), [(["acme-de"], 3), (["acme-us"], 0), ([], 0)])
async def test_a_caller_sees_the_documents_of_his_entities_only(
    database: TestDatabase, entities: list[str], seen: int
) -> None:
    bench = await bench_on(database)
    await bench.take_in(3)
    gateway = await database.connect(role="quaestor_gateway")

    async with gateway.transaction(entities=entities) as connection:
        counts = [
            await connection.fetchval(f"select count(*) from quaestor.{table}")
            for table in ("document", "document_body", "work", "audit")
        ]

    assert counts == [seen] * 4


@pytest.mark.parametrize(("entity", "seen"), [("acme-de", ["a/1", "a/1/x"]), ("acme-us", [])])
async def test_who_looks_at_balances_sees_his_own_and_what_is_above_and_only_for_that_look(
    database: TestDatabase, entity: str, seen: list[str]
) -> None:
    owner = await database.connect()
    await owner.fetch(
        "insert into quaestor.budget_balance (node, entity, parent, control, budget) values "
        "('a/1', 'acme-de', null, 'absolute', 1), ('a/1/x', 'acme-de', 'a/1', 'absolute', 1), "
        "('a/2', 'acme-de', null, 'absolute', 1)"
    )
    gateway = await database.connect(role="quaestor_gateway", max_size=1)

    found = await read_balances(gateway, [entity], ["a/1/x"])

    assert sorted(found) == seen
    # The same connection, which was given back as it was.
    assert await gateway.fetchval("select count(*) from quaestor.budget_balance") == 0


async def test_without_any_entity_in_the_session_nothing_is_seen(database: TestDatabase) -> None:
    bench = await bench_on(database)
    await bench.take_in(1)
    gateway = await database.connect(role="quaestor_gateway")

    counted = await gateway.fetchval("select count(*) from quaestor.document")

    assert counted == 0


@pytest.mark.parametrize("statement", ["update {} set entity = 'x'", "delete from {}"])
@pytest.mark.parametrize("table", ["audit", "budget_entry"])
async def test_what_is_append_only_refuses_the_application_and_the_owner(
    database: TestDatabase, statement: str, table: str
) -> None:
    refused = []

    for role in ("quaestor_worker", None):
        pool = await database.connect(role=role)
        async with pool.connection() as connection:
            try:
                await connection.execute(statement.format(f"quaestor.{table}"))
            except asyncpg.PostgresError as error:
                refused.append(type(error))

    assert len(refused) == 2
