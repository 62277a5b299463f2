"""What clears a refusal, in a sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from quaestor.model.refusal import Owner

__all__ = ["NEXT_STEPS", "next_step"]

_OF_OWNER: Mapping[Owner, str] = MappingProxyType(
    {
        "requester": "The requester changes or cancels it where he works; the next version is "
        "read by itself.",
        "finance": "Finance decides what stands, then the document is tried again or cancelled.",
        "operator": "The operator removes the obstacle, then the document is tried again.",
    }
)

NEXT_STEPS: Mapping[str, str] = MappingProxyType(
    {
        "approval_evidence_insufficient": "Have somebody with authority for the amount, and no "
        "interest in it, approve it there; then try again.",
        "approval_expired": "Ask the approver, then try again: the request is opened anew.",
        "approval_rejected": "The requester changes it and submits it again, or cancels it.",
        "budget_exceeded": "Raise or move the budget, or have the requester ask for less.",
        "budget_not_found": "Load a budget for this coding and period, then try again.",
        "connector_auth_failed": "Renew the credentials of the system; what waits goes on by "
        "itself.",
        "crosswalk_missing": "Add the row to the crosswalk, publish it, then try again.",
        "crosswalk_ambiguous": "Leave one row of the crosswalk valid on that day, then try again.",
        "document_kills_worker": "Read the worker's log before you try again: a worker died with "
        "this document in its hands.",
        "erp_document_differs": "Compare both in the ledger, correct the one that is wrong, then "
        "try again.",
        "erp_duplicate": "Cancel one of the documents in the ledger, then try again.",
        "erp_reference_conflict": "Find out whose document carries our reference, then try again.",
        "erp_rejected": "Read the ledger's message; correct master data or the document, then "
        "try again.",
        "flow_failed": "Read the worker's log, then try again with a corrected release.",
        "fx_rate_missing": "Load the exchange rate of that day, then try again.",
        "held_while_observing": "See what would be sent. Once the system is live, try again; what "
        "others ordered meanwhile is cancelled.",
        "invalid_account_combination": "Open the combination, or have the requester charge "
        "another.",
        "lane_wait_exceeded": "See what keeps the system busy or away, then try again.",
        "outcome_unknown": "Look in the ledger by the posting key. Try again only if nothing is "
        "there.",
        "resend_forbidden": "Look in the ledger by the posting key, then decide: try again or "
        "cancel.",
        "send_attempts_exhausted": "See why the system did not take it, then try again.",
        "supplier_blocked": "Unblock the supplier, or have the requester choose another.",
        "supplier_not_approved": "Approve the supplier for this entity, or choose another.",
        "supplier_unknown": "Add the supplier to the master, or choose another.",
    }
)


def next_step(code: str, owner: Owner) -> str:
    """What clears it, in a sentence."""
    return NEXT_STEPS.get(code) or _OF_OWNER[owner]
