"""Commands that only read: connect as the worker's role, which sees every entity, and ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from quaestor.cli.place import Opened, open_place

if TYPE_CHECKING:
    from quaestor.store import Database

__all__ = ["connected", "in_database"]

T = TypeVar("T")


def in_database(
    data: Path | None, dsn: str | None, work: Callable[[Opened, Database], Awaitable[T]]
) -> T:
    """Open the deployment, connect, and run `work(opened, database)`."""
    with open_place(data, dsn) as opened:
        return asyncio.run(connected(opened, work))


async def connected(opened: Opened, work: Callable[[Opened, Database], Awaitable[T]]) -> T:
    """Run `work(opened, database)` with a connection for this command alone."""
    from quaestor.store import Database

    async with await Database.connect(
        opened.dsn, role="quaestor_worker", application_name="quaestor", max_size=2
    ) as database:
        return await work(opened, database)
