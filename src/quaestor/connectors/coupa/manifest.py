"""What Coupa promises: writing back twice is harmless, streams may be read again; it calls out."""

from __future__ import annotations

from quaestor.connectors.kit.contract import ActionGuarantee, Guarantee, Manifest

__all__ = ["ACCOUNTS", "MANIFEST", "REPORT_STATUS", "REQUISITIONS", "SUPPLIERS", "USERS"]

REPORT_STATUS = "report_status"

REQUISITIONS = "requisitions"
SUPPLIERS = "suppliers"
USERS = "users"
ACCOUNTS = "accounts"

# Coupa documents no time-out: two minutes are our assumption, an installation may know better.
SETTLE_S = 120.0

MANIFEST = Manifest(
    kind="coupa",
    title="Coupa (Core API, JSON)",
    actions={REPORT_STATUS: ActionGuarantee(Guarantee.REPEATABLE, settle_s=SETTLE_S)},
    streams=(REQUISITIONS, SUPPLIERS, USERS, ACCOUNTS),
    receives=True,
)
