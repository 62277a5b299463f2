"""Telling the system that a requisition came from what became of it: the write-back.

A report is a send like any other: committed as an intent, sent again until it is answered (systems
take the same state twice, `REPEATABLE`). It comes last, so that a procurement system that is down
never holds up an order.
"""

from __future__ import annotations

from quaestor.connectors.kit.contract import Applied, Rejected
from quaestor.flows.kit.dossier import Dossier
from quaestor.flows.kit.effects import Send
from quaestor.flows.kit.reads import Routing
from quaestor.flows.kit.step import Done, Park, Step
from quaestor.flows.ordering import placed
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.requisition import Requisition
from quaestor.model.status import DocumentStatus, State

__all__ = [
    "REPORTING_READS",
    "is_telling_of_cancellation",
    "report",
    "reported",
    "reporting_cancelled",
    "reporting_ordered",
    "reporting_rejected",
]

REPORTING_READS: tuple[type, ...] = (Routing,)

_REPORT = "report/"
_CHANGE = "change_refused"


def report(
    dossier: Dossier,
    state: State,
    *,
    orders: tuple[str, ...] = (),
    refusal: Refusal | None = None,
    change: int | None = None,
) -> Send | None:
    """The write-back of this state; `None` where nobody takes it, or where it was answered.

    With `change` it says only what became of that later version, and not of the document.

    A report that was refused there is sent again only after a person asked for it: `reported`
    parks it, and a retry comes back here.
    """
    document = dossier.document
    if document.source_system not in dossier.read(Routing).reports_to:
        return None
    what = f"{_REPORT}{state}/{refusal.code}" if refusal else f"{_REPORT}{state}"
    what, version = (_CHANGE, change) if change is not None else (what, document.version)
    name = f"{what}/{version}"
    if isinstance(dossier.results.get(name), Applied):
        return None
    requisition: Requisition = document.body
    status = DocumentStatus(
        document.source_id, requisition.number, state, orders, _message(state, orders), refusal
    )
    return Send(
        name,
        document.source_system,
        "report_status",
        order_group=what,
        generation=version,
        status=status,
    )


def _message(state: State, orders: tuple[str, ...]) -> str:
    match state:
        case "ordered":
            return f"Ordered: {', '.join(orders)}."
        case "cancelled":
            return "Cancelled."
        case _:
            return ""


def reporting_ordered(dossier: Dossier) -> Step:
    """Every order's number goes home."""
    numbers = tuple(order.document.number for order in placed(dossier))
    send = report(dossier, "ordered", orders=numbers)
    return Step((), "closed") if send is None else Step((send,), "reported")


def reporting_cancelled(dossier: Dossier) -> Step:
    """The cancellation is complete."""
    send = report(dossier, "cancelled")
    return Step((), Done("cancelled")) if send is None else Step((send,), "reported")


def reporting_rejected(dossier: Dossier) -> Step:
    """An approver said no: the requester reads it where he works."""
    send = report(dossier, "refused", refusal=refuse("approval_rejected"))
    return Step((), Done("rejected")) if send is None else Step((send,), "reported")


def reported(dossier: Dossier) -> Step:
    """Back to where the report came from; one that was refused is the operator's."""
    name = _last(dossier)
    back = _BACK[_state_of(name)] if name else "reporting_ordered"
    result = dossier.results.get(name)
    if isinstance(result, Rejected):
        refusal = refuse("status_not_reported", **result.refusal.details)
        return Step((), Park(refusal.owner, refusal, resume=back))
    return Step((), back)


def is_telling_of_cancellation(dossier: Dossier) -> bool:
    """Whether all is cancelled, and the source is only being told."""
    return dossier.stage == "reported" and _state_of(_last(dossier)) == "cancelled"


def _last(dossier: Dossier) -> str:
    """The name of the newest report; empty where there is none."""
    names = [name for name in dossier.sends if name.startswith(_REPORT)]
    return names[-1] if names else ""


def _state_of(name: str) -> str:
    return name.removeprefix(_REPORT).partition("/")[0]


_BACK = {
    "ordered": "reporting_ordered",
    "cancelled": "reporting_cancelled",
    "refused": "reporting_rejected",
}
