"""The vocabulary of a step: what a flow may ask the runtime to do.

Internal effects commit in the transaction of the step, each on the versions it read; outside
effects are first committed as intents and carried out afterwards, once; effects between
documents start or wake others. Results come back as values in the next dossier, under the
effect's `name`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from quaestor.budget.effects import (
    Adjust,
    BudgetEffect,
    BudgetLine,
    Commit,
    Consume,
    Release,
    Relieve,
    Reserve,
)
from quaestor.model.order import PurchaseOrder
from quaestor.model.refusal import Refusal
from quaestor.model.requisition import Requisition
from quaestor.model.status import DocumentStatus

__all__ = [
    "Adjust",
    "Adopt",
    "BudgetLine",
    "Commit",
    "Consume",
    "Effect",
    "Inquire",
    "InternalEffect",
    "OutsideEffect",
    "Record",
    "Relieve",
    "Release",
    "RequestApproval",
    "Reserve",
    "Send",
    "Start",
    "Tell",
    "Wake",
    "Withdraw",
    "WithdrawApproval",
]


class _Named(msgspec.Struct, frozen=True):
    """Every effect has a name, unique in its document, that its result comes back under."""

    name: str


# --- internal: the record -----------------------------------------------------------------------


class Record(_Named, frozen=True, tag="record"):
    """State a fact in the audit trail. No result."""

    facts: Mapping[str, str]


class Adopt(_Named, frozen=True, tag="adopt"):
    """The later version that has arrived (`Dossier.later`) becomes the document. No result.

    Never while a send is unresolved: the version is content, not key (D3).
    """

    version: int


# --- outside ------------------------------------------------------------------------------------


class Send(_Named, frozen=True, tag="send"):
    """Do this once in that system. The key is derived by the runtime from the business document.

    Result: `Applied`, `Rejected`, `Withdrawn`, or the document is parked by the posting core.
    `order_group` and `generation` are parts of the posting key (D3).
    """

    system: str
    action: str
    order_group: str
    generation: int = 1
    order: PurchaseOrder | None = None
    cancels: str | None = None
    status: DocumentStatus | None = None
    requisition: Requisition | None = None


class Withdraw(_Named, frozen=True, tag="withdraw"):
    """Never send that again, and tell me what is left of it there. `name` is the `Send`'s name.

    Result, under the same name: `Withdrawn`, with the document that a perhaps lost send left.
    """


class Inquire(_Named, frozen=True, tag="inquire"):
    """Ask a system about this document's entity; changes nothing there.

    `question` is a name from the system's manifest, asked with `facts`. Result: `Answered`, or
    `Refused` by name; a system that is in trouble is waited for. The stage named by `next` runs
    once every question of the step has its result.
    """

    system: str
    question: str
    facts: Mapping[str, str] = {}


class RequestApproval(_Named, frozen=True, tag="request_approval"):
    """Ask the declared decider for a decision on this content. The event `Decided` follows."""

    decider: str
    content_hash: str
    version: int
    amount: Decimal
    currency: str


class WithdrawApproval(_Named, frozen=True, tag="withdraw_approval"):
    """Take the open request of this name back; a later decision on it is not counted.

    Result, under the request's name: `ApprovalWithdrawn`.
    """


class Tell(_Named, frozen=True, tag="tell"):
    """Tell a person, in the system where he works."""

    whom: str
    message: str
    refusal: Refusal | None = None


# --- between documents --------------------------------------------------------------------------


class Start(_Named, frozen=True, tag="start"):
    """Begin a child document in another flow."""

    flow: str
    document_type: str
    source_id: str
    body: bytes


class Wake(_Named, frozen=True, tag="wake"):
    """Wake related documents: they get the event `Woken`."""

    documents: tuple[int, ...]


InternalEffect = BudgetEffect | Record | Adopt
OutsideEffect = Send | Withdraw | Inquire | RequestApproval | WithdrawApproval | Tell
Effect = InternalEffect | OutsideEffect | Start | Wake
