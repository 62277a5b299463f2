"""Hot statements find their rows by keys, even where the tables were empty a moment ago."""

from __future__ import annotations

import re

import pytest

from quaestor.runtime import dispatch, ledger, outcomes, saving, upkeep
from quaestor.store import Connection
from tests.support.database import TestDatabase

GROWING = "work|document|document_body|intent|inbox|audit\\w*|crossref|budget_balance|budget_entry"
LARGE_SCAN = re.compile(rf"Seq Scan on ({GROWING})\b.*")

HOT = {
    "claim": dispatch._CLAIM,
    "documents": dispatch._DOCUMENTS,
    "later versions": dispatch._LATER,
    "intents": dispatch._INTENTS,
    "events": dispatch._EVENTS,
    "locks of outcomes": outcomes._HELD,
    "balances": ledger._LOCK,
    "moves of balances": ledger._MOVE,
    "work": saving._WORK,
    "changed intents": saving._INTENTS,
    "rewritten intents": saving._REWRITTEN,
}


@pytest.mark.parametrize("name", HOT)
async def test_a_hot_statement_reads_no_growing_table_whole(
    database: TestDatabase, name: str
) -> None:
    worker = await database.connect(role="quaestor_worker")

    plan = await worker.run(lambda connection: _plan(connection, HOT[name]))

    assert "Index" in plan
    assert LARGE_SCAN.findall(plan) == []


async def test_what_is_asked_every_second_passes_over_what_waits_for_people(
    database: TestDatabase,
) -> None:
    worker = await database.connect(role="quaestor_worker")

    waited = await worker.run(lambda connection: _plan(connection, upkeep._WAITED))
    killers = await worker.run(lambda connection: _plan(connection, upkeep._KILLERS))

    assert "work_waiting" in waited
    assert "work_deaths" in killers


async def test_a_scan_of_a_growing_table_is_found(database: TestDatabase) -> None:
    owner = await database.connect()

    async with owner.connection() as connection:
        await connection.execute("set enable_seqscan = on")
        plan = await _plan(connection, "select count(*) from quaestor.work where stage = $1")

    assert LARGE_SCAN.findall(plan) == ["work"]


async def _plan(connection: Connection, statement: str) -> str:
    """The generic plan: the one that a prepared statement ends up with."""
    await connection.execute("set plan_cache_mode = force_generic_plan")
    await connection.execute(f"prepare hot as {statement}")
    values = ", ".join(["null"] * max(map(int, re.findall(r"\$(\d+)", statement))))
    rows = await connection.fetch(f"explain execute hot ({values})")
    await connection.execute("deallocate hot")
    return "\n".join(row[0] for row in rows)
