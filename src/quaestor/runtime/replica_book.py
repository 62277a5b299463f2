"""What a process knows of the replicas: read when they change, and never while a document waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import structlog

from quaestor.model.replica import Replica
from quaestor.runtime.replicating import ROW_TYPES, decode_row
from quaestor.store import Connection, Database, is_storage_trouble

__all__ = ["EVERY_S", "ReplicaBook", "open_replicas"]

EVERY_S = 1.0

_LISTS = """
select system, kind, version, as_of, quaestor.clock() as now
from quaestor.replica where as_of is not null
"""
_ROWS = """
select id, body from quaestor.replica_row where system = $1 and kind = $2 and not staged
"""

_log = structlog.get_logger(__name__)


class ReplicaBook:
    """The replicas of one deployment. `serial` moves when one of them is another or newer; `now`
    is database time of the last look, by which their age counts; `every_s` between two looks.

    `entities` are those that the process may read for; a worker reads all.
    """

    def __init__(self, database: Database, entities: Sequence[str] | None = None) -> None:
        self._database = database
        # The empty one is of no single entity: people, suppliers.
        self._entities = None if entities is None else [*entities, ""]
        self._known: dict[tuple[str, str], Replica] = {}
        self.every_s = EVERY_S
        self.serial = 0
        self.now = datetime.min.replace(tzinfo=UTC)

    def find(self, kind: str, system: str) -> Replica | None:
        """The list of this kind that this system owns; `None` before its first whole load."""
        return self._known.get((kind, system))

    async def refresh(self) -> None:
        """Look at the versions; read what is another one."""

        async def work(connection: Connection) -> tuple[dict[tuple[str, str], Replica], datetime]:
            lists = await connection.fetch(_LISTS)
            found = {}
            for one in lists:
                key = one["kind"], one["system"]
                if one["kind"] in ROW_TYPES:
                    found[key] = await self._replica(connection, *key, one["version"], one["as_of"])
            return found, lists[0]["now"] if lists else self.now

        known, self.now = await self._database.run(
            work, isolation="repeatable_read", readonly=True, entities=self._entities
        )
        moved = _places(known) != _places(self._known)
        self._known = known
        self.serial += moved

    async def _replica(
        self, connection: Connection, kind: str, system: str, version: int, as_of: datetime
    ) -> Replica:
        held = self._known.get((kind, system))
        if held is not None and held.version == version:
            return held if held.as_of == as_of else Replica(system, version, as_of, held.rows)
        rows = await connection.fetch(_ROWS, system, kind)
        read = {row["id"]: decode_row(kind, row["body"]) for row in rows}
        return Replica(system, version, as_of, read)

    async def run(self, stop: asyncio.Event) -> None:
        """Refresh until stopped."""
        while not stop.is_set():
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001 - see the next line
                # What is known stays and grows old; a look that ended would not even say so.
                if is_storage_trouble(error):
                    _log.warning("storage_unavailable", reason=type(error).__name__)
                else:
                    _log.exception("replicas_not_read")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self.every_s)


@asynccontextmanager
async def open_replicas(
    database: Database, entities: Sequence[str] | None = None
) -> AsyncIterator[ReplicaBook]:
    """The replicas as they stand, looked at again and again until the end."""
    book, stop = ReplicaBook(database, entities), asyncio.Event()
    await book.refresh()
    looking = asyncio.create_task(book.run(stop))
    try:
        yield book
    finally:
        stop.set()
        await looking


def _places(known: Mapping[tuple[str, str], Replica]) -> dict[tuple[str, str], object]:
    return {key: (replica.version, replica.as_of) for key, replica in known.items()}
