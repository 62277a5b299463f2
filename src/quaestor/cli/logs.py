"""Logging of our processes: masked, for people at a terminal, in JSON everywhere else."""

from __future__ import annotations

import os
import sys

import structlog

from quaestor.observability.logging import configure_logging
from quaestor.security.masking import mask_values

__all__ = ["begin_logging", "log_warnings"]

LEVEL_VARIABLE = "QUAESTOR_LOG_LEVEL"


def begin_logging(*, as_json: bool, level: str = "info") -> None:
    """Log to stderr; `QUAESTOR_LOG_LEVEL` names another level."""
    configure_logging(
        mask_values,
        as_json=as_json or not sys.stderr.isatty(),
        level=os.environ.get(LEVEL_VARIABLE) or level,
    )


def log_warnings() -> None:
    """For commands that narrate: nothing but warnings, and never to stdout, as by default."""
    if not structlog.is_configured():
        begin_logging(as_json=False, level="warning")
