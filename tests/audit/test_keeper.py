"""Workers keep the trail among themselves: leaves, checkpoints, partitions, alarms."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from quaestor.audit.checkpoint import Checkpointer, read_place
from quaestor.audit.keeper import Keeper
from quaestor.audit.note import SigningKey
from quaestor.model.refusal import Refusal
from tests.audit.builders import append_entries
from tests.support.database import TestDatabase

KEY = SigningKey("audit.example.com/test", b"k" * 32)
DEADLINE_S = 30.0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():  # noqa: ASYNC110 -- what is waited for is in the database
            await asyncio.sleep(0.005)


async def test_two_keepers_sign_one_history(database: TestDatabase, tmp_path: Path) -> None:
    alarms: list[Refusal] = []
    stop = asyncio.Event()
    places = [tmp_path / "data", tmp_path / "witness"]
    worker = await database.connect("quaestor_worker")
    keepers = [
        Keeper(
            await database.connect("quaestor_worker"),
            Checkpointer("audit.example.com/test", [KEY], places),
            on_alarm=alarms.append,
            checkpoint_every_s=0.01,
            lag_every_s=0.01,
            months_ahead=5,
        )
        for _ in range(2)
    ]

    async def signed() -> bool:
        return bool(places[1].exists() and read_place(places[1])[-1:])

    async def partitioned() -> bool:
        count = await worker.fetchval(
            "select count(*) from pg_inherits where inhparent = 'quaestor.audit'::regclass"
        )
        return bool(count == 7)

    async def placed() -> bool:
        return bool(await worker.fetchval("select count(*) from quaestor.audit_leaf") == 40)

    async with asyncio.TaskGroup() as group:
        for keeper in keepers:
            group.create_task(keeper.run(stop))
        async with worker.transaction() as connection:
            await append_entries(connection, 20)
        await until(signed)
        await until(partitioned)
        async with worker.transaction() as connection:
            await append_entries(connection, 20)
        await until(placed)
        stop.set()

    assert alarms == []
    assert read_place(places[0]) == read_place(places[1])
    assert read_place(places[0])[-1].size == 40


async def test_what_stands_in_no_month_is_told_until_it_can_be_moved(
    database: TestDatabase, tmp_path: Path
) -> None:
    alarms: list[Refusal] = []
    stop = asyncio.Event()
    worker = await database.connect("quaestor_worker")
    signing = Checkpointer("audit.example.com/test", [KEY], [tmp_path / "data"])
    async with worker.transaction() as connection:
        await append_entries(connection, at=datetime(2031, 3, 1, tzinfo=UTC))

    async def told() -> bool:
        return any(alarm.code == "audit_outside_months" for alarm in alarms)

    async def moved() -> bool:
        return bool(await worker.fetchval("select to_regclass('quaestor.audit_2031_03')"))

    async with worker.transaction() as reader:
        await reader.fetch("select from quaestor.audit limit 1")
        async with asyncio.TaskGroup() as group:
            group.create_task(Keeper(worker, signing, on_alarm=alarms.append).run(stop))
            await until(told)
            stop.set()
    stop.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(Keeper(worker, signing, on_alarm=alarms.append).run(stop))
        await until(moved)
        stop.set()

    assert [alarm.code for alarm in alarms] == ["audit_outside_months"]


async def test_what_a_person_has_to_see_is_told_by_name(
    database: TestDatabase, tmp_path: Path
) -> None:
    alarms: list[Refusal] = []
    stop = asyncio.Event()
    unwritable = tmp_path / "file"
    unwritable.write_text("")
    worker = await database.connect("quaestor_worker")
    owner = await database.connect()
    keeper = Keeper(
        await database.connect("quaestor_worker"),
        Checkpointer("audit.example.com/test", [KEY], [unwritable, tmp_path / "data"]),
        on_alarm=alarms.append,
        checkpoint_every_s=0.01,
        lag_limit_s=0.5,
        lag_every_s=0.01,
    )

    def told(code: str) -> Callable[[], Awaitable[bool]]:
        async def answer() -> bool:
            return any(alarm.code == code for alarm in alarms)

        return answer

    async with asyncio.TaskGroup() as group:
        group.create_task(keeper.run(stop))
        async with worker.transaction() as connection:
            await append_entries(connection)
        await until(told("audit_checkpoint_unwritable"))
        async with owner.transaction() as connection:
            await connection.execute("set local session_replication_role = replica")
            await connection.execute("update quaestor.audit_leaf set leaf_hash = sha256('')")
        await until(told("audit_trail_altered"))
        async with worker.transaction() as slow:
            await append_entries(slow)
            async with worker.transaction() as connection:
                await append_entries(connection)
            await until(told("audit_horizon_blocked"))
        stop.set()

    assert {alarm.owner for alarm in alarms} == {"operator", "finance"}
