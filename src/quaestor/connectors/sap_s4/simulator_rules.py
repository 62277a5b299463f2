"""What our SAP simulator lets in: its field table, and the checks of a purchase order.

The table is a part of the service's metadata, and a test holds it against the vendor's file. A
field that is not in it is refused: a simulator may be stricter than the vendor, never kinder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

__all__ = [
    "ENTITIES",
    "NAVIGATIONS",
    "Field",
    "Refusal400",
    "blank",
    "checked",
    "check_order",
    "metadata",
]

_DATE = re.compile(r"/Date\(-?[0-9]{1,15}\)/")
_DECIMALS = {"JPY": 0, "KRW": 0, "CLP": 0, "KWD": 3, "BHD": 3, "TND": 3, "OMR": 3, "JOD": 3}
_CURRENCY = re.compile(r"[A-Z]{3}")


class Refusal400(Exception):
    """SAP's refusal: message code and sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Field(msgspec.Struct, frozen=True):
    """One property. `length` is characters for a string, precision for a decimal.

    `given` says that a create may set it; `alpha` that leading zeros of a number-like code are
    dropped in answers.
    """

    name: str
    type: str
    length: int = 0
    scale: int = 0
    given: bool = True
    alpha: bool = False


def _fields(*rows: str) -> Mapping[str, Field]:
    """Rows `Name type[length[.scale]] [given by SAP alone: -] [alpha: a]`."""
    found: dict[str, Field] = {}
    for row in rows:
        name, kind, *marks = row.split()
        match = re.fullmatch(r"([sdtozb])([0-9]*)(?:\.([0-9]+))?", kind)
        assert match is not None, row
        found[name] = Field(
            name,
            match[1],
            int(match[2] or 0),
            int(match[3] or 0),
            given="-" not in marks,
            alpha="a" in marks,
        )
    return found


# s string, d decimal, t date, o date with time and offset, b boolean.
_HEADER = _fields(
    "PurchaseOrder s10",
    "CompanyCode s4",
    "PurchaseOrderType s4",
    "PurchasingDocumentDeletionCode s1 -",
    "PurchasingProcessingStatus s2 -",
    "CreatedByUser s12 -",
    "CreationDate t -",
    "LastChangeDateTime o -",
    "Supplier s10 a",
    "Language s2",
    "PaymentTerms s4",
    "NetPaymentDays d3.0",
    "CashDiscount1Percent d5.3",
    "PurchasingOrganization s4",
    "PurchasingGroup s3",
    "PurchaseOrderDate t",
    "DocumentCurrency s5",
    "ExchangeRate s12",
    "SupplyingPlant s4",
    "IncotermsClassification s3",
    "CorrespncExternalReference s12",
    "CorrespncInternalReference s12",
    "InvoicingParty s10 a",
    "ReleaseIsNotCompleted b -",
    "PurchasingCompletenessStatus b",
)
_ITEM = _fields(
    "PurchaseOrder s10",
    "PurchaseOrderItem s5",
    "PurchasingDocumentDeletionCode s1 -",
    "PurchaseOrderItemText s40",
    "Plant s4",
    "StorageLocation s4",
    "MaterialGroup s9",
    "Material s40 a",
    "OrderQuantity d13.3",
    "PurchaseOrderQuantityUnit s3",
    "OrderPriceUnit s3",
    "DocumentCurrency s5 -",
    "NetPriceAmount d12.3",
    "NetPriceQuantity d5.0",
    "TaxCode s2",
    "PurchaseOrderItemCategory s1",
    "AccountAssignmentCategory s1",
    "MultipleAcctAssgmtDistribution s1",
    "PartialInvoiceDistribution s1",
    "GoodsReceiptIsExpected b",
    "InvoiceIsExpected b",
    "InvoiceIsGoodsReceiptBased b",
    "IsCompletelyDelivered b",
    "IsFinallyInvoiced b",
    "RequisitionerName s12",
)
_ASSIGNMENT = _fields(
    "PurchaseOrder s10",
    "PurchaseOrderItem s5",
    "AccountAssignmentNumber s2",
    "IsDeleted b -",
    "Quantity d13.3",
    "MultipleAcctAssgmtDistrPercent d3.1",
    "DocumentCurrency s5 -",
    "PurgDocNetAmount d14.3",
    "GLAccount s10 a",
    "CostCenter s10 a",
    "ProfitCenter s10 a",
    "ControllingArea s4",
    "OrderID s12 a",
    "WBSElementExternalID s24",
    "FunctionalArea s16",
    "TaxCode s2",
)
_SCHEDULE = _fields(
    "PurchasingDocument s10",
    "PurchasingDocumentItem s5",
    "ScheduleLine s4",
    "ScheduleLineDeliveryDate t",
    "PurchaseOrderQuantityUnit s3 -",
    "ScheduleLineOrderQuantity d13.3",
)
_NOTE = _fields(
    "PurchaseOrder s10",
    "PurchaseOrderItem s5",
    "TextObjectType s4",
    "Language s2",
    "PlainLongText s",
)

