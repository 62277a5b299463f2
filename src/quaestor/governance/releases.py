"""Releases: what a project folder said, kept by content hash, for as long as documents pin it.

A document keeps the release it was submitted under; a change never works backwards (DESIGN D12).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import msgspec

from quaestor.store import Connection

__all__ = ["ReleaseUnknown", "publish", "released_files"]

_INSERT = """
insert into quaestor.release (hash, body, published_at, published_by)
values ($1, $2, quaestor.clock(), $3) on conflict (hash) do nothing
"""
_SWITCH = """
insert into quaestor.release_current (hash, since) values ($1, quaestor.clock())
on conflict (only_row) do update set hash = excluded.hash, since = excluded.since
where release_current.hash <> excluded.hash
"""

_BODY = "select body from quaestor.release where hash = $1"


class ReleaseUnknown(LookupError):
    """No release of this hash was ever published here."""


async def publish(
    connection: Connection, release: str, files: Mapping[str, bytes], *, by: str
) -> None:
    """Keep the files of a release, by path, and make it the one for new documents."""
    body = zlib.compress(msgspec.msgpack.encode(dict(sorted(files.items()))), 6)
    await connection.execute(_INSERT, release, body, by)
    await connection.execute(_SWITCH, release)


async def released_files(connection: Connection, release: str) -> dict[str, bytes]:
    """The files of a release. Raises `ReleaseUnknown`."""
    body = await connection.fetchval(_BODY, release)
    if body is None:
        raise ReleaseUnknown(release)
    return msgspec.msgpack.decode(zlib.decompress(body), type=dict[str, bytes])
