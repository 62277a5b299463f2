"""Where an embedded server lives.

    DATA/postgres.lock          the owner lock
    DATA/postgres/              the home of the server
        cluster/                PostgreSQL's data directory, 0700, the server account's
        run/                    the socket directory, 0700, the server account's
        server.log              what the server said; the one before it is server.log.1
    DATA/postgres.location      only for root: the home lies elsewhere, namely there

A server that root starts runs under an account of its own, which may be unable to reach DATA
(below /root, say). Nobody's directories are opened up for it: the home is then made below
`ROOT_STATE` and DATA keeps a pointer to it.

A socket's path is limited to about 100 bytes and has no room for some characters. Where `run/`
does not fit, a private directory of an unforeseeable name is made below the temporary root, and
recorded in `run.location`.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from quaestor.store.embedded.account import Account, can_pass
from quaestor.store.embedded.errors import (
    ClusterMissing,
    DataDirectoryRefused,
    UnsafeSocketDirectory,
)

__all__ = [
    "ROOT_STATE",
    "Home",
    "check_private",
    "discard_socket_directory",
    "find_home",
    "make_home",
    "prepare_data_directory",
    "socket_directory",
]

ROOT_STATE = Path("/var/lib/quaestor")
"""Where root's servers and copied binaries go when the server's account cannot reach theirs."""

# sockaddr_un holds 104 bytes on macOS and 108 on Linux, with the closing NUL.
_SOCKET_BYTES_MAX = 100
_SOCKET_NAME = ".s.PGSQL.5432"
# A comma separates hosts in a DSN; the others would need quoting in one place or another.
_AWKWARD = re.compile(r"[,\"'\\%\n\r]")


@dataclass(frozen=True)
class Home:
    """The directory of one embedded server."""

    root: Path

    @property
    def cluster(self) -> Path:
        """PostgreSQL's data directory."""
        return self.root / "cluster"

    @property
    def log(self) -> Path:
        """What the server writes to its standard error."""
        return self.root / "server.log"


def prepare_data_directory(data_dir: Path) -> Path:
    """The absolute data directory, made where it is missing."""
    try:
        resolved = data_dir.expanduser().resolve()
        # Root's server needs to pass through a directory that we made ourselves; it cannot list
        # or read it.
        resolved.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataDirectoryRefused(f"{data_dir}: {error.strerror}.") from error
    if "\n" in str(resolved):
        raise DataDirectoryRefused("Its name contains a line break.")
    return resolved


def find_home(data_dir: Path) -> Home | None:
    """The home that belongs to `data_dir`, or None where no server was ever started."""
    pointer = data_dir / "postgres.location"
    try:
        elsewhere = Path(pointer.read_text().strip())
    except FileNotFoundError:
        inside = data_dir / "postgres"
        return Home(inside) if inside.exists() else None
    if not elsewhere.is_dir():
        raise ClusterMissing(f"{pointer} names {elsewhere}.")
    return Home(elsewhere)


def make_home(data_dir: Path, account: Account, elsewhere: Path) -> Home:
    """A new home: inside `data_dir` if `account` can reach that, below `elsewhere` if not."""
    if can_pass(account, data_dir):
        root = data_dir / "postgres"
        root.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700)
        return Home(root)
    elsewhere.mkdir(mode=0o711, parents=True, exist_ok=True)
    if not can_pass(account, elsewhere):
        raise DataDirectoryRefused(f"The server's account reaches neither it nor {elsewhere}.")
    # The name is new each time: a data directory that was deleted and made again must not find
    # its former database.
    root = elsewhere / f"{data_dir.name or 'data'}-{secrets.token_hex(8)}"
    root.mkdir(mode=0o711)
    (root / "belongs-to").write_text(f"{data_dir}\n")
    pointer = data_dir / "postgres.location"
    unfinished = pointer.with_suffix(".unfinished")
    unfinished.write_text(f"{root}\n")
    os.replace(unfinished, pointer)
    return Home(root)


def socket_directory(home: Home, account: Account) -> Path:
    """The private directory for the server's socket, made where it is missing."""
    inside = home.root / "run"
    socket = os.fsencode(inside / _SOCKET_NAME)
    if len(socket) <= _SOCKET_BYTES_MAX and not _AWKWARD.search(str(inside)):
        if not inside.exists():
            inside.mkdir(mode=0o700)
            os.chown(inside, account.uid, account.gid)
        check_private(inside, account)
        return inside
    record = home.root / "run.location"
    try:
        recorded = Path(record.read_text().strip())
    except FileNotFoundError:
        recorded = None
    # A restart of the machine may have emptied the temporary root.
    if recorded is None or not os.path.lexists(recorded):
        recorded = _private_temporary_directory(account)
        record.write_text(f"{recorded}\n")
    check_private(recorded, account)
    return recorded


def discard_socket_directory(home: Home) -> None:
    """Remove the socket directory below the temporary root, if there is one. The server ended."""
    record = home.root / "run.location"
    if record.exists():
        shutil.rmtree(record.read_text().strip(), ignore_errors=True)
        record.unlink()


def _private_temporary_directory(account: Account) -> Path:
    for root in (tempfile.gettempdir(), "/tmp"):
        fits = len(os.fsencode(root)) + len("/quaestor-12345678/") + len(_SOCKET_NAME)
        plain = fits <= _SOCKET_BYTES_MAX and not _AWKWARD.search(root)
        if plain and can_pass(account, Path(root)):
            directory = Path(tempfile.mkdtemp(prefix="quaestor-", dir=root))
            os.chown(directory, account.uid, account.gid)
            return directory.resolve()
    raise DataDirectoryRefused("Its path is too long for a socket, and so is the temporary root's.")


def check_private(directory: Path, account: Account) -> None:
    """Refuse a socket directory that anybody but `account` could enter or replace."""
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise UnsafeSocketDirectory(f"{directory} is not a directory.")
    if status.st_uid != account.uid or stat.S_IMODE(status.st_mode) & 0o077:
        raise UnsafeSocketDirectory(f"{directory} has another owner or mode.")
