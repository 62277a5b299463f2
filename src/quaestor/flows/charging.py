"""What a requisition charges, to which budget, on which day: shared by the stages that need it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import msgspec

from quaestor.budget.effects import BudgetLine
from quaestor.budget.keys import BudgetPolicy, charge
from quaestor.flows.kit.dossier import Dossier
from quaestor.flows.kit.reads import EntityBook
from quaestor.model.calendar import Calendar
from quaestor.model.entity import Entity
from quaestor.model.rates import Rates
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.requisition import Requisition, RequisitionLine

__all__ = ["CHARGING_READS", "Buyer", "buyer_of", "charged"]

CHARGING_READS: tuple[type, ...] = (EntityBook, BudgetPolicy, Rates)


class Buyer(msgspec.Struct, frozen=True):
    """The buying entity, its calendar, and the day that everything of the document goes by."""

    entity: Entity
    calendar: Calendar
    day: date


def buyer_of(dossier: Dossier) -> Buyer | Refusal:
    """The buyer; `entity_unknown` where the entity or its calendar is not configured.

    The day is that of submission in the entity's time zone, so that it is the same whenever the
    document is read again.
    """
    requisition: Requisition = dossier.document.body
    found = dossier.read(EntityBook).find(requisition.entity)
    if found is None:
        return refuse("entity_unknown", entity=requisition.entity)
    entity, calendar = found
    return Buyer(entity, calendar, entity.local_date(requisition.submitted_at))


def charged(dossier: Dossier, lines: Iterable[RequisitionLine]) -> tuple[BudgetLine, ...] | Refusal:
    """What these lines of the requisition charge, per budget node in base currency."""
    buyer = buyer_of(dossier)
    if isinstance(buyer, Refusal):
        return buyer
    return charge(
        (split for line in lines for split in line.splits),
        dossier.document.body.currency,
        entity=buyer.entity,
        calendar=buyer.calendar,
        on=buyer.day,
        rates=dossier.read(Rates),
        policy=dossier.read(BudgetPolicy),
    )
