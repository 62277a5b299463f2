"""`quaestor audit`: prove that the trail is what it was, and sign what it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from quaestor.cli.audit_archive import archive as archive_month
from quaestor.cli.audit_months import months
from quaestor.cli.audit_proof import checkpoints_of, public_keys_of, say_findings
from quaestor.cli.output import Failed, Json, Output, command
from quaestor.cli.place import AuditKey, Checkpoints, Data, Dsn, Opened, ProjectDir, SigningKeyFile
from quaestor.cli.reading import in_database

if TYPE_CHECKING:
    from quaestor.audit.archive import Archive
    from quaestor.audit.checkpoint import Checkpoint, Published
    from quaestor.audit.findings import VerifyReport
    from quaestor.audit.note import VerifyingKey
    from quaestor.store import Database

__all__ = ["audit"]

audit = typer.Typer(help="The audit trail.", no_args_is_help=True)

audit.command("months")(months)
audit.command("archive")(archive_month)

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
    archive: Annotated[
        list[Path] | None,
        typer.Option("--archive", help="The file of an archived month, or a folder of them."),
    ] = None,
    data: Data = None,
    dsn: Dsn = None,
    audit_key: AuditKey = None,
    as_json: Json = False,
) -> None:
    """Recompute every entry, leaf and root. Exit code 1 where anything was changed.

    Whoever owns the database can rewrite all of it consistently, so give checkpoints that were
    kept elsewhere; without any, those of the data directory are taken. With --archive alone, files
    are proved without a database.
    """
    output = Output(as_json=as_json)
    if archive and data is None and dsn is None:
        files = _prove(archive, checkpoints_of(checkpoint, None), public_keys_of(public_key, None))
        _say_files(output, files)
        good = all(each.report.ok for each in files)
        found = {"ok": good, "archives": [each.report for each in files]}
        output.result(found, good=good)
        return

    async def check(opened: Opened, database: Database) -> tuple[VerifyReport, list[Archive]]:
        from quaestor.audit.subjects import Subjects
        from quaestor.audit.verify import verify as verify_trail

        taken = checkpoints_of(checkpoint, opened)
        keys = public_keys_of(public_key, opened) if taken or archive else []
        files = _prove(archive or (), taken, keys)
        # What a file was proved against must be the tree of this database, too.
        taken += [each.checkpoint for each in files if each.checkpoint and each.report.ok]
        known = audit_key is not None or opened.place is not None
        subjects = Subjects(opened.audit_key(audit_key)) if known else None
        async with database.connection() as connection:
            report = await verify_trail(connection, taken, keys, subjects=subjects, archives=files)
        return report, files

    report, files = in_database(data, dsn, check)
    _say_files(output, files)
    _say_report(output, report)
    good = report.ok and all(each.report.ok for each in files)
    archives = [each.report for each in files]
    output.result({**msgspec.structs.asdict(report), "ok": good, "archives": archives}, good=good)


def _prove(
    given: Sequence[Path], checkpoints: Sequence[Checkpoint], keys: Sequence[VerifyingKey]
) -> list[Archive]:
    from quaestor.audit.archive import archive_name, verify_archive

    found = []
    for path in given:
        files = sorted(path.glob(archive_name("*"))) if path.is_dir() else [path]
        for file in files:
            try:
                found.append(verify_archive(file, checkpoints, keys))
            except OSError as error:
                sentence = f"{file}: {error.strerror}"
                raise Failed(sentence, code="archive_unreadable") from error
    return found


def _say_files(output: Output, files: Sequence[Archive]) -> None:
    for each in files:
        report = each.report
        proved = "proved" if report.ok else "NOT PROVED"
        output.say(f"{report.file}: {report.entries:,} entries of {report.month}, {proved}")
        if report.ok and not report.known:
            output.say(f"  no checkpoint of {report.size:,} leaves was given to hold it against")
        for line in say_findings(report.findings[:_SHOWN]):
            output.say(f"  {line}")


def _say_report(output: Output, report: VerifyReport) -> None:
    output.say(
        f"{report.leaves:,} entries, {report.payloads:,} payloads, "
        f"{report.checkpoints} checkpoints over the first {report.covered:,}; "
        f"{report.seconds:.1f} s"
    )
    if report.pending:
        output.say(f"{report.pending:,} entries have no leaf yet and were not checked")
    if report.leaves > report.covered:
        output.say(f"entries from {report.covered:,} on are checked against themselves only")
    if report.archived:
        output.say(f"{report.archived:,} entries are archived, {report.shown:,} in files given")
    for line in say_findings(report.findings[:_SHOWN]):
        output.say(line)
    if report.total > _SHOWN:
        output.say(f"… {report.total} findings in all")
    output.say("Nothing was changed." if report.ok else "THE TRAIL WAS CHANGED.")


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
