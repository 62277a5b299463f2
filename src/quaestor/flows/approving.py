"""Bringing a document through its approval: ask the declared decider, hold his answer to ours.

    approving ─► asking ─► handed ─► (awaited) ─► deciding ─► approved: `ordering`
                   ▲                     │            ├─► rejected
                   │                  nobody          └─► ended without a decision: `undecided`
                   └─ retried ◄─ expired ◄─ expiring

A request names the version it asks about. A decision on an earlier request, or by another system
than the declared decider, is recorded and laid aside: it says nothing about what stands there now.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from quaestor.approvals.decide import Approved, Declined, Insufficient, Undecided, VoteFinding
from quaestor.approvals.decide import decide as decide_approval
from quaestor.approvals.snapshot import ApprovalPolicy, ApprovalSnapshot
from quaestor.connectors.kit.contract import Rejected
from quaestor.flows.charging import buyer_of
from quaestor.flows.kit.dossier import HANDED, ApprovalRequested, Dossier, request_of
from quaestor.flows.kit.effects import (
    Record,
    Release,
    RequestApproval,
    Send,
    Tell,
    WithdrawApproval,
)
from quaestor.flows.kit.reads import EntityBook, Routing
from quaestor.flows.kit.step import Await, Park, Step
from quaestor.flows.withdrawing import WITHDRAWING_READS
from quaestor.model.approval import ApprovalEvidence
from quaestor.model.employee import Directory
from quaestor.model.event import Decided
from quaestor.model.rates import Rates
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.requisition import Requisition

__all__ = [
    "APPROVING_READS",
    "approving",
    "asking",
    "deciding",
    "expiring",
    "handed",
    "latest_request",
    "newest_request_name",
]

APPROVING_READS: tuple[type, ...] = (
    *WITHDRAWING_READS,
    ApprovalPolicy,
    EntityBook,
    Directory,
    Rates,
)


def approving(dossier: Dossier) -> Step:
    """A decision that is there already is enough, if it is good; else ask the decider."""
    return _decided(dossier)


def asking(dossier: Dossier) -> Step:
    """Ask on the present content. An answer to an earlier request does not count any more."""
    policy = dossier.read(ApprovalPolicy)
    requisition: Requisition = dossier.document.body
    if policy.decider is None:
        refusal = refuse("approval_evidence_insufficient", failed="nobody_to_ask")
        return Step((), Park(refusal.owner, refusal, resume="approving"))
    asked = RequestApproval(
        _request_name(dossier, _times_asked(dossier) + 1),
        decider=policy.decider,
        content_hash=dossier.document.content_hash,
        version=dossier.document.version,
        amount=requisition.total,
        currency=requisition.currency,
    )
    if policy.decider not in dossier.read(Routing).asks:
        return Step((asked,), _awaited(dossier, dossier.now))
    # The decider works in a system of his own: the requisition is handed over there, once.
    handed = Send(
        HANDED + asked.name,
        policy.decider,
        "submit_requisition",
        order_group=asked.name,
        requisition=requisition,
    )
    return Step((asked, handed), "handed")


def handed(dossier: Dossier) -> Step:
    """The decider has it, or his system refused to take it."""
    request = latest_request(dossier)
    if request is None:
        return Step((), "asking")
    match dossier.results.get(HANDED + request.request):
        case Rejected(refusal):
            return Step((), Park(refusal.owner, refusal, resume="asking"))
        case _:
            return Step((), _awaited(dossier, request.requested_at or dossier.now))


def deciding(dossier: Dossier) -> Step:
    """The decider answered; without a decision on the open request, wait on."""
    return _decided(dossier)


def expiring(dossier: Dossier) -> Step:
    """Nobody decided in time. Silence never approves (A16): the request is closed."""
    request = latest_request(dossier)
    withdrawn = () if request is None else (WithdrawApproval(request.request),)
    return Step(withdrawn, "expired")


def latest_request(dossier: Dossier) -> ApprovalRequested | None:
    """The newest request on the document's present version; `None` if it was taken back."""
    result = dossier.results.get(newest_request_name(dossier))
    return result if isinstance(result, ApprovalRequested) else None


def newest_request_name(dossier: Dossier) -> str:
    """What the newest request on the present version is called, also one that was taken back."""
    return _request_name(dossier, _times_asked(dossier))


def _times_asked(dossier: Dossier) -> int:
    times = 0
    while _request_name(dossier, times + 1) in dossier.results:
        times += 1
    return times


def _request_name(dossier: Dossier, attempt: int) -> str:
    return f"approval/{dossier.document.version}/{attempt}"


