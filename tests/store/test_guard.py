"""Invariant I10: no network call while a database transaction is open."""

from __future__ import annotations

import asyncio

import pytest

from quaestor.store.errors import NetworkCallInTransaction
from quaestor.store.guard import assert_outside_transaction, in_transaction
from tests.support.database import TestDatabase


async def test_a_network_call_inside_a_transaction_is_refused(
    empty_database: TestDatabase,
) -> None:
    database = await empty_database.connect()

    async with database.transaction():
        with pytest.raises(NetworkCallInTransaction):
            assert_outside_transaction()


async def test_a_network_call_after_a_transaction_is_allowed(
    empty_database: TestDatabase,
) -> None:
    database = await empty_database.connect()

    async with database.transaction():
        pass

    assert not in_transaction()


async def test_a_transaction_that_raised_leaves_no_mark(empty_database: TestDatabase) -> None:
    database = await empty_database.connect()

    with pytest.raises(ZeroDivisionError):
        async with database.transaction():
            _ = 1 / 0

    assert not in_transaction()


async def test_a_task_started_inside_a_transaction_is_bound_until_that_ends(
    empty_database: TestDatabase,
) -> None:
    database = await empty_database.connect()
    answers: list[bool] = []
    ended = asyncio.Event()

    async def ask_twice() -> None:
        answers.append(in_transaction())
        await ended.wait()
        answers.append(in_transaction())

    async with database.transaction() as connection:
        task = asyncio.create_task(ask_twice())
        await connection.execute("select 1")
    ended.set()
    await task

    assert answers == [True, False]


async def test_another_task_is_not_bound_by_our_transaction(empty_database: TestDatabase) -> None:
    database = await empty_database.connect()
    opened, asked = asyncio.Event(), asyncio.Event()

    async def ask() -> bool:
        await opened.wait()
        asked.set()
        return in_transaction()

    task = asyncio.create_task(ask())
    async with database.transaction():
        opened.set()
        await asked.wait()

    assert await task is False
