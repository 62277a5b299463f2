"""Requisition to order: every approved line is ordered once, or stands with somebody by name.

    validating ─► reserving ─► approving ─► ordering ─► posting ─► answering ─► ordered ─► closed
        ▲                        │   ▲                     ▲  (one group     │
     changed ◄─ a change    deciding │ expiring            │   after the     ▼
        │                        └─► rejected              └── other) ◄─ committing

    where another system states the budget: validating ─► (asked) budgeting ─► reserving
    a cancellation, at every stage ─► cancelling ⇄ cancel_answered ─► withdrawing ⇄ withdrawn
    what became of it goes home last: reporting_ordered, _cancelled, _rejected ⇄ reported

Budget, routing and crosswalks go by the day of submission in the entity's time zone. So the same
document finds the same ledger, and with it the same posting key, on whatever day it is read again.

A change is adopted as long as nothing of the document stands in a ledger. While a send is
unresolved it waits; once an order exists it is a person's matter (`state_forbids_change`, N51).
"""

from __future__ import annotations

from quaestor.budget.effects import BudgetLine, StatedBudget
from quaestor.flows.approving import (
    APPROVING_READS,
    approving,
    asking,
    deciding,
    expiring,
    handed,
    latest_request,
    newest_request_name,
)
from quaestor.flows.budgeting import budget_questions, grown_old, stated_budgets
from quaestor.flows.charging import CHARGING_READS, charged
from quaestor.flows.dismissing import DISMISSED, dismissed, dismissing
from quaestor.flows.kit.dossier import Dossier, Refused, Reserved
from quaestor.flows.kit.effects import Adjust, Adopt, Reserve, Tell, Withdraw, WithdrawApproval
from quaestor.flows.kit.flow import Flow, Stage
from quaestor.flows.kit.reads import EntityBook, Routing
from quaestor.flows.kit.step import Park, Stay, Step
from quaestor.flows.ordering import (
    ORDERING_READS,
    answering,
    cancel_answered,
    cancelling,
    closed,
    committing,
    is_committed,
    ordered,
    ordering,
    placed,
    posting,
)
from quaestor.flows.reporting import (
    REPORTING_READS,
    is_telling_of_cancellation,
    report,
    reported,
    reporting_cancelled,
    reporting_ordered,
    reporting_rejected,
)
from quaestor.flows.withdrawing import (
    WITHDRAWING_READS,
    changed,
    unanswered,
    withdrawing,
    withdrawn,
)
from quaestor.model.event import Cancel, Changed, Decided, Dismiss, Event
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.requisition import Requisition
from quaestor.validation.checks import ValidationFacts, first_obstacle, validate
from quaestor.validation.facts import ChartReplica, SupplierReplica, ValidationPolicy

__all__ = ["REQUISITION_TO_ORDER", "interrupted", "reserving", "validating"]

_BEFORE_DECISION = frozenset(
    {
        "changed",
        "validating",
        "budgeting",
        "reserving",
        "approving",
        "asking",
        "handed",
        "deciding",
        "expiring",
        "expired",
        "undecided",
    }
)
# Everything is ordered, and the numbers go home first; a change is looked at after that.
_GOING_HOME = frozenset({"ordered", "reporting_ordered", "reported"})
_ALL_DONE = frozenset({"closed", "unchangeable"})
# Cancelled, or on the way there, or let go of: nothing takes it up again.
_OVER = frozenset(
    {
        "cancelling",
        "cancel_answered",
        "withdrawing",
        "withdrawn",
        "reporting_cancelled",
        DISMISSED,
    }
)


# --- the way to an approval -----------------------------------------------------------------------


