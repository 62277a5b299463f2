"""Problems: every answer that is not a success, in the form of RFC 9457.

A problem names a refusal of the one table; its status is said here. It shows no stack, no SQL, no
host and no secret (I37): what it shows is the refusal's meaning and what the refusal holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from quaestor.model.refusal import REFUSALS, Refusal, refuse

__all__ = [
    "PROBLEM_JSON",
    "RETRY_AFTER_S",
    "STATUS",
    "FaultAt",
    "Problem",
    "problem_body",
    "status_of",
]

PROBLEM_JSON = "application/problem+json"

# Codes whose status is not 422, which is for what can be read and is not acceptable.
STATUS: Mapping[str, int] = {
    "already_decided": 409,
    "actor_inactive": 403,
    "budget_unknown": 503,
    "commit_unknown": 503,
    "cursor_invalid": 400,
    "decider_differs": 409,
    "delegation_missing": 403,
    "duplicate_document": 409,
    "duplicate_member": 400,
    "environment_differs": 403,
    "idempotency_key_invalid": 400,
    "idempotency_key_missing": 400,
    "insufficient_scope": 403,
    "invalid_encoding": 400,
    "invalid_json": 400,
    "method_not_allowed": 405,
    "nesting_too_deep": 400,
    "not_an_approver": 403,
    "not_found": 404,
    "not_ready": 503,
    "number_out_of_range": 400,
    "overloaded": 503,
    "payload_too_large": 413,
    "precondition_failed": 412,
    "precondition_required": 428,
    "rate_limited": 429,
    "request_in_progress": 409,
    "self_approval_forbidden": 403,
    "signature_invalid": 401,
    "state_forbids_change": 409,
    "step_not_pending": 409,
    "storage_unavailable": 503,
    "timestamp_out_of_range": 401,
    "token_invalid": 401,
    "token_missing": 401,
    "too_many_members": 400,
    "unforeseen": 500,
    "unsupported_media_type": 415,
    "version_changed": 409,
    "webhook_unknown": 404,
}
RETRY_AFTER_S = 1
_ERRORS_MAX = 50


class FaultAt(msgspec.Struct, frozen=True):
    """One fault of a body: where (JSON pointer, RFC 6901), which, and what about it."""

    pointer: str
    code: str
    detail: str


class Problem(Exception):
    """A request that is refused. `extra` are further members, safe to show."""

    def __init__(
        self,
        refusal: Refusal | str,
        *,
        errors: Iterable[FaultAt] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.refusal = refuse(refusal) if isinstance(refusal, str) else refusal
        super().__init__(self.refusal.code)
        self.status = status_of(self.refusal.code)
        self.errors = tuple(errors)[:_ERRORS_MAX]
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})
        if self.status in (429, 503) or self.refusal.code == "request_in_progress":
            self.headers.setdefault("Retry-After", str(RETRY_AFTER_S))
        if self.status == 401:
            error = "" if self.refusal.code == "token_missing" else ' error="invalid_token"'
            self.headers.setdefault("WWW-Authenticate", f"Bearer{error}")
        if self.refusal.code == "insufficient_scope":
            scope = self.refusal.details.get("scope", "").split(" or ")[0]
            self.headers.setdefault(
                "WWW-Authenticate", f'Bearer error="insufficient_scope", scope="{scope}"'
            )


def status_of(code: str) -> int:
    """The HTTP status of a refusal."""
    return STATUS.get(code, 422)


def problem_body(problem: Problem, request_id: str) -> dict[str, Any]:
    """The members of the answer. `type` leads to the page of the code."""
    code = problem.refusal.code
    kind = REFUSALS[code]
    body: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": kind.meaning,
        "status": problem.status,
        "code": code,
        "owner": kind.owner,
        "request_id": request_id,
    }
    if problem.refusal.details:
        body["details"] = dict(problem.refusal.details)
    if problem.errors:
        body["errors"] = [msgspec.structs.asdict(fault) for fault in problem.errors]
    return {**problem.extra, **body}
