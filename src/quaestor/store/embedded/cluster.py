"""The database cluster of an embedded server: made once, whole or not at all, and configured.

Trust authentication is safe here for one reason alone: the server listens on no network, and its
socket lies in a directory that only its own account can enter.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from quaestor.store.embedded.account import Account, initialising_account
from quaestor.store.embedded.errors import (
    ClusterInitFailed,
    DataDirectoryRefused,
    SettingRefused,
)
from quaestor.store.embedded.placement import Home

__all__ = ["DATABASE", "SUPERUSER", "ensure_cluster", "write_settings"]

DATABASE = "quaestor"
SUPERUSER = "postgres"
MAJOR = "18"

_SETTINGS_FILE = "quaestor.conf"
_INITDB = (
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--data-checksums",
    "--auth=trust",
    f"--username={SUPERUSER}",
    "--no-instructions",
)
_ACCESS = "local all all trust\nlocal replication all trust\n"
_DEFAULTS = {
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "wal_compression": "pglz",
    "wal_level": "replica",
    "autovacuum_naptime": "10s",
    # Restored data counts as ready when it can be written to, not while it is still recovering.
    "hot_standby": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # Statements and the details of an error can hold personal data; the log is no place for it.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
}
# What the promises of this package rest on.
_FIXED = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "logging_collector": "off",
    "log_destination": "stderr",
}
_RESERVED = {*_FIXED, "unix_socket_directories", "data_directory", "hba_file", "config_file"}
_SETTING_NAME = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?")


def ensure_cluster(home: Home, account: Account, binaries: Path) -> None:
    """Make the cluster where it is missing. The caller holds the owner lock."""
    for unfinished in home.root.glob("unfinished-*"):
        shutil.rmtree(unfinished)
    if not home.cluster.exists():
        _make_cluster(home, account, binaries)
    release = (home.cluster / "PG_VERSION").read_text().strip()
    if release != MAJOR:
        raise DataDirectoryRefused(f"It holds PostgreSQL {release}; this one is {MAJOR}.")


def _make_cluster(home: Home, account: Account, binaries: Path) -> None:
    unfinished = Path(tempfile.mkdtemp(dir=home.root, prefix="unfinished-"))
    maker = initialising_account(account)
    os.chown(unfinished, maker.uid, maker.gid)
    try:
        initdb: list[str | Path] = [binaries / "initdb", "-D", unfinished]
        _run([*initdb, *_INITDB, "--no-sync"], maker, "")
        # Single-user mode: the database then belongs to the cluster from its first moment, and
        # nobody can ever find a server without it.
        single: list[str | Path] = [
            binaries / "postgres",
            "--single",
            "-F",
            "-D",
            unfinished,
            "template1",
        ]
        _run(single, maker, f"CREATE DATABASE {DATABASE}\n")
        _hand_over(unfinished, account)
        (unfinished / "pg_hba.conf").write_text(_ACCESS)
        with (unfinished / "postgresql.conf").open("a") as file:
            file.write(f"\ninclude '{_SETTINGS_FILE}'\n")
        # Nothing was forced to disk one by one; it is now, before the name makes it count.
        _run([*initdb, "--sync-only"], account, "")
        os.rename(unfinished, home.cluster)
        _sync(home.root)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _run(command: Sequence[str | Path], account: Account, text: str) -> None:
    result = subprocess.run(
        [str(word) for word in command],
        input=text,
        cwd="/",
        env=server_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        umask=0o077,
        check=False,
        **account.switch,  # type: ignore[call-overload]
    )
    # In single-user mode a statement that fails does not change the exit code.
    if result.returncode != 0 or "ERROR:" in result.stdout:
        tail = "\n".join(result.stdout.splitlines()[-10:])
        raise ClusterInitFailed(f"{Path(command[0]).name} said:\n{tail}")


def server_environment() -> dict[str, str]:
    """The environment of the server's processes: nothing of ours, which may hold secrets."""
    kept = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return {**environment, "PATH": os.defpath, "LC_ALL": "C"}


def _hand_over(directory: Path, account: Account) -> None:
    """Give a tree to `account` without following any link in it."""
    if os.geteuid() != 0:
        return
    for _, folders, files, at in os.fwalk(directory):
        os.fchown(at, account.uid, account.gid)
        for name in [*folders, *files]:
            os.chown(name, account.uid, account.gid, dir_fd=at, follow_symlinks=False)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_settings(home: Home, account: Account, run: Path, chosen: Mapping[str, str]) -> None:
    """Write the settings that the next start reads.

    `chosen` goes over our defaults. `SettingRefused` for what the embedded server fixes itself.
    """
    for name in chosen:
        if name in _RESERVED or not _SETTING_NAME.fullmatch(name):
            raise SettingRefused(f"{name}.")
    # A list in quotes inside a setting in quotes.
    listed = '"' + str(run).replace('"', '""') + '"'
    settings = {**_DEFAULTS, **chosen, **_FIXED, "unix_socket_directories": listed}
    text = "".join(f"{name} = {_quoted(value)}\n" for name, value in settings.items())
    target = home.cluster / _SETTINGS_FILE
    unfinished = target.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("# Written at each start of the embedded server.\n" + text)
        os.fchown(file.fileno(), account.uid, account.gid)
    os.replace(unfinished, target)


def _quoted(value: str) -> str:
    if "\n" in value:
        raise SettingRefused("Its value contains a line break.")
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