def validating(dossier: Dossier) -> Step:
    """Check the document, then hold its budget; a version that was held before is adjusted."""
    requisition: Requisition = dossier.document.body
    found = dossier.read(EntityBook).find(requisition.entity)
    facts = ValidationFacts(
        now=dossier.now,
        policy=dossier.read(ValidationPolicy),
        entity=found[0] if found else None,
        suppliers=dossier.read(SupplierReplica),
        chart=dossier.read(ChartReplica),
    )
    refusal = first_obstacle(validate(requisition, facts))
    if refusal is not None:
        return _refused(dossier, refusal)
    lines = charged(dossier, requisition.lines)
    if isinstance(lines, Refusal):
        return _refused(dossier, lines)
    questions = budget_questions(dossier, lines)
    return Step(questions, "budgeting") if questions else _held(dossier, lines, ())


def budgeting(dossier: Dossier) -> Step:
    """The source of the budget has answered: hold the lines against what it states."""
    requisition: Requisition = dossier.document.body
    lines = charged(dossier, requisition.lines)
    if isinstance(lines, Refusal):
        return _refused(dossier, lines)
    stated = stated_budgets(dossier, lines)
    if isinstance(stated, Refusal):
        return _refused(dossier, stated)
    again = grown_old(dossier, stated)
    return Step(again, "budgeting") if again else _held(dossier, lines, stated)


def _held(
    dossier: Dossier, lines: tuple[BudgetLine, ...], stated: tuple[StatedBudget, ...]
) -> Step:
    # The newest result tells whether the budget was ever asked: what is then held, and whether
    # it is anything at all, the ledger knows.
    hold = Adjust if "reservation" in dossier.results else Reserve
    return Step((hold("reservation", lines, stated),), "reserving")


def reserving(dossier: Dossier) -> Step:
    """No budget, no approval is asked for."""
    match dossier.results.get("reservation"):
        case Reserved():
            return Step((), "approving")
        case Refused(refusal):
            return _refused(dossier, refusal)
        case _:
            return Step((), "validating")


def expired(dossier: Dossier) -> Step:
    """Nobody need decide there any more, and the requester asks again or cancels."""
    send = unanswered(dossier)
    if send is not None:
        return Step((send,), "expired")
    refusal = refuse("approval_expired", request=newest_request_name(dossier))
    return _refused(dossier, refusal, resume="asking")


def undecided(dossier: Dossier) -> Step:
    """The platform ended the request without a decision: the requester asks again or cancels."""
    refusal = refuse("approval_undecided", request=newest_request_name(dossier))
    return _refused(dossier, refusal, resume="asking")


def _refused(dossier: Dossier, refusal: Refusal, *, resume: str = "validating") -> Step:
    requisition: Requisition = dossier.document.body
    message = f"Requisition {requisition.number} cannot go on."
    park = Park(refusal.owner, refusal, resume=resume)
    if refusal.owner != "requester":
        return Step((), park)
    told = Tell("told", requisition.requester, message, refusal)
    # Where his system takes it he reads it there; then this stage comes to the same end again.
    sent = report(dossier, "refused", refusal=refusal)
    if sent is not None and sent.name not in dossier.results:
        return Step((told, sent), dossier.stage)
    return Step((), park) if sent is None and _takes_reports(dossier) else Step((told,), park)


def _takes_reports(dossier: Dossier) -> bool:
    return dossier.document.source_system in dossier.read(Routing).reports_to


# --- what comes in between ------------------------------------------------------------------------


def interrupted(dossier: Dossier, event: Event) -> Step | None:
    """A cancellation takes effect at every stage; a change until something stands in a ledger."""
    match event:
        case Cancel():
            return _cancelled(dossier)
        case Dismiss():
            return dismissing(dossier)
        case Changed():
            return _changed(dossier, event)
        case Decided():
            # Before the decision a stage reads it; afterwards it comes too late to matter.
            return None if dossier.stage in _BEFORE_DECISION else Step((), Stay())
        case _:
            return None


def _cancelled(dossier: Dossier) -> Step:
    if _is_over(dossier):
        return Step((), Stay())
    unresolved = dossier.unresolved
    if unresolved is not None:
        # Perhaps it is in the ledger: never send it again, and cancel what it left there.
        return Step((Withdraw(unresolved.name),), "cancelling")
    return Step((), "cancelling")


