"""`quaestor audit archive`: a month goes from the database into a file that proves itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quaestor.cli.audit_proof import checkpoints_of, public_keys_of, say_findings
from quaestor.cli.output import Failed, Json, Output, command, usage_error
from quaestor.cli.place import Data, Dsn, Opened, ProjectDir, open_place

if TYPE_CHECKING:
    from quaestor.audit.archive import Archive
    from quaestor.audit.archiving import MonthFacts
    from quaestor.audit.checkpoint import Checkpoint
    from quaestor.audit.note import VerifyingKey
    from quaestor.store import Database

__all__ = ["archive"]

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])").fullmatch
_TIMEOUT_S = 6 * 3600.0


@command
def archive(
    month: Annotated[str, typer.Argument(help="Such as 2026-03.")],
    by: Annotated[str, typer.Option("--by", help="Who archives it; it is kept for ever.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the file.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Detach the month; without, its file is only written.")
    ] = False,
    drop: Annotated[
        bool,
        typer.Option("--drop", help="Drop the table of a detached month, with its file there."),
    ] = False,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help="A checkpoint exported earlier, or a folder of them."),
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", help="Who signed them; one key per line.")
    ] = None,
    project: ProjectDir = None,
    data: Data = None,
    dsn: Dsn = None,
    as_json: Json = False,
) -> None:
    """Write a month of the trail to a file, prove the file, and take the month out.

    As the owner of the tables: the application may not. Leaves and proofs stay for ever. Refused
    by name while the project keeps the month, or anything of it is not done.
    """
    if _MONTH(month) is None:
        usage_error(f"{month}: no month as 2026-03")
    if yes and drop:
        usage_error("--drop is a step of its own, once the file is where it is safe")
    output = Output(as_json=as_json)
    with open_place(data, dsn) as opened:
        from quaestor.project.load import load_project

        keep_months = load_project(opened.project_path(project)).settings.audit.keep_months
        known = checkpoints_of(checkpoint, opened)
        keys = public_keys_of(public_key, opened)
        archiving = _Archiving(month, keep_months, out, by, known, keys)
        found = asyncio.run(archiving.run(opened, yes=yes, drop=drop))
    if found.proved is not None:
        report = found.proved.report
        output.say(f"{report.file}: {report.entries:,} entries of {month}, proved")
        if not report.known:
            output.say(f"no checkpoint of {report.size:,} leaves was given: keep one elsewhere")
    output.say("detached" if found.detached else "not detached: say --yes")
    if found.dropped:
        output.say("dropped")
    output.result(
        {
            "ok": True,
            "month": month,
            "file": str(archiving.file),
            "entries": found.proved.report.entries if found.proved is not None else None,
            "detached": found.detached,
            "dropped": found.dropped,
        }
    )


class _Found:
    def __init__(self) -> None:
        self.proved: Archive | None = None
        self.detached = False
        self.dropped = False


class _Archiving:
    """One month on its way out, as the owner of the tables."""

    def __init__(
        self,
        month: str,
        keep_months: int | None,
        folder: Path,
        by: str,
        checkpoints: Sequence[Checkpoint],
        keys: Sequence[VerifyingKey],
    ) -> None:
        from quaestor.audit.archive import archive_name

        self._month = month
        self._keep_months = keep_months
        self._by = by
        self._checkpoints = checkpoints
        self._keys = keys
        self.file = folder / archive_name(month)

    async def run(self, opened: Opened, *, yes: bool, drop: bool) -> _Found:
        import asyncpg

        from quaestor.store import Database

        found = _Found()
        async with await Database.connect(
            opened.dsn,
            role=None,
            application_name="quaestor archive",
            max_size=1,
            command_timeout_s=_TIMEOUT_S,
            transaction_timeout_s=_TIMEOUT_S,
        ) as database:
            try:
                if drop:
                    await self._drop(database)
                    found.detached = found.dropped = True
                    return found
                facts = await self._facts(database)
                found.proved = await self._export(database, facts)
                if yes:
                    await self._detach(database, facts)
                    found.detached = True
            except asyncpg.LockNotAvailableError as error:
                sentence = "Somebody has been reading the trail all the time; nothing was changed."
                raise Failed(sentence, code="audit_in_use") from error
            except asyncpg.InsufficientPrivilegeError as error:
                sentence = "Only the owner of the tables archives; name his DSN."
                raise Failed(sentence, code="not_owner") from error
        return found

    async def _facts(self, database: Database) -> MonthFacts:
        from quaestor.audit.archiving import read_facts, why_not

        async with database.connection() as connection:
            facts = await read_facts(connection, self._month, self._keep_months)
        refusal = why_not(facts)
        if refusal is not None:
            details = ", ".join(f"{name} {text}" for name, text in refusal.details.items())
            from quaestor.model.refusal import REFUSALS

            sentence = f"{REFUSALS[refusal.code].meaning} ({refusal.owner}; {details})"
            raise Failed(sentence, code=refusal.code)
        return facts

    async def _export(self, database: Database, facts: MonthFacts) -> Archive:
        """Write the file, and read it again as an auditor would."""
        from quaestor.audit.archive import verify_archive
        from quaestor.audit.archiving import MonthNotWhole, export, is_of_detached
        from quaestor.audit.tree import TreeIncomplete

        try:
            async with database.connection() as connection:
                # What came after a month was detached is archived beside it, never over it.
                if await is_of_detached(connection, self._month, self.file):
                    sentence = f"{self.file} holds what was detached before; name another folder."
                    raise Failed(sentence, code="archive_exists")
                await export(connection, facts, self.file.parent)
            proved = await asyncio.to_thread(
                verify_archive, self.file, self._checkpoints, self._keys
            )
        except (MonthNotWhole, TreeIncomplete) as error:
            raise Failed(f"The trail was changed: {error}", code="audit_trail_altered") from error
        except OSError as error:
            raise Failed(f"{self.file}: {error.strerror}", code="not_written") from error
        if not proved.report.ok:
            first = say_findings(proved.report.findings)[0]
            raise Failed(f"The file does not prove itself: {first}", code="audit_trail_altered")
        return proved

    async def _detach(self, database: Database, facts: MonthFacts) -> None:
        import asyncpg

        from quaestor.audit.archiving import detach

        try:
            async with database.transaction() as connection:
                await detach(connection, facts, self.file, self._by)
        except asyncpg.SerializationError as error:
            sentence = "An entry came while the file was written; archive it again."
            raise Failed(sentence, code="audit_month_unfinished") from error

    async def _drop(self, database: Database) -> None:
        from quaestor.audit.archiving import drop_detached

        async with database.transaction() as connection:
            dropped = await drop_detached(connection, self._month, self.file)
        if not dropped:
            sentence = f"No table of {self._month} was detached with {self.file}."
            raise Failed(sentence, code="not_detached")
