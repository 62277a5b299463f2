"""The epoch gate on real restores: an older state, from WAL or from a dump, sends nothing (D3)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from quaestor.store.embedded import EmbeddedServer
from quaestor.store.epoch import (
    AcceptedEpoch,
    EpochChanged,
    accept_epoch,
    require_same_epoch,
)
from quaestor.store.migrate import migrate
from tests.support.database import asked
from tests.support.restore import (
    archiving,
    base_backup,
    dump_into,
    recovering,
    restore_backup,
    restore_point,
)

pytestmark = pytest.mark.slow


def checked_epoch(dsn: str) -> AcceptedEpoch:
    async def check() -> AcceptedEpoch:
        connection = await asyncpg.connect(dsn)
        try:
            return await require_same_epoch(connection)
        finally:
            await connection.close()

    return asyncio.run(check())


def recover(dsn: str) -> None:
    async def accept() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await accept_epoch(connection, accepted_by="operator", recovery_point=None)
        finally:
            await connection.close()

    asyncio.run(accept())


def test_a_restore_from_backup_and_wal_sends_nothing_until_it_is_recovered(place: Path) -> None:
    settings = archiving(place / "archive")
    with EmbeddedServer.start(place / "data", settings=settings, elsewhere=place) as server:
        asyncio.run(migrate(server.dsn))
        base_backup(server, place / "backup")
        asked(server.dsn, "create table before_the_point (id int)")
        restore_point(server, "the_point")
        asked(server.dsn, "create table after_the_point (id int)")
        restore_backup(place / "backup", server, place / "restored")

    settings = recovering(place / "archive", until="the_point")
    with EmbeddedServer.start(place / "restored", settings=settings, elsewhere=place) as restored:
        with pytest.raises(EpochChanged):
            checked_epoch(restored.dsn)
        recover(restored.dsn)

        assert asked(restored.dsn, "select to_regclass('before_the_point')::text") is not None
        assert asked(restored.dsn, "select to_regclass('after_the_point')::text") is None
        assert checked_epoch(restored.dsn).epoch.timeline == 2


def test_a_dump_into_another_cluster_sends_nothing_until_it_is_recovered(place: Path) -> None:
    with (
        EmbeddedServer.start(place / "data", elsewhere=place) as server,
        EmbeddedServer.start(place / "other", elsewhere=place) as other,
    ):
        asyncio.run(migrate(server.dsn))
        dump_into(server, "quaestor", other)

        with pytest.raises(EpochChanged):
            checked_epoch(other.dsn)
        recover(other.dsn)

        assert checked_epoch(other.dsn).accepted_by == "operator"


def test_a_restart_leaves_the_epoch_as_it_was(prepared: Path) -> None:
    with EmbeddedServer.start(prepared / "data", elsewhere=prepared) as server:
        asyncio.run(migrate(server.dsn))
        before = checked_epoch(server.dsn)

    with EmbeddedServer.start(prepared / "data", elsewhere=prepared) as server:
        after = checked_epoch(server.dsn)

    assert before == after
