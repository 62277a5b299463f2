"""A published OData v2 contract (EDMX) as a judge of payloads, ours and the simulator's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lxml import etree

__all__ = ["Edmx", "EntityType", "Property"]

_SAP = "{http://www.sap.com/Protocols/SAPData}"
_DATE = re.compile(r"/Date\(-?[0-9]+\)/")
_MOMENT = re.compile(r"/Date\(-?[0-9]+([+-][0-9]{4})?\)/")
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True)
class Property:
    """One property with its facets; `creatable` is the vendor's `sap:creatable`."""

    name: str
    type: str
    max_length: int | None
    precision: int | None
    scale: int
    nullable: bool
    creatable: bool
    filterable: bool

    def fault(self, value: object) -> str:
        """What is wrong with a value in JSON; empty where nothing is."""
        if value is None:
            return "" if self.nullable else "is null"
        match self.type:
            case "Edm.String":
                fits = isinstance(value, str) and len(value) <= (self.max_length or len(value))
            case "Edm.Decimal":
                fits = isinstance(value, str) and self._decimal_fits(value)
            case "Edm.DateTime":
                fits = isinstance(value, str) and _DATE.fullmatch(value) is not None
            case "Edm.DateTimeOffset":
                fits = isinstance(value, str) and _MOMENT.fullmatch(value) is not None
            case "Edm.Boolean":
                fits = isinstance(value, bool)
            case _:
                fits = isinstance(value, str)
        return "" if fits else f"is {value!r}, not {self._form()}"

    def _decimal_fits(self, text: str) -> bool:
        if _DECIMAL.fullmatch(text) is None:
            return False
        integer, _, fraction = text.lstrip("-").partition(".")
        digits = len(integer.lstrip("0")) + self.scale
        return len(fraction) <= self.scale and digits <= (self.precision or digits)

    def _form(self) -> str:
        facets = [f"{self.max_length} characters"] if self.max_length else []
        facets += [f"precision {self.precision}, scale {self.scale}"] if self.precision else []
        return " ".join([self.type, *facets])


@dataclass
class EntityType:
    """Properties, key and navigations: target type, and whether a create may go through it."""

    name: str
    keys: tuple[str, ...]
    properties: dict[str, Property]
    navigations: dict[str, tuple[str, bool]] = field(default_factory=dict)


