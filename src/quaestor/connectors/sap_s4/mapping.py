"""A purchase order as SAP's deep insert, pure. `compare.py` reads what SAP made of it.

Decimals are strings, dates `/Date(ms)/`. What SAP cannot express is refused here, by field,
before anything is stored or sent. Source: API_PURCHASEORDER_PROCESS_SRV metadata.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, NoReturn

import msgspec

from quaestor.connectors.kit.contract import Command, Permanent
from quaestor.connectors.kit.loss import Dispositions, dropped, mapped
from quaestor.model.coding import Coding
from quaestor.model.money import extended_amount, minor_unit
from quaestor.model.money import total as sum_of
from quaestor.model.order import OrderLine, PurchaseOrder
from quaestor.model.refusal import refuse

__all__ = [
    "DISPOSITIONS",
    "ITEM_TEXT_CHARS",
    "REFERENCE_CHARS",
    "OrderRules",
    "item_text",
    "order_payload",
    "reference_of",
    "render_cancel",
    "render_create",
    "sap_date",
    "sap_decimal",
]

REFERENCE_CHARS = 12
ITEM_TEXT_CHARS = 40
ITEM_NUMBER_MAX = 99_999
ASSIGNMENTS_MAX = 99
PRICE_DECIMALS_MAX = 3
QUANTITY_DECIMALS_MAX = 3
PRICE_UNITS = (1, 10, 100, 1_000, 10_000)
_DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ORDER_NUMBER = re.compile(r"[0-9A-Za-z]{1,10}")

BY_PERCENTAGE = "2"
BY_AMOUNT = "3"
PROPORTIONAL = "2"


class OrderRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An installation's rules for purchase orders, `[systems.NAME.order]`.

    `reference_field` carries our reference; "Your Reference" prints on the supplier's document,
    so some installations prefer the internal one. `plants` gives the plant of a company code
    and `material_group` the group where a line has none. `distribution` says how a split line
    is shared out. `note_id` is the text that takes a description longer than 40 characters;
    empty cuts it. `item_step` multiplies our line numbers, which already stand ten apart.
    """

    reference_field: Literal["CorrespncExternalReference", "CorrespncInternalReference"] = (
        "CorrespncExternalReference"
    )
    document_type: str = "NB"
    item_step: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    plants: Mapping[str, str] = {}
    material_group: str = ""
    distribution: Literal["amount", "percentage"] = "amount"
    cost_center_category: str = "K"
    project_category: str = "P"
    note_id: str = "F01"
    note_language: str = "EN"


_CROSSREF = "Quaestor's cross-reference leads from SAP's number back to it"

DISPOSITIONS: Dispositions = {
    "target_system": dropped("it names the system itself"),
    "requisition": dropped(_CROSSREF),
    "requisition_version": dropped(_CROSSREF),
    "group": dropped("it stays in Quaestor's own codes; the order carries SAP's"),
    "company_code": mapped("CompanyCode"),
    "supplier": mapped("Supplier"),
    "currency": mapped("DocumentCurrency"),
    "purchasing_organisation": mapped("PurchasingOrganization"),
    "purchasing_group": mapped("PurchasingGroup"),
    "order_date": mapped("PurchaseOrderDate"),
    "total": dropped("SAP adds up the items; it is checked against them before sending"),
    "payment_terms": mapped("PaymentTerms: left to the supplier master where empty"),
    "document_type": mapped("PurchaseOrderType; where it is empty, order.document_type stands"),
    "lines": mapped("to_PurchaseOrderItem"),
    "lines.number": mapped("PurchaseOrderItem: times order.item_step"),
    "lines.requisition_line": dropped(_CROSSREF),
    "lines.description": mapped(
        "PurchaseOrderItemText: 40 characters; the whole text in to_PurchaseOrderItemNote"
    ),
    "lines.quantity": mapped("OrderQuantity"),
    "lines.uom": mapped("PurchaseOrderQuantityUnit"),
    "lines.unit_price": mapped("NetPriceAmount: per NetPriceQuantity"),
    "lines.amount": dropped("SAP multiplies; it is checked against quantity and price"),
    "lines.splits": mapped("to_AccountAssignment"),
    "lines.material_group": mapped("MaterialGroup; where it is empty, order.material_group stands"),
    "lines.material": mapped("Material"),
    "lines.need_by": mapped("to_ScheduleLine.ScheduleLineDeliveryDate"),
    "lines.plant": mapped("Plant; where it is empty, order.plants stands"),
    "lines.splits.coding": mapped("to_AccountAssignment"),
    "lines.splits.amount": mapped("PurgDocNetAmount: or a percentage; alone it is the whole"),
    "lines.splits.coding.cost_center": mapped(
        "CostCenter: where no project is charged; a WBS element names its own cost center"
    ),
    "lines.splits.coding.gl_account": mapped("GLAccount"),
    "lines.splits.coding.project": mapped("WBSElementExternalID"),
    "lines.splits.coding.tax_code": mapped("TaxCode: on the item: one for all its splits"),
}