ENTITIES: Mapping[str, Mapping[str, Field]] = {
    "A_PurchaseOrderType": _HEADER,
    "A_PurchaseOrderItemType": _ITEM,
    "A_PurOrdAccountAssignmentType": _ASSIGNMENT,
    "A_PurchaseOrderScheduleLineType": _SCHEDULE,
    "A_PurchaseOrderItemNoteType": _NOTE,
}
NAVIGATIONS: Mapping[str, Mapping[str, str]] = {
    "A_PurchaseOrderType": {"to_PurchaseOrderItem": "A_PurchaseOrderItemType"},
    "A_PurchaseOrderItemType": {
        "to_AccountAssignment": "A_PurOrdAccountAssignmentType",
        "to_ScheduleLine": "A_PurchaseOrderScheduleLineType",
        "to_PurchaseOrderItemNote": "A_PurchaseOrderItemNoteType",
    },
}
_EDM = {
    "s": "Edm.String",
    "d": "Edm.Decimal",
    "t": "Edm.DateTime",
    "o": "Edm.DateTimeOffset",
    "b": "Edm.Boolean",
}


def _empty(field: Field) -> object:
    values: Mapping[str, object] = {"s": "", "t": None, "o": None, "b": False}
    return f"{Decimal(0):.{field.scale}f}" if field.type == "d" else values[field.type]


_BLANK = {
    entity: {name: _empty(field) for name, field in fields.items()}
    for entity, fields in ENTITIES.items()
}


def blank(entity: str) -> dict[str, Any]:
    """All fields of an entity as SAP shows them where nothing was given."""
    return dict(_BLANK[entity])


def checked(entity: str, given: object) -> dict[str, Any]:
    """The given entity and all below it, each field of its type and length; else a refusal."""
    if not isinstance(given, Mapping):
        raise Refusal400("005056A509B11EE1B9A8FEC11C21578E", "An entity is expected")
    fields, below = ENTITIES[entity], NAVIGATIONS.get(entity, {})
    entry: dict[str, Any] = {}
    for name, value in given.items():
        if name in below:
            rows = value.get("results") if isinstance(value, Mapping) else value
            if not isinstance(rows, list):
                raise Refusal400("005056A509B11ED1B9BF9F46AAF5D5E4", f"'{name}' is no collection")
            entry[name] = [checked(below[name], row) for row in rows]
        elif name in fields and fields[name].given:
            entry[name] = _value(fields[name], value)
        elif name not in fields:
            raise Refusal400(
                "005056A509B11EE1B9A8FEC11C21578E",
                f"Property '{name}' is invalid for entity type '{entity}'",
            )
        # What SAP alone sets is ignored, as the service does with `sap:creatable=false`.
    return entry


def _value(field: Field, value: object) -> object:
    match field.type:
        case "s" if isinstance(value, str) and (not field.length or len(value) <= field.length):
            code = value.lstrip("0") if field.alpha and value.isdigit() else value
            return code
        case "d" if isinstance(value, str) and _decimal_fits(value, field):
            return value
        case "t" if isinstance(value, str) and _DATE.fullmatch(value):
            return value
        case "b" if isinstance(value, bool):
            return value
    raise Refusal400(
        "005056A509B11EE1B9A8FEC11C21D78E",
        f"Property '{field.name}' has an invalid value for its type or length",
    )


def _decimal_fits(text: str, field: Field) -> bool:
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) is None:
        return False
    integer, _, fraction = text.lstrip("-").partition(".")
    return len(integer.lstrip("0")) <= field.length - field.scale and len(fraction) <= field.scale


# --- the checks of the application ----------------------------------------------------------------


def check_order(order: Mapping[str, Any]) -> None:
    """The application's own checks. Raises `Refusal400` with the first that fails."""
    for name in ("CompanyCode", "PurchaseOrderType", "Supplier", "PurchasingOrganization"):
        if not order.get(name):
            raise Refusal400("06/083", f"Enter {name}")
    if not order.get("PurchasingGroup"):
        raise Refusal400("06/083", "Enter PurchasingGroup")
    if order["PurchaseOrderType"] != "NB" and not order["PurchaseOrderType"].startswith("Z"):
        raise Refusal400("06/001", f"Document type {order['PurchaseOrderType']} is not defined")
    currency = order.get("DocumentCurrency", "")
    if _CURRENCY.fullmatch(currency) is None:
        raise Refusal400("SG/105", "Enter a valid currency")
    items = order.get("to_PurchaseOrderItem") or []
    if not items:
        raise Refusal400("06/057", "Document contains no items")
    numbers = [item.get("PurchaseOrderItem", "") for item in items]
    if len(set(numbers)) != len(numbers) or not all(number.isdigit() for number in numbers):
        raise Refusal400("06/436", "Item numbers are missing or not unique")
    for item in items:
        _check_item(item, currency)


