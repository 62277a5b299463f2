"""The operating-system account that the server runs as, and what that account can reach.

An ordinary user's server runs as that user. PostgreSQL refuses to run as root; for root it runs
under a numeric user id of its own, so that no other service shares its files or its socket.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quaestor.store.embedded.errors import DataDirectoryRefused, ServerAccountMissing

__all__ = ["Account", "can_pass", "can_run", "initialising_account", "server_account"]

# Debian's policy reserves 65000-65533 and gives none of them away; 65535 and above do not exist
# in the user namespaces of rootless containers.
_PRIVATE_IDS = range(65433, 65533)


@dataclass(frozen=True)
class Account:
    """A user and group id, named or not."""

    uid: int
    gid: int

    @property
    def switch(self) -> dict[str, object]:
        """The arguments of `subprocess.Popen` that start a process under this account."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def server_account(cluster: Path) -> Account:
    """The account for the server of `cluster`, whether or not that exists yet.

    Root keeps the owner of an existing cluster, so that a user's database stays that user's.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if cluster.exists():
        owner = cluster.stat()
        if owner.st_uid == 0:
            raise DataDirectoryRefused(f"{cluster} belongs to root, and PostgreSQL refuses that.")
        return Account(owner.st_uid, owner.st_gid)
    return next(_unused_accounts())


def _unused_accounts() -> Iterator[Account]:
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    for number in _PRIVATE_IDS:
        if number not in taken:
            yield Account(number, number)
    raise ServerAccountMissing


def initialising_account(server: Account) -> Account:
    """The account that makes the cluster: initdb insists on a name, the server itself does not.

    What was made is handed over to `server` afterwards.
    """
    try:
        pwd.getpwuid(server.uid)
    except KeyError:
        if os.geteuid() != 0:
            # Containers with an invented user id: initdb then says itself what is missing.
            return server
    else:
        return server
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise ServerAccountMissing from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def can_pass(account: Account, directory: Path) -> bool:
    """Whether `account` may pass through `directory` to something of its own inside.

    Judged by owner, group and mode. An access list that takes rights away shows up when the
    server starts; one that gives them only costs a needless copy.
    """
    if account.uid == os.geteuid():
        return True
    resolved = directory.resolve()
    return all(_rights(account, step) & 0o1 for step in [resolved, *resolved.parents])


def can_run(account: Account, program: Path) -> bool:
    """Whether `account` may read and run `program`, which lists its own directory."""
    resolved = program.resolve()
    return can_pass(account, resolved.parent) and all(
        account.uid == os.geteuid() or _rights(account, path) & 0o5 == 0o5
        for path in (resolved, resolved.parent)
    )


def _rights(account: Account, path: Path) -> int:
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid == account.uid:
        return mode >> 6 & 0o7
    if status.st_gid == account.gid:
        return mode >> 3 & 0o7
    return mode & 0o7
