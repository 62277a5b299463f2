"""Causes: what parks many documents for one reason is one matter for one person. Pure.

A cause is a refusal without what belongs to the single case. So a missing code that holds up a
thousand requisitions is one line of the worklist, and the next missing code is another.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import msgspec

from quaestor.model.refusal import Owner, Refusal

__all__ = ["Cause", "cause_of"]

# Who voted and what was looked for on which day differ from case to case, whatever the cause.
_OF_THE_CASE = frozenset(
    {
        *("approvers", "as_of", "attempts", "differences", "expected", "found", "key", "length"),
        *("line", "message_id", "number", "numbers", "on", "order_group", "request", "stated"),
        *("verdict", "version", "votes"),
    }
)
# Sentences: what a vendor or our own code wrote for this one case.
_SENTENCES = frozenset({"error", "message", "reason", "where", "why"})
_FIGURES = re.compile(r"\d+(?:[.,:/-]\d+)*")
_LONG_IDS = re.compile(r"\b(?=[a-z0-9]*\d)(?=[a-z0-9]*[a-z])[a-z0-9]{12,}\b", re.IGNORECASE)


class Cause(msgspec.Struct, frozen=True):
    """Why documents wait: `facts` are those parts of the refusal that all of them share."""

    fingerprint: str
    code: str
    owner: Owner
    type: str
    facts: Mapping[str, str]


def cause_of(owner: Owner, refusal: Refusal, type_: str) -> Cause:
    """The cause of a document of this type that waits for this owner because of this refusal."""
    facts = {
        name: _LONG_IDS.sub("…", _FIGURES.sub("…", text)) if name in _SENTENCES else text
        for name, text in sorted(refusal.details.items())
        if name not in _OF_THE_CASE
    }
    stated = msgspec.json.encode([owner, refusal.code, type_, *facts.items()])
    return Cause(hashlib.sha256(stated).hexdigest()[:12], refusal.code, owner, type_, facts)