def reference_of(key: str) -> str:
    """The first 60 bits of the posting key, as they stand in SAP."""
    return key[:REFERENCE_CHARS]


def render_create(command: Command, rules: OrderRules) -> bytes:
    """The deep insert to store and send. Raises `Permanent` where SAP cannot express it."""
    if command.order is None:
        _refuse("order", "there is no order to create")
    return msgspec.json.encode(order_payload(command.order, reference_of(command.key), rules))


def render_cancel(command: Command) -> bytes:
    """The request that deletes all items of an order; SAP's own word for cancelling it."""
    number = command.cancels or ""
    if _ORDER_NUMBER.fullmatch(number) is None:
        _refuse("cancels", "there is no SAP order number")
    return msgspec.json.encode({"method": "DELETE", "number": number})


def order_payload(order: PurchaseOrder, reference: str, rules: OrderRules) -> dict[str, Any]:
    """The order in SAP's names. Raises `Permanent` where SAP cannot express it."""
    if sum_of(line.amount for line in order.lines) != order.total:
        _refuse("total", "it is not the sum of the lines")
    if not order.lines:
        _refuse("lines", "an order needs at least one line")
    payload: dict[str, Any] = {
        "CompanyCode": _code("company_code", order.company_code, 4),
        "PurchaseOrderType": _code("document_type", order.document_type or rules.document_type, 4),
        "Supplier": _code("supplier", order.supplier, 10),
        "PurchasingOrganization": _code(
            "purchasing_organisation", order.purchasing_organisation, 4
        ),
        "PurchasingGroup": _code("purchasing_group", order.purchasing_group, 3),
        "PurchaseOrderDate": sap_date(order.order_date),
        "DocumentCurrency": _code("currency", order.currency, 5),
        rules.reference_field: _code("key", reference, REFERENCE_CHARS),
    }
    if order.payment_terms:
        payload["PaymentTerms"] = _code("payment_terms", order.payment_terms, 4)
    payload["to_PurchaseOrderItem"] = [_item(order, line, rules) for line in order.lines]
    return payload


def _item(order: PurchaseOrder, line: OrderLine, rules: OrderRules) -> dict[str, Any]:
    at = f"lines[{line.number}]"
    number = line.number * rules.item_step
    if not 0 < number <= ITEM_NUMBER_MAX:
        _refuse(f"{at}.number", "SAP has no item of that number")
    if extended_amount(line.quantity, line.unit_price, order.currency) != line.amount:
        _refuse(f"{at}.amount", "it is not quantity times price")
    price, per = _price(f"{at}.unit_price", line.unit_price, order.currency)
    quantity = _quantity(f"{at}.quantity", line.quantity)
    uom = _code(f"{at}.uom", line.uom, 3)
    plant = line.plant or rules.plants.get(order.company_code, "")
    text = item_text(line.description)
    item: dict[str, Any] = {
        "PurchaseOrderItem": str(number),
        "PurchaseOrderItemText": text,
        "Plant": _code(f"{at}.plant", plant, 4),
        "OrderQuantity": quantity,
        "PurchaseOrderQuantityUnit": uom,
        "OrderPriceUnit": uom,
        "NetPriceAmount": price,
        "NetPriceQuantity": per,
    }
    group = line.material_group or rules.material_group
    if line.material:
        item["Material"] = _code(f"{at}.material", line.material, 40)
    elif not text:
        _refuse(f"{at}.description", "an item without a material needs a text")
    if group or not line.material:
        item["MaterialGroup"] = _code(f"{at}.material_group", group, 9)
    tax_codes = {split.coding.tax_code or "" for split in line.splits}
    if len(tax_codes) > 1:
        _refuse(f"{at}.splits", "SAP takes one tax code for all splits of an item")
    if tax_code := "".join(tax_codes):
        item["TaxCode"] = _code(f"{at}.splits.coding.tax_code", tax_code, 2)
    item |= _assignments(at, line, order.currency, rules)
    if line.need_by is not None:
        item["to_ScheduleLine"] = [
            {
                "ScheduleLine": "1",
                "ScheduleLineDeliveryDate": sap_date(line.need_by),
                "ScheduleLineOrderQuantity": quantity,
            }
        ]
    if rules.note_id and text != _one_line(line.description):
        item["to_PurchaseOrderItemNote"] = [
            {
                "TextObjectType": rules.note_id,
                "Language": rules.note_language,
                "PlainLongText": line.description,
            }
        ]
    return item


