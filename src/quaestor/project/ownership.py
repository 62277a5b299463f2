"""Ownership: the system of record of each object, and the one declared decider of each decision.

Read from ownership.yaml (DESIGN D13, D14).
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["EVERY_ENTITY", "IDENTITIES", "OURSELVES", "DecisionOwner", "ObjectOwner", "Ownership"]

OURSELVES = "quaestor"
IDENTITIES = "identities"
EVERY_ENTITY = "*"

DecisionKind = Literal["approval", "budget"]
ObjectKind = Literal["supplier", "cost_center", "account", "employee", "requisition", "order"]


class ObjectOwner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an object is kept. `fields` name another owner for single fields; `steward` is the
    person to ask. A replica older than `max_age_s` seconds is not relied on.
    """

    object: ObjectKind
    owner: str
    mode: Literal["replica", "live"] = "replica"
    max_age_s: int | None = None
    steward: str | None = None
    fields: dict[str, str] = {}


class DecisionOwner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who decides, for a document type and an entity, `*` for every entity.

    `decide`: our rules. `relay`: the platform's verdict. `verify`: the platform's verdict, held
    against our minimum.
    """

    decision: DecisionKind
    document: str
    decider: str
    mode: Literal["decide", "relay", "verify"]
    entity: str = EVERY_ENTITY


class Ownership(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    objects: tuple[ObjectOwner, ...] = ()
    decisions: tuple[DecisionOwner, ...] = ()

    def decider(self, decision: DecisionKind, document: str, entity: str) -> DecisionOwner | None:
        """The declared decider: the entity's own, else that of every entity."""
        declared = {
            one.entity: one
            for one in self.decisions
            if (one.decision, one.document) == (decision, document)
        }
        return declared.get(entity) or declared.get(EVERY_ENTITY)

    def sources(self, kind: str) -> frozenset[str]:
        """The systems whose lists make this kind of object: its owner's, and for people also that
        of the system that owns their `identities`.
        """
        owner = self.owner(kind)
        if owner is None or owner.mode != "replica":
            return frozenset()
        logins = owner.fields.get(IDENTITIES) if kind == "employee" else None
        return frozenset({owner.owner, logins or owner.owner})

    def owner(self, kind: str) -> ObjectOwner | None:
        """The system of record of one kind of object."""
        return next((one for one in self.objects if one.object == kind), None)
