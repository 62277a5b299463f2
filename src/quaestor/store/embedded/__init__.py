"""A private PostgreSQL 18 from the binaries of a pip-installed wheel (D7).

Never the wheel's own `get_server`: that leaves servers behind after SIGTERM, opens a socket of
mode 0777 for long paths, and was seen to kill a foreign process over a stale process id.

server       start, share, adopt, stop
placement    where data and socket lie
cluster      made once, and configured
postmaster   which process runs a cluster, verified before it is signalled
lock         exactly one owner
account      whom the server runs as
binaries     where the programs are
"""

from __future__ import annotations

from quaestor.store.embedded.binaries import wheel_binaries
from quaestor.store.embedded.errors import (
    BinariesMissing,
    ClusterInitFailed,
    ClusterMissing,
    DataDirectoryRefused,
    EmbeddedServerError,
    ServerAccountMissing,
    ServerDidNotStart,
    ServerDidNotStop,
    ServerOwned,
    SettingRefused,
    UnsafeSocketDirectory,
)
from quaestor.store.embedded.server import EmbeddedServer, exit_on_termination, stop_left_behind

__all__ = [
    "EmbeddedServer",
    "exit_on_termination",
    "stop_left_behind",
    "wheel_binaries",
    "BinariesMissing",
    "ClusterInitFailed",
    "ClusterMissing",
    "DataDirectoryRefused",
    "EmbeddedServerError",
    "ServerAccountMissing",
    "ServerDidNotStart",
    "ServerDidNotStop",
    "ServerOwned",
    "SettingRefused",
    "UnsafeSocketDirectory",
]
