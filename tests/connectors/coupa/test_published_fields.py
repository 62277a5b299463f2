"""Every field that Coupa publishes is mapped, or dropped with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quaestor.connectors.coupa.fields import ACCOUNT, ALLOCATION, EXTENSION, HEADER, LINE
from quaestor.connectors.kit.loss import Disposition
from quaestor.connectors.kit.published import Mapped
from tests.support.coupa import a_coupa_account, a_coupa_line, a_coupa_requisition, mapped_from

ROOT = Path(__file__).resolve().parents[3]
SWAGGER = ROOT.parent / "shared/contracts/coupa/openapi-assets/0169-R39_Purchasing_API.json"
EXAMPLES = sorted((ROOT / "examples" / "it-hardware" / "requisitions").rglob("*.json"))

TABLES = [
    ("RequisitionHeader", HEADER),
    ("RequisitionLine", LINE),
    ("ReqLineAllocation", ALLOCATION),
    ("Account", ACCOUNT),
]


def published(definition: str) -> set[str]:
    """The members of one definition of Coupa's published Swagger."""
    if not SWAGGER.exists():
        pytest.skip(f"Coupa's published contract is missing: {SWAGGER}")
    document = json.loads(SWAGGER.read_text(encoding="utf-8"))
    return set(document["definitions"][definition]["properties"])


@pytest.mark.parametrize(("definition", "table"), TABLES)
def test_every_published_field_has_a_disposition_and_no_other_has(
    definition: str, table: dict[str, Disposition]
) -> None:
    fields = published(definition)

    assert set(table) == fields


@pytest.mark.parametrize(("definition", "table"), TABLES)
def test_every_disposition_says_where_to_or_why_not(
    definition: str, table: dict[str, Disposition]
) -> None:
    notes = [disposition.note for disposition in table.values()]

    assert all(notes)


DROPPED = [
    ("", name, disposition) for name, disposition in HEADER.items() if disposition.kind == "dropped"
]
DROPPED += [
    ("requisition-lines[].", name, disposition)
    for name, disposition in LINE.items()
    if disposition.kind == "dropped"
]
DROPPED += [
    ("requisition-lines[].account-allocations[].", name, disposition)
    for name, disposition in ALLOCATION.items()
    if disposition.kind == "dropped"
]
DROPPED += [
    ("requisition-lines[].account-allocations[].account.", name, disposition)
    for name, disposition in ACCOUNT.items()
    if disposition.kind == "dropped"
]


@pytest.mark.parametrize(("place", "name", "disposition"), DROPPED)
def test_a_dropped_field_that_is_given_stands_in_the_loss_report(
    place: str, name: str, disposition: Disposition
) -> None:
    given = {place: {name: "given"}}
    allocation = {"pct": "100.0", "account": a_coupa_account()}
    allocation |= given.get("requisition-lines[].account-allocations[].", {})
    allocation["account"] |= given.get("requisition-lines[].account-allocations[].account.", {})
    line = a_coupa_line(**{"account": None, "account-allocations": [allocation]})
    line |= given.get("requisition-lines[].", {})

    result = mapped_from(a_coupa_requisition(line) | given.get("", {}))

    assert isinstance(result, Mapped)
    losses = {(loss.path, loss.reason) for loss in result.loss.of_kind("dropped")}
    assert (f"{place}{name}", disposition.note) in losses


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_our_examples_use_field_names_that_coupa_publishes(example: Path) -> None:
    document: dict[str, Any] = json.loads(example.read_text(encoding="utf-8"))
    lines = document["requisition-lines"]
    allocations = [one for line in lines for one in line["account-allocations"]]
    accounts = [one["account"] for one in (*lines, *allocations) if one["account"]]

    assert set(document) <= published("RequisitionHeader") | set(EXTENSION)
    assert set().union(*lines) <= published("RequisitionLine")
    assert set().union(*allocations) <= published("ReqLineAllocation")
    assert set().union(*accounts) <= published("Account")
