"""Our planning system: budgets by entity, fiscal year, cost center and, where used, account."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import unquote

import msgspec

from quaestor.connectors.kit.kind import SimulatorOptions
from quaestor.connectors.kit.simulated import SimAnswer, SimRequest, json_answer
from quaestor.model.budget import node_key

__all__ = ["Planned", "PlanningSimulator", "PlanningSimulatorOptions"]


class Planned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One budget, for each of its fiscal years. Amounts are decimal strings in major units."""

    entity: str
    cost_center: str
    amount: str
    currency: str = "EUR"
    fiscal_years: tuple[int, ...] = tuple(range(2026, 2036))
    account: str | None = None
    consumed_elsewhere: str = "0.00"


# The budgets of examples/it-hardware.
BUDGETS = (
    Planned("acme-de", "it-de", "5000000.00"),
    Planned("acme-de", "sales-de", "2000000.00"),
    Planned("acme-us", "it-us", "6000000.00", "USD"),
    Planned("acme-us", "sales-us", "2500000.00", "USD"),
)


class PlanningSimulatorOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`lag_s` is how old, in seconds, what it answers is: a figure of the last plan's load."""

    token: str = "simulated-only"
    budgets: tuple[Planned, ...] = BUDGETS
    lag_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class PlanningSimulator:
    """The service's part of the simulator. `clock` gives the time of day."""

    def __init__(
        self,
        options: SimulatorOptions,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._options = msgspec.convert(dict(options.extra), PlanningSimulatorOptions)
        self._clock = clock
        self.reset()

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"token": self._options.token}

    def handed_out(self) -> tuple[str, ...]:
        return (self._options.token,)

    def reset(self) -> None:
        self._refusing_once = False
        self._budgets: dict[str, dict[str, Any]] = {
            node_key(planned.entity, year, planned.cost_center, planned.account): {
                "entity": planned.entity,
                "fiscal_year": year,
                "cost_center": planned.cost_center,
                **({"account": planned.account} if planned.account is not None else {}),
                "mode": "gross",
                "currency": planned.currency,
                "amount": planned.amount,
                "consumed_elsewhere": planned.consumed_elsewhere,
            }
            for planned in self._options.budgets
            for year in planned.fiscal_years
        }

    def expire_tokens(self) -> None:
        # Its token is a constant: the next request is refused once, as by a lapsed one.
        self._refusing_once = True

    def documents(self, reference: str | None) -> list[dict[str, Any]]:
        return [
            {"number": node, "reference": node, "document": budget}
            for node, budget in self._budgets.items()
            if reference in (None, node)
        ]

    def edit(self, number: str, changes: Mapping[str, Any]) -> bool:
        """A planner changes the budget of this node; a member that is `null` is left out."""
        found = self._budgets.get(number)
        if found is None:
            return False
        found.update(changes)
        for name in [name for name, value in found.items() if value is None and name != "as_of"]:
            del found[name]
        return True

    def busy(self, seconds: float) -> SimAnswer:
        answer = _problem(429, "rate_limited", "Too many questions")
        return SimAnswer(
            429, answer.body, (*answer.headers, ("Retry-After", f"{math.ceil(seconds)}"))
        )

    def failed(self) -> SimAnswer:
        return SimAnswer(500, b"Internal Server Error", (("Content-Type", "text/plain"),))

    def handle(self, request: SimRequest) -> SimAnswer:
        told = request.headers.get("authorization")
        if told != f"Bearer {self._options.token}" or self._refusing_once:
            self._refusing_once = False
            return _problem(401, "unauthorized", "The token is not accepted")
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        match (request.method, parts):
            case ("GET", ["status"]):
                return json_answer(200, {"ok": True})
            case ("GET", ["budgets", entity, year, cost_center]) if year.isdigit():
                account = request.query.get("account")
                return self._budget(node_key(entity, int(year), cost_center, account))
            case ("GET", ["budgets", *_]):
                return _problem(400, "malformed", "A budget has entity, year and cost center")
        return _problem(404, "not_found", "There is no such resource")

    def _budget(self, node: str) -> SimAnswer:
        found = self._budgets.get(node)
        if found is None:
            return _problem(404, "budget_not_found", "There is no such budget")
        as_of = self._clock() - timedelta(seconds=self._options.lag_s)
        shown = {"as_of": as_of.isoformat(), **found}
        return json_answer(200, {name: value for name, value in shown.items() if value is not None})


def _problem(status: int, code: str, title: str) -> SimAnswer:
    body = msgspec.json.encode({"status": status, "code": code, "title": title})
    return SimAnswer(status, body, (("Content-Type", "application/problem+json"),))
