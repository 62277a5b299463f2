"""The orders that stand in our SAP simulator: packed, since load tests leave many there."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

__all__ = ["REFERENCES", "OrderBook", "value_of"]

REFERENCES = ("CorrespncExternalReference", "CorrespncInternalReference")
REFERENCE_CHARS = 12


class _Stored(msgspec.Struct):
    packed: bytes
    visible_at: float
    references: frozenset[str]


class OrderBook:
    """Committed orders by number, with an index by reference. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._orders: dict[str, _Stored] = {}
        self._by_reference: defaultdict[str, list[str]] = defaultdict(list)

    def put(self, number: str, document: Mapping[str, Any], visible_at: float) -> None:
        """Store a new order, or one that was changed."""
        earlier = self._orders.get(number)
        for reference in earlier.references if earlier else ():
            self._by_reference[reference].remove(number)
        references = frozenset(document[field] for field in REFERENCES) - {""}
        for reference in references:
            self._by_reference[reference].append(number)
        packed = zlib.compress(msgspec.json.encode(document), 1)
        self._orders[number] = _Stored(packed, visible_at, references)

    def change(self, number: str, document: Mapping[str, Any]) -> None:
        """Store another state of an order; what could be seen stays to be seen."""
        self.put(number, document, self._orders[number].visible_at)

    def get(self, number: str, now: float | None = None) -> dict[str, Any] | None:
        """The order of that number; with `now` only if it can be seen by then."""
        stored = self._orders.get(number)
        if stored is None or (now is not None and stored.visible_at > now):
            return None
        return _unpacked(stored)

    def seen(self, reference: str | None, now: float) -> Iterator[dict[str, Any]]:
        """The orders that can be seen, or those of them that carry exactly this reference."""
        numbers = list(self._orders) if reference is None else self._by_reference[reference]
        for number in list(numbers):
            if self._orders[number].visible_at <= now:
                yield _unpacked(self._orders[number])

    def counted(self, reference: str | None, now: float) -> list[dict[str, Any]]:
        """Every order, seen or not, for the control port; whole only where a reference is asked.

        A posting key stands for the 12 characters of it that fit into SAP's field.
        """
        if not reference:
            return [self._shown(number, now) for number in self._orders]
        numbers = self._by_reference.get(reference[:REFERENCE_CHARS], [])
        return [
            {**self._shown(number, now), "document": _unpacked(self._orders[number])}
            for number in numbers
        ]

    def _shown(self, number: str, now: float) -> dict[str, Any]:
        stored = self._orders[number]
        document = _unpacked(stored)
        items = document["to_PurchaseOrderItem"]
        return {
            "number": number,
            "reference": next((document[field] for field in REFERENCES if document[field]), ""),
            "company_code": document["CompanyCode"],
            "supplier": document["Supplier"],
            "deleted": all(row["PurchasingDocumentDeletionCode"] for row in items),
            "visible": stored.visible_at <= now,
            "value": str(value_of(items)),
        }


def value_of(items: list[dict[str, Any]]) -> Decimal:
    """The net value of all items, in the order's currency."""
    return sum(
        (
            Decimal(item["OrderQuantity"])
            * Decimal(item["NetPriceAmount"])
            / Decimal(item["NetPriceQuantity"])
            for item in items
        ),
        Decimal(0),
    )


def _unpacked(stored: _Stored) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode(zlib.decompress(stored.packed))
    return document
