"""Where you are: whoever works on a production deployment sees it, in a word and in red.

On standard error, so that no pipe is disturbed; not with `--json`. A test deployment says nothing.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Protocol

from quaestor.cli.output import speaks_to_machine

__all__ = ["tell_where", "tell_where_at"]

_CONNECT_TIMEOUT_S = 3.0

_told: set[str] = set()


class Where(Protocol):
    """A deployment, as a project states it or as a database remembers it."""

    @property
    def name(self) -> str: ...

    @property
    def environment(self) -> str: ...


def tell_where(deployment: Where) -> None:
    """Say it once, if it is production."""
    if deployment.environment != "production" or speaks_to_machine.get():
        return
    line = f"PRODUCTION {deployment.name}: what you do here counts."
    if line in _told:
        return
    _told.add(line)
    from rich.console import Console

    console = Console(file=sys.stderr, highlight=False, emoji=False, soft_wrap=True)
    console.print(line, style="bold white on red", markup=False)


def tell_where_at(dsn: str) -> None:
    """The same, as the database remembers it; silence where it cannot be asked."""
    if speaks_to_machine.get():
        return
    pinned = asyncio.run(_pinned(dsn))
    if pinned is not None:
        tell_where(pinned)


async def _pinned(dsn: str) -> Where | None:
    import asyncpg

    from quaestor.store.deployment import read_pinned

    try:
        connection = await asyncpg.connect(
            dsn, timeout=_CONNECT_TIMEOUT_S, server_settings={"application_name": "quaestor where"}
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError):
        # The command itself will say what is wrong with the database.
        return None
    try:
        await connection.execute("set role quaestor_reader")
        return await read_pinned(connection)
    except asyncpg.PostgresError:
        # Not migrated yet.
        return None
    finally:
        await connection.close()
