"""Every statement of the product finds its rows by keys, whatever the statistics say.

Statements stand as constants of their modules. All of them are planned here, as the role that asks
them: over empty tables, and over some that were looked through. One that reads a growing table
whole, or the whole of an index, is named below with its reason; a new one that is not fails.
"""

from __future__ import annotations

import importlib
import itertools
import json
import pkgutil
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import quaestor
from quaestor.bench.laying import lay_down, lay_down_done
from quaestor.console import counting
from quaestor.runtime import upkeep
from quaestor.store import Connection
from tests.support.database import TestDatabase

# These do not grow with the documents: the deployment, its systems and its workers.
SMALL = {
    "audit_archive",
    "audit_epoch",
    "audit_sequencer",
    "clock_offset",
    "deployment",
    "epoch",
    "migration",
    "release",
    "release_current",
    "replica",
    "stream",
    "system_state",
    "worker",
}
# Asked as the gateway asks, behind its policies; everything else as a worker does.
OF_GATEWAY = ("quaestor.actions", "quaestor.console", "quaestor.gateway")
# Asked by the owner of the tables alone.
OF_OWNER = ("quaestor.audit.archiving",)
# Measurements and stories, and a verification, which reads all there is.
NOT_HOT = ("quaestor.bench", "quaestor.cli", "quaestor.audit.verify")

ALLOWED: Mapping[str, str] = {
    "quaestor.actions.recover._OPEN": "counted once, for a person who recovers",
    "quaestor.actions.recover._UNRESOLVED": "counted once, for a person who recovers",
    "quaestor.audit.checkpoint._LAST": "the first of its index",
    "quaestor.audit.sequencer._INHERIT": "all entries of a dump, once",
    "quaestor.console.finding._LATEST_IDS": "the newest of the index, as many as are shown",
    "quaestor.console.health._ANSWERED": "the newest of the index, at most 1,000",
    "quaestor.console.reading._DOCUMENTS": "asked with a condition only",
    "quaestor.runtime.watching._CHECKPOINT": "the first of its index",
    "quaestor.runtime.watching._SPOOLED": "what should be empty, up to a limit",
}

STATEMENT = re.compile(r"\s*(\(?\s*select|insert into|update|delete from|with)\b", re.IGNORECASE)
_numbers = itertools.count()
PARTIAL = """
select c.relname from pg_index i join pg_class c on c.oid = i.indexrelid
where i.indpred is not null
"""


def statements() -> dict[str, str]:
    """Every constant of every module that is a statement, by `module.NAME`."""
    found = {}
    for module in pkgutil.walk_packages(quaestor.__path__, "quaestor."):
        if module.name.startswith(NOT_HOT) or module.name == "quaestor.__main__":
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, str) and STATEMENT.match(value) and "quaestor." in value:
                found[f"{module.name}.{name}"] = value
    return found


async def test_no_statement_reads_a_growing_table_whole(database: TestDatabase) -> None:
    empty = await _wholes(database)

    await _fill(database)
    filled = await _wholes(database)

    assert empty == set()
    assert filled == set()


async def test_every_exception_is_still_needed(database: TestDatabase) -> None:
    found = await _wholes(database, allowed=())

    assert {name for name, _ in found} == set(ALLOWED)


async def test_what_is_asked_every_second_passes_over_what_waits_for_people(
    database: TestDatabase,
) -> None:
    await _fill(database)
    worker = await database.connect(role="quaestor_worker")

    waited = await worker.run(lambda connection: _plan(connection, upkeep._WAITED))
    killers = await worker.run(lambda connection: _plan(connection, upkeep._KILLERS))
    look = await worker.run(lambda connection: _plan(connection, upkeep._LOOK))

    # None of these indexes holds what is parked or done.
    assert _indexes_of_work(waited) <= {"work_waiting", "work_due"}
    assert _indexes_of_work(killers) == {"work_deaths"}
    assert _indexes_of_work(look) <= {"work_waiting", "work_due", "work_deaths"}


async def test_what_waits_in_other_entities_is_not_read_to_count_ones_own(
    database: TestDatabase,
) -> None:
    await _fill(database)
    gateway = await database.connect(role="quaestor_gateway")

    plan = await gateway.run(lambda connection: _plan(connection, counting._PARKED))

    assert _indexes_of_work(plan) == {"work_parked_cause"}
    assert all("entity = ANY" in cond for cond in _conditions(plan, "work_parked_cause"))


async def test_a_scan_of_a_growing_table_is_found(database: TestDatabase) -> None:
    worker = await database.connect(role="quaestor_worker")

    async with worker.connection() as connection:
        sequential = await _plan(connection, "select state from quaestor.work where stage = $1")
        ordered = await _plan(connection, "select * from quaestor.document order by id")

    assert list(_read_whole(sequential, set())) == ["work"]
    assert list(_read_whole(ordered, set())) == ["document_pkey"]


async def _fill(database: TestDatabase) -> None:
    owner = await database.connect()
    async with owner.connection() as connection:
        await lay_down(connection, "a release", "parked-", 2000, parked=True)
        await lay_down_done(connection, "a release", "done-", 2000)
        await lay_down(connection, "a release", "due-", 100)
        await connection.execute("analyze quaestor.document, quaestor.document_body, quaestor.work")


async def _wholes(
    database: TestDatabase, allowed: Collection[str] = ALLOWED
) -> set[tuple[str, str]]:
    """Statements that read more than their keys say, with the table or index that they read."""
    worker = await database.connect(role="quaestor_worker")
    gateway = await database.connect(role="quaestor_gateway")
    owner = await database.connect()
    async with (
        worker.connection() as asking,
        gateway.connection() as calling,
        owner.connection() as owning,
    ):
        partial = {row["relname"] for row in await asking.fetch(PARTIAL)}
        found = set()
        for name, statement in statements().items():
            connection = calling if name.startswith(OF_GATEWAY) else asking
            connection = owning if name.startswith(OF_OWNER) else connection
            plan = await _plan(connection, statement)
            found.update((name, read) for read in _read_whole(plan, partial))
    return {each for each in found if each[0] not in allowed}


async def _plan(connection: Connection, statement: str) -> dict[str, Any]:
    """The generic plan: the one that every execution has."""
    await connection.execute(f"prepare hot as {statement}")
    count = max(map(int, re.findall(r"\$(\d+)", statement)), default=0)
    values = f"({', '.join(['null'] * count)})" if count else ""
    # The client would take the same words for the same statement.
    number = next(_numbers)
    explained = await connection.fetchval(
        f"explain (format json) execute hot {values} /* {number} */"
    )
    await connection.execute("deallocate hot")
    plan: dict[str, Any] = json.loads(explained)[0]["Plan"]
    return plan


def _read_whole(plan: dict[str, Any], partial: set[str]) -> Iterator[str]:
    """Tables read in sequence, and indexes of all rows that are read without a condition."""
    for node in _nodes(plan):
        table, index, kind = node.get("Relation Name"), node.get("Index Name"), node["Node Type"]
        if table in SMALL:
            continue
        if kind == "Seq Scan":
            yield table
        elif index is not None and "Index Cond" not in node and index not in partial:
            yield index


def _indexes_of_work(plan: dict[str, Any]) -> set[str]:
    indexes = {str(node.get("Index Name")) for node in _nodes(plan)}
    return {index for index in indexes if index.startswith("work_")}


def _conditions(plan: dict[str, Any], index: str) -> list[str]:
    return [node.get("Index Cond", "") for node in _nodes(plan) if node.get("Index Name") == index]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)
