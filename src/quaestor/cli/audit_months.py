"""`quaestor audit months`: the trail by month, and what stands in none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from quaestor.cli.output import Failed, Json, Output, command
from quaestor.cli.place import Data, Dsn, Opened, open_place

if TYPE_CHECKING:
    from quaestor.audit.months import Month, Outside

__all__ = ["months"]

# Moving a million entries takes about ten seconds, in which nothing can be written.
_GATHER_TIMEOUT_S = 3600.0
_GATHER_LOCK_TIMEOUT_S = 10.0
_GATHERED_MAX = 2**31 - 2


@command
def months(
    gather: Annotated[
        bool,
        typer.Option(
            "--gather",
            help="Move what stands in no month, however much; nothing is written meanwhile.",
        ),
    ] = False,
    data: Data = None,
    dsn: Dsn = None,
    as_json: Json = False,
) -> None:
    """The months of the trail. Exit code 1 where entries stand in none."""
    import asyncio

    output = Output(as_json=as_json)
    with open_place(data, dsn) as opened:
        moved, found, outside = asyncio.run(_look(opened, gather=gather))
    if gather:
        output.say(f"moved: {moved:,} entries")
    for month in found:
        output.say(f"{month.name}  about {month.entries:,} entries, {month.bytes:,} bytes")
    refusal = outside.refusal
    if refusal is not None:
        which = ", ".join(f"{month:%Y-%m}" for month in outside.months)
        output.say(f"{refusal.code} ({refusal.owner}): {refusal.details['entries']} of {which}")
    result = {
        "ok": refusal is None,
        "moved": moved,
        "months": found,
        "outside": {"entries": outside.entries, "months": [f"{m:%Y-%m}" for m in outside.months]},
    }
    output.result(result, good=refusal is None)


async def _look(opened: Opened, *, gather: bool) -> tuple[int, list[Month], Outside]:
    import asyncpg

    from quaestor.audit import months as trail
    from quaestor.store import Database

    async with await Database.connect(
        opened.dsn,
        role="quaestor_worker",
        application_name="quaestor",
        max_size=1,
        command_timeout_s=_GATHER_TIMEOUT_S,
        transaction_timeout_s=_GATHER_TIMEOUT_S,
    ) as database:
        moved = 0
        if gather:
            try:
                async with database.transaction() as connection:
                    moved = await trail.gather(
                        connection, at_most=_GATHERED_MAX, lock_timeout_s=_GATHER_LOCK_TIMEOUT_S
                    )
            except asyncpg.LockNotAvailableError as error:
                sentence = "Somebody has been reading the trail all the time; nothing was moved."
                raise Failed(sentence, code="audit_in_use") from error
        async with database.connection() as connection:
            return moved, await trail.read_months(connection), await trail.look_outside(connection)
