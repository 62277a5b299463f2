"""A month goes where nothing keeps it, and the trail stays provable without it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from quaestor.audit.archiving import (
    MonthFacts,
    MonthNotWhole,
    detach,
    drop_detached,
    export,
    why_not,
)
from quaestor.audit.checkpoint import Checkpointer
from quaestor.audit.erasure import erase_payloads
from quaestor.audit.months import gather, look_outside
from quaestor.audit.payload import Retention, make_payload
from quaestor.store import Database
from quaestor.store.migrate import migrate
from tests.audit.archived import (
    JANUARY,
    KEY,
    ORIGIN,
    Trail,
    fill,
    lines_of,
    rewrite,
)
from tests.audit.builders import append_entries, place_all

# --- why a month must stay ------------------------------------------------------------------------

FACTS = MonthFacts(
    "2025-03",
    datetime(2026, 11, 22, tzinfo=UTC),
    12,
    ("2025-03", "2025-04", "2026-11"),
    entries=5,
    placed=5,
    end_leaf=9,
    signed_size=20,
)
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"month": "2025-02"}, "audit_month_unknown"),
    ({"month": "2026-11"}, "audit_month_unfinished"),
    ({"keep_months": None}, "audit_month_retained"),
    ({"keep_months": 20}, "audit_month_retained"),
    ({"month": "2025-04"}, "audit_month_not_oldest"),
    ({"outside": 1, "placed": 4}, "audit_outside_months"),
    ({"placed": 4, "signed_size": None}, "audit_month_unsequenced"),
    ({"signed_size": None, "open_documents": 2}, "audit_month_unsigned"),
    ({"open_documents": 2}, "audit_month_in_use"),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED)
def test_a_month_stays_while_something_of_it_is_not_done(
    changes: dict[str, Any], code: str
) -> None:
    refusal = why_not(msgspec.structs.replace(FACTS, **changes))

    assert refusal is not None
    assert refusal.code == code


@pytest.mark.parametrize("keep_months", [1, 19])
def test_a_month_goes_once_it_is_kept_no_longer(keep_months: int) -> None:
    assert why_not(msgspec.structs.replace(FACTS, keep_months=keep_months)) is None


async def test_a_month_stays_while_a_document_of_it_is_under_way(trail: Trail) -> None:
    async with trail.owner.transaction() as connection:
        await connection.execute(
            "insert into quaestor.document (entity, type, source_system, source_id, number,"
            " correlation_id, version, content_hash, changed_at, created_at)"
            " values ('DE01', 'requisition', 'coupa', '1', '1', 'c', 1, '', now(), now())"
        )
        await connection.execute(
            "insert into quaestor.work (document_id, entity, flow, flow_version, schema_no,"
            " release, stage, state) select id, 'DE01', 'f', 1, 1, 'r', 's', '' from"
            " quaestor.document"
        )
        document = await connection.fetchval("select id from quaestor.document")
        await append_entries(connection, at=JANUARY, document_id=document)
    await place_all(trail.worker)
    async with trail.worker.connection() as connection:
        await Checkpointer(ORIGIN, [KEY], []).publish(connection)

    refusal = why_not(await trail.facts())

    assert refusal is not None
    assert (refusal.code, refusal.details) == ("audit_month_in_use", {"documents": "1"})


async def test_what_no_checkpoint_covers_stays(trail: Trail) -> None:
    async with trail.worker.transaction() as connection:
        await append_entries(connection, at=JANUARY)

    unplaced = why_not(await trail.facts())
    await place_all(trail.worker)
    unsigned = why_not(await trail.facts())

    assert unplaced is not None
    assert unsigned is not None
    assert unplaced.code == "audit_month_unsequenced"
    assert unsigned.code == "audit_month_unsigned"


async def test_a_month_that_lost_an_entry_is_not_exported(trail: Trail, tmp_path: Path) -> None:
    facts = await trail.facts()
    async with trail.owner.transaction() as connection:
        await connection.execute("set local session_replication_role = replica")
        await connection.execute(
            "delete from quaestor.audit where id = (select min(id) from quaestor.audit)"
        )

    with pytest.raises(MonthNotWhole):
        async with trail.owner.connection() as connection:
            await export(connection, facts, tmp_path)

    assert os.listdir(tmp_path) == []


# --- without the month ----------------------------------------------------------------------------


async def test_the_trail_stays_provable_without_its_archived_months(
    trail: Trail, tmp_path: Path
) -> None:
    january = trail.checked(await trail.detached(tmp_path))
    february = trail.checked(await trail.detached(tmp_path, "2020-02"))

    without = await trail.verified()
    with_one = await trail.verified([january])
    with_all = await trail.verified([january, february])

    assert (without.ok, without.leaves, without.covered) == (True, 314, 314)
    assert (without.archived, without.shown) == (12, 0)
    assert (with_one.ok, with_one.archived, with_one.shown) == (True, 12, 6)
    assert (with_all.ok, with_all.archived, with_all.shown) == (True, 12, 12)


async def test_a_file_that_holds_less_than_its_month_is_found_by_the_leaves(
    trail: Trail, tmp_path: Path
) -> None:
    file = await trail.detached(tmp_path)
    [leaf_hash] = await trail.owner.fetch(
        "select leaf_hash from quaestor.audit_leaf where leaf = 1"
    )
    lines = lines_of(file)
    lines[0]["entries"] -= 1
    encoded = json.loads(msgspec.json.encode(leaf_hash[0]))
    lines[2] = {"leaf": 1, "hash": encoded}
    rewrite(file, lines)

    archive = trail.checked(file)
    report = await trail.verified([archive])

    # Of itself it is true, and does not say what it leaves out.
    assert archive.report.ok
    assert not report.ok
    assert [(each.kind, each.leaf) for each in report.findings] == [("entry_removed", 1)]


async def test_an_entry_that_is_gone_from_no_archived_month_is_still_found(
    trail: Trail, tmp_path: Path
) -> None:
    await trail.detached(tmp_path)
    async with trail.owner.transaction() as connection:
        await connection.execute("set local session_replication_role = replica")
        await connection.execute("delete from quaestor.audit where at >= $1 and at < $2", *SPRING)

    report = await trail.verified()

    assert {finding.kind for finding in report.findings} == {"entry_removed"}
    assert report.total == 2


SPRING = (datetime(2020, 3, 1, tzinfo=UTC), datetime(2020, 4, 1, tzinfo=UTC))


async def test_an_erasure_stays_recorded_when_its_month_is_archived(
    trail: Trail, tmp_path: Path
) -> None:
    payload = make_payload("DE01", Retention.WIRE, b"an answer")
    async with trail.owner.transaction() as connection:
        await append_entries(connection, 1, (payload,), payloads=(payload.reference,))
        await connection.execute("update quaestor.clock_offset set offset_by = $1", BACK)
    async with trail.worker.transaction() as connection:
        later = await connection.fetchval("select quaestor.clock() + interval '100 years'")
        gone = await erase_payloads(
            connection, "DE01", Retention.WIRE, before=later, actor="system:operator", reason="old"
        )
    await trail.owner.fetch("update quaestor.clock_offset set offset_by = '0'")
    await place_all(trail.worker)
    async with trail.worker.transaction() as connection:
        await gather(connection)
    async with trail.worker.connection() as connection:
        await Checkpointer(ORIGIN, [KEY], []).publish(connection)
    month = (await trail.facts()).attached[0]
    await trail.detached(tmp_path, month)

    report = await trail.verified()

    assert gone == 1
    assert report.findings == ()
    assert (report.erased_payloads, report.archived) == (1, 1)


BACK = datetime(2019, 12, 15, tzinfo=UTC) - datetime(2026, 11, 22, tzinfo=UTC)


async def test_an_entry_that_came_meanwhile_keeps_the_month_where_it_is(
    trail: Trail, tmp_path: Path
) -> None:
    facts = await trail.facts()
    file = await trail.exported(tmp_path)
    async with trail.worker.transaction() as connection:
        await append_entries(connection, at=JANUARY)

    with pytest.raises(asyncpg.SerializationError):
        async with trail.owner.transaction() as connection:
            await detach(connection, facts, file, "ana.berger")

    assert "2020-01" in (await trail.facts()).attached


async def test_a_detached_month_is_guarded_until_its_owner_drops_it_with_its_file(
    trail: Trail, tmp_path: Path
) -> None:
    file = await trail.detached(tmp_path)
    other = tmp_path / "other"
    other.write_bytes(b"another file")

    for change in ("update {} set salt = salt", "delete from {}", "truncate {}"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await trail.owner.fetch(change.format("quaestor.audit_2020_01"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await trail.worker.fetch("select from quaestor.audit_2020_01")
    async with trail.owner.transaction() as connection:
        with_another = await drop_detached(connection, "2020-01", other)
        of_attached = await drop_detached(connection, "2020-02", file)
        with_its_own = await drop_detached(connection, "2020-01", file)
        again = await drop_detached(connection, "2020-01", file)

    assert (with_another, of_attached, with_its_own, again) == (False, False, True, False)
    assert await trail.owner.fetchval("select to_regclass('quaestor.audit_2020_01')") is None
    assert (await trail.verified()).ok


async def test_the_application_detaches_nothing(trail: Trail, tmp_path: Path) -> None:
    facts = await trail.facts()
    file = await trail.exported(tmp_path)

    for role in (trail.worker, trail.owner):
        async with role.connection() as connection:
            with pytest.raises(
                (asyncpg.RestrictViolationError, asyncpg.InsufficientPrivilegeError)
            ):
                await connection.execute("delete from quaestor.audit_archive")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with trail.worker.transaction() as connection:
            await detach(connection, facts, file, "nobody")


async def test_an_entry_of_an_archived_month_is_told(trail: Trail, tmp_path: Path) -> None:
    await trail.detached(tmp_path)
    async with trail.worker.transaction() as connection:
        await append_entries(connection, at=JANUARY)

    with pytest.raises(asyncpg.DuplicateTableError):
        async with trail.worker.transaction() as connection:
            await gather(connection)
    async with trail.worker.connection() as connection:
        outside = await look_outside(connection)

    assert outside.entries == 1


async def test_an_owner_who_is_no_superuser_archives_too(modest: str, tmp_path: Path) -> None:
    await migrate(modest)
    async with (
        await Database.connect(modest, role="quaestor_worker", application_name="tests") as worker,
        await Database.connect(modest, role=None, application_name="tests") as owner,
    ):
        trail = Trail(worker, owner, await fill(worker))

        archive = trail.checked(await trail.detached(tmp_path))
        report = await trail.verified([archive])

    assert (report.ok, report.archived, report.shown) == (True, 6, 6)
