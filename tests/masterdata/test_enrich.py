"""A requisition becomes orders: what belongs together, in the ledger's own codes."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from quaestor.masterdata.enrich import enrich, order_groups
from quaestor.model.coding import Coding, Split
from quaestor.model.crosswalk import Crosswalks
from quaestor.model.order import OrderGroup, PurchaseOrder
from quaestor.model.refusal import Refusal
from quaestor.model.requisition import Requisition
from quaestor.model.supplier import Supplier
from tests.support.builders import a_group, a_line, a_requisition, a_split, an_entity, crosswalks

DAY = date(2026, 3, 2)
SUPPLIERS = {"helio-systems": Supplier("helio-systems", "Helio", payment_terms="net-30")}


def enriched(
    requisition: Requisition,
    group: OrderGroup | None = None,
    *,
    book: Crosswalks | None = None,
    by_ship_to: bool = False,
) -> PurchaseOrder | tuple[Refusal, ...]:
    entity, wanted = an_entity(), group or a_group()
    groups = order_groups(requisition, entity, by_ship_to=by_ship_to)
    return enrich(
        requisition,
        wanted,
        groups[wanted],
        entity=entity,
        target_system="sap",
        crosswalks=book or crosswalks(),
        order_date=DAY,
        suppliers=SUPPLIERS,
    )


def test_an_order_speaks_the_ledgers_language_throughout() -> None:
    requisition = a_requisition([a_line(need_by=date(2026, 4, 1))])

    order = enriched(requisition)

    assert isinstance(order, PurchaseOrder)
    assert (order.company_code, order.supplier, order.payment_terms) == ("1010", "10300001", "0001")
    assert (order.purchasing_organisation, order.purchasing_group) == ("1010", "001")
    assert (order.total, order.order_date) == (Decimal("3600.00"), DAY)
    (line,) = order.lines
    assert (line.uom, line.material_group, line.plant) == ("PC", "A001", "1010")
    assert line.splits == (Split(Coding("10101301", "61003000", None, "V1"), Decimal("3600.00")),)
    assert line.need_by == date(2026, 4, 1)


def test_order_lines_are_numbered_in_tens_in_the_order_of_the_requisition() -> None:
    requisition = a_requisition([a_line(7), a_line(3), a_line(5, supplier="brightwire")])

    order = enriched(requisition)

    assert isinstance(order, PurchaseOrder)
    assert [(line.number, line.requisition_line) for line in order.lines] == [(10, 3), (20, 7)]


def test_every_missing_code_is_named_at_once_and_once() -> None:
    lines = [a_line(1), a_line(2), a_line(3, splits=[a_split("3600.00", "sales-de")])]
    book = crosswalks(
        without=[("supplier", "helio-systems"), ("uom", "EA"), ("cost_center", "sales-de")]
    )

    refusals = enriched(a_requisition(lines), book=book)

    assert isinstance(refusals, tuple)
    assert {refusal.code for refusal in refusals} == {"crosswalk_missing"}
    assert [(one.details["kind"], one.details["code"]) for one in refusals] == [
        ("uom", "EA"),
        ("cost_center", "sales-de"),
        ("supplier", "helio-systems"),
    ]


def test_a_line_with_a_tax_code_of_its_own_keeps_it() -> None:
    split = Split(Coding("it-de", "it-hardware", None, "vat-reduced"), Decimal("3600.00"))
    requisition = a_requisition([a_line(splits=[split])])

    refusals = enriched(requisition)

    assert isinstance(refusals, tuple)
    assert [refusal.details["code"] for refusal in refusals] == ["vat-reduced"]


def test_a_material_the_ledger_does_not_know_is_left_to_its_group() -> None:
    requisition = a_requisition([a_line(material="LAPTOP-14")])

    order = enriched(requisition)

    assert isinstance(order, PurchaseOrder)
    assert order.lines[0].material is None
    assert order.lines[0].material_group == "A001"


def test_suppliers_are_ordered_from_separately() -> None:
    requisition = a_requisition(
        [a_line(1), a_line(2, supplier="brightwire"), a_line(3, supplier="helio-systems")]
    )

    groups = order_groups(requisition, an_entity())

    assert [group.supplier for group in groups] == ["brightwire", "helio-systems"]


def test_addresses_part_an_order_only_where_the_ledger_needs_it() -> None:
    requisition = a_requisition([a_line(1, ship_to="berlin"), a_line(2, ship_to="hamburg")])

    groups = [
        [group.ship_to for group in order_groups(requisition, an_entity(), by_ship_to=by_ship_to)]
        for by_ship_to in (False, True)
    ]

    assert groups == [[""], ["berlin", "hamburg"]]


def test_each_address_gets_its_own_lines() -> None:
    requisition = a_requisition([a_line(1, ship_to="berlin"), a_line(2, ship_to="hamburg")])

    order = enriched(requisition, a_group(ship_to="berlin"), by_ship_to=True)

    assert isinstance(order, PurchaseOrder)
    assert [line.requisition_line for line in order.lines] == [1]


def test_no_two_groups_share_a_key() -> None:
    groups = [a_group("a/b", "c"), a_group("a", "b/c"), a_group("a%2Fb", "c"), a_group("a b", "c")]

    keys = {group.key for group in groups}

    assert len(keys) == len(groups)


def test_the_key_of_a_group_never_changes_its_form() -> None:
    group = a_group("Müller & Söhne", ship_to="berlin")

    key = group.key

    assert key == "M%C3%BCller%20%26%20S%C3%B6hne/acme-de/EUR/emea/berlin"


SUPPLIER = st.sampled_from(["helio-systems", "brightwire"])
PRICE = st.decimals(min_value=0, max_value=10**6, places=3).map(abs)
ASKED = st.lists(st.tuples(SUPPLIER, st.integers(1, 10**4), PRICE), min_size=1, max_size=12)


@given(ASKED, st.randoms(use_true_random=False))
def test_the_orders_of_a_requisition_add_up_to_it_however_its_lines_are_ordered(
    asked: list[tuple[str, int, Decimal]], shuffler: random.Random
) -> None:
    lines = [
        a_line(number, supplier=supplier, quantity=str(quantity), unit_price=f"{price:f}")
        for number, (supplier, quantity, price) in enumerate(asked, start=1)
    ]
    requisition = a_requisition(lines)
    shuffler.shuffle(lines)
    shuffled = msgspec.structs.replace(requisition, lines=tuple(lines))

    groups = order_groups(requisition, an_entity())
    orders = [enriched(requisition, group) for group in groups]

    assert [*order_groups(shuffled, an_entity()).items()] == [*groups.items()]
    assert [enriched(shuffled, group) for group in groups] == orders
    assert sum(order.total for order in orders) == requisition.total
    assert sum(len(order.lines) for order in orders) == len(asked)
