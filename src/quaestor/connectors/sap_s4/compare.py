"""Is the document in SAP the one that was commanded? Compared by content, pure.

A 12-character reference carries 60 bits and its field can be typed over, so a hit proves
nothing by itself (DESIGN D3, F7); and SAP may have taken one line of three (F24).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from quaestor.connectors.kit.redact import safe_text
from quaestor.connectors.sap_s4.mapping import OrderRules, item_text, sap_decimal

__all__ = ["differences", "is_deleted", "rows_of", "same_code"]

SHOWN_CHARS = 60
DIFFERENCES_MAX = 50
DELETED = "L"
_DATE = re.compile(r"/Date\((-?[0-9]{1,15})([+-][0-9]{4})?\)/")

_HEADER = (
    ("company_code", "CompanyCode"),
    ("supplier", "Supplier"),
    ("currency", "DocumentCurrency"),
    ("purchasing_organisation", "PurchasingOrganization"),
    ("purchasing_group", "PurchasingGroup"),
    ("document_type", "PurchaseOrderType"),
    ("payment_terms", "PaymentTerms"),
    ("order_date", "PurchaseOrderDate"),
)
_ITEM = (
    ("description", "PurchaseOrderItemText"),
    ("material", "Material"),
    ("material_group", "MaterialGroup"),
    ("plant", "Plant"),
    ("uom", "PurchaseOrderQuantityUnit"),
    ("tax_code", "TaxCode"),
    ("account_assignment_category", "AccountAssignmentCategory"),
)
_Charge = tuple[str, str, object]
_SHARE = ("PurgDocNetAmount", "MultipleAcctAssgmtDistrPercent")


def differences(
    wanted: Mapping[str, Any], rules: OrderRules, document: Mapping[str, Any]
) -> tuple[str, ...]:
    """Each business field that is not what was commanded, as it stands there and as commanded.

    `wanted` is the rendered order. Empty when the document is the one asked for. Lines are named
    by our own numbers.
    """
    found = [*_header(wanted, rules, document), *_items(wanted, rules, document)]
    return tuple(found[:DIFFERENCES_MAX])


def is_deleted(document: Mapping[str, Any]) -> bool:
    """Whether the order is cancelled: marked itself, or each of its items is."""
    if document.get("PurchasingDocumentDeletionCode") == DELETED:
        return True
    items = rows_of(document.get("to_PurchaseOrderItem"))
    return bool(items) and all(
        item.get("PurchasingDocumentDeletionCode") == DELETED for item in items
    )


def rows_of(navigation: object) -> Sequence[Mapping[str, Any]]:
    """The rows of an expanded navigation, as decoded; none where it is deferred or absent."""
    rows = navigation.get("results") if isinstance(navigation, dict) else navigation
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def same_code(there: str, ours: str) -> bool:
    """Equal as SAP sees it: number-like codes without leading zeros, the rest in upper case."""
    return _normal(there) == _normal(ours)


def _normal(code: str) -> str:
    code = code.strip().upper()
    return code.lstrip("0") or "0" if code.isascii() and code.isdigit() else code


def _header(
    wanted: Mapping[str, Any], rules: OrderRules, document: Mapping[str, Any]
) -> Iterator[str]:
    field = rules.reference_field
    if document.get(field) != wanted[field]:
        yield _said("reference", document.get(field), wanted[field])
    yield from _codes("", _HEADER, wanted, document)


def _items(
    wanted: Mapping[str, Any], rules: OrderRules, document: Mapping[str, Any]
) -> Iterator[str]:
    there = {_number(item): item for item in rows_of(document.get("to_PurchaseOrderItem"))}
    for item in wanted["to_PurchaseOrderItem"]:
        number = int(item["PurchaseOrderItem"])
        at = f"lines[{number // rules.item_step}]"
        match = there.pop(number, None)
        if match is None:
            yield f"{at}: missing"
        elif match.get("PurchasingDocumentDeletionCode") == DELETED:
            yield f"{at}: deleted"
        else:
            yield from _item(at, item, match)
    for number in there:
        yield f"item {number}: not commanded"


def _item(at: str, wanted: Mapping[str, Any], there: Mapping[str, Any]) -> Iterator[str]:
    yield from _codes(f"{at}.", _ITEM, wanted, there)
    if not _same_amount(there.get("OrderQuantity"), wanted["OrderQuantity"]):
        yield _said(f"{at}.quantity", there.get("OrderQuantity"), wanted["OrderQuantity"])
    if not _same_price(there, wanted):
        yield _said(f"{at}.unit_price", _shown(_unit_price(there)), _shown(_unit_price(wanted)))
    for schedule in wanted.get("to_ScheduleLine", ()):
        field = "ScheduleLineDeliveryDate"
        dates = [row.get(field) for row in rows_of(there.get("to_ScheduleLine"))]
        others = [date for date in dates if date != schedule[field]]
        if not dates or any(_day(date) != _day(schedule[field]) for date in others):
            yield f"{at}.need_by: not the day commanded"
    ours = wanted["to_AccountAssignment"]
    theirs = [
        row
        for row in rows_of(there.get("to_AccountAssignment"))
        if row.get("IsDeleted") is not True
    ]
    # SAP calculates the complementary values, rounded: only what was commanded is compared.
    shared_by = next((field for field in _SHARE if field in ours[0]), None)
    if not _same_charges(_charges(ours, shared_by), _charges(theirs, shared_by)):
        yield f"{at}.splits: charged to other accounts or in other shares"


def _codes(
    at: str,
    fields: Sequence[tuple[str, str]],
    wanted: Mapping[str, Any],
    there: Mapping[str, Any],
) -> Iterator[str]:
    """Compares what was commanded; what was left to SAP is SAP's."""
    for name, field in fields:
        if field not in wanted:
            continue
        value, commanded = there.get(field), wanted[field]
        # Most are told back to the letter, and need not be read.
        if value == commanded:
            continue
        if field == "PurchaseOrderItemText":
            same = isinstance(value, str) and item_text(value) == commanded
        elif field == "PurchaseOrderDate":
            same = _day(value) == _day(commanded)
        else:
            same = isinstance(value, str) and same_code(value, commanded)
        if not same:
            yield _said(f"{at}{name}", value, commanded)


