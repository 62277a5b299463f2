"""Reconciliation: a settle time is a claim, so what rests on it is looked at again."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from quaestor.connectors.kit.contract import Applied, Found, Rejected, Several
from quaestor.flows.kit.dossier import Withdrawn
from quaestor.model.refusal import Refusal, refuse
from quaestor.runtime.intent import Intent, later

__all__ = ["reconcile_due", "reconciled"]


def reconcile_due(intent: Intent, reconcile_every_s: float) -> datetime | None:
    """When to look again at an intent whose end rests on a trusted absence; `None` if it does not.

    The settle time is an installation's claim about its ERP. Where it is wrong a document can
    come up later; looking again every `reconcile_every_s` finds it (DESIGN D3).
    """
    last = later(intent.touched_at, intent.reconciled_at)
    if not (intent.absence_trusted and intent.findable) or last is None:
        return None
    return last + timedelta(seconds=reconcile_every_s)


def reconciled(intent: Intent, now: datetime, found: Found) -> tuple[Intent, Refusal | None]:
    """What the later look means: a second document, one that nobody owns, or nothing."""
    intent = replace(intent, reconciled_at=now)
    if isinstance(found, Several):
        return intent, refuse("erp_duplicate", numbers=", ".join(found.numbers))
    if not isinstance(found, Applied):
        return intent, None
    match intent.outcome:
        case Applied(number=ours) | Withdrawn(left=Applied(number=ours)):
            if ours != found.number:
                return intent, refuse("erp_duplicate", numbers=f"{ours}, {found.number}")
        case Rejected() | Withdrawn():
            return intent, refuse("erp_document_late", number=found.number)
    return intent, None
