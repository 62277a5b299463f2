"""What SAP S/4HANA promises: nothing stops a second create, so it is looked for."""

from __future__ import annotations

from quaestor.connectors.kit.contract import ActionGuarantee, Guarantee, Manifest

__all__ = ["CANCEL_ORDER", "CREATE_ORDER", "MANIFEST"]

CREATE_ORDER = "create_order"
CANCEL_ORDER = "cancel_order"

# Ten minutes: the usual time-out of the web dispatcher and the work process, plus visibility.
# An installation that knows its own limits says less in `settle_s`.
SETTLE_S = 600.0

MANIFEST = Manifest(
    kind="sap_s4",
    title="SAP S/4HANA purchase orders (OData v2)",
    actions={
        CREATE_ORDER: ActionGuarantee(Guarantee.SEARCH, settle_s=SETTLE_S),
        CANCEL_ORDER: ActionGuarantee(Guarantee.REPEATABLE, settle_s=SETTLE_S),
    },
)