def _assignments(at: str, line: OrderLine, currency: str, rules: OrderRules) -> dict[str, Any]:
    if not 0 < len(line.splits) <= ASSIGNMENTS_MAX:
        _refuse(f"{at}.splits", f"SAP takes 1 to {ASSIGNMENTS_MAX} account assignments")
    if sum_of(split.amount for split in line.splits) != line.amount:
        _refuse(f"{at}.splits", "they do not add up to the line")
    categories = {_category(split.coding, rules) for split in line.splits}
    if len(categories) > 1:
        _refuse(f"{at}.splits", "SAP takes one account assignment category for all splits")
    fields: dict[str, Any] = {"AccountAssignmentCategory": categories.pop()}
    rows: list[dict[str, Any]] = [
        {"AccountAssignmentNumber": str(number), **_charged(at, split.coding)}
        for number, split in enumerate(line.splits, start=1)
    ]
    if len(rows) > 1:
        by_amount = rules.distribution == "amount"
        fields["MultipleAcctAssgmtDistribution"] = BY_AMOUNT if by_amount else BY_PERCENTAGE
        # Logistics invoice verification takes the proportional distribution only.
        fields["PartialInvoiceDistribution"] = PROPORTIONAL
        for row, split in zip(rows, line.splits, strict=True):
            if by_amount:
                row["PurgDocNetAmount"] = _amount(f"{at}.splits.amount", split.amount, currency)
            else:
                row["MultipleAcctAssgmtDistrPercent"] = _percentage(at, split.amount, line.amount)
    return {**fields, "to_AccountAssignment": rows}


def _category(coding: Coding, rules: OrderRules) -> str:
    return rules.project_category if coding.project else rules.cost_center_category


def _charged(at: str, coding: Coding) -> dict[str, str]:
    charged = {"GLAccount": _code(f"{at}.splits.coding.gl_account", coding.gl_account, 10)}
    if coding.project:
        element = _code(f"{at}.splits.coding.project", coding.project, 24)
        return {**charged, "WBSElementExternalID": element}
    return {
        **charged,
        "CostCenter": _code(f"{at}.splits.coding.cost_center", coding.cost_center, 10),
    }


# --- values ---------------------------------------------------------------------------------------


def item_text(description: str) -> str:
    """The item's short text: one line, 40 characters, no blank at its end."""
    return _one_line(description)[:ITEM_TEXT_CHARS].rstrip()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def sap_date(day: date) -> str:
    """Midnight UTC of that day, as OData v2 writes a date."""
    return f"/Date({(day - _EPOCH).days * _DAY_MS})/"


def sap_decimal(value: Decimal) -> str:
    """The plain decimal string, without exponent and without zeros at its end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _decimals(value: Decimal) -> int:
    return len(sap_decimal(value).partition(".")[2])


def _fits(value: Decimal, integer_digits: int, decimals: int) -> bool:
    return abs(value) < 10**integer_digits and _decimals(value) <= decimals


def _quantity(at: str, value: Decimal) -> str:
    if not _fits(value, 10, QUANTITY_DECIMALS_MAX) or value <= 0:
        _refuse(at, f"SAP takes {QUANTITY_DECIMALS_MAX} decimals and 10 integer digits")
    return sap_decimal(value)


def _amount(at: str, value: Decimal, currency: str) -> str:
    if not _fits(value, 11, PRICE_DECIMALS_MAX):
        _refuse(at, f"SAP takes {PRICE_DECIMALS_MAX} decimals and 11 integer digits")
    return f"{value:.{min(minor_unit(currency), PRICE_DECIMALS_MAX)}f}"


def _price(at: str, unit_price: Decimal, currency: str) -> tuple[str, str]:
    """Price and price unit: more decimals than the currency has go into a larger unit."""
    decimals = min(minor_unit(currency), PRICE_DECIMALS_MAX)
    for per in PRICE_UNITS:
        price = unit_price * per
        if _fits(price, 9, decimals):
            return f"{price:.{decimals}f}", str(per)
    _refuse(at, "no price unit of SAP expresses it exactly")


def _percentage(at: str, part: Decimal, whole: Decimal) -> str:
    percentage = part * 100 / whole if whole else Decimal(0)
    if not _fits(percentage, 2, 1):
        _refuse(f"{at}.splits.amount", "SAP takes percentages with one decimal, below 100")
    return sap_decimal(percentage)


def _code(at: str, value: str, chars_max: int) -> str:
    if not value:
        _refuse(at, "SAP needs it")
    if len(value) > chars_max:
        _refuse(at, f"SAP takes {chars_max} characters")
    if _CONTROL.search(value) is not None:
        _refuse(at, "it holds a control character")
    return value


def _refuse(field: str, why: str) -> NoReturn:
    raise Permanent(
        f"{field}: {why}", refuse("connector_refused", system="sap_s4", field=field, why=why)
    )
