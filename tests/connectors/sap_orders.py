"""Random orders that SAP can express, and SAP's own document of an order, without a wire."""

from __future__ import annotations

import base64
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from quaestor.connectors.kit.kind import SimulatorOptions
from quaestor.connectors.kit.simulated import SimAnswer, SimRequest
from quaestor.connectors.sap_s4.config import SERVICE_PATH
from quaestor.connectors.sap_s4.mapping import OrderRules, reference_of, render_create
from quaestor.connectors.sap_s4.simulator import SapSimulator
from quaestor.model.money import extended_amount, minor_unit
from quaestor.model.order import OrderLine, PurchaseOrder
from tests.connectors.orders import KEY, a_command, a_line, a_split, an_order
from tests.support.edmx import Edmx

__all__ = ["CONTRACT", "Direct", "contract", "document_of", "orders"]

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = ROOT.parent / "shared/contracts/sap-s4hana/API_PURCHASEORDER_PROCESS_SRV.edmx"


_read = cache(Edmx.read)


def contract() -> Edmx:
    """SAP's published metadata of the purchase order service."""
    if not CONTRACT.exists():
        pytest.skip("../shared/contracts/sap-s4hana/API_PURCHASEORDER_PROCESS_SRV.edmx is absent")
    return _read(CONTRACT)


class Direct:
    """The simulator's vendor part, spoken to without sockets, with login, token and cookies."""

    def __init__(self, vendor: SapSimulator) -> None:
        self.vendor = vendor
        user, password = vendor.credentials["user"], vendor.credentials["password"]
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.headers = {"authorization": f"Basic {pair}", "accept": "application/json"}
        self.token()

    def token(self) -> None:
        """A fresh token with its cookies."""
        answer = self.ask("GET", "/", {"x-csrf-token": "fetch"})
        given = dict(answer.headers)
        cookies = [
            value.partition(";")[0] for name, value in answer.headers if name == "Set-Cookie"
        ]
        self.headers |= {"x-csrf-token": given["x-csrf-token"], "cookie": "; ".join(cookies)}

    def ask(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        **query: str,
    ) -> SimAnswer:
        """`path` below the service; a query option `filter` stands for `$filter`."""
        return self.vendor.handle(
            SimRequest(
                method=method,
                path=SERVICE_PATH + path,
                query={f"${name}": value for name, value in query.items()},
                headers={**self.headers, "content-type": "application/json", **(headers or {})},
                body=body,
                origin="http://sap.example",
            )
        )

    def data(self, answer: SimAnswer) -> Any:
        """What stands under `d`."""
        return msgspec.json.decode(answer.body)["d"]

    def create(self, body: bytes) -> dict[str, Any]:
        answer = self.ask("POST", "/A_PurchaseOrder", body=body)
        assert answer.status == 201, answer.body
        created: dict[str, Any] = self.data(answer)
        return created


def document_of(order: PurchaseOrder, rules: OrderRules | None = None) -> dict[str, Any]:
    """What SAP makes of the order, as it answers a look-up."""
    direct = Direct(SapSimulator(SimulatorOptions()))
    direct.create(render_create(a_command(order), rules or OrderRules()))
    page = direct.data(
        direct.ask(
            "GET",
            "/A_PurchaseOrder",
            filter=f"CorrespncExternalReference eq '{reference_of(KEY)}'",
            expand="to_PurchaseOrderItem/to_AccountAssignment,to_PurchaseOrderItem/to_ScheduleLine",
        )
    )
    found: dict[str, Any] = page["results"][0]
    return found


_CURRENCIES = st.sampled_from(["USD", "EUR", "JPY", "KWD"])
_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1)
_DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1))


@st.composite
def _lines(draw: st.DrawFn, number: int, currency: str) -> OrderLine:
    decimals = minor_unit(currency)
    price = draw(st.decimals(0, 100_000, places=draw(st.integers(0, min(decimals + 3, 5)))))
    quantity = draw(st.decimals(Decimal("0.001"), 1000, places=draw(st.integers(0, 3))))
    if quantity <= 0:
        quantity = Decimal(1)
    amount = extended_amount(quantity, price, currency)
    project = draw(st.none() | st.just("P.1710.01"))
    shares = draw(st.integers(1, 3))
    first = (amount / shares).quantize(Decimal(1).scaleb(-decimals), rounding="ROUND_DOWN")
    parts = [first] * (shares - 1) + [amount - first * (shares - 1)]
    centers = draw(st.lists(st.integers(1, 99_999), min_size=shares, max_size=shares, unique=True))
    return a_line(
        number,
        description=draw(_TEXTS),
        quantity=str(quantity),
        unit_price=str(price),
        currency=currency,
        splits=[
            a_split(str(part), cost_center=f"{center:010d}", project=project)
            for part, center in zip(parts, centers, strict=True)
        ],
        need_by=draw(st.none() | _DAYS),
        material=draw(st.none() | st.just("TG11")),
    )


@st.composite
def orders(draw: st.DrawFn) -> PurchaseOrder:
    """Orders of one to four lines in four currencies, split, with and without projects."""
    currency = draw(_CURRENCIES)
    count = draw(st.integers(1, 4))
    lines = [draw(_lines(number, currency)) for number in range(1, count + 1)]
    return an_order(
        lines,
        currency=currency,
        order_date=draw(_DAYS),
        supplier=draw(st.sampled_from(["17300001", "0017300001", "SUPL01"])),
        payment_terms=draw(st.none() | st.just("0004")),
    )
