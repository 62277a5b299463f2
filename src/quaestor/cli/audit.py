"""`quaestor audit`: prove that the trail is what it was, and sign what it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quaestor.cli.audit_months import months
from quaestor.cli.output import Failed, Json, Output, command
from quaestor.cli.place import AuditKey, Checkpoints, Data, Dsn, Opened, ProjectDir, SigningKeyFile
from quaestor.cli.reading import in_database

if TYPE_CHECKING:
    from quaestor.audit.checkpoint import Checkpoint, Published
    from quaestor.audit.findings import VerifyReport
    from quaestor.audit.note import VerifyingKey
    from quaestor.store import Database

__all__ = ["audit"]

audit = typer.Typer(help="The audit trail.", no_args_is_help=True)

audit.command("months")(months)

_SHOWN = 10


@audit.command("verify")
@command
def verify(
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help="A checkpoint exported earlier, or a folder of them."),
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", help="Who signed them; one key per line.")
    ] = None,
    data: Data = None,
    dsn: Dsn = None,
    audit_key: AuditKey = None,
    as_json: Json = False,
) -> None:
    """Recompute every entry, leaf and root. Exit code 1 where anything was changed.

    Whoever owns the database can rewrite all of it consistently, so give checkpoints that were
    kept elsewhere; without any, those of the data directory are taken.
    """
    output = Output(as_json=as_json)

    async def check(opened: Opened, database: Database) -> VerifyReport:
        from quaestor.audit.subjects import Subjects
        from quaestor.audit.verify import verify as verify_trail

        taken = _checkpoints(checkpoint, opened)
        keys = _public_keys(public_key, opened) if taken else []
        known = audit_key is not None or opened.place is not None
        subjects = Subjects(opened.audit_key(audit_key)) if known else None
        async with database.connection() as connection:
            return await verify_trail(connection, taken, keys, subjects=subjects)

    report = in_database(data, dsn, check)
    output.say(
        f"{report.leaves:,} entries, {report.payloads:,} payloads, "
        f"{report.checkpoints} checkpoints over the first {report.covered:,}; "
        f"{report.seconds:.1f} s"
    )
    if report.pending:
        output.say(f"{report.pending:,} entries have no leaf yet and were not checked")
    if report.leaves > report.covered:
        output.say(f"entries from {report.covered:,} on are checked against themselves only")
    for finding in report.findings[:_SHOWN]:
        place = "" if finding.leaf is None else f" at leaf {finding.leaf}"
        output.say(f"{finding.kind}{place}: {finding.message}")
    if report.total > _SHOWN:
        output.say(f"… {report.total} findings in all")
    output.say("Nothing was changed." if report.ok else "THE TRAIL WAS CHANGED.")
    output.result(report, good=report.ok)


@audit.command("checkpoint")
@command
def checkpoint(
    project: ProjectDir = None,
    data: Data = None,
    dsn: Dsn = None,
    signing_key: SigningKeyFile = None,
    checkpoints: Checkpoints = None,
    as_json: Json = False,
) -> None:
    """Sign the root of the tree as it stands, and export it. Workers do the same by themselves."""
    output = Output(as_json=as_json)

    async def sign(opened: Opened, database: Database) -> tuple[Published, list[Path]]:
        from quaestor.cli.keeping import checkpointer, place_all
        from quaestor.project.load import load_project

        places = opened.checkpoint_places(checkpoints)
        deployment = load_project(opened.project_path(project)).settings.deployment
        signing = checkpointer(deployment.name, opened.signing_key_file(signing_key), places)
        await place_all(database)
        async with database.connection() as connection:
            return await signing.publish(connection), places

    published, places = in_database(data, dsn, sign)
    for failure in published.failures:
        output.say(f"{failure.code}: {failure}")
    signed = published.checkpoint
    if signed is None:
        raise Failed("The trail is empty: there is nothing to sign.", code="trail_empty")
    output.say(f"{'signed' if published.new else 'unchanged'}: {signed.size:,} entries")
    for place in places:
        output.say(f"  {place / signed.file_name}")
    output.result(
        {
            "ok": not published.failures,
            "size": signed.size,
            "root": signed.root.hex(),
            "new": published.new,
            "files": [str(place / signed.file_name) for place in places],
            "failures": [str(failure) for failure in published.failures],
        },
        good=not published.failures,
    )


def _checkpoints(given: Sequence[Path] | None, opened: Opened) -> list[Checkpoint]:
    from quaestor.audit.checkpoint import CheckpointMalformed, parse_checkpoint, read_place

    taken = []
    for path in given if given is not None else opened.checkpoint_places(None):
        try:
            if path.is_dir():
                taken.extend(read_place(path))
            elif given is not None:
                taken.append(parse_checkpoint(path.read_text()))
        except (OSError, UnicodeDecodeError, CheckpointMalformed) as error:
            raise Failed(f"{path}: {error}", code="checkpoint_malformed") from error
    return taken


def _public_keys(given: Path | None, opened: Opened) -> list[VerifyingKey]:
    from quaestor.audit.checkpoint import read_public_keys
    from quaestor.audit.note import NoteMalformed

    path = given
    if path is None and opened.place is not None:
        signing = opened.place.signing_key_file
        path = signing.with_name(signing.name + ".pub")
    if path is None:
        raise Failed("Who signed the checkpoints? Name the file with --public-key.")
    try:
        return read_public_keys(path)
    except (OSError, NoteMalformed) as error:
        raise Failed(f"{path}: {error}", code="public_key_malformed") from error
