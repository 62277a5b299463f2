"""What a stage may declare to read, beyond the nouns of the model and the replicas of the rooms.

The loader fetches exactly what is declared, from the release that the document is pinned to. Also
read by type: `Directory`, `Rates`, `Crosswalks` (model), `SupplierReplica`, `ChartReplica`,
`ValidationPolicy` (validation), `ApprovalPolicy` (approvals, of the document's entity and type),
`BudgetPolicy` (budget).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from quaestor.flows.kit.effects import Effect
from quaestor.model.calendar import Calendar
from quaestor.model.entity import Entity
from quaestor.model.order import PurchaseOrder
from quaestor.model.refusal import Refusal
from quaestor.model.requisition import Requisition

__all__ = ["AfterDone", "BeforePost", "EnrichOrder", "EntityBook", "Routing", "Seams"]


class EntityBook(msgspec.Struct, frozen=True):
    """The legal entities and the calendars they keep, by id."""

    entities: Mapping[str, Entity]
    calendars: Mapping[str, Calendar]

    def find(self, entity: str) -> tuple[Entity, Calendar] | None:
        """The entity with its calendar; `None` where one of them is not configured."""
        found = self.entities.get(entity)
        calendar = self.calendars.get(found.calendar) if found else None
        return (found, calendar) if found and calendar else None


class Routing(msgspec.Struct, frozen=True):
    """Where orders go beyond `Entity.ledgers`, and where reports go.

    `by_ship_to` are ledgers that need one order per ship-to address; `reports_to` the systems
    that take the status of a document of theirs back; `asks` the approval platforms that a
    requisition is handed to, `takes_back` those that a requisition can be cancelled in.
    """

    by_ship_to: frozenset[str] = frozenset()
    reports_to: frozenset[str] = frozenset()
    asks: frozenset[str] = frozenset()
    takes_back: frozenset[str] = frozenset()


EnrichOrder = Callable[[PurchaseOrder, Requisition], PurchaseOrder | Refusal]
BeforePost = Callable[[PurchaseOrder, Requisition], Refusal | None]
AfterDone = Callable[[Requisition, Mapping[str, str]], tuple[Effect, ...]]


@dataclass(frozen=True)
class Seams:
    """A customer's own steps inside a shipped flow (DESIGN D14): pure functions, in this order.

    `enrich` completes an order, and may not touch what was approved; `before_post` may refuse
    it; `after_done` is given the order number by order group and adds effects to the last step.
    """

    enrich: tuple[EnrichOrder, ...] = ()
    before_post: tuple[BeforePost, ...] = ()
    after_done: tuple[AfterDone, ...] = ()
