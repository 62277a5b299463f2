"""Naming people in a trace, for those who may know who they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from quaestor.audit.subjects import SubjectErased, Subjects, WrappingKeyMissing
from quaestor.audit.trace import Step
from quaestor.store import Connection

__all__ = ["names_in"]


async def names_in(
    connection: Connection, subjects: Subjects, steps: Iterable[Step]
) -> Mapping[str, str]:
    """Who the people are that something was told to, by pseudonym; an erased one is left out."""
    names: dict[str, str] = {}
    for pseudonym in {step.details.get("to", "") for step in steps}:
        if pseudonym.startswith("sub:"):
            try:
                names[pseudonym] = await subjects.identity(connection, pseudonym)
            except (SubjectErased, WrappingKeyMissing):
                continue
    return names
