"""Legal entity: who buys, in which currency, by which clock, and into which ledger."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

__all__ = ["Entity", "LedgerFrom"]


class LedgerFrom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From this day on, `system` is the entity's ledger: a migration is two entries."""

    system: str
    since: date


class Entity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One company of the group.

    `base_currency` is ISO 4217, `time_zone` an IANA name; a document's date is the date there.
    `company_codes` holds the entity's code per system. `ledgers` are ordered by `since`.
    `purchasing_organisation`, `purchasing_group`, `plant` and `tax_code` are Quaestor's own
    codes, used where a line says nothing else.
    """

    id: str
    name: str
    base_currency: str
    time_zone: str
    company_codes: dict[str, str]
    purchasing_organisation: str
    purchasing_group: str
    ledgers: tuple[LedgerFrom, ...] = ()
    calendar: str = "standard"
    country: str = ""
    plant: str | None = None
    tax_code: str | None = None

    def ledger_on(self, day: date) -> str | None:
        """The ledger's system on that day; `None` before the first."""
        begun = [ledger for ledger in self.ledgers if ledger.since <= day]
        return max(begun, key=lambda ledger: ledger.since).system if begun else None

    def local_date(self, at: datetime) -> date:
        """The date in the entity's time zone at an aware instant (invariant I34)."""
        return _local_date(self.time_zone, at)


@lru_cache(maxsize=1024)
def _local_date(time_zone: str, at: datetime) -> date:
    """Every stage of a document asks for the same day of it."""
    return at.astimezone(ZoneInfo(time_zone)).date()
