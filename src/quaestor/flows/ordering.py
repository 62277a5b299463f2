"""Bringing order groups into the ledger, one after the other, and taking them back.

    ordering ─► posting ─► answering ─► committing ─► … ─► ordered ─► closed
    cancelling ⇄ cancel_answered

What stands in the ledger is read from the results of the sends alone, never from the present
content: a line that was changed since, or a crosswalk, cannot make an order be forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from quaestor.budget.effects import Committed
from quaestor.connectors.kit.contract import Applied, Rejected
from quaestor.flows.approving import latest_request
from quaestor.flows.charging import CHARGING_READS, Buyer, buyer_of, charged
from quaestor.flows.kit.dossier import Dossier, Refused, Withdrawn
from quaestor.flows.kit.effects import (
    Commit,
    Effect,
    Release,
    Relieve,
    Send,
    Tell,
    WithdrawApproval,
)
from quaestor.flows.kit.reads import Routing, Seams
from quaestor.flows.kit.step import Done, Park, Step
from quaestor.masterdata.enrich import enrich, order_groups
from quaestor.model.coding import Coding
from quaestor.model.crosswalk import Crosswalks
from quaestor.model.order import OrderGroup, PurchaseOrder
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.requisition import Requisition, RequisitionLine
from quaestor.validation.facts import SupplierReplica

__all__ = [
    "ORDERING_READS",
    "Placed",
    "answering",
    "cancel_answered",
    "cancelling",
    "closed",
    "committing",
    "is_committed",
    "order_name",
    "ordered",
    "ordering",
    "placed",
    "posting",
]

ORDERING_READS: tuple[type, ...] = (*CHARGING_READS, Routing, Crosswalks, SupplierReplica, Seams)

_ORDER = "order/"
_COMMIT = "commit/"
_CANCEL = "cancel/"


class Placed(msgspec.Struct, frozen=True):
    """An order that stands in a ledger: its group's key, the system, and the document there."""

    group: str
    system: str
    document: Applied


def order_name(group: str) -> str:
    """The name of the `Send` that creates the group's order."""
    return _ORDER + group


def placed(dossier: Dossier) -> tuple[Placed, ...]:
    """The orders that stand, also those that a withdrawn send left there; by group."""
    found, results = [], dossier.results
    for name in sorted(dossier.sends):
        if not name.startswith(_ORDER):
            continue
        group = name.removeprefix(_ORDER)
        match results.get(name):
            case (Applied() as document) | Withdrawn(left=Applied() as document):
                if not isinstance(results.get(_cancel(group)), Applied):
                    found.append(Placed(group, dossier.sends[name].system, document))
    return tuple(found)


def is_committed(dossier: Dossier, group: str) -> bool:
    """Whether the group's order is an encumbrance in the budget."""
    return isinstance(dossier.results.get(_commit(group)), Committed)


def _cancel(group: str) -> str:
    return _CANCEL + group


def _commit(group: str) -> str:
    return _COMMIT + group


# --- into the ledger ------------------------------------------------------------------------------


def ordering(dossier: Dossier) -> Step:
    """Can every group be ordered? Only then the first is sent, so that none is left half way."""
    targets = _targets(dossier)
    if isinstance(targets, Refusal):
        return _parked(targets)
    # The first is tried by `posting`, which comes next and sends it.
    for key in list(targets.groups)[1:]:
        order = _order(dossier, targets, key)
        if isinstance(order, Refusal):
            return _parked(order)
    return Step((), "posting")


def posting(dossier: Dossier) -> Step:
    """Send the next group: first those never sent, then those that the ledger refused."""
    targets = _targets(dossier)
    if isinstance(targets, Refusal):
        return _parked(targets)
    results = dossier.results
    standing = {order.group for order in placed(dossier)}
    unordered = [key for key in targets.groups if key not in standing]
    if not unordered:
        return Step((), "answering")
    key = min(unordered, key=lambda key: order_name(key) in results)
    order = _order(dossier, targets, key)
    if isinstance(order, Refusal):
        return _parked(order)
    send = Send(order_name(key), targets.system, "create_order", order_group=key, order=order)
    return Step((send,), "answering")


