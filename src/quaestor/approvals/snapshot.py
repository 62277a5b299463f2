"""What an approval is decided on: the content, the people, the votes. Values only (I19)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

from quaestor.model.approval import ApprovalEvidence
from quaestor.model.employee import Directory
from quaestor.model.rates import Rates

__all__ = ["ApprovalPolicy", "ApprovalSnapshot", "Mode"]

Mode = Literal["verify", "relay"]


class ApprovalPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who decides, and how much of it we take on trust (DESIGN D13).

    `decider` is the system whose verdict counts; `None` takes evidence that came with the
    document from any system, and there is nobody to ask. `relay` takes the decider's verdict as
    it is; `verify` also holds it against our minimum. An open request expires after
    `expire_after_days` (A16).
    """

    decider: str | None = None
    mode: Mode = "verify"
    expire_after_days: int = 30


class ApprovalSnapshot(msgspec.Struct, frozen=True):
    """One document at the moment of the decision.

    `amount` is the whole document's, in `currency` (A5); limits without a currency of their own
    are in `base_currency`, and `rates` of the day `on`, the day of submission, convert (A4).
    `interested` are requester, preparer, beneficiary and declared conflicts (A10).
    `content_hash` is lower-case hex SHA-256.
    """

    policy: ApprovalPolicy
    entity: str
    base_currency: str
    amount: Decimal
    currency: str
    on: date
    version: int
    content_hash: str
    interested: frozenset[str]
    directory: Directory
    rates: Rates
    evidence: ApprovalEvidence | None
