"""`quaestor worklist`: what waits for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from quaestor.cli.output import Json, Output, command, usage_error
from quaestor.cli.place import Data, Dsn, Opened
from quaestor.cli.reading import in_database

if TYPE_CHECKING:
    from quaestor.model.refusal import Owner
    from quaestor.runtime.worklist import NotUnderstoodItem, WorklistItem
    from quaestor.store import Database

__all__ = ["worklist"]

_OWNERS = ("requester", "finance", "operator")


@command
def worklist(
    data: Data = None,
    dsn: Dsn = None,
    owner: Annotated[str, typer.Option(help=f"One of {', '.join(_OWNERS)}.")] = "",
    entity: Annotated[str, typer.Option(help="Of one legal entity only.")] = "",
    as_json: Json = False,
) -> None:
    """Show what waits for a person: why, how long, and the ways out; and what came in and was not
    understood."""
    from rich.table import Table

    if owner and owner not in _OWNERS:
        usage_error(f"--owner {owner}: one of {', '.join(_OWNERS)}")
    output = Output(as_json=as_json)

    async def read(
        opened: Opened, database: Database
    ) -> tuple[list[WorklistItem], list[NotUnderstoodItem]]:
        from quaestor.runtime.worklist import read_not_understood, read_worklist

        whose, of = cast("Owner | None", owner or None), entity or None
        async with database.connection() as connection:
            return (
                await read_worklist(connection, owner=whose, entity=of),
                await read_not_understood(connection, owner=whose, entity=of),
            )

    items, strange = in_database(data, dsn, read)
    table = Table(box=None, pad_edge=False)
    for title in ("owner", "document", "waits", "why", "ways out"):
        table.add_column(title, no_wrap=title not in ("why",), overflow="fold")
    for item in items:
        details = ", ".join(f"{name} {value}" for name, value in item.details.items())
        why = f"{item.refusal}: {item.meaning}" + (f" {details}" if details else "")
        document = f"{item.document_id} ({item.type} {item.number})"
        table.add_row(item.owner, document, age(item.age_s), why, ", ".join(item.ways_out))
    for one in strange:
        document = f"{one.system} {one.source_id}"
        why = f"{one.refusal}: not understood, {one.times} times since {one.received_at:%F %R}"
        table.add_row(one.owner, document, "", why, "")
    output.say(table if items or strange else "Nothing waits for a person.")
    output.result({"items": items, "not_understood": strange})


def age(seconds: int) -> str:
    """How long, in the largest unit that says it."""
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds // length_s} {unit}"
    return f"{seconds} s"
