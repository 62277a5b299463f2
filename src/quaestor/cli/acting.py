"""`quaestor cancel` and `quaestor retry`: what a person wants of a document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quaestor.cli.output import Failed, Json, Output, command
from quaestor.cli.place import Data, Dsn, Opened
from quaestor.cli.reading import in_database

if TYPE_CHECKING:
    from quaestor.actions.asking import Asked
    from quaestor.actions.finding import DocumentRef
    from quaestor.store import Connection, Database

__all__ = ["cancel", "retry"]

Document = Annotated[
    str,
    typer.Argument(metavar="DOCUMENT", help="Its id, its number anywhere, or a correlation id."),
]
By = Annotated[str, typer.Option("--by", help="Who wants it: a person of the directory.")]
RequestId = Annotated[
    str, typer.Option(help="Your own id of this request: the same one asks only once.")
]


@command
def cancel(
    document: Document,
    by: By,
    reason: Annotated[str, typer.Option(help="Why; it goes into the trail.")] = "",
    request_id: RequestId = "",
    data: Data = None,
    dsn: Dsn = None,
    as_json: Json = False,
) -> None:
    """Cancel a document, also what it left in the ledger."""
    from quaestor.actions.cancel import cancel as ask

    async def act(connection: Connection, found: DocumentRef, request: str) -> Asked:
        return await ask(connection, found, by=by, reason=reason, request_id=request)

    _act(data, dsn, document, request_id, act, Output(as_json=as_json))


@command
def retry(
    document: Document,
    by: By,
    request_id: RequestId = "",
    data: Data = None,
    dsn: Dsn = None,
    as_json: Json = False,
) -> None:
    """Try a parked document again, once its obstacle is gone."""
    from quaestor.actions.retry import NothingParked
    from quaestor.actions.retry import retry as ask

    async def act(connection: Connection, found: DocumentRef, request: str) -> Asked:
        try:
            return await ask(connection, found, by=by, request_id=request)
        except NothingParked:
            raise Failed(
                f"Document {found.id} is not parked: there is nothing to retry.",
                code="nothing_parked",
            ) from None

    _act(data, dsn, document, request_id, act, Output(as_json=as_json))


def _act(
    data: Path | None,
    dsn: str | None,
    asked: str,
    request_id: str,
    act: Callable[[Connection, DocumentRef, str], Awaitable[Asked]],
    output: Output,
) -> None:
    from quaestor.actions.finding import DocumentAmbiguous, DocumentUnknown, find_document
    from quaestor.runtime.receiving import new_correlation_id

    request = request_id or new_correlation_id()

    async def work(opened: Opened, database: Database) -> Asked:
        async def inside(connection: Connection) -> Asked:
            return await act(connection, await find_document(connection, asked), request)

        return await database.run(inside)

    try:
        done = in_database(data, dsn, work)
    except DocumentUnknown:
        raise Failed(
            f"Nothing leads from {asked} to a document.", code="document_unknown"
        ) from None
    except DocumentAmbiguous as error:
        raise Failed(
            f"{asked} may be one of several documents: {error}. Name its id.",
            code="document_ambiguous",
        ) from None
    found = done.document
    said = "asked" if done.is_new else "was asked before, nothing new"
    output.say(f"document {found.id} ({found.type} {found.number}): {said}")
    output.result(
        {
            "document": found.id,
            "number": found.number,
            "correlation_id": found.correlation_id,
            "event_id": done.event_id,
            "new": done.is_new,
        }
    )
