"""The gate is open for one database only, and says so of each connection."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from quaestor.runtime.gate import EpochGate
from quaestor.store import Connection
from quaestor.store.epoch import Epoch, EpochChanged, accept_epoch, establish_epoch
from tests.support.database import TestDatabase
from tests.support.engine import bench_on, running

RECOVERY_POINT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
ELSEWHERE = """
insert into quaestor.epoch (system_identifier, timeline, accepted_at, accepted_by)
values ('1', 1, quaestor.clock(), 'tests')
"""


async def test_a_gate_that_has_not_looked_lets_nothing_through(database: TestDatabase) -> None:
    gate = EpochGate()
    worker = await database.connect(role="quaestor_worker")

    async with worker.connection() as connection:
        with pytest.raises(EpochChanged):
            await gate.require(connection)

    assert not gate.is_open


async def test_a_first_epoch_lets_through_and_suspects_nothing(database: TestDatabase) -> None:
    gate = EpochGate()
    owner = await database.connect()

    async with owner.connection() as connection:
        await establish_epoch(connection, accepted_by="tests")
        news = [await gate.look(connection), await gate.look(connection)]
        await gate.require(connection)

    assert news == [True, False]
    assert (gate.is_open, gate.trouble) == (True, "")
    assert gate.find_first_before is None
    assert gate.lost_since is None


async def test_a_recovery_while_the_gate_is_open_counts_at_the_next_look(
    database: TestDatabase,
) -> None:
    gate = EpochGate()
    owner = await database.connect()
    async with owner.connection() as connection:
        await establish_epoch(connection, accepted_by="tests")
        await gate.look(connection)

        await accept_epoch(connection, accepted_by="ana", recovery_point=RECOVERY_POINT)
        await gate.look(connection)

    assert gate.accepted is not None
    assert gate.find_first_before == gate.accepted.accepted_at
    assert gate.lost_since == RECOVERY_POINT


async def test_another_database_closes_the_gate_with_a_word_for_the_operator(
    database: TestDatabase,
) -> None:
    gate = EpochGate()
    owner = await database.connect()

    async with owner.connection() as connection:
        await connection.execute(ELSEWHERE)
        news = await gate.look(connection)

    assert news
    assert not gate.is_open
    assert "quaestor recover" in gate.trouble


async def test_a_connection_that_leads_elsewhere_closes_the_gate_between_two_looks(
    database: TestDatabase,
) -> None:
    gate = EpochGate()
    owner = await database.connect()
    async with owner.connection() as connection:
        await establish_epoch(connection, accepted_by="tests")
        await gate.look(connection)
    assert gate.accepted is not None
    gate.accepted = replace(gate.accepted, epoch=Epoch("1", 1))

    async with owner.connection() as connection:
        with pytest.raises(EpochChanged):
            await gate.require(connection)

    assert not gate.is_open


class MisledGate(EpochGate):
    """Believes in another database than the one that it is connected to."""

    closed: asyncio.Event

    async def look(self, connection: Connection) -> bool:
        await super().look(connection)
        assert self.accepted is not None
        self.accepted = replace(self.accepted, epoch=Epoch("1", 1))
        return False

    async def require(self, connection: Connection) -> None:
        try:
            await super().require(connection)
        except EpochChanged:
            self.closed.set()
            raise


async def test_a_claim_on_another_database_takes_nothing(database: TestDatabase) -> None:
    bench = await bench_on(database)
    await bench.take_in(3)
    engine = bench.engine()
    gate = MisledGate()
    gate.closed = asyncio.Event()
    engine.advance = replace(engine.advance, gate=gate)

    async with running(engine):
        await asyncio.wait_for(gate.closed.wait(), 20.0)

    rows = await bench.database.fetch("select distinct fence from quaestor.work")
    assert [row["fence"] for row in rows] == [0]
    assert bench.erp.sends == 0
