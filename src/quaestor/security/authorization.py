"""Authorization: function × entity × environment. The same answer at every door.

A function is a scope of the token. A caller without the scope is told so (`insufficient_scope`);
what belongs to another entity does not exist for him (`not_found`), so that nobody learns from a
refusal what others have.
"""

from __future__ import annotations

from enum import StrEnum

from quaestor.model.refusal import Refusal, refuse
from quaestor.security.identity import Caller

__all__ = ["Forbidden", "NotFound", "Scope", "permit", "permit_entity"]


class Scope(StrEnum):
    """What a token may be good for. A `write` or `decide` also reads what it is about."""

    REQUISITIONS_WRITE = "requisitions:write"
    REQUISITIONS_READ = "requisitions:read"
    BUDGET_RESERVE = "budget:reserve"
    APPROVALS_DECIDE = "approvals:decide"
    APPROVALS_READ = "approvals:read"
    REFERENCE_READ = "reference:read"
    TRACES_READ = "traces:read"
    WORKLIST_READ = "worklist:read"
    WORKLIST_ACT = "worklist:act"


class Forbidden(Exception):
    """The caller is known and may not do this; `refusal` says what is missing."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


class NotFound(Exception):
    """There is no such thing for this caller."""

    refusal = refuse("not_found")


def permit(caller: Caller, environment: str, *any_of: Scope) -> None:
    """Raise `Forbidden` unless the caller has one of the scopes, here, for some entity."""
    if caller.environment != environment:
        raise Forbidden(refuse("environment_differs", environment=environment))
    if not caller.scopes & {str(scope) for scope in any_of} or not caller.entities:
        wanted = " or ".join(str(scope) for scope in any_of)
        raise Forbidden(refuse("insufficient_scope", scope=wanted))


def permit_entity(caller: Caller, entity: str) -> None:
    """Raise `NotFound` for an entity that the caller may not act for."""
    if entity not in caller.entities:
        raise NotFound
