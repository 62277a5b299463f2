"""Supplier: who may be ordered from, by which entity."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Supplier"]


class Supplier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One supplier, `id` in Quaestor's own codes.

    `entities` are those it is approved for; `payment_terms` is our code, `None` where each
    ledger holds its own. `country` is ISO 3166-1 alpha-2.
    """

    id: str
    name: str
    status: Literal["active", "blocked"] = "active"
    entities: tuple[str, ...] = ()
    country: str = ""
    payment_terms: str | None = None