def _charges(rows: Sequence[Mapping[str, Any]], shared_by: str | None) -> list[_Charge]:
    """Who is charged what share, as it is written. A single assignment is charged the whole."""
    return [
        (
            str(row.get("GLAccount") or ""),
            str(row.get("WBSElementExternalID") or row.get("CostCenter") or ""),
            row.get(shared_by) if shared_by else None,
        )
        for row in rows
    ]


def _same_charges(ours: list[_Charge], theirs: list[_Charge]) -> bool:
    """Whether the same accounts are charged the same shares, in whatever order."""
    return ours == theirs or Counter(map(_read, ours)) == Counter(map(_read, theirs))


def _read(charge: _Charge) -> tuple[str, str, Decimal | None]:
    account, bearer, share = charge
    return _normal(account), _normal(bearer), _decimal(share)


def _same_amount(there: object, wanted: str) -> bool:
    return there == wanted or _decimal(there) == Decimal(wanted)


def _same_price(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    fields = ("NetPriceAmount", "NetPriceQuantity")
    return all(there.get(field) == wanted[field] for field in fields) or (
        _unit_price(there) == _unit_price(wanted)
    )


def _number(item: Mapping[str, Any]) -> int:
    text = str(item.get("PurchaseOrderItem", ""))
    return int(text) if text.isascii() and text.isdigit() else -1


def _unit_price(item: Mapping[str, Any]) -> Decimal | None:
    price, per = _decimal(item.get("NetPriceAmount")), _decimal(item.get("NetPriceQuantity"))
    return price / per if price is not None and per else None


def _decimal(value: object) -> Decimal | None:
    # A number in JSON would have passed through a binary fraction: only text is an amount.
    if not isinstance(value, str):
        return None
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def _day(value: object) -> int | None:
    match = _DATE.fullmatch(value) if isinstance(value, str) else None
    return int(match[1]) // 86_400_000 if match else None


def _shown(value: Decimal | None) -> str:
    return "nothing" if value is None else sap_decimal(value)


def _said(at: str, there: object, wanted: object) -> str:
    shown = "nothing" if there is None or there == "" else safe_text(str(there), (), SHOWN_CHARS)
    return f"{at}: {shown} instead of {safe_text(str(wanted), (), SHOWN_CHARS)}"
