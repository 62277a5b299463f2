"""JSON Schemas of the canonical nouns, as published to portals and customers.

Made from the structs themselves, so that they cannot say anything else. JSON Schema 2020-12;
decimals are strings with a pattern (DESIGN D10), unknown members are refused (D9).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec

from quaestor.model.approval import ApprovalEvidence
from quaestor.model.budget import BudgetNode
from quaestor.model.calendar import Calendar
from quaestor.model.crosswalk import CrosswalkRow
from quaestor.model.employee import Employee
from quaestor.model.entity import Entity
from quaestor.model.event import Event
from quaestor.model.invoice import Invoice
from quaestor.model.order import PurchaseOrder
from quaestor.model.rates import Rate
from quaestor.model.receipt import Receipt
from quaestor.model.refusal import Refusal
from quaestor.model.requisition import Requisition
from quaestor.model.supplier import Supplier

__all__ = ["DECIMAL_PATTERN", "DIALECT", "NOUNS", "SCHEMA_VERSION", "schema_documents"]

DIALECT = "https" + "://json-schema.org/draft/2020-12/schema"
DECIMAL_PATTERN = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?$"
# A time without an offset is nobody's time (spec N34).
OFFSET_PATTERN = r"T.*(Z|[+-][0-9]{2}:[0-9]{2})$"
SCHEMA_VERSION = 1

NOUNS: dict[str, Any] = {
    "approval": ApprovalEvidence,
    "budget-node": BudgetNode,
    "calendar": Calendar,
    "crosswalk-row": CrosswalkRow,
    "employee": Employee,
    "entity": Entity,
    "event": Event,
    "exchange-rate": Rate,
    "invoice": Invoice,
    "purchase-order": PurchaseOrder,
    "receipt": Receipt,
    "refusal": Refusal,
    "requisition": Requisition,
    "supplier": Supplier,
}


def schema_documents() -> dict[str, dict[str, Any]]:
    """Every published schema by name, ready to be written as `<name>.schema.json`."""
    return {name: _document(name, noun) for name, noun in NOUNS.items()}


def _document(name: str, noun: Any) -> dict[str, Any]:
    (root,), components = msgspec.json.schema_components([noun], ref_template="#/$defs/{name}")
    definitions = {defined: _strict(schema) for defined, schema in components.items()}
    head = {
        "$schema": DIALECT,
        "$id": f"urn:quaestor:schema:{name}:{SCHEMA_VERSION}",
    }
    return {**head, **_strict(root), "$defs": definitions}


def _strict(schema: Any) -> Any:
    """The same schema with decimals by pattern, objects closed, and prose without line ends."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return str(schema) if isinstance(schema, Decimal) else schema
    made = {key: _strict(value) for key, value in schema.items()}
    if made.get("format") == "decimal":
        del made["format"]
        made["pattern"] = DECIMAL_PATTERN
    if made.get("type") == "object" and "properties" in made:
        made.setdefault("additionalProperties", False)
        for name, member in made["properties"].items():
            if _is_instant(name) and member.get("type") == "string":
                member |= {"format": "date-time", "pattern": OFFSET_PATTERN}
    if isinstance(made.get("description"), str):
        made["description"] = re.sub(r"\s+", " ", made["description"]).strip()
    return made


def _is_instant(name: str) -> bool:
    """Instants are named so throughout the model; days end in `_on`, `_date`, `_from`, `_to`."""
    return name in {"at", "as_of"} or name.endswith("_at")
