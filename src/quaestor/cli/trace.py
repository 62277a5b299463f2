"""`quaestor trace`: every step of one document, from its receipt to its order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from quaestor.cli.output import Failed, Json, Output, command
from quaestor.cli.place import AuditKey, Data, Dsn, Opened
from quaestor.cli.reading import in_database

if TYPE_CHECKING:
    from quaestor.audit.trace import Trace
    from quaestor.store import Database

__all__ = ["trace"]


@command
def trace(
    asked: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Correlation id, document id, posting key, or a number anywhere."
        ),
    ],
    data: Data = None,
    dsn: Dsn = None,
    audit_key: AuditKey = None,
    names: Annotated[
        bool, typer.Option("--names", help="Name people, for those who may know.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show every step of one document.

    With --json: system, actor, before and after, versions, and what went over the wire.
    """
    from quaestor.cli.telling import timeline

    output = Output(as_json=as_json)

    async def read(opened: Opened, database: Database) -> tuple[Trace | None, Mapping[str, str]]:
        from quaestor.audit.subjects import Subjects
        from quaestor.audit.trace import trace as read_trace
        from quaestor.cli.naming import names_in

        subjects = Subjects(opened.audit_key(audit_key)) if names else None
        async with database.connection() as connection:
            found = await read_trace(connection, asked, subjects=subjects)
            if found is None or subjects is None:
                return found, {}
            return found, await names_in(connection, subjects, found.steps)

    found, named = in_database(data, dsn, read)
    if found is None:
        raise Failed(f"Nothing here leads from {asked} to a document.", code="trace_unknown")
    output.say(f"{found.correlation_id}, found by its {found.matched}")
    timeline(output, found.steps, named)
    for other in found.others:
        output.say(f"{asked} also leads to {other}")
    if found.truncated:
        output.say("There are more steps than are shown.")
    if found.archived:
        output.say(f"Further steps may be in the files of {', '.join(found.archived)}.")
    output.result(found)
