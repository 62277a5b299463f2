"""Where a started simulator listens. Apart from the chassis, which needs a whole HTTP server."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

__all__ = ["Ready"]


class Ready(msgspec.Struct, frozen=True):
    """Where a started simulator listens, and what it lets in."""

    url: str
    control: str
    credentials: Mapping[str, str]
