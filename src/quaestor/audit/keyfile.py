"""Keys that a deployment makes at its first start: one file each, readable by its owner alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

__all__ = ["KeyFileExposed", "KeyFileUnreadable", "read_or_make_key"]

_BYTES_MAX = 4096


class KeyFileExposed(Exception):
    """A key file can be read by others than its owner; make a new key and tell the operator."""

    code = "audit_key_exposed"


class KeyFileUnreadable(Exception):
    """A key file cannot be read or written, or does not hold a key."""

    code = "audit_key_unreadable"


def read_or_make_key(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of the key file; `make` is asked once, where there is none.

    The directory is made with mode 0700, the file with 0600. Two processes that start together
    agree on one key. Raises `KeyFileExposed` and `KeyFileUnreadable`; neither shows the content.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _publish(path, make())
        status = path.stat()
        if os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o077:
            raise KeyFileExposed(f"{path.name} has mode {stat.S_IMODE(status.st_mode):04o}.")
        with path.open("rb") as file:
            content = file.read(_BYTES_MAX + 1)
    except OSError as error:
        raise KeyFileUnreadable(f"{path.name}: {error.strerror}") from error
    if not content or len(content) > _BYTES_MAX:
        raise KeyFileUnreadable(f"{path.name} holds no key.")
    return content


def _publish(path: Path, content: bytes) -> None:
    """Write beside, then link: a reader sees the whole key or none, and the first writer wins."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)
        except FileExistsError:
            return
    finally:
        beside.unlink(missing_ok=True)
