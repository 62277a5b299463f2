"""Letting go of a document that was dealt with elsewhere: nothing of it is sent, here or later.

For what was only observed, and what another way has ordered meanwhile. What stands in a ledger is
never let go of; there only the report of it is left out.
"""

from __future__ import annotations

from quaestor.flows.approving import latest_request
from quaestor.flows.kit.dossier import Dossier
from quaestor.flows.kit.effects import Release, WithdrawApproval
from quaestor.flows.kit.step import Done, Next, Stay, Step
from quaestor.flows.ordering import placed

__all__ = ["DISMISSED", "dismissed", "dismissing"]

# It stays in this stage, so that a change over there does not take it up again.
DISMISSED = "dismissed"

_UNREPORTED: dict[str, Next] = {
    "reporting_ordered": "closed",
    "reporting_cancelled": Done("cancelled"),
    "reporting_rejected": Done("rejected"),
}


def dismissing(dossier: Dossier) -> Step:
    """Free the budget and end; or, where only the report is missing, end without it."""
    if dossier.stage in _UNREPORTED:
        return Step((), _UNREPORTED[dossier.stage])
    if dossier.stage == DISMISSED or dossier.unresolved is not None or placed(dossier):
        return Step((), Stay())
    request = latest_request(dossier)
    withdrawn = () if request is None else (WithdrawApproval(request.request),)
    return Step((Release("reservation"), *withdrawn), DISMISSED)


def dismissed(dossier: Dossier) -> Step:
    """The end: it was dealt with elsewhere."""
    return Step((), Done(DISMISSED))
