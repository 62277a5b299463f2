"""The seams of a flow: where a customer's own pure steps go, without a copy of the flow.

A seam is an optional function. The flow calls it at its place with values and goes on with what
it returns; it performs nothing and raises nothing it could have named. A project folder gives
them in `flows/<flow>.py`, under the names below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quaestor.flows.kit.effects import Effect
from quaestor.model.order import PurchaseOrder
from quaestor.model.refusal import Refusal
from quaestor.model.requisition import Requisition

__all__ = ["AfterDone", "BeforePost", "Enrich", "FlowSeams"]

Enrich = Callable[[PurchaseOrder, Requisition], PurchaseOrder | Refusal]
BeforePost = Callable[[PurchaseOrder, Requisition], Refusal | None]
AfterDone = Callable[[Requisition, tuple[PurchaseOrder, ...]], tuple[Effect, ...]]


@dataclass(frozen=True)
class FlowSeams:
    """The customer's steps in one flow; `None` where he has none.

    `enrich` gets each order after the crosswalks, and returns the order to be posted or a
    refusal: tax codes are found here. `before_post` may refuse an order that is ready.
    `after_done` names further effects once every order of the requisition is posted.
    `content_hash` is the hex SHA-256 of the customer's file, empty without one.
    """

    enrich: Enrich | None = None
    before_post: BeforePost | None = None
    after_done: AfterDone | None = None
    content_hash: str = ""
