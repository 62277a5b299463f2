"""From a requisition to purchase orders: what belongs together, and in whose codes.

A requisition speaks Quaestor's own codes. An order speaks the language of the ledger it is posted
to. What has no word there is named, all at once, so that finance fills a crosswalk once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from quaestor.model.coding import Coding, Split
from quaestor.model.crosswalk import CodeKind, Crosswalks, Missing
from quaestor.model.entity import Entity
from quaestor.model.money import total
from quaestor.model.order import OrderGroup, OrderLine, PurchaseOrder
from quaestor.model.refusal import Refusal
from quaestor.model.requisition import Requisition, RequisitionLine
from quaestor.model.supplier import Supplier

__all__ = ["LINE_NUMBER_STEP", "enrich", "order_groups"]

LINE_NUMBER_STEP = 10


def order_groups(
    requisition: Requisition, entity: Entity, *, by_ship_to: bool = False
) -> dict[OrderGroup, tuple[RequisitionLine, ...]]:
    """Every order that the requisition becomes, with its lines; sorted, and the lines by number:
    the same however they are ordered. `by_ship_to` where the ledger needs one order per address.
    """
    parted: dict[tuple[str, str], list[RequisitionLine]] = {}
    for line in sorted(requisition.lines, key=lambda line: line.number):
        place = (line.ship_to or "") if by_ship_to else ""
        parted.setdefault((line.supplier, place), []).append(line)
    shared = (requisition.entity, requisition.currency, entity.purchasing_organisation)
    return {
        OrderGroup(supplier, *shared, place): tuple(parted[supplier, place])
        for supplier, place in sorted(parted)
    }


def enrich(
    requisition: Requisition,
    group: OrderGroup,
    asked: Sequence[RequisitionLine],
    *,
    entity: Entity,
    target_system: str,
    crosswalks: Crosswalks,
    order_date: date,
    suppliers: Mapping[str, Supplier] | None = None,
) -> PurchaseOrder | tuple[Refusal, ...]:
    """The order of this group in the target system's codes, in force on `order_date`.

    Or one refusal for each code that is missing there. `asked` are the group's lines; those of
    the order are numbered 10, 20, … in the same order. Where a line has neither a tax code nor
    its entity one, the ledger finds its own. A material is sent only if the ledger knows it: its
    group stands for it otherwise.
    """
    codes = _Translation(crosswalks, target_system, order_date)
    supplier = (suppliers or {}).get(group.supplier)
    terms = supplier.payment_terms if supplier else None
    lines = tuple(
        _order_line(line, position * LINE_NUMBER_STEP, entity, codes)
        for position, line in enumerate(asked, start=1)
    )
    order = PurchaseOrder(
        target_system=target_system,
        requisition=requisition.number,
        requisition_version=requisition.version,
        group=group,
        company_code=codes.of("company_code", group.entity),
        supplier=codes.of("supplier", group.supplier),
        currency=group.currency,
        purchasing_organisation=codes.of("purchasing_organisation", group.purchasing_organisation),
        purchasing_group=codes.of("purchasing_group", entity.purchasing_group),
        order_date=order_date,
        total=total(line.amount for line in lines),
        lines=lines,
        payment_terms=codes.of("payment_terms", terms) if terms else None,
    )
    return codes.refusals() or order


class _Translation:
    """Look-ups into one system on one day, which remember what was missing."""

    def __init__(self, crosswalks: Crosswalks, system: str, on: date) -> None:
        self._crosswalks = crosswalks
        self._system = system
        self._on = on
        self._missing: dict[Missing, None] = {}

    def of(self, kind: CodeKind, our_code: str) -> str:
        """Their code; an empty string where it is missing, and then there is no order."""
        found = self._crosswalks.theirs(self._system, kind, our_code, self._on)
        if isinstance(found, Missing):
            self._missing[found] = None
            return ""
        return found

    def of_known(self, kind: CodeKind, our_code: str) -> str | None:
        """Their code, or `None` where that system need not know ours."""
        found = self._crosswalks.theirs(self._system, kind, our_code, self._on)
        return None if isinstance(found, Missing) else found

    def refusals(self) -> tuple[Refusal, ...]:
        return tuple(missing.refusal() for missing in self._missing)


def _order_line(
    line: RequisitionLine, number: int, entity: Entity, codes: _Translation
) -> OrderLine:
    place = line.ship_to or entity.plant
    return OrderLine(
        number=number,
        requisition_line=line.number,
        description=line.description,
        quantity=line.quantity,
        uom=codes.of("uom", line.uom),
        unit_price=line.unit_price,
        amount=line.amount,
        splits=tuple(
            Split(_coding(split.coding, entity, codes), split.amount) for split in line.splits
        ),
        material_group=codes.of("material_group", line.category) if line.category else "",
        material=codes.of_known("material", line.material) if line.material else None,
        need_by=line.need_by,
        plant=codes.of("plant", place) if place else None,
    )


def _coding(coding: Coding, entity: Entity, codes: _Translation) -> Coding:
    tax_code = coding.tax_code or entity.tax_code
    return Coding(
        cost_center=codes.of("cost_center", coding.cost_center),
        gl_account=codes.of("gl_account", coding.gl_account),
        project=codes.of("project", coding.project) if coding.project else None,
        tax_code=codes.of("tax_code", tax_code) if tax_code else None,
    )
