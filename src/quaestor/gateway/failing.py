"""What was raised on the way of a request, as the problem that it is."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg
import structlog
from litestar.exceptions import HTTPException

from quaestor.actions.refusing import NotAccepted
from quaestor.gateway.problems import FaultAt, Problem
from quaestor.security.authorization import Forbidden, NotFound
from quaestor.store.errors import CommitOutcomeUnknown, is_storage_trouble

__all__ = ["problem_of"]

_log = structlog.get_logger(__name__)

_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large"}


def problem_of(error: Exception, request_id: str) -> Problem:
    """What nobody foresaw is logged and not shown."""
    match error:
        case Problem():
            return error
        case Forbidden() | NotFound():
            return Problem(error.refusal)
        case NotAccepted():
            faults = [
                FaultAt(_place(each.details), each.code, "See the meaning of the code.")
                for each in error.refusals
            ]
            return Problem(error.refusal, errors=faults, extra=error.facts)
        case CommitOutcomeUnknown():
            return Problem("commit_unknown")
        case HTTPException() if 400 <= error.status_code < 500:
            allowed = {n: v for n, v in (error.headers or {}).items() if n.lower() == "allow"}
            code = _OF_STATUS.get(error.status_code, "invalid_encoding")
            return Problem(code, headers=allowed)
    if is_storage_trouble(error) or isinstance(error, asyncpg.QueryCanceledError):
        _log.warning("storage_unavailable", error=type(error).__name__, request=request_id)
        return Problem("storage_unavailable")
    _log.error("unforeseen", request=request_id, exc_info=error)
    return Problem("unforeseen")


def _place(details: Mapping[str, str]) -> str:
    """`lines[1].amount` of a refusal as a pointer; lines are named by their number."""
    where = details.get("where", "")
    return "/" + where.replace("[", "/").replace("]", "").replace(".", "/") if where else ""
