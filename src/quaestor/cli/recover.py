"""`quaestor recover`: the gate that a person opens after a restore or a failover."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from quaestor.cli.output import Failed, Json, Output, command, usage_error
from quaestor.cli.place import AuditKey, Data, Dsn, Opened
from quaestor.cli.reading import in_database

if TYPE_CHECKING:
    from quaestor.actions.recover import Plan
    from quaestor.store import Connection, Database

__all__ = ["recover"]


@command
def recover(
    by: Annotated[str, typer.Option("--by", help="Who decides it; it goes into the trail.")],
    recovery_point: Annotated[
        str,
        typer.Option(
            metavar="TS",
            help="Up to when the data is known good, with offset: 2026-11-02T09:30:00+01:00.",
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, it is only told.")] = False,
    data: Data = None,
    dsn: Dsn = None,
    audit_key: AuditKey = None,
    as_json: Json = False,
) -> None:
    """Accept a database after a restore or a failover.

    What may have been sent in the time that was lost is looked for before anything is sent.
    Without --yes, and without a terminal to ask at, it only says what it would do.
    """
    try:
        point = datetime.fromisoformat(recovery_point)
    except ValueError:
        usage_error(f"--recovery-point {recovery_point}: no time as 2026-11-02T09:30:00+01:00")
    output = Output(as_json=as_json)

    async def work(opened: Opened, database: Database) -> bool:
        from quaestor.actions.recover import RecoveryPointInvalid, plan_recovery
        from quaestor.actions.recover import recover as accept
        from quaestor.audit.subjects import Subjects

        subjects = Subjects(opened.audit_key(audit_key))

        async def inside(connection: Connection) -> bool:
            plan = await plan_recovery(connection, point)
            _tell(plan, output)
            if not (yes or _agreed()):
                return False
            await accept(connection, subjects, plan, by=by)
            return True

        try:
            # Nothing is retried: what was agreed to is what was told.
            async with database.transaction() as connection:
                return await inside(connection)
        except RecoveryPointInvalid:
            raise Failed(
                f"{recovery_point} is no moment of the past with its offset from UTC.",
                code="recovery_point_invalid",
            ) from None

    done = in_database(data, dsn, work)
    output.say("Accepted: workers go on." if done else "Nothing was changed; do it with --yes.")
    output.result({"ok": done, "accepted": done, "recovery_point": point}, good=done)


def _tell(plan: Plan, output: Output) -> None:
    was = "never accepted" if plan.was is None else f"{plan.was.epoch}, by {plan.was.accepted_by}"
    output.say(f"The database is {plan.now} (system/timeline); accepted was {was}.")
    if not plan.has_changed:
        output.say("It is the accepted one: recover only if you know that it was set back.")
    output.say(f"Data is known good up to {plan.recovery_point.isoformat()}. What will happen:")
    output.say("  1. workers send again, where until now they refused to")
    output.say(
        f"  2. {plan.open_documents:,} open documents ({plan.unresolved:,} of their sends have no "
        "outcome) are looked for in their target system before their next send"
    )
    output.say(
        "  3. documents that come in again, changed before this moment, are looked for before "
        "their first send"
    )
    output.say("  4. nothing that is found there is ordered again")


def _agreed() -> bool:
    return sys.stdin.isatty() and typer.confirm("Do it?", err=True)
