"""Months of the trail on the command line: told, gathered, archived, proved without a database."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from quaestor.audit.checkpoint import Checkpointer, signing_key
from quaestor.audit.months import gather
from tests.audit.archived import JANUARY, MARCH
from tests.audit.builders import append_entries, place_all
from tests.support.database import TestDatabase
from tests.support.quaestor_process import EXAMPLE, quaestor

pytestmark = pytest.mark.slow


async def a_trail(database: TestDatabase, place: Path) -> None:
    """Entries of two months and of now, signed into `checkpoints`; those of March in no month."""
    worker = await database.connect("quaestor_worker")
    async with worker.transaction() as connection:
        await append_entries(connection, 3, at=JANUARY)
        await append_entries(connection, 2)
    async with worker.transaction() as connection:
        await gather(connection)
        await append_entries(connection, 1, at=MARCH)
    await place_all(worker)
    key = signing_key(place / "signing.key", "audit.example.com/test")
    signing = Checkpointer("audit.example.com/test", [key], [place / "checkpoints"])
    async with worker.connection() as connection:
        await signing.publish(connection)
    shutil.copytree(EXAMPLE, place / "project")


async def test_a_month_goes_from_the_database_into_a_file(
    database: TestDatabase, tmp_path: Path
) -> None:
    await a_trail(database, tmp_path)
    settings = tmp_path / "project" / "quaestor.toml"
    proof = (f"--checkpoint={tmp_path}/checkpoints", f"--public-key={tmp_path}/signing.key.pub")
    dsn = f"--dsn={database.dsn}"
    archive = (
        *("audit", "archive", "2020-01", "--by=ana.berger", f"--out={tmp_path}/archive", dsn),
        *(f"--project={tmp_path}/project", *proof, "--json"),
    )

    outside = quaestor("audit", "months", dsn, "--json")
    kept = quaestor(*archive)
    with settings.open("a", encoding="utf-8") as file:
        file.write("\n[audit]\nkeep_months = 24\n")
    refused = quaestor(*archive)
    gathered = quaestor("audit", "months", "--gather", dsn, "--json")
    written = quaestor(*archive)
    early = quaestor(*archive, "--drop")
    detached = quaestor(*archive, "--yes")
    dropped = quaestor(*archive, "--drop")
    file = f"--archive={tmp_path}/archive"
    offline = quaestor("audit", "verify", file, *proof, "--json")
    verified = quaestor("audit", "verify", file, dsn, *proof, "--json")

    assert (outside.code, outside.result["outside"]["months"]) == (1, ["2020-03"])
    assert (kept.code, kept.result["error"]) == (1, "audit_month_retained")
    assert (refused.code, refused.result["error"]) == (1, "audit_outside_months")
    assert (gathered.code, gathered.result["moved"]) == (0, 1)
    assert (written.result["entries"], written.result["detached"]) == (3, False)
    assert (early.code, early.result["error"]) == (1, "not_detached")
    assert (detached.code, detached.result["detached"]) == (0, True)
    assert (dropped.code, dropped.result["dropped"]) == (0, True)
    assert (offline.code, offline.result["archives"][0]["entries"]) == (0, 3)
    assert offline.result["archives"][0]["known"]
    assert (verified.code, verified.result["archived"], verified.result["shown"]) == (0, 3, 3)
