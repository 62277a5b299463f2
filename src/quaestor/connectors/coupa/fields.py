"""Every published field of a Coupa requisition, and what becomes of it.

Source: Coupa's Swagger 2.0 "Purchasing API", release R39, definitions RequisitionHeader,
RequisitionLine, ReqLineAllocation and Account. JSON members are dashed there.
"""

from __future__ import annotations

from quaestor.connectors.kit.loss import Disposition, dropped, mapped

__all__ = ["ACCOUNT", "ALLOCATION", "EXTENSION", "HEADER", "LINE", "REFERENCES"]

_CLERICAL = dropped("Coupa's own bookkeeping; the audit trail keeps the delivered document.")
_APPROVAL = dropped("The declared decider's votes come in `approval`.")
_PRICE_DISPLAY = dropped("How Coupa shows a price, not what is bought.")
_ATTACHED = dropped("Attachments stay in Coupa.")
_TAGS = dropped("Labels inside Coupa.")
_PEOPLE = dropped("Watchers in Coupa; they have no part in the order.")
_RECURRING = dropped("Each occurrence arrives as a requisition of its own.")
_TRANSMISSION = dropped("How Coupa would send an order; the ledger sends this one.")
_SUPPLIER_SITE = dropped("The ledger chooses the ordering address from its supplier master.")
_CATALOG = dropped("Where the item was found; description, price and supplier are carried.")
_FORM = dropped("Answers to a form in Coupa.")
_CONFIRMATION = dropped("Order confirmation is agreed with the supplier in the ledger.")
_BUDGET_PERIOD = dropped("The entity's own calendar decides the period (invariant I34).")

HEADER: dict[str, Disposition] = {
    "approvals": _APPROVAL,
    "approver": _APPROVAL,
    "attachments": _ATTACHED,
    "buyer-note": dropped("A note for Coupa's buyer."),
    "created-at": mapped("submitted_at, where submitted-at is missing"),
    "created-by": mapped("preparer"),
    "currency": mapped("currency"),
    "current-approval": _APPROVAL,
    "current-parallel-approvals": _APPROVAL,
    "department": dropped("The cost center of each line says who pays."),
    "exported": _CLERICAL,
    "external-po-reference": dropped("The ledger numbers its own orders."),
    "hide-price": _PRICE_DISPLAY,
    "id": mapped("source_id, number"),
    "justification": dropped("Written for the approvers, who have decided."),
    "last-exported-at": _CLERICAL,
    "line-count": mapped("checked against lines"),
    "milestones": dropped("Payment milestones belong to service orders, which are not carried."),
    "mobile-currency": _PRICE_DISPLAY,
    "mobile-total": _PRICE_DISPLAY,
    "need-by-date": mapped("lines.need_by, where the line has none"),
    "pcard": dropped("What is paid by purchasing card needs no order."),
    "price-hidden": _PRICE_DISPLAY,
    "receiving-warehouse-id": dropped("Coupa's own inventory; ship_to says where goods go."),
    "recurring-rules": _RECURRING,
    "reject-reason-comment": _APPROVAL,
    "req-title": mapped("title"),
    "requested-by": mapped("requester"),
    "requester": mapped("requester, where requested-by is missing"),
    "requisition-lines": mapped("lines"),
    "ship-to-address": mapped("lines.ship_to"),
    "ship-to-attention": dropped("The person at the door; the place is carried."),
    "status": mapped("checked: only what was submitted is taken"),
    "submitted-at": mapped("submitted_at"),
    "taggings": _TAGS,
    "tags": _TAGS,
    "total": mapped("total"),
    "updated-at": _CLERICAL,
    "updated-by": _CLERICAL,
    "user-group-members": _PEOPLE,
    "user-members": _PEOPLE,
}

# Ours, not Coupa's: the verdict of the declared decider, put beside the delivered document.
EXTENSION: dict[str, Disposition] = {"approval": mapped("approval")}

