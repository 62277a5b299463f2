"""The owner lock: exactly one living process owns an embedded server."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from quaestor.store.embedded.errors import DataDirectoryRefused

__all__ = ["OwnerLock"]


class OwnerLock:
    """An advisory lock on a file, given back by the kernel when its holder dies in any way.

    The file is never removed: whoever had opened it before would then hold a lock on nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self) -> bool:
        """Take the lock without waiting. False when another holder is alive."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise DataDirectoryRefused(f"{self._path}: {error.strerror}.") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._file = descriptor
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return True

    def release(self) -> None:
        """Give the lock back. Harmless when it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def holder(self) -> str:
        """The process id that the last holder wrote down, for a person to read."""
        try:
            return self._path.read_text().strip() or "unknown"
        except OSError:
            return "unknown"