def _check_item(item: Mapping[str, Any], currency: str) -> None:
    number = item["PurchaseOrderItem"]
    if not item.get("Plant"):
        raise Refusal400("ME/083", f"Item {number}: Enter Plant")
    if not item.get("Material") and not (
        item.get("PurchaseOrderItemText") and item.get("MaterialGroup")
    ):
        raise Refusal400("ME/062", f"Item {number}: Enter short text and material group")
    if not item.get("PurchaseOrderQuantityUnit"):
        raise Refusal400("ME/083", f"Item {number}: Enter order unit")
    quantity = _number(item, "OrderQuantity")
    price, per = _number(item, "NetPriceAmount"), _number(item, "NetPriceQuantity") or Decimal(1)
    if quantity <= 0:
        raise Refusal400("06/018", f"Item {number}: Enter a quantity")
    _check_scale(number, item.get("NetPriceAmount", "0"), currency)
    _check_assignments(item, quantity * price / per, currency)


def _check_assignments(item: Mapping[str, Any], value: Decimal, currency: str) -> None:
    number, category = item["PurchaseOrderItem"], item.get("AccountAssignmentCategory", "")
    rows: Sequence[Mapping[str, Any]] = item.get("to_AccountAssignment") or []
    if not category:
        if rows:
            raise Refusal400("ME/340", f"Item {number}: no account assignment is allowed")
        return
    if not rows:
        raise Refusal400("ME/061", f"Item {number}: Account assignment is mandatory")
    receiver = "WBSElementExternalID" if category == "P" else "CostCenter"
    for row in rows:
        if not row.get("GLAccount") or not row.get(receiver):
            raise Refusal400("KI/235", f"Item {number}: Account requires {receiver}")
    if len(rows) == 1:
        return
    if not item.get("MultipleAcctAssgmtDistribution") or not item.get("PartialInvoiceDistribution"):
        raise Refusal400("ME/071", f"Item {number}: Enter the distribution indicators")
    if item["MultipleAcctAssgmtDistribution"] == "3":
        for row in rows:
            _check_scale(number, row.get("PurgDocNetAmount", "0"), currency)
        shared = sum((_number(row, "PurgDocNetAmount") for row in rows), Decimal(0))
        if abs(shared - value) >= Decimal(1).scaleb(-_DECIMALS.get(currency, 2)):
            raise Refusal400("ME/072", f"Item {number}: Distributed value is not the item's value")
    else:
        shares = (_number(row, "MultipleAcctAssgmtDistrPercent") for row in rows)
        if sum(shares, Decimal(0)) != 100:
            raise Refusal400("ME/073", f"Item {number}: Distribution is not 100 percent")


def _check_scale(number: str, text: str, currency: str) -> None:
    if len(text.partition(".")[2].rstrip("0")) > _DECIMALS.get(currency, 2):
        raise Refusal400("ME/048", f"Item {number}: too many decimals for {currency}")


def _number(row: Mapping[str, Any], name: str) -> Decimal:
    try:
        return Decimal(row.get(name) or "0")
    except InvalidOperation:
        return Decimal(0)


def metadata() -> bytes:
    """The service's metadata, as far as this simulator goes."""
    types = []
    for entity, fields in ENTITIES.items():
        properties = "".join(_property(field) for field in fields.values())
        below = "".join(
            f'<NavigationProperty Name="{name}"/>' for name in NAVIGATIONS.get(entity, {})
        )
        types.append(f'<EntityType Name="{entity}">{properties}{below}</EntityType>')
    return (
        '<?xml version="1.0" encoding="utf-8"?><edmx:Edmx Version="1.0" '
        'xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" '
        'xmlns:sap="http://www.sap.com/Protocols/SAPData"><edmx:DataServices>'
        '<Schema Namespace="API_PURCHASEORDER_PROCESS_SRV" '
        'xmlns="http://schemas.microsoft.com/ado/2008/09/edm">'
        f"{''.join(types)}</Schema></edmx:DataServices></edmx:Edmx>"
    ).encode()


def _property(field: Field) -> str:
    length = f' MaxLength="{field.length}"' if field.type == "s" and field.length else ""
    if field.type == "d":
        length = f' Precision="{field.length}" Scale="{field.scale}"'
    given = "" if field.given else ' sap:creatable="false"'
    return f'<Property Name="{field.name}" Type="{_EDM[field.type]}"{length}{given}/>'
