"""The approval decision: a snapshot in, a named result with its evidence out.

Mode `verify` holds a platform's verdict against our minimum: nobody interested counts, at least
one counted vote has the authority, and the votes were cast on this content (DESIGN D13, I15-I17).

Precedence, first match wins; the names in brackets stand in the refusal's `failed`:

1. `Undecided`      no evidence, or evidence without a vote
2. `Insufficient`   [other_decider] another system decided than the declared one
3. `Insufficient`   [other_content] the votes were cast on another version or content
4. `Declined`       a person rejected it: it needs neither authority nor proof to say no
5. `Approved`       mode `relay`: the platform's verdict is authoritative
6. `Insufficient`   [content_unknown] the platform cannot tell what was voted on
7. `Insufficient`   [directory_stale] nobody can say who has authority today (F37)
8. `Insufficient`   [nobody_independent] only interested people approved
9. `Insufficient`   [approver_unknown] nobody counted; an approver is not in the directory
10. `Insufficient`  [approver_inactive] nobody counted; an approver is inactive
11. `Insufficient`  [delegation_missing] nobody counted; a vote for another whom our directory does
                    not know to have delegated it, then and to that amount
12. `Insufficient`  [rate_missing] nobody has the authority; a limit could not be compared
13. `Insufficient`  [authority_below_amount] nobody counted has authority for the amount
14. `Approved`
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from quaestor.approvals.snapshot import ApprovalSnapshot
from quaestor.model.approval import ApprovalDecision, ApprovalEvidence
from quaestor.model.employee import Employee
from quaestor.model.refusal import Refusal, refuse

__all__ = [
    "Approved",
    "Decision",
    "Declined",
    "Insufficient",
    "Standing",
    "Undecided",
    "VoteFinding",
    "decide",
]

Standing = Literal[
    "satisfies",
    "counted",
    "rejects",
    "interested",
    "approver_unknown",
    "approver_inactive",
    "delegation_missing",
    "rate_missing",
]
_Reach = Literal["reaches", "below", "rate_missing"]


class VoteFinding(msgspec.Struct, frozen=True):
    """What became of one vote, for the audit trail.

    `satisfies` has the authority for the amount; `counted` is good but too small; all others
    were not counted. `authority_of` is the person whose authority was used: the delegator of a
    delegated vote (A15).
    """

    approver: str
    authority_of: str
    standing: Standing


class Approved(msgspec.Struct, frozen=True, tag="approved"):
    """May be ordered. `votes` show which vote satisfied the minimum."""

    votes: tuple[VoteFinding, ...]


class Declined(msgspec.Struct, frozen=True, tag="declined"):
    """An approver rejected it: `approval_rejected`."""

    refusal: Refusal
    votes: tuple[VoteFinding, ...] = ()


class Insufficient(msgspec.Struct, frozen=True, tag="insufficient"):
    """The platform approved, our minimum is not met: `approval_evidence_insufficient`."""

    refusal: Refusal
    votes: tuple[VoteFinding, ...] = ()


class Undecided(msgspec.Struct, frozen=True, tag="undecided"):
    """Nobody has decided yet; silence never approves (A16)."""


Decision = Approved | Declined | Insufficient | Undecided


def decide(snapshot: ApprovalSnapshot) -> Decision:
    """Decide on the snapshot alone; the same snapshot gives the same decision, any day (I19)."""
    evidence = snapshot.evidence
    if evidence is None or not evidence.decisions:
        return Undecided()
    declared = snapshot.policy.decider
    if declared is not None and evidence.decided_by != declared:
        return _insufficient("other_decider", declared=declared, decided_by=evidence.decided_by)
    if _other_content(snapshot, evidence):
        return _insufficient("other_content")
    votes = tuple(_finding(snapshot, vote) for vote in evidence.decisions)
    rejecting = sorted(vote.approver for vote in votes if vote.standing == "rejects")
    if rejecting:
        return Declined(refuse("approval_rejected", approvers=", ".join(rejecting)), votes)
    if snapshot.policy.mode == "relay":
        return Approved(votes)
    return _verified(snapshot, evidence, votes)


def _verified(
    snapshot: ApprovalSnapshot, evidence: ApprovalEvidence, votes: tuple[VoteFinding, ...]
) -> Decision:
    standings = {vote.standing for vote in votes}
    if evidence.content_hash is None and evidence.version is None:
        return _insufficient("content_unknown", votes)
    if snapshot.directory.stale:
        return _insufficient("directory_stale", votes)
    if "satisfies" in standings:
        return Approved(votes)
    if not standings & {"counted", "rate_missing"}:
        for standing, failed in _UNCOUNTED.items():
            if standing in standings:
                return _insufficient(failed, votes)
    if "rate_missing" in standings:
        return _insufficient("rate_missing", votes)
    return _insufficient("authority_below_amount", votes)


_UNCOUNTED: dict[Standing, str] = {
    "interested": "nobody_independent",
    "approver_unknown": "approver_unknown",
    "approver_inactive": "approver_inactive",
    "delegation_missing": "delegation_missing",
}


def _insufficient(failed: str, votes: tuple[VoteFinding, ...] = (), **details: str) -> Insufficient:
    found = {"votes": ", ".join(f"{vote.approver}: {vote.standing}" for vote in votes)}
    given = {**details, **(found if votes else {})}
    return Insufficient(refuse("approval_evidence_insufficient", failed=failed, **given), votes)


def _other_content(snapshot: ApprovalSnapshot, evidence: ApprovalEvidence) -> bool:
    """The hash is the better witness; the version counts where the platform has no hash."""
    if evidence.content_hash is not None:
        return evidence.content_hash != snapshot.content_hash
    return evidence.version is not None and evidence.version != snapshot.version


def _finding(snapshot: ApprovalSnapshot, vote: ApprovalDecision) -> VoteFinding:
    holder = vote.on_behalf_of or vote.approver
    return VoteFinding(vote.approver, holder, _standing(snapshot, vote, holder))


def _standing(snapshot: ApprovalSnapshot, vote: ApprovalDecision, holder: str) -> Standing:
    if vote.verdict == "rejected":
        return "rejects"
    # A delegate may not decide on his own document, nor lend his hand to an interested delegator.
    if {vote.approver, holder} & snapshot.interested:
        return "interested"
    approver, authority = map(snapshot.directory.find, (vote.approver, holder))
    if approver is None or authority is None:
        return "approver_unknown"
    if not (approver.active and authority.active):
        return "approver_inactive"
    if holder != vote.approver and not _is_lent(snapshot, vote, authority):
        return "delegation_missing"
    match _reach(snapshot, authority):
        case "reaches":
            return "satisfies"
        case "below":
            return "counted"
        case "rate_missing":
            return "rate_missing"


def _is_lent(snapshot: ApprovalSnapshot, vote: ApprovalDecision, holder: Employee) -> bool:
    """Whether our directory knows the delegation: a platform's own word for it is not enough."""
    amount = _in_currency_of(snapshot, holder)
    return any(
        lent.max_amount is None or (amount is not None and amount <= lent.max_amount)
        for lent in holder.lent_to(vote.approver, vote.decided_at)
    )


def _reach(snapshot: ApprovalSnapshot, holder: Employee) -> _Reach:
    """Whether the authority reaches the amount: inclusive (A3), zero in other entities (A30)."""
    if not holder.may_act_for(snapshot.entity):
        return "reaches" if snapshot.amount <= 0 else "below"
    if holder.limit is None:
        return "reaches"
    amount = _in_currency_of(snapshot, holder)
    if amount is None:
        return "rate_missing"
    return "reaches" if amount <= holder.limit else "below"


def _in_currency_of(snapshot: ApprovalSnapshot, holder: Employee) -> Decimal | None:
    return snapshot.rates.convert(
        snapshot.amount,
        snapshot.currency,
        holder.limit_currency or snapshot.base_currency,
        snapshot.on,
    )
