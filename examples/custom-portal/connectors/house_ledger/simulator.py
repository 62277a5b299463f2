"""The house ledger as its handbook describes it, for tests and demonstrations."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from quaestor.connectors.kit.kind import SimulatorOptions
from quaestor.connectors.kit.simulated import SimAnswer, SimRequest, json_answer

__all__ = ["HouseLedgerSimulator"]

AMOUNT_MAX = 100_000


class HouseLedgerSimulator:
    """Vouchers in memory. What was booked is seen by a look-up after `settle_s`."""

    def __init__(self, options: SimulatorOptions) -> None:
        self._token = str(options.extra.get("token", "simulated-only"))
        self._settle_s = options.settle_s
        self._expired = False
        self._vouchers: dict[str, dict[str, Any]] = {}

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"token": self._token}

    def handed_out(self) -> tuple[str, ...]:
        return (self._token,)

    def handle(self, request: SimRequest) -> SimAnswer:
        if self._expired or request.headers.get("authorization") != f"Bearer {self._token}":
            self._expired = False
            return _spoken(401, why="who are you?")
        if request.method == "GET" and request.path == "/vouchers":
            return _spoken(200, vouchers=self._found(request.query))
        if request.method == "POST" and request.path == "/vouchers":
            return self._create(request.body)
        if request.method == "POST" and request.path.endswith("/cancel"):
            return self._cancel(request.path.split("/")[2])
        return _spoken(404, why="no such thing")

    def busy(self, seconds: float) -> SimAnswer:
        return json_answer(
            429, {"ledger": "house", "why": "later"}, (("Retry-After", f"{seconds:.0f}"),)
        )

    def failed(self) -> SimAnswer:
        return SimAnswer(500, b"<html>out of paper</html>")

    def expire_tokens(self) -> None:
        self._expired = True

    def documents(self, reference: str | None) -> list[dict[str, Any]]:
        return [
            {
                "number": number,
                "reference": voucher["reference"],
                "deleted": voucher["cancelled"],
                "visible": voucher["visible_at"] <= time.monotonic(),
                "value": voucher["order"].get("total"),
                "document": voucher["order"],
            }
            for number, voucher in self._vouchers.items()
            if reference is None or voucher["reference"] == reference
        ]

    def edit(self, number: str, changes: Mapping[str, Any]) -> bool:
        if number not in self._vouchers:
            return False
        self._vouchers[number]["order"] |= changes
        return True

    def reset(self) -> None:
        self._expired = False
        self._vouchers.clear()

    def _create(self, body: bytes) -> SimAnswer:
        try:
            given = msgspec.json.decode(body)
            reference, order = given["reference"], given["order"]
            total = int(order["total"].split(".")[0])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
            return _spoken(422, code="L1", why="this is no order")
        if total > AMOUNT_MAX:
            return _spoken(422, code="L2", why=f"an order is at most {AMOUNT_MAX}")
        for number, voucher in self._vouchers.items():
            if voucher["reference"] == reference:
                return _spoken(409, voucher=number)
        number = f"V-{len(self._vouchers) + 1:06d}"
        self._vouchers[number] = {
            "reference": reference,
            "order": order,
            "cancelled": False,
            "visible_at": time.monotonic() + self._settle_s,
        }
        return _spoken(201, voucher=number, order=order)

    def _found(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        return [
            {"voucher": number, "order": voucher["order"], "cancelled": voucher["cancelled"]}
            for number, voucher in self._vouchers.items()
            if query.get("reference", voucher["reference"]) == voucher["reference"]
            and query.get("number", number) == number
            and voucher["visible_at"] <= time.monotonic()
        ]

    def _cancel(self, number: str) -> SimAnswer:
        if number not in self._vouchers:
            return _spoken(404, why="no such voucher")
        self._vouchers[number]["cancelled"] = True
        return _spoken(200, voucher=number)


def _spoken(status: int, **members: Any) -> SimAnswer:
    return json_answer(status, {"ledger": "house", **members})
