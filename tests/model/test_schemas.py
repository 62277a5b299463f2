"""The published JSON Schemas accept what we write and refuse what we would refuse."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from jsonschema import Draft202012Validator

from quaestor.model.approval import ApprovalEvidence
from quaestor.model.budget import BudgetNode
from quaestor.model.calendar import Calendar, Period
from quaestor.model.crosswalk import CrosswalkRow
from quaestor.model.event import Cancel
from quaestor.model.invoice import Invoice, InvoiceLine, TaxLine
from quaestor.model.rates import Rate
from quaestor.model.receipt import Receipt, ReceiptLine
from quaestor.model.refusal import refuse
from quaestor.model.schemas import DECIMAL_PATTERN, NOUNS, schema_documents
from quaestor.model.supplier import Supplier
from tests.support.builders import (
    a_line,
    a_requisition,
    an_approval,
    an_employee,
    an_entity,
    an_order,
)

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

EXAMPLES: dict[str, Any] = {
    "approval": an_approval(),
    "budget-node": BudgetNode("e/2026/cc", "e", Decimal("1000.00"), tolerance_pct=Decimal("2.5")),
    "calendar": Calendar("c", periods=(Period(2026, 1, DAY, DAY),), holidays=(DAY,)),
    "crosswalk-row": CrosswalkRow("sap", "uom", "EA", "PC", DAY),
    "employee": an_employee(limit="1000.00"),
    "entity": an_entity(),
    "event": Cancel("e1", NOW, "ana.berger", "not needed"),
    "exchange-rate": Rate("USD", "EUR", DAY, Decimal("0.92")),
    "invoice": Invoice(
        "coupa",
        "1",
        "INV-1",
        "acme-de",
        "helio-systems",
        DAY,
        DAY,
        "EUR",
        Decimal("119.00"),
        (InvoiceLine(1, "Laptop", Decimal(1), "EA", Decimal("100.00"), Decimal("100.00")),),
        taxes=(TaxLine("V1", Decimal("100.00"), Decimal(19), Decimal("19.00")),),
    ),
    "purchase-order": an_order(),
    "receipt": Receipt(
        "coupa",
        "1",
        "R-1",
        "acme-de",
        "sap",
        "4500000001",
        DAY,
        "ana.berger",
        (ReceiptLine(1, 10, Decimal(3), "EA"),),
    ),
    "refusal": refuse("no_lines"),
    "requisition": a_requisition([a_line(), a_line(2)], approval=an_approval()),
    "supplier": Supplier("helio-systems", "Helio Systems AG", entities=("acme-de",)),
}


def as_json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def test_there_is_an_example_of_every_published_noun() -> None:
    published = schema_documents()

    assert set(EXAMPLES) == set(published) == set(NOUNS)


@pytest.mark.parametrize("name", sorted(NOUNS))
def test_what_we_write_keeps_to_its_published_schema(name: str) -> None:
    schema = schema_documents()[name]
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)

    errors = [error.message for error in validator.iter_errors(as_json(EXAMPLES[name]))]

    Draft202012Validator.check_schema(schema)
    assert errors == []


def with_number(document: Any) -> None:
    document["total"] = 10.5


def with_unknown_member(document: Any) -> None:
    document["approved"] = True


def with_exponent(document: Any) -> None:
    document["lines"][0]["unit_price"] = "1E+3"


def without_currency(document: Any) -> None:
    del document["currency"]


def without_offset(document: Any) -> None:
    document["submitted_at"] = "2026-03-02T09:00:00"


def with_unknown_verdict(document: Any) -> None:
    document["approval"]["decisions"][0]["verdict"] = "perhaps"


@pytest.mark.parametrize(
    "spoil",
    [
        with_number,
        with_unknown_member,
        with_exponent,
        without_currency,
        without_offset,
        with_unknown_verdict,
    ],
)
def test_a_spoilt_requisition_does_not_pass_its_schema(spoil: Callable[[Any], None]) -> None:
    document = copy.deepcopy(as_json(EXAMPLES["requisition"]))
    spoil(document)

    accepted = Draft202012Validator(schema_documents()["requisition"]).is_valid(document)

    assert not accepted


def structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """Every struct that a type is made of."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for inner in get_type_hints(kind).values():
            yield from structs(inner)
    for inner in get_args(kind):
        yield from structs(inner)


@pytest.mark.parametrize("name", sorted(NOUNS))
def test_every_decimal_and_every_instant_is_published_as_one(name: str) -> None:
    definitions = schema_documents()[name]["$defs"]

    published = [
        (hint, definitions[kind.__name__]["properties"][field])
        for kind in structs(NOUNS[name])
        for field, hint in get_type_hints(kind).items()
    ]

    decimals = {schema.get("pattern") for hint, schema in published if hint is Decimal}
    instants = {schema.get("format") for hint, schema in published if hint is datetime}
    assert decimals <= {DECIMAL_PATTERN}
    assert instants <= {"date-time"}


def test_evidence_without_a_hash_is_evidence() -> None:
    evidence = as_json(ApprovalEvidence("workday", (), None, 1))

    accepted = Draft202012Validator(schema_documents()["approval"]).is_valid(evidence)

    assert accepted
