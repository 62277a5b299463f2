"""Approvals: what was decided, by whom, on which content."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

__all__ = ["ApprovalDecision", "ApprovalEvidence", "Verdict"]

Verdict = Literal["approved", "rejected"]


class ApprovalDecision(msgspec.Struct, frozen=True):
    """One person's vote. `on_behalf_of` names the delegator of a delegated vote."""

    approver: str
    verdict: Verdict
    decided_at: datetime
    on_behalf_of: str | None = None
    comment: str = ""


class ApprovalEvidence(msgspec.Struct, frozen=True):
    """An approval decided by a platform, with its votes.

    `content_hash` is the hash of the business content that was voted on (lower-case hex
    SHA-256), `None` where the platform cannot tell; `version` is the document version voted on.
    """

    decided_by: str
    decisions: tuple[ApprovalDecision, ...]
    content_hash: str | None = None
    version: int | None = None
