"""`quaestor observe`: what was held while systems were only read, and what becomes of it."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quaestor.cli.acting import By
from quaestor.cli.output import Failed, Json, Output, command, usage_error
from quaestor.cli.place import Data, Dsn, Opened
from quaestor.cli.reading import in_database
from quaestor.cli.worklist import age

if TYPE_CHECKING:
    from quaestor.runtime.held import HeldSend, Observed
    from quaestor.store import Connection, Database

__all__ = ["observe"]

observe = typer.Typer(help="What was held while systems are only read.", no_args_is_help=True)

Entity = Annotated[str, typer.Option(help="Of one legal entity only.")]
System = Annotated[str, typer.Option(help="What would have been sent to this system only.")]
Documents = Annotated[
    list[str] | None,
    typer.Argument(metavar="DOCUMENT…", help="Their ids, numbers, or correlation ids."),
]
All = Annotated[bool, typer.Option("--all", help="Every one that is held.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without, it is only told.")]


@observe.command("report")
@command
def report(
    entity: Entity = "",
    system: System = "",
    payload: Annotated[
        bool, typer.Option("--payload", help="The bytes as well, secrets and accounts masked.")
    ] = False,
    data: Data = None,
    dsn: Dsn = None,
    as_json: Json = False,
) -> None:
    """Show what would have been sent, and what would have been refused."""
    output = Output(as_json=as_json)

    async def read(opened: Opened, database: Database) -> Observed:
        from quaestor.runtime.held import read_observed

        async with database.connection() as connection:
            return await read_observed(
                connection, entity=entity or None, system=system, payloads=payload
            )

    found = in_database(data, dsn, read)
    _tell(found, output)
    output.result(found)


def _tell(found: Observed, output: Output) -> None:
    from rich.table import Table

    counted = Counter((one.system, one.action) for one in found.held)
    for (system, action), number in sorted(counted.items()):
        output.say(f"{system}: {number} × {action} would have been sent")
    table = Table(box=None, pad_edge=False)
    for title in ("document", "would send", "to", "held for"):
        table.add_column(title, no_wrap=True)
    for one in found.held:
        table.add_row(f"{one.document_id} ({one.number})", one.action, one.system, age(one.age_s))
    output.say(table if found.held else "Nothing is held.")
    for one in found.held:
        if one.payload:
            output.say(f"--- {one.number}, {one.action} to {one.system}")
            output.say(one.payload, soft_wrap=True)
    for refused in found.refused:
        output.say(f"{refused.number} would be refused: {refused.refusal} ({refused.owner})")
    for unread in found.not_understood:
        output.say(f"{unread.source_id} of {unread.system} is not understood: {unread.refusal}")


@observe.command("release")
@command
def release(
    by: By,
    documents: Documents = None,
    every: All = False,
    entity: Entity = "",
    system: System = "",
    yes: Yes = False,
    data: Data = None,
    dsn: Dsn = None,
    as_json: Json = False,
) -> None:
    """Let held documents go on, once their systems are live.

    What each would send is decided anew, by what is true then. Nothing else ever lets them go on.
    """
    from quaestor.actions.retry import retry

    async def act(connection: Connection, one: HeldSend, request: str) -> None:
        from quaestor.actions.finding import find_document

        found = await find_document(connection, str(one.document_id))
        await retry(connection, found, by=by, request_id=request)

    said = "go on, and send what is open"
    _act(_Asked(documents, every, entity, system, yes, data, dsn), said, act, as_json)


@observe.command("dismiss")
@command
def dismiss(
    by: By,
    documents: Documents = None,
    every: All = False,
    entity: Entity = "",
    system: System = "",
    reason: Annotated[str, typer.Option(help="Why; it goes into the trail.")] = "",
    yes: Yes = False,
    data: Data = None,
    dsn: Dsn = None,
    as_json: Json = False,
) -> None:
    """Let go of held documents that were dealt with elsewhere; nothing of them is ever sent."""
    from quaestor.actions.dismiss import dismiss as let_go

    async def act(connection: Connection, one: HeldSend, request: str) -> None:
        from quaestor.actions.finding import find_document

        found = await find_document(connection, str(one.document_id))
        await let_go(connection, found, by=by, reason=reason, request_id=request)

    said = "end as dismissed; nothing of them is sent"
    _act(_Asked(documents, every, entity, system, yes, data, dsn), said, act, as_json)


class _Asked:
    """Which documents are meant, and whether it is meant in earnest."""

    def __init__(
        self,
        documents: list[str] | None,
        every: bool,
        entity: str,
        system: str,
        yes: bool,
        data: Any,
        dsn: str | None,
    ) -> None:
        if bool(documents) == every:
            usage_error("name documents, or all of them with --all")
        self.named = frozenset(documents or ())
        self.entity, self.system, self.yes = entity, system, yes
        self.data, self.dsn = data, dsn

    def takes(self, one: HeldSend) -> bool:
        names = {str(one.document_id), one.number, one.correlation_id}
        return not self.named or bool(self.named & names)


def _act(asked: _Asked, said: str, act: Any, as_json: bool) -> None:
    from quaestor.actions.dismiss import NotHeld
    from quaestor.actions.retry import NothingParked
    from quaestor.runtime.receiving import new_correlation_id

    output = Output(as_json=as_json)
    request = new_correlation_id()

    async def work(opened: Opened, database: Database) -> tuple[list[HeldSend], bool]:
        from quaestor.runtime.held import read_held

        async with database.connection() as connection:
            held = await read_held(connection, entity=asked.entity or None, system=asked.system)
        meant = [one for one in held if asked.takes(one)]
        for one in meant:
            output.say(f"{one.document_id} ({one.number}): {one.action} to {one.system}")
        output.say(f"{len(meant)} documents {said}.")
        agreed = bool(meant) and (asked.yes or (sys.stdin.isatty() and _agreed()))
        if agreed:
            # All of them or, where one has moved on meanwhile, none: then it is looked at anew.
            async with database.transaction() as connection:
                for one in meant:
                    await act(connection, one, f"{request}/{one.document_id}")
        return meant, agreed

    try:
        meant, done = in_database(asked.data, asked.dsn, work)
    except (NotHeld, NothingParked) as moved:
        raise Failed(f"{moved} is not held any more: look again.", code="not_held") from None
    output.say("Asked for." if done else "Nothing was changed; do it with --yes.")
    output.result({"ok": done, "documents": [one.document_id for one in meant]}, good=done)


def _agreed() -> bool:
    return typer.confirm("Do it?", err=True)
