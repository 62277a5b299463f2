"""How long the engine's claim takes, beside the same claim in a database without a past.

The same due documents are laid down in both. Claims are made in turns and rolled back, and each
pair is compared by itself: the machine wanders by more than what is asked.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg
import msgspec

from quaestor.bench.folder import ENTITY
from quaestor.bench.laying import PAST_VERSION, lay_down
from quaestor.bench.load import BenchFailed, percentile
from quaestor.flows.requisition_to_order import REQUISITION_TO_ORDER
from quaestor.runtime.dispatch import Dispatch
from quaestor.runtime.lanes import NO_SYSTEM, lane_name
from quaestor.store import Connection, Database
from quaestor.store.embedded import EmbeddedServer
from quaestor.store.migrate import migrate

__all__ = ["CLAIMED", "Claims", "Probes"]

CLAIMED = 80
"""Documents that are due and claimed at a time, as the engine does."""

_EMPTY_DATABASE = "quaestor_empty"
# One claim is about a millisecond; a block of them makes one side of a pair.
_PAIRS = 24
_BLOCK = 15

_IDS = "select id from quaestor.document where source_id like 'probe-%'"
_DUE = "update quaestor.work set due_at = quaestor.clock() where document_id = any($1)"
_NOT_DUE = "update quaestor.work set due_at = null where document_id = any($1)"


class Claims(msgspec.Struct, frozen=True):
    """Claims of `CLAIMED` documents, in ms; `of_empty` is the median of the pairs."""

    p50_ms: float
    p99_ms: float
    empty_p50_ms: float
    of_empty: float


@dataclass
class Probes:
    """The due documents that are claimed, in the database at work and in an empty one.

    They are of a version that no worker knows, so that one may be running.
    """

    _sides: Sequence[_Side]

    @classmethod
    @asynccontextmanager
    async def laid(cls, server: EmbeddedServer, release: str) -> AsyncIterator[Probes]:
        """Lay them down in both; they are not due yet."""
        async with AsyncExitStack() as stack:
            owner = await _owner(stack, server.dsn)
            await owner.execute(f"create database {_EMPTY_DATABASE}")
            empty = server.dsn_of(_EMPTY_DATABASE)
            await migrate(empty)
            owners = [owner, await _owner(stack, empty)]
            yield cls(
                [
                    await _side(stack, dsn, each, release)
                    for dsn, each in zip([server.dsn, empty], owners, strict=True)
                ]
            )

    async def compare(self) -> Claims:
        """Claim in turns, and leave everything as it was."""
        for side in self._sides:
            await side.owner.execute(_DUE, side.ids)
            await side.times_ms(_BLOCK)
        found: tuple[list[float], list[float]] = ([], [])
        ratios = []
        for pair in range(_PAIRS):
            blocks: list[list[float]] = [[], []]
            for place in (0, 1) if pair % 2 else (1, 0):
                blocks[place] = await self._sides[place].times_ms(_BLOCK)
                found[place].extend(blocks[place])
            ratios.append(statistics.median(blocks[0]) / statistics.median(blocks[1]))
        for side in self._sides:
            await side.owner.execute(_NOT_DUE, side.ids)
        return Claims(
            p50_ms=round(statistics.median(found[0]), 3),
            p99_ms=round(percentile(found[0], 99), 3),
            empty_p50_ms=round(statistics.median(found[1]), 3),
            of_empty=round(statistics.median(ratios), 3),
        )


@dataclass
class _Side:
    """One of the two databases."""

    owner: asyncpg.Connection
    connection: Connection
    ids: Sequence[int]

    async def times_ms(self, count: int) -> list[float]:
        return [await self._claim_ms() for _ in range(count)]

    async def _claim_ms(self) -> float:
        transaction = self.connection.transaction()
        await transaction.start()
        try:
            began = time.perf_counter()
            claimed = await _DISPATCH.claim(
                self.connection, {_LANE: CLAIMED}, woken_max=CLAIMED, in_flight=[]
            )
            took_ms = (time.perf_counter() - began) * 1000
        finally:
            await transaction.rollback()
        if len(claimed) != CLAIMED:
            raise BenchFailed(f"{len(claimed)} documents were claimed, not {CLAIMED}")
        return took_ms


_LANE = lane_name(NO_SYSTEM, ENTITY)
_DISPATCH = Dispatch({(REQUISITION_TO_ORDER.name, PAST_VERSION): REQUISITION_TO_ORDER})


async def _owner(stack: AsyncExitStack, dsn: str) -> asyncpg.Connection:
    connection = await asyncpg.connect(dsn)
    stack.push_async_callback(connection.close)
    return connection


async def _side(stack: AsyncExitStack, dsn: str, owner: asyncpg.Connection, release: str) -> _Side:
    await lay_down(owner, release, "probe-", CLAIMED)
    ids = [row["id"] for row in await owner.fetch(_IDS)]
    await owner.execute(_NOT_DUE, ids)
    # As a worker is connected: its session also says how statements are planned.
    database = await stack.enter_async_context(
        await Database.connect(dsn, role="quaestor_worker", application_name="quaestor bench")
    )
    connection = await stack.enter_async_context(database.connection())
    return _Side(owner, connection, ids)
