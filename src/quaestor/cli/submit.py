"""`quaestor submit`: documents from files."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from quaestor.cli.output import Failed, Json, Output, command
from quaestor.cli.place import AuditKey, Data, Dsn, Opened, ProjectDir, open_place
from quaestor.cli.work import read_simulated

__all__ = ["submit"]


@command
def submit(
    files: Annotated[list[Path], typer.Argument(help="Requisitions as a system publishes them.")],
    data: Data = None,
    dsn: Dsn = None,
    project: ProjectDir = None,
    audit_key: AuditKey = None,
    version: Annotated[int, typer.Option(min=1, help="Which version of the document.")] = 1,
    system: Annotated[
        str | None, typer.Option(help="Whose they are, where several systems publish any.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Take requisitions in, each once. Exit code 1 where one of them was refused."""
    output = Output(as_json=as_json)
    with open_place(data, dsn) as opened:
        taken = asyncio.run(_submit(opened, files, project, audit_key, version, system))
    for one in taken:
        output.say(_said(one), soft_wrap=True)
    good = all("refusals" not in one for one in taken)
    output.result({"ok": good, "documents": taken}, good=good)
    if not good:
        raise typer.Exit(1)


async def _submit(
    opened: Opened,
    files: list[Path],
    project: Path | None,
    audit_key: Path | None,
    version: int,
    system: str | None,
) -> list[dict[str, Any]]:
    from quaestor.app import Application
    from quaestor.connectors.kit.published import NotMapped
    from quaestor.project.load import load_project

    app = await Application.open(
        load_project(opened.project_path(project)),
        opened.dsn,
        audit_key=opened.audit_key(audit_key),
        simulated=read_simulated((), opened),
        application_name="quaestor submit",
    )
    found: list[dict[str, Any]] = []
    async with app:
        for file in files:
            try:
                raw = file.read_bytes()
            except OSError as error:
                raise Failed(f"{file} cannot be read: {error.strerror}.") from error
            try:
                taken = await app.take_in_requisition(
                    raw, on=datetime.now(UTC), version=version, system=system
                )
            except LookupError as error:
                sentence = f"Whose requisition is {file}? Name it with --system: {error}."
                raise Failed(sentence, code="system_unnamed") from error
            if isinstance(taken, NotMapped):
                refusals = [
                    {"code": each.code, "owner": each.owner, "details": dict(each.details)}
                    for each in taken.refusals
                ]
                found.append({"file": str(file), "status": "refused", "refusals": refusals})
                continue
            found.append(
                {
                    "file": str(file),
                    "status": taken.status,
                    "document": taken.document_id,
                    "correlation_id": taken.correlation_id,
                }
            )
    return found


def _said(one: dict[str, Any]) -> str:
    if "refusals" in one:
        reasons = "; ".join(
            f"{each['code']} ({', '.join(f'{k} {v}' for k, v in each['details'].items())})"
            for each in one["refusals"]
        )
        return f"{one['file']}: refused, {reasons}"
    said = {"known": "known already, nothing happened", "changed": "a later version"}
    status = said.get(one["status"], one["status"])
    return f"{one['file']}: {status}, document {one['document']}, trace {one['correlation_id']}"