def answering(dossier: Dossier) -> Step:
    """Encumber what is ordered; go on with the others; park what was refused (F22).

    A refused group keeps its reservation. It does not hold up the other groups.
    """
    targets = _targets(dossier)
    if isinstance(targets, Refusal):
        return _parked(targets)
    orders = placed(dossier)
    for order in orders:
        if not is_committed(dossier, order.group):
            return _committed(dossier, targets, order)
    standing = {order.group for order in orders}
    missing = [key for key in targets.groups if key not in standing]
    answers = [dossier.results.get(order_name(key)) for key in missing]
    refused = [answer.refusal for answer in answers if isinstance(answer, Rejected)]
    if len(refused) < len(missing):
        return Step((), "posting")
    if refused:
        return Step((), Park(refused[0].owner, refused[0], resume="posting"))
    return Step((), "ordered")


def _committed(dossier: Dossier, targets: _Targets, order: Placed) -> Step:
    known = targets.groups.get(order.group)
    lines = charged(dossier, known.lines if known else ())
    if isinstance(lines, Refusal):
        return _parked(lines)
    commit = Commit(_commit(order.group), relieves=lines, lines=lines)
    if not order.document.differences:
        return Step((commit,), "committing")
    # The order stands and binds the company: it is encumbered as approved, and a person decides
    # what becomes of the difference. Nothing is ordered a second time (F24).
    refusal = refuse(
        "erp_document_differs",
        number=order.document.number,
        differences="; ".join(order.document.differences),
    )
    return Step((commit,), Park(refusal.owner, refusal, resume="committing"))


def committing(dossier: Dossier) -> Step:
    """The order exists whatever the budget says: what it refuses is a person's to settle."""
    for order in placed(dossier):
        result = dossier.results.get(_commit(order.group))
        if isinstance(result, Refused):
            return Step((), Park(result.refusal.owner, result.refusal, resume="answering"))
    return Step((), "answering")


def ordered(dossier: Dossier) -> Step:
    """Every group is ordered: what is still reserved is free (B3), the requester is told."""
    requisition: Requisition = dossier.document.body
    orders = placed(dossier)
    numbers = {order.group: order.document.number for order in orders}
    held = [order.document.number for order in orders if not order.document.released]
    message = f"Requisition {requisition.number} is ordered: {', '.join(numbers.values())}."
    if held:
        message += f" Still to be released there: {', '.join(held)}."
    told = Tell("told", requisition.requester, message)
    added = tuple(
        effect
        for after_done in dossier.read(Seams).after_done
        for effect in after_done(requisition, numbers)
    )
    return Step((Release("reservation"), told, *added), "reporting_ordered")


def closed(dossier: Dossier) -> Step:
    """Nothing is left to do. A stage of its own: whoever comes back here is not told again."""
    return Step((), Done("ordered"))


class _Ordered(msgspec.Struct, frozen=True):
    """What becomes one order."""

    group: OrderGroup
    lines: tuple[RequisitionLine, ...]


class _Targets(msgspec.Struct, frozen=True):
    """Which groups the document has, by their keys, and the ledger they go to."""

    buyer: Buyer
    system: str
    groups: Mapping[str, _Ordered]


def _targets(dossier: Dossier) -> _Targets | Refusal:
    buyer = buyer_of(dossier)
    if isinstance(buyer, Refusal):
        return buyer
    system = buyer.entity.ledger_on(buyer.day)
    if system is None:
        return refuse("ledger_unknown", entity=buyer.entity.id, on=buyer.day.isoformat())
    by_ship_to = system in dossier.read(Routing).by_ship_to
    groups = order_groups(dossier.document.body, buyer.entity, by_ship_to=by_ship_to)
    by_key = {group.key: _Ordered(group, lines) for group, lines in groups.items()}
    return _Targets(buyer, system, by_key)