LINE: dict[str, Disposition] = {
    "account": mapped("splits"),
    "account-allocations": mapped("splits"),
    "alternate-status": dropped("Alternatives that were not chosen."),
    "alternates": dropped("Alternatives that were not chosen."),
    "asset-tags": dropped("Assets are tagged on receipt."),
    "attachments": _ATTACHED,
    "commodity": mapped("category"),
    "confirm-by-hrs": _CONFIRMATION,
    "contract": dropped("Contracts are looked up in the ledger."),
    "created-at": _CLERICAL,
    "created-by": _CLERICAL,
    "currency": mapped("checked against currency"),
    "description": mapped("description"),
    "easy-form-response-id": _FORM,
    "extra-line-attribute": _FORM,
    "form-response": _FORM,
    "id": _CLERICAL,
    "image-url": _CATALOG,
    "item": mapped("material"),
    "line-num": mapped("number"),
    "line-owner": _PEOPLE,
    "line-type": mapped("quantity and uom of an amount line"),
    "manufacturer-name": _CATALOG,
    "manufacturer-part-number": _CATALOG,
    "milestones": dropped("Payment milestones belong to service orders, which are not carried."),
    "minimum-order-quantity": _CATALOG,
    "need-by-date": mapped("need_by"),
    "order-confirmation-level": _CONFIRMATION,
    "order-increment": _CATALOG,
    "order-line-id": dropped("Coupa's own order; the ledger's order leads here."),
    "order-pad-line": _CATALOG,
    "payment-term": dropped("The supplier master holds the payment terms agreed with him."),
    "period": _BUDGET_PERIOD,
    "punchout-site": _CATALOG,
    "quantity": mapped("quantity"),
    "realtime-extension": _CATALOG,
    "receipt-required": dropped("The ledger's item category decides about receipts."),
    "recurring-rules": _RECURRING,
    "requisition-line-tax-detail": dropped("Brazilian NCM and CFOP; the tax code is ours."),
    "service-type": dropped("Service orders are not carried."),
    "shipping-term": dropped("The supplier master holds the delivery terms agreed with him."),
    "source": _CATALOG,
    "source-details": _CATALOG,
    "source-part-num": _CATALOG,
    "source-type": _CATALOG,
    "status": _CLERICAL,
    "sub-line-num": _CLERICAL,
    "supp-aux-part-num": _CATALOG,
    "supplier": mapped("supplier"),
    "supplier-site": _SUPPLIER_SITE,
    "supplier-site-id": _SUPPLIER_SITE,
    "sustainability-detail": _CATALOG,
    "taggings": _TAGS,
    "tags": _TAGS,
    "total": mapped("amount"),
    "transmission-emails": _TRANSMISSION,
    "transmission-method-override": _TRANSMISSION,
    "unit-price": mapped("unit_price"),
    "unit-price-in-usd": _PRICE_DISPLAY,
    "unspsc-code": dropped("The commodity is carried as category."),
    "uom": mapped("uom"),
    "updated-at": _CLERICAL,
    "updated-by": _CLERICAL,
}

ALLOCATION: dict[str, Disposition] = {
    "account": mapped("splits.coding"),
    "amount": mapped("splits.amount"),
    "created-at": _CLERICAL,
    "created-by": _CLERICAL,
    "id": _CLERICAL,
    "pct": mapped("splits.amount, where amount is missing"),
    "period": _BUDGET_PERIOD,
    "updated-at": _CLERICAL,
    "updated-by": _CLERICAL,
}

_SEGMENT = mapped("entity and splits.coding, as the installation's segments are laid out")
ACCOUNT: dict[str, Disposition] = {
    "account-type": dropped("The company segment says which entity pays."),
    "account-type-id": dropped("The company segment says which entity pays."),
    "active": dropped("Closed accounts are found in our own replica."),
    "code": dropped("The segments, joined."),
    "created-at": _CLERICAL,
    "created-by": _CLERICAL,
    "id": _CLERICAL,
    "name": dropped("The account's name in Coupa; its codes are carried."),
    **{f"segment-{number}": _SEGMENT for number in range(1, 21)},
    "updated-at": _CLERICAL,
    "updated-by": _CLERICAL,
}

# Objects that only stand for something: the member that names it is read, the rest is master data
# which Quaestor takes from its declared owner.
REFERENCES: dict[str, tuple[str, ...]] = {
    "commodity": ("name",),
    "created-by": ("login",),
    "currency": ("code",),
    "item": ("item-number",),
    "requested-by": ("login",),
    "requester": ("login",),
    "ship-to-address": ("location-code",),
    "supplier": ("number",),
    "uom": ("code",),
}
