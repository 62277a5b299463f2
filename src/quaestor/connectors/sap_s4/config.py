"""The table `[systems.NAME]` of an SAP S/4HANA installation."""

from __future__ import annotations

from quaestor.connectors.kit.config import SystemConfig
from quaestor.connectors.sap_s4.mapping import OrderRules

__all__ = ["SERVICE_PATH", "SapConfig"]

SERVICE_PATH = "/sap/opu/odata/sap/API_PURCHASEORDER_PROCESS_SRV"


class SapConfig(SystemConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One SAP system.

    `base_url` is scheme, host and port; `service_path` follows it. `client` is the SAP client
    (Mandant) where the host serves several. `language` is the language of SAP's messages.
    `order` are the installation's rules for purchase orders.
    """

    service_path: str = SERVICE_PATH
    client: str = ""
    language: str = "en"
    pages_max: int = 20
    order: OrderRules = OrderRules()
