"""What the checks look things up in: replicas of master data, each with its age.

A replica says as of when it is true; a check says how old it may be (DESIGN D15). A replica that
is missing or too old answers `unknown`, and unknown refuses submission.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import msgspec

from quaestor.model.supplier import Supplier
from quaestor.validation.requisition import Limits

__all__ = ["ChartReplica", "CostCenter", "GlAccount", "SupplierReplica", "ValidationPolicy"]


class CostCenter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One cost center of one entity, open from `open_from` to `open_to`, both days inclusive.

    `accounts` are the GL accounts it may be charged on; empty allows every open account.
    """

    id: str
    entity: str
    name: str = ""
    open_from: date | None = None
    open_to: date | None = None
    accounts: tuple[str, ...] = ()
    owner: str | None = None


class GlAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One GL account; `entities` are those that may charge it, empty for all."""

    id: str
    name: str = ""
    entities: tuple[str, ...] = ()
    open_from: date | None = None
    open_to: date | None = None


class SupplierReplica(msgspec.Struct, frozen=True):
    """The supplier master by id, as of the last synchronisation."""

    suppliers: Mapping[str, Supplier]
    as_of: datetime


class ChartReplica(msgspec.Struct, frozen=True):
    """Cost centers by `(entity, id)` and GL accounts by id, as of the last synchronisation."""

    cost_centers: Mapping[tuple[str, str], CostCenter]
    accounts: Mapping[str, GlAccount]
    as_of: datetime


class ValidationPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the checks ask for. Ages in seconds; `None` takes a replica of any age.

    Files that are released with the project have no age of their own: their default is `None`.
    """

    supplier_max_age_s: int | None = None
    chart_max_age_s: int | None = None
    limits: Limits = Limits()
