"""The gate is open for one database only, and says so of each connection."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from quaestor.runtime.gate import EpochGate
from quaestor.store.epoch import Epoch, EpochChanged, accept_epoch, establish_epoch
from tests.support.database import TestDatabase

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