def _decided(dossier: Dossier) -> Step:
    requisition: Requisition = dossier.document.body
    events = tuple(event for event in dossier.events if isinstance(event, Decided))
    request = latest_request(dossier)
    # What was decided before the platform ended it, it has undone.
    ended = [place for place, event in enumerate(events) if _ends(dossier, event, request)]
    since = ended[-1] + 1 if ended else 0
    counting = tuple(event for event in events[since:] if _counts(dossier, event, request))
    aside = tuple(event for event in events if event not in counting)
    given = [event.evidence for event in counting]
    came_along = requisition.approval if _is_declared(dossier, requisition.approval) else None
    if ended:
        came_along = None
    evidence = given[-1] if given else came_along
    snapshot = _snapshot(dossier, evidence)
    if isinstance(snapshot, Refusal):
        return Step((), Park(snapshot.owner, snapshot, resume="approving"))
    others = _laid_aside(dossier, aside)
    match decide_approval(snapshot):
        case Approved(votes):
            return Step((*others, _recorded(evidence, "approved", votes)), "ordering", events)
        case Declined(refusal, votes):
            told = _told(requisition, "was rejected", refusal)
            recorded = _recorded(evidence, "rejected", votes)
            freed = Release("reservation")
            return Step((*others, recorded, freed, told), "reporting_rejected", events)
        case Insufficient(refusal, votes):
            # The decision stays unconsumed: once the directory is put right, the same votes are
            # looked at again.
            recorded = _recorded(evidence, "insufficient", votes)
            park = Park(refusal.owner, refusal, resume="approving")
            return Step((*others, recorded), park, aside)
        case Undecided():
            if request is not None and ended:
                closed = WithdrawApproval(request.request)
                return Step((*others, closed), "undecided", events)
            if request is None or dossier.stage == "approving":
                return Step(others, "asking", events)
            return Step(others, _awaited(dossier, request.requested_at or dossier.now), events)


def _counts(dossier: Dossier, event: Decided, request: ApprovalRequested | None) -> bool:
    """Whether this is the declared decider's word on the open request."""
    open_names = {"", request.request if request else ""}
    on_this = request_of(event, dossier.results) in open_names
    return on_this and event.evidence is not None and _is_declared(dossier, event.evidence)


def _ends(dossier: Dossier, event: Decided, request: ApprovalRequested | None) -> bool:
    """Whether the platform says that nobody decides the open request any more."""
    if request is None or event.evidence is not None or not event.reference:
        return False
    return request_of(event, dossier.results) == request.request


def _is_declared(dossier: Dossier, evidence: ApprovalEvidence | None) -> bool:
    """Every decision has one declared decider; what another system says decides nothing (D13)."""
    declared = dossier.read(ApprovalPolicy).decider
    return evidence is not None and declared in (None, evidence.decided_by)


def _laid_aside(dossier: Dossier, aside: tuple[Decided, ...]) -> tuple[Record, ...]:
    """What others decided, and what was decided about other requests, for the trail."""
    requisition: Requisition = dossier.document.body
    said = [event.evidence for event in aside if event.evidence is not None]
    came_along = requisition.approval
    if came_along is not None and dossier.stage == "approving":
        said += [] if _is_declared(dossier, came_along) else [came_along]
    return tuple(
        Record(
            f"decision_laid_aside/{number}",
            {
                "outcome": "no_open_request" if _is_declared(dossier, one) else "other_decider",
                "decided_by": one.decided_by,
                "version": str(one.version or ""),
                "votes": ", ".join(f"{vote.approver}: {vote.verdict}" for vote in one.decisions),
            },
        )
        for number, one in enumerate(said, start=1)
    )


def _awaited(dossier: Dossier, since: datetime) -> Await:
    limit = timedelta(days=dossier.read(ApprovalPolicy).expire_after_days)
    return Await(("Decided",), "deciding", since + limit, "expiring")


def _snapshot(dossier: Dossier, evidence: ApprovalEvidence | None) -> ApprovalSnapshot | Refusal:
    buyer = buyer_of(dossier)
    if isinstance(buyer, Refusal):
        return buyer
    requisition: Requisition = dossier.document.body
    people = (requisition.requester, requisition.preparer, requisition.beneficiary)
    return ApprovalSnapshot(
        policy=dossier.read(ApprovalPolicy),
        entity=requisition.entity,
        base_currency=buyer.entity.base_currency,
        amount=requisition.total,
        currency=requisition.currency,
        on=buyer.day,
        version=dossier.document.version,
        content_hash=dossier.document.content_hash,
        interested=frozenset(person for person in people if person),
        directory=dossier.read(Directory),
        rates=dossier.read(Rates),
        evidence=evidence,
    )


def _recorded(
    evidence: ApprovalEvidence | None, outcome: str, votes: tuple[VoteFinding, ...]
) -> Record:
    facts = {
        "outcome": outcome,
        "decided_by": evidence.decided_by if evidence else "",
        "votes": ", ".join(
            f"{vote.approver} for {vote.authority_of}: {vote.standing}"
            if vote.authority_of != vote.approver
            else f"{vote.approver}: {vote.standing}"
            for vote in votes
        ),
    }
    return Record("approval_evidence", facts)


def _told(requisition: Requisition, what: str, refusal: Refusal) -> Tell:
    return Tell("told", requisition.requester, f"Requisition {requisition.number} {what}.", refusal)
