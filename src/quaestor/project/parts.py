"""The lists of a project folder: entities, people, calendars, rates, master data, crosswalks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from quaestor.masterdata.crosswalks import overlaps
from quaestor.model.calendar import Calendar
from quaestor.model.crosswalk import CrosswalkRow
from quaestor.model.employee import Employee
from quaestor.model.entity import Entity
from quaestor.model.rates import Rate, Rates
from quaestor.model.supplier import Supplier
from quaestor.project.files import Folder, SourceFile
from quaestor.project.shape import Reader
from quaestor.validation.facts import ChartReplica, CostCenter, GlAccount, SupplierReplica

__all__ = [
    "CROSSWALK_COLUMNS",
    "RATE_COLUMNS",
    "read_calendars",
    "read_chart",
    "read_crosswalks",
    "read_entities",
    "read_people",
    "read_rates",
    "read_suppliers",
]

CROSSWALK_COLUMNS = ("system", "kind", "our_code", "their_code", "valid_from", "valid_to")
RATE_COLUMNS = ("from", "to", "on", "rate")
UNLIMITED = "unlimited"

T = TypeVar("T")


def read_entities(folder: Folder) -> dict[str, Entity]:
    """entities.yaml, by id. A deployment without an entity can do nothing."""
    source = folder.yaml("entities.yaml")
    if source is None:
        return {}
    reader = Reader(source, folder.problems)
    found = reader.items("entities", Entity)
    if not found and not folder.problems:
        reader.report("key_missing", "entities", "there is no entity", "a list of entities")
    return found


def read_people(folder: Folder) -> dict[str, Employee]:
    """directory/people.yaml, by id."""
    source = folder.yaml("directory/people.yaml")
    if source is None:
        return {}
    reader = Reader(source, folder.problems)
    people = reader.members("people", ("people",)).get("people")
    if isinstance(people, list):
        people = [_with_limit(reader, one, f"people.{at}") for at, one in enumerate(people, 1)]
    return reader.listed(people, Employee, "people")


def _with_limit(reader: Reader, person: Any, key: str) -> Any:
    """`unlimited` is written out: an authority left empty must not become one without limit."""
    if not isinstance(person, Mapping) or "limit" not in person:
        return person
    if person["limit"] is None:
        reader.report("value_invalid", f"{key}.limit", "is empty", "0, an amount or unlimited")
        return {**person, "limit": "0"}
    return {**person, "limit": None} if person["limit"] == UNLIMITED else person


def read_calendars(folder: Folder) -> dict[str, Calendar]:
    """calendars/*.yaml, one calendar each; `standard` is the calendar year unless it is given."""
    found = {"standard": Calendar("standard")}
    for name in folder.names("calendars/*.yaml"):
        source = folder.yaml(name)
        if source is None:
            continue
        calendar = Reader(source, folder.problems).convert(source.value, Calendar)
        if calendar is not None:
            found[calendar.id] = calendar
    return found


def read_rates(folder: Folder) -> Rates:
    """rates/*.csv."""
    by_pair: dict[tuple[str, str], list[Rate]] = {}
    for name in folder.names("rates/*.csv"):
        table = folder.csv(name, RATE_COLUMNS)
        for line, row in table.rows if table else ():
            day = _cell(folder, name, line, row, "on", date)
            rate = _cell(folder, name, line, row, "rate", Decimal)
            if day is None or rate is None:
                continue
            if rate <= 0:
                folder.problems.add(
                    "value_invalid", name, "rate", "a rate is above zero", line=line
                )
            by_pair.setdefault((row["from"], row["to"]), []).append(
                Rate(row["from"], row["to"], day, rate)
            )
    return Rates(
        {pair: tuple(sorted(rates, key=lambda one: one.on)) for pair, rates in by_pair.items()}
    )


class _ListHead(msgspec.Struct, frozen=True):
    """What stands above a list: when it was true, and the system it was taken from."""

    as_of: datetime
    source: str = ""


def read_suppliers(folder: Folder) -> SupplierReplica | None:
    """masterdata/suppliers.yaml; `None` where there is none, and then no supplier is known."""
    head, suppliers = _listed(folder, "suppliers", Supplier)
    return None if head is None else SupplierReplica(suppliers, head.as_of)


def read_chart(folder: Folder) -> ChartReplica | None:
    """masterdata/cost_centers.yaml and accounts.yaml; as old as the older of the two."""
    first, centers = _listed(folder, "cost_centers", CostCenter)
    second, accounts = _listed(folder, "accounts", GlAccount)
    if first is None or second is None:
        return None
    by_entity = {(center.entity, center.id): center for center in centers.values()}
    return ChartReplica(by_entity, accounts, min(first.as_of, second.as_of))


def _listed(folder: Folder, name: str, kind: type[T]) -> tuple[_ListHead | None, dict[str, T]]:
    file = f"masterdata/{name}.yaml"
    source = folder.yaml(file) if folder.names(file) else None
    if source is None:
        return None, {}
    reader = Reader(source, folder.problems)
    fields = tuple(field.name for field in msgspec.structs.fields(_ListHead))
    top = reader.members(name, (*fields, name))
    head = reader.convert({field: top[field] for field in fields if field in top}, _ListHead)
    if head is not None and head.as_of.tzinfo is None:
        reader.report(
            "value_invalid", "as_of", "has no offset from UTC", "2026-01-31T09:30:00+01:00"
        )
        head = None
    return head, reader.listed(top.get(name), kind, name)


def read_crosswalks(folder: Folder, entities: Mapping[str, Entity]) -> list[CrosswalkRow]:
    """crosswalks/*.csv, and the company codes of the entities, which are rows too."""
    rows = [
        CrosswalkRow(system, "company_code", entity.id, code, origin=f"entities.yaml, {entity.id}")
        for entity in entities.values()
        for system, code in entity.company_codes.items()
    ]
    for name in folder.names("crosswalks/*.csv"):
        table = folder.csv(name, CROSSWALK_COLUMNS)
        for line, cells in table.rows if table else ():
            given = {key: text or None for key, text in cells.items()}
            source = SourceFile(name, given, dict.fromkeys(CROSSWALK_COLUMNS, line))
            reader = Reader(source, folder.problems)
            row = reader.convert({**given, "origin": f"{name}:{line}"}, CrosswalkRow)
            if row is not None:
                rows.append(row)
    for overlap in overlaps(rows):
        file, _, line_text = overlap.second.origin.partition(":")
        folder.problems.add(
            "crosswalk_overlap",
            file,
            overlap.second.kind,
            str(overlap),
            "valid_to in the one, or valid_from in the other, so that their days do not meet",
            int(line_text) if line_text.isdigit() else None,
        )
    return rows


def _cell(
    folder: Folder, name: str, line: int, row: Mapping[str, str], column: str, kind: type[T]
) -> T | None:
    source = SourceFile(name, row, {column: line})
    return Reader(source, folder.problems).convert(row[column], kind, column)
