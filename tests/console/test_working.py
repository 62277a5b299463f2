"""Groups of the worklist, by cause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from quaestor.console.working import Parked, grouped
from quaestor.flows.kit.step import Park
from quaestor.model.refusal import refuse

AT = datetime(2026, 11, 22, tzinfo=UTC)


def parked(*documents: int, code: str = "06/055", entity: str = "acme-de", h: int = 0) -> Parked:
    park = Park("finance", refuse("erp_rejected", code=code, message=f"Document {documents[0]}"))
    return Parked("requisition", entity, park, documents, AT + timedelta(hours=h))


def test_one_cause_gathers_its_documents_over_entities_and_words() -> None:
    [group] = grouped([parked(7, 9, h=2), parked(3, entity="acme-us", h=1)])

    assert (group.documents, group.count) == ((3, 7, 9), 3)
    assert group.entities == ("acme-de", "acme-us")
    assert group.oldest == AT + timedelta(hours=1)
    assert "ledger's message" in group.next


def test_what_holds_up_the_most_comes_first_and_then_the_oldest() -> None:
    groups = grouped([parked(1, code="a", h=2), parked(2, code="b", h=1), parked(3, 4, code="c")])

    assert [group.documents for group in groups] == [(3, 4), (2,), (1,)]


def test_fifty_thousand_failures_of_twelve_causes_are_twelve_groups() -> None:
    every = [parked(*range(n, 50_000, 600), code=f"06/{n % 12:03d}") for n in range(1, 601)]

    groups = grouped(every)

    assert len(groups) == 12
    assert sum(group.count for group in groups) == 49_999
