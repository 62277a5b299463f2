"""Replicas: copies of master data, with the moment they were true."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from quaestor.model.coding import CostCenter, GLAccount
from quaestor.model.supplier import Supplier

__all__ = ["MasterData", "Replica"]


class Replica(msgspec.Struct, frozen=True):
    """When a list was taken from its owner, and how old it may grow. `as_of` is aware.

    `max_age_s` `None` trusts it at any age: a list that is kept by hand in the project folder.
    """

    as_of: datetime
    source: str
    max_age_s: float | None = None

    def fresh_at(self, now: datetime) -> bool:
        """Whether it may still be relied on."""
        return self.max_age_s is None or now - self.as_of <= timedelta(seconds=self.max_age_s)


class MasterData(msgspec.Struct, frozen=True):
    """Suppliers, cost centers and accounts by id, each list with its replica."""

    suppliers: Mapping[str, Supplier] = {}
    cost_centers: Mapping[str, CostCenter] = {}
    accounts: Mapping[str, GLAccount] = {}
    replicas: Mapping[str, Replica] = {}
