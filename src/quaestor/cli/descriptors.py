"""Open files: each connection is one, and what a shell allows is meant for a shell."""

from __future__ import annotations

import resource
from contextlib import suppress

__all__ = ["allow_connections"]

_FILES_MAX = 65_536


def allow_connections() -> None:
    """Raise the soft limit of open files as far as the system lets us, here and in children."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, _FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Some systems name a hard limit that they do not grant.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
