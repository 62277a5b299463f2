"""Logging: structured lines on stderr, for people at a terminal and for machines elsewhere.

Whatever is logged passes a mask first. The mask is given, because the rooms that know what a
secret is stand above this one.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import structlog

__all__ = ["Mask", "configure_logging"]

Mask = Callable[[Any], Any]

# A traceback that shows local variables would show what they hold.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def configure_logging(
    mask: Mask, *, as_json: bool, level: str = "info", stream: TextIO | None = None
) -> None:
    """Send every line of structlog and of the standard library to `stream` (stderr).

    `mask` gets the members of each line and returns them with secrets masked. `level` is a name
    of the standard library, such as `info`; a `ValueError` for another.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"{level!r} is no level of logging")
    target = stream or sys.stderr
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _masking(mask),
    ]
    rendering: list[Any] = (
        [_TRACEBACKS, structlog.processors.JSONRenderer()]
        if as_json
        else [
            structlog.dev.ConsoleRenderer(
                colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _masking(mask: Mask) -> Any:
    def masked(
        logger: Any, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        # What structlog itself put there is not a member of the line.
        inner = {name: event.pop(name) for name in ("_record", "_from_structlog") if name in event}
        cleaned: dict[str, Any] = dict(mask(event))
        cleaned.update(inner)
        return cleaned

    return masked
