"""Backups and their restore, with PostgreSQL's own programs, as an operator would do it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from quaestor.store.embedded import EmbeddedServer, wheel_binaries
from quaestor.store.embedded.cluster import server_environment
from tests.support.database import asked

__all__ = ["archiving", "base_backup", "dump_into", "recovering", "restore_backup", "restore_point"]


def archiving(archive: Path) -> dict[str, str]:
    """Settings of a server that keeps its WAL in `archive`, which is made."""
    archive.mkdir()
    # The server's account differs from ours when root runs the tests.
    archive.chmod(0o777)
    return {"archive_mode": "on", "archive_command": f'cp "%p" "{archive}/%f"'}


def restore_point(server: EmbeddedServer, name: str) -> None:
    """Name this moment, and wait until the WAL up to here is in the archive."""
    asked(server.dsn, f"select pg_create_restore_point('{name}')")
    segment = asked(server.dsn, "select pg_walfile_name(pg_switch_wal())")
    deadline = time.monotonic() + 30
    while asked(server.dsn, "select last_archived_wal from pg_stat_archiver") != segment:
        assert time.monotonic() < deadline, "the segment was not archived"


def recovering(archive: Path, until: str) -> dict[str, str]:
    """Settings of a restored server that replays `archive` up to the restore point `until`."""
    return {
        "restore_command": f'cp "{archive}/%f" "%p"',
        "recovery_target_name": until,
        "recovery_target_action": "promote",
    }


def base_backup(server: EmbeddedServer, target: Path) -> None:
    """Take a base backup of a running server into `target`, which is made."""
    _run("pg_basebackup", "-D", str(target), "-d", server.dsn, "--checkpoint=fast", "--no-sync")


def restore_backup(backup: Path, server: EmbeddedServer, data_dir: Path) -> None:
    """Lay a base backup of `server` down as the data of another one, ready to recover."""
    home = data_dir / "postgres"
    home.mkdir(parents=True)
    for directory in (data_dir, home):
        directory.chmod(0o711)
    backup.rename(home / "cluster")
    (home / "cluster" / "recovery.signal").touch()
    owner = server.cluster.stat()
    for folder, _, files in os.walk(home / "cluster"):
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            os.chown(path, owner.st_uid, owner.st_gid)


def dump_into(source: EmbeddedServer, database: str, target: EmbeddedServer) -> None:
    """Dump `database` of one server into the empty database `quaestor` of another."""
    roles = _run("pg_dumpall", "--roles-only", "-d", source.dsn)
    dump = _run("pg_dump", source.dsn_of(database))
    # The role of the superuser is there already; everything else has to go well.
    for script, strictness in ((roles, "0"), (dump, "1")):
        _run("psql", target.dsn, "-q", "-v", f"ON_ERROR_STOP={strictness}", script=script)


def _run(program: str, *arguments: str, script: str = "") -> str:
    return subprocess.run(
        [wheel_binaries() / program, *arguments],
        input=script,
        env=server_environment(),
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
