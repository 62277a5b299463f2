"""Logging of our processes: masked, for people at a terminal, in JSON everywhere else."""

from __future__ import annotations

import os
import sys

from quaestor.observability.logging import configure_logging
from quaestor.security.masking import mask_values

__all__ = ["begin_logging"]


def begin_logging(*, as_json: bool) -> None:
    """Log to stderr; `QUAESTOR_LOG_LEVEL` names the level."""
    level = os.environ.get("QUAESTOR_LOG_LEVEL", "info")
    configure_logging(mask_values, as_json=as_json or not sys.stderr.isatty(), level=level)