def _order(dossier: Dossier, targets: _Targets, key: str) -> PurchaseOrder | Refusal:
    """The group's order in the ledger's codes, after the customer's own steps."""
    requisition: Requisition = dossier.document.body
    suppliers: SupplierReplica | None = dossier.reads[SupplierReplica]
    order = enrich(
        requisition,
        targets.groups[key].group,
        targets.groups[key].lines,
        entity=targets.buyer.entity,
        target_system=targets.system,
        crosswalks=dossier.read(Crosswalks),
        order_date=targets.buyer.day,
        suppliers=suppliers.suppliers if suppliers else None,
    )
    if isinstance(order, tuple):
        return _all_missing(order)
    seams = dossier.read(Seams)
    for step in seams.enrich:
        completed = step(order, requisition)
        if isinstance(completed, Refusal):
            return completed
        if _approved_part(completed) != _approved_part(order):
            return refuse("seam_changes_approved", order_group=key)
        order = completed
    for check in seams.before_post:
        refusal = check(order, requisition)
        if refusal is not None:
            return refusal
    return order


def _all_missing(refusals: tuple[Refusal, ...]) -> Refusal:
    """One refusal that names every code that is missing, so that they are filled in once."""
    first = refusals[0]
    named = (f"{r.details.get('kind', '')} {r.details.get('code', '')}" for r in refusals)
    return refuse(first.code, **{**first.details, "missing": ", ".join(named)})


def _approved_part(order: PurchaseOrder) -> object:
    """What was approved and may not be touched afterwards (I20); a tax code may still be found."""
    lines = tuple(
        (
            line.requisition_line,
            line.quantity,
            line.unit_price,
            line.amount,
            tuple((_untaxed(split.coding), split.amount) for split in line.splits),
        )
        for line in order.lines
    )
    header = (order.target_system, order.group, order.company_code, order.supplier)
    return header, order.currency, order.total, lines


def _untaxed(coding: Coding) -> Coding:
    return msgspec.structs.replace(coding, tax_code=None)


def _parked(refusal: Refusal) -> Step:
    return Step((), Park(refusal.owner, refusal))


# --- and back -------------------------------------------------------------------------------------


def cancelling(dossier: Dossier) -> Step:
    """Cancel what stands in the ledger, one order after the other; then free the budget."""
    standing = sorted(
        placed(dossier), key=lambda order: (_cancel(order.group) in dossier.results, order.group)
    )
    if standing:
        order = standing[0]
        number = order.document.number
        send = Send(
            _cancel(order.group),
            order.system,
            "cancel_order",
            order_group=order.group,
            cancels=number,
        )
        return Step((send,), "cancel_answered")
    return Step(_freed(dossier), "withdrawing")


def cancel_answered(dossier: Dossier) -> Step:
    """A cancellation that the ledger refuses is finance's; the other orders are still cancelled."""
    answers = [dossier.results.get(_cancel(order.group)) for order in placed(dossier)]
    refused = [answer.refusal for answer in answers if isinstance(answer, Rejected)]
    if not refused or len(refused) < len(answers):
        return Step((), "cancelling")
    park = Park(refused[0].owner, refused[0], ways_out=("retry",), resume="cancelling")
    return Step((), park)


def _freed(dossier: Dossier) -> tuple[Effect, ...]:
    requisition: Requisition = dossier.document.body
    relieved = tuple(
        Relieve(f"relieve/{name.removeprefix(_COMMIT)}", result.lines)
        for name, result in sorted(dossier.results.items())
        if name.startswith(_COMMIT) and isinstance(result, Committed)
    )
    request = latest_request(dossier)
    withdrawn = () if request is None else (WithdrawApproval(request.request),)
    told = Tell("told", requisition.requester, f"Requisition {requisition.number} is cancelled.")
    return (*relieved, Release("reservation"), *withdrawn, told)