@dataclass(frozen=True)
class Edmx:
    """All entity types by name, and the type of each entity set."""

    types: Mapping[str, EntityType]
    sets: Mapping[str, str]
    mandatory: frozenset[tuple[str, str]]
    forbidden: frozenset[tuple[str, str]]
    """Entity sets and what SAP says cannot be done with them: `creatable`, `deletable` …"""

    @classmethod
    def read(cls, path: Path) -> Edmx:
        tree = etree.parse(str(path), etree.XMLParser(resolve_entities=False, no_network=True))
        types = {
            entity.get("Name"): EntityType(
                name=entity.get("Name"),
                keys=tuple(ref.get("Name") for ref in entity.iter("{*}PropertyRef")),
                properties={one.name: one for one in map(_property, entity.iter("{*}Property"))},
            )
            for entity in tree.iter("{*}EntityType")
        }
        sets = {
            one.get("Name"): one.get("EntityType").rpartition(".")[2]
            for one in tree.iter("{*}EntitySet")
        }
        _add_navigations(tree, types, sets)
        forbidden = frozenset(
            (one.get("Name"), name.removeprefix(_SAP))
            for one in tree.iter("{*}EntitySet")
            for name, value in one.attrib.items()
            if name.startswith(_SAP) and value == "false"
        )
        return cls(types, sets, frozenset(_mandatory(tree)), forbidden)

    def faults(self, entity: str, payload: object, *, creates: bool) -> list[str]:
        """Everything in a payload that the contract does not allow, named by its path.

        With `creates` it is judged as a deep insert of ours: what only the vendor sets is a
        fault, and so is a mandatory property that is missing or empty. Otherwise it is an
        answer: custom fields (`YY1_…`) may appear, and navigations may be deferred.
        """
        return list(self._faults(entity, entity, payload, creates))

    def _faults(self, at: str, entity: str, payload: object, creates: bool) -> Iterator[str]:
        if not isinstance(payload, Mapping):
            yield f"{at} is no entity"
            return
        known = self.types[entity]
        for name, value in payload.items():
            if name in known.properties:
                one = known.properties[name]
                if fault := one.fault(value):
                    yield f"{at}.{name} {fault}"
                if creates and not one.creatable:
                    yield f"{at}.{name} is not creatable"
            elif name in known.navigations:
                target, insertable = known.navigations[name]
                if creates and not insertable:
                    yield f"{at}.{name} is not insertable"
                yield from self._rows(f"{at}.{name}", target, value, creates)
            elif creates or not (name == "__metadata" or name.startswith("YY1_")):
                yield f"{at}.{name} is not a property"
        if creates:
            for name in known.properties:
                if (entity, name) in self.mandatory and not payload.get(name):
                    yield f"{at}.{name} is mandatory"

    def _rows(self, at: str, entity: str, value: object, creates: bool) -> Iterator[str]:
        if not creates and isinstance(value, Mapping) and set(value) == {"__deferred"}:
            return
        rows = value.get("results") if isinstance(value, Mapping) else value
        if not isinstance(rows, list):
            yield f"{at} is no collection"
            return
        for number, row in enumerate(rows):
            yield from self._faults(f"{at}[{number}]", entity, row, creates)


def _property(element: Any) -> Property:
    return Property(
        name=element.get("Name"),
        type=element.get("Type"),
        max_length=int(element.get("MaxLength")) if element.get("MaxLength") else None,
        precision=int(element.get("Precision")) if element.get("Precision") else None,
        scale=int(element.get("Scale", "0")),
        nullable=element.get("Nullable") != "false",
        creatable=element.get(f"{_SAP}creatable") != "false",
        filterable=element.get(f"{_SAP}filterable") != "false",
    )


def _add_navigations(tree: Any, types: Mapping[str, EntityType], sets: Mapping[str, str]) -> None:
    ends = {
        (association.get("Name"), end.get("Role")): end.get("Type").rpartition(".")[2]
        for association in tree.iter("{*}Association")
        for end in association.iter("{*}End")
    }
    barred = {(sets.get(of, of), name) for of, name in _not_insertable(tree)}
    for entity in tree.iter("{*}EntityType"):
        for one in entity.iter("{*}NavigationProperty"):
            of, name = entity.get("Name"), one.get("Name")
            target = ends[one.get("Relationship").rpartition(".")[2], one.get("ToRole")]
            types[of].navigations[name] = (target, (of, name) not in barred)


def _not_insertable(tree: Any) -> Iterator[tuple[str, str]]:
    """Entity set and navigation that the vendor's capabilities bar from an insert."""
    for block in tree.iter("{*}Annotations"):
        of = block.get("Target").rpartition("/")[2]
        for record in block.iter("{*}Record"):
            values = {child.get("Property"): child for child in record.findall("{*}PropertyValue")}
            if "NavigationProperty" not in values or "InsertRestrictions" not in values:
                continue
            for flag in values["InsertRestrictions"].iter("{*}PropertyValue"):
                if (flag.get("Property"), flag.get("Bool")) == ("Insertable", "false"):
                    yield of, values["NavigationProperty"].get("NavigationPropertyPath")


def _mandatory(tree: Any) -> Iterator[tuple[str, str]]:
    for block in tree.iter("{*}Annotations"):
        entity, _, name = block.get("Target").rpartition(".")[2].partition("/")
        for one in block.iter("{*}Annotation"):
            if one.get("EnumMember", "").endswith("FieldControlType/Mandatory"):
                yield entity, name
