"""What Workday promises: a requisition number is taken once, because we send `Add_Only`."""

from __future__ import annotations

from quaestor.connectors.kit.contract import ActionGuarantee, Guarantee, Manifest

__all__ = [
    "CANCEL_REQUISITION",
    "DECISIONS",
    "MANIFEST",
    "SUBMIT_REQUISITION",
    "WORKERS",
]

SUBMIT_REQUISITION = "submit_requisition"
CANCEL_REQUISITION = "cancel_requisition"
DECISIONS = "decisions"
WORKERS = "workers"

# Five minutes: no limit is published; an installation that knows its own says less.
SETTLE_S = 300.0

MANIFEST = Manifest(
    kind="workday",
    title="Workday requisitions and their approval (WWS SOAP, businessProcess REST)",
    actions={
        SUBMIT_REQUISITION: ActionGuarantee(Guarantee.UNIQUE, settle_s=SETTLE_S),
        CANCEL_REQUISITION: ActionGuarantee(Guarantee.REPEATABLE, settle_s=SETTLE_S),
    },
    streams=(DECISIONS, WORKERS),
)
