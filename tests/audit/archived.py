"""A trail over several months, whose months can be written to files and detached."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from quaestor.audit.append import EntryIds, append
from quaestor.audit.archive import Archive, verify_archive
from quaestor.audit.archiving import (
    MonthFacts,
    detach,
    export,
    read_facts,
    why_not,
)
from quaestor.audit.checkpoint import Checkpoint, Checkpointer
from quaestor.audit.findings import VerifyReport
from quaestor.audit.months import gather
from quaestor.audit.note import SigningKey
from quaestor.audit.verify import verify
from quaestor.store import Database
from tests.audit.builders import an_entry, append_entries, place_all

__all__ = ["FEBRUARY", "JANUARY", "KEY", "MARCH", "ORIGIN", "Trail", "fill", "lines_of", "rewrite"]

KEY = SigningKey("audit.example.com/test", b"k" * 32)
ORIGIN = "audit.example.com/test"
JANUARY, FEBRUARY, MARCH = (datetime(2020, month, 15, 12, tzinfo=UTC) for month in (1, 2, 3))
# Entries of two months get their leaves in turns where transactions overlapped at the edge.
ORDER = (JANUARY, JANUARY, FEBRUARY, JANUARY, FEBRUARY, FEBRUARY, MARCH)


class Trail(NamedTuple):
    """Entries of three months of 2020 and some of now, placed, signed, and in their months."""

    worker: Database
    owner: Database
    signed: list[Checkpoint]

    async def facts(self, month: str = "2020-01", keep_months: int | None = 12) -> MonthFacts:
        async with self.owner.connection() as connection:
            return await read_facts(connection, month, keep_months)

    async def exported(self, folder: Path, month: str = "2020-01") -> Path:
        facts = await self.facts(month)
        assert why_not(facts) is None
        async with self.owner.connection() as connection:
            return await export(connection, facts, folder)

    async def detached(self, folder: Path, month: str = "2020-01") -> Path:
        facts = await self.facts(month)
        file = await self.exported(folder, month)
        async with self.owner.transaction() as connection:
            await detach(connection, facts, file, "ana.berger")
        return file

    async def verified(self, archives: Sequence[Archive] = ()) -> VerifyReport:
        async with self.worker.connection() as connection:
            return await verify(connection, self.signed, [KEY.verifying], archives=archives)

    def checked(self, file: Path) -> Archive:
        return verify_archive(file, self.signed, [KEY.verifying])


async def fill(worker: Database) -> list[Checkpoint]:
    for at in (*ORDER, *ORDER):
        async with worker.transaction() as connection:
            [id_] = await EntryIds().take(connection, 1)
            await append(connection, [an_entry(id=id_, at=at)])
    async with worker.transaction() as connection:
        await append_entries(connection, 300)
    await place_all(worker)
    async with worker.transaction() as connection:
        await gather(connection)
    async with worker.connection() as connection:
        published = await Checkpointer(ORIGIN, [KEY], []).publish(connection)
    assert published.checkpoint is not None
    return [published.checkpoint]


def lines_of(file: Path) -> list[Any]:
    return [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]


def rewrite(file: Path, lines: list[Any]) -> None:
    packed = "".join(json.dumps(line) + "\n" for line in lines)
    file.write_bytes(gzip.compress(packed.encode()))
