"""`connector check`: can this installation be used as configured, and what to do in SAP if not."""

from __future__ import annotations

import re

from quaestor.connectors.kit.contract import NotKnown, Probe
from quaestor.connectors.sap_s4.client import SapClient, literal
from quaestor.connectors.sap_s4.config import SapConfig

__all__ = ["probes"]

_AUTH_FIX = (
    "Let the communication user log on, and assign it the purchase order service "
    "(communication scenario SAP_COM_0053, or the service's authorization in PFCG)."
)
_NETWORK_FIX = "Open the way to SAP's HTTPS port from here, and check base_url and its certificate."
_NEEDED = (
    "CompanyCode",
    "DocumentCurrency",
    "PurchaseOrderDate",
    "PurchaseOrderType",
    "PurchasingGroup",
    "PurchasingOrganization",
    "Supplier",
)


async def probes(client: SapClient, config: SapConfig) -> tuple[Probe, ...]:
    """One line per thing tried, in the order in which they depend on each other."""
    reached = await _reached(client)
    if not all(probe.good for probe in reached):
        return reached
    return (*reached, await _fields(client, config), await _look_up(client, config))


async def _reached(client: SapClient) -> tuple[Probe, ...]:
    try:
        answer = await client.document()
    except NotKnown as error:
        if error.code == "connector_auth_failed":
            return (Probe("network", True), Probe("credentials", False, error.reason, _AUTH_FIX))
        return (Probe("network", False, error.reason, _NETWORK_FIX),)
    if answer.status >= 400:
        fix = "Activate API_PURCHASEORDER_PROCESS_SRV, and check service_path and the SAP client."
        return (
            Probe("network", True),
            Probe("service", False, f"HTTP {answer.status} at the service document", fix),
        )
    return (Probe("network", True), Probe("credentials", True), Probe("service", True))


async def _fields(client: SapClient, config: SapConfig) -> Probe:
    """Each header field that we send exists there and may be set by a create."""
    try:
        text = (await client.metadata()).body.decode("utf-8", "replace")
    except NotKnown as error:
        return Probe("fields", False, error.reason, "Let the user read the service's $metadata.")
    header = re.search(r'<EntityType Name="A_PurchaseOrderType".*?</EntityType>', text, re.DOTALL)
    properties = {
        match[1]: match[0]
        for match in re.finditer(r'<Property Name="(\w+)"[^>]*>', header[0] if header else "")
    }
    wanted = (*_NEEDED, config.order.reference_field)
    missing = [
        name
        for name in wanted
        if name not in properties or 'sap:creatable="false"' in properties[name]
    ]
    if missing:
        fix = "Update the service, or choose another order.reference_field."
        return Probe("fields", False, f"not to be set by a create: {', '.join(missing)}", fix)
    return Probe("fields", True, f"{len(wanted)} header fields may be set")


async def _look_up(client: SapClient, config: SapConfig) -> Probe:
    """The look-up that `find` depends on, with a reference that nothing carries."""
    try:
        await client.orders(f"{config.order.reference_field} eq {literal('quaestor-chk')}")
    except NotKnown as error:
        fix = "Let the user display purchase orders (authorization M_BEST_BSA and its siblings)."
        return Probe("look-up", False, error.reason, fix)
    return Probe("look-up", True, f"by {config.order.reference_field}")
