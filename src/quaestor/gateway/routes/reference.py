"""Reference lists: what a form offers, as of when it is true, for the caller's entities."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from quaestor.flows.kit.reads import EntityBook
from quaestor.gateway.operation import Answer, Call, Operation
from quaestor.gateway.paging import CURSOR, LIMIT, cursor_of, limit_of, position_of
from quaestor.gateway.problems import Problem
from quaestor.model.money import MINOR_UNITS
from quaestor.security.authorization import Scope
from quaestor.store import Connection
from quaestor.validation.facts import ChartReplica, SupplierReplica, ValidationPolicy

__all__ = ["LISTS", "REFERENCE"]

_KINDS = (ChartReplica, EntityBook, SupplierReplica, ValidationPolicy)


class ReferenceItem(msgspec.Struct, frozen=True):
    """One code. `state` is `open`, or why it cannot be used; `entities` are those of the caller
    that may use it, empty where that is not by entity.
    """

    code: str
    name: str
    state: str
    entities: tuple[str, ...]


class ReferencePage(msgspec.Struct, frozen=True):
    """Codes in order. `as_of` is when the list was true, `age_s` how long ago, in seconds."""

    list: str
    as_of: datetime
    age_s: int
    items: tuple[ReferenceItem, ...]
    next: str | None


_Found = tuple[datetime | None, Iterable[ReferenceItem]]
_List = Callable[[Any, frozenset[str], datetime], _Found]


def _suppliers(known: Any, mine: frozenset[str], now: datetime) -> _Found:
    replica: SupplierReplica | None = known[SupplierReplica]
    if replica is None:
        return None, ()
    return replica.as_of, (
        ReferenceItem(
            supplier.id,
            supplier.name,
            "blocked" if supplier.status == "blocked" else "open",
            tuple(sorted(mine & set(supplier.entities))),
        )
        for supplier in replica.suppliers.values()
        if mine & set(supplier.entities)
    )


def _cost_centers(known: Any, mine: frozenset[str], now: datetime) -> _Found:
    replica: ChartReplica | None = known[ChartReplica]
    if replica is None:
        return None, ()
    return replica.as_of, (
        ReferenceItem(center.id, center.name, _state(center, now), (center.entity,))
        for center in replica.cost_centers.values()
        if center.entity in mine
    )


def _accounts(known: Any, mine: frozenset[str], now: datetime) -> _Found:
    replica: ChartReplica | None = known[ChartReplica]
    if replica is None:
        return None, ()
    return replica.as_of, (
        ReferenceItem(
            account.id,
            account.name,
            _state(account, now),
            tuple(sorted(mine & set(account.entities or mine))),
        )
        for account in replica.accounts.values()
        if not account.entities or mine & set(account.entities)
    )


def _entities(known: Any, mine: frozenset[str], now: datetime) -> _Found:
    book: EntityBook = known[EntityBook]
    return now, (
        ReferenceItem(entity.id, entity.name, "open", (entity.id,))
        for entity in book.entities.values()
        if entity.id in mine
    )


def _units(known: Any, mine: frozenset[str], now: datetime) -> _Found:
    units = known[ValidationPolicy].limits.units
    return now, (ReferenceItem(unit, unit, "open", ()) for unit in units)


def _currencies(known: Any, mine: frozenset[str], now: datetime) -> _Found:
    return now, (ReferenceItem(code, code, "open", ()) for code in MINOR_UNITS)


LISTS: dict[str, _List] = {
    "accounts": _accounts,
    "cost-centers": _cost_centers,
    "currencies": _currencies,
    "entities": _entities,
    "suppliers": _suppliers,
    "units": _units,
}


def _state(item: Any, now: datetime) -> str:
    today = now.date()
    too_early = item.open_from is not None and today < item.open_from
    too_late = item.open_to is not None and item.open_to < today
    return "closed" if too_early or too_late else "open"


async def _list(call: Call, connection: Connection) -> Answer:
    name = call.path["list"]
    make = LISTS.get(name)
    if make is None:
        raise Problem("not_found")
    limit = limit_of(call)
    after = position_of(call, f"reference/{name}", tuple[str, tuple[str, ...]])
    mine = call.caller.entities
    now = datetime.now(UTC)
    as_of, items = make(call.services.reads("requisition", min(mine), _KINDS), mine, now)
    if as_of is None:
        # A master that was never read is not an empty one.
        raise Problem("not_found")
    ordered = sorted(items, key=_place)
    rest = ordered if after is None else [item for item in ordered if _place(item) > after]
    page = rest[:limit]
    last = cursor_of(call, f"reference/{name}", _place(page[-1])) if len(rest) > limit else None
    age_s = max(0, int((now - as_of).total_seconds()))
    return Answer(200, ReferencePage(name, as_of, age_s, tuple(page), last))


def _place(item: ReferenceItem) -> tuple[str, tuple[str, ...]]:
    return item.code, item.entities


REFERENCE = (
    Operation(
        id="readReference",
        method="GET",
        path="/v1/reference/{list}",
        summary="A list of codes: " + ", ".join(sorted(LISTS)) + ".",
        handler=_list,
        answers=ReferencePage,
        scopes=(Scope.REFERENCE_READ,),
        query=(LIMIT, CURSOR),
        refuses=("cursor_invalid", "limit_out_of_range", "not_found"),
    ),
)