def _is_over(dossier: Dossier) -> bool:
    return dossier.stage in _OVER or is_telling_of_cancellation(dossier)


def _changed(dossier: Dossier, event: Changed) -> Step | None:
    if _is_over(dossier) or event.version <= dossier.document.version:
        return Step((), Stay())
    later = dossier.later
    if dossier.unresolved is not None or later is None:
        return None
    orders = placed(dossier)
    if not orders:
        return _adopted(dossier, later.version)
    all_committed = all(is_committed(dossier, order.group) for order in orders)
    if not all_committed or dossier.stage in _GOING_HOME:
        return None
    requisition: Requisition = dossier.document.body
    refusal = _too_late(dossier, event.version)
    message = f"Requisition {requisition.number} is ordered and cannot be changed."
    told = Tell("told", requisition.requester, message, refusal)
    if dossier.stage in _ALL_DONE:
        return Step((told,), "unchangeable")
    return Step((told,), Park(refusal.owner, refusal))


def unchangeable(dossier: Dossier) -> Step:
    """All is ordered: who changed it reads where he did that it stays, and somebody looks at it."""
    version = dossier.later.version if dossier.later else dossier.document.version
    refusal = _too_late(dossier, version)
    sent = report(dossier, "refused", refusal=refusal, change=version)
    if sent is None or sent.name in dossier.results:
        return Step((), Park(refusal.owner, refusal, resume="reporting_ordered"))
    return Step((sent,), "unchangeable")


def _too_late(dossier: Dossier, version: int) -> Refusal:
    numbers = ", ".join(order.document.number for order in placed(dossier))
    return refuse("state_forbids_change", version=str(version), orders=numbers)


def _adopted(dossier: Dossier, version: int) -> Step:
    request = latest_request(dossier)
    closed_request = () if request is None else (WithdrawApproval(request.request),)
    known = tuple(
        event for event in dossier.events if isinstance(event, Changed) and event.version <= version
    )
    return Step((Adopt("adopt", version), *closed_request), "changed", known)


REQUISITION_TO_ORDER = Flow(
    name="requisition_to_order",
    version=1,
    document_type="requisition",
    body=Requisition,
    first="validating",
    stages={
        "validating": Stage(
            validating,
            (*CHARGING_READS, Routing, ValidationPolicy, SupplierReplica, ChartReplica),
        ),
        "budgeting": Stage(budgeting, (*CHARGING_READS, Routing)),
        "reserving": Stage(reserving, REPORTING_READS),
        "approving": Stage(approving, APPROVING_READS),
        "asking": Stage(asking, APPROVING_READS),
        "handed": Stage(handed, APPROVING_READS),
        "deciding": Stage(deciding, APPROVING_READS),
        "expiring": Stage(expiring),
        "expired": Stage(expired, WITHDRAWING_READS),
        "unchangeable": Stage(unchangeable, REPORTING_READS),
        "undecided": Stage(undecided, REPORTING_READS),
        "ordering": Stage(ordering, ORDERING_READS),
        "posting": Stage(posting, ORDERING_READS),
        "answering": Stage(answering, ORDERING_READS),
        "committing": Stage(committing),
        "ordered": Stage(ordered, ORDERING_READS),
        "reporting_ordered": Stage(reporting_ordered, REPORTING_READS),
        "reporting_cancelled": Stage(reporting_cancelled, REPORTING_READS),
        "reporting_rejected": Stage(reporting_rejected, REPORTING_READS),
        "reported": Stage(reported),
        "closed": Stage(closed),
        "cancelling": Stage(cancelling),
        "cancel_answered": Stage(cancel_answered),
        "changed": Stage(changed, WITHDRAWING_READS),
        "withdrawing": Stage(withdrawing, WITHDRAWING_READS),
        "withdrawn": Stage(withdrawn, WITHDRAWING_READS),
        DISMISSED: Stage(dismissed),
    },
    interrupted=interrupted,
)
