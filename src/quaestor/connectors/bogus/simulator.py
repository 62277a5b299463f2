"""Bogus itself: a system whose behaviour the cents of an order's total decide.

The table of cents stands in the README beside this file, and a test holds the two together. A
behaviour that hurts happens to the first request of a reference; what follows is good, so that
whoever looks, waits or sends again comes to an end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from msgspec.structs import replace

from quaestor.connectors.kit.contract import Guarantee
from quaestor.connectors.kit.kind import SimulatorOptions
from quaestor.connectors.kit.simulated import SimAnswer, SimRequest, json_answer

__all__ = ["CENTS", "BogusSimulator", "BogusSimulatorOptions"]

CENTS: Mapping[str, str] = {
    "01": "rejected",
    "02": "lost answer",
    "03": "500 after commit",
    "04": "503 before commit",
    "05": "pending, then applied",
    "06": "duplicates",
    "07": "slow",
    "08": "reset before commit",
    "09": "429",
    "10": "502 after commit",
    "11": "garbage after commit",
    "12": "drops a line",
    "13": "hangs, nothing committed",
    "14": "commits late",
    "15": "rejected, quoting our token",
    "16": "held for release",
    "17": "credentials refused",
}


class BogusSimulatorOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`guarantee` is what it keeps, `slow_s` how long slow is, `late_s` how late late is."""

    guarantee: Guarantee = Guarantee.SEARCH
    remembered_for_s: float | None = None
    token: str = "simulated-only"
    slow_s: float = 1.0
    late_s: float = 1.0


class _Order(msgspec.Struct):
    number: str
    reference: str
    order: dict[str, Any]
    state: str
    made_at: float
    visible_at: float
    job: str = ""
    done_at: float = 0.0


class BogusSimulator:
    """The vendor's part of the simulator. `now` is monotonic time in seconds."""

    def __init__(
        self, options: SimulatorOptions, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._options = msgspec.convert(dict(options.extra), BogusSimulatorOptions)
        self._settle_s = options.settle_s
        self._now = now
        self.reset()

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"token": self._options.token}

    def handed_out(self) -> tuple[str, ...]:
        return (self._options.token,)

    def reset(self) -> None:
        self._orders: dict[str, _Order] = {}
        self._late: list[tuple[float, dict[str, Any]]] = []
        self._met: Counter[str] = Counter()
        self._refusing_once = False
        self._next = 1

    def expire_tokens(self) -> None:
        # Its token is a constant: the next request is refused once, as by a lapsed one.
        self._refusing_once = True

    def documents(self, reference: str | None) -> list[dict[str, Any]]:
        self._commit_late()
        now = self._now()
        return [
            {
                "number": order.number,
                "reference": order.reference,
                "deleted": order.state == "cancelled",
                "visible": order.visible_at <= now,
                "value": order.order.get("total"),
                "document": order.order,
            }
            for order in self._orders.values()
            if reference is None or order.reference == reference
        ]

    def edit(self, number: str, changes: Mapping[str, Any]) -> bool:
        found = self._orders.get(number)
        if found is None:
            return False
        found.order.update(changes)
        return True

    def busy(self, seconds: float) -> SimAnswer:
        return replace(_refused(429, "busy"), headers=(("Retry-After", f"{seconds:.0f}"),))

    def failed(self) -> SimAnswer:
        return SimAnswer(500, b"Internal Server Error", (("Content-Type", "text/plain"),))

    def handle(self, request: SimRequest) -> SimAnswer:
        self._commit_late()
        authorized = request.headers.get("authorization") == f"Bearer {self._options.token}"
        if not authorized or self._refusing_once:
            self._refusing_once = False
            return _refused(401, "token")
        target = request.path.removeprefix("/orders").strip("/")
        match request.method:
            case "GET":
                return self._listed(request.query)
            case "POST" | "PUT":
                return self._asked(request)
            case "DELETE":
                return self._cancelled(target)
        return _refused(405, "method")

    # --- orders ---------------------------------------------------------------------------------

    def _listed(self, query: Mapping[str, str]) -> SimAnswer:
        if self._options.guarantee is Guarantee.NONE and "reference" in query:
            return _refused(404, "cannot_be_asked")
        now = self._now()
        rows = [
            self._shown(order)
            for order in self._orders.values()
            if order.visible_at <= now
            and query.get("reference", order.reference) == order.reference
            and query.get("number", order.number) == order.number
        ]
        return _said(200, {"orders": rows})

    def _asked(self, request: SimRequest) -> SimAnswer:
        try:
            given = msgspec.json.decode(request.body, type=dict[str, Any])
        except msgspec.DecodeError:
            return _refused(400, "not_json")
        reference = str(given.get("reference", ""))
        if not reference or not given.get("lines"):
            return _refused(422, "incomplete")
        self._met[reference] += 1
        return self._behaved(given, request)

    def _behaved(self, given: dict[str, Any], request: SimRequest) -> SimAnswer:
        """What the cents say; the second request of a reference is met kindly."""
        first = self._met[given["reference"]] == 1
        match CENTS.get(_cents(given.get("total"))):
            case "rejected":
                return _refused(422, "rejected_by_cents")
            case "rejected, quoting our token":
                return _refused(422, "quoting", f"refused for {request.headers['authorization']}")
            case "lost answer" if first:
                return replace(self._committed(given), ends="drop")
            case "500 after commit" if first:
                self._committed(given)
                return self.failed()
            case "503 before commit" if first:
                return replace(_refused(503, "busy"), headers=(("Retry-After", "1"),))
            case "pending, then applied":
                return self._pending(given)
            case "duplicates" if self._options.guarantee in (Guarantee.SEARCH, Guarantee.NONE):
                self._committed(given)
                return self._committed(given)
            case "slow" if first:
                return replace(self._committed(given), after_s=self._options.slow_s)
            case "reset before commit" if first:
                return SimAnswer(500, ends="reset")
            case "429" if first:
                return self.busy(1)
            case "502 after commit" if first:
                self._committed(given)
                return SimAnswer(502, b"<html>Bad gateway</html>")
            case "garbage after commit" if first:
                return replace(self._committed(given), body=b'{"bogus": {"number": "B')
            case "drops a line":
                return self._committed({**given, "lines": given["lines"][:-1]})
            case "hangs, nothing committed" if first:
                return SimAnswer(500, after_s=self._options.slow_s, ends="drop")
            case "commits late" if first:
                self._late.append((self._now() + self._options.late_s, given))
                return SimAnswer(500, ends="drop")
            case "held for release":
                return self._committed(given, "held")
            case "credentials refused" if first:
                return _refused(401, "token")
        return self._committed(given)

    def _committed(self, given: dict[str, Any], state: str = "standing") -> SimAnswer:
        """Create, or keep the guarantee where an order of this reference stands."""
        reference = given["reference"]
        earlier = next(
            (one for one in reversed(self._orders.values()) if one.reference == reference), None
        )
        if earlier is not None and self._options.guarantee is Guarantee.UNIQUE:
            return _said(409, {"code": "already_exists", "number": earlier.number})
        if earlier is not None and self._options.guarantee is Guarantee.REPEATABLE:
            earlier.order = given
            return _said(201, self._shown(earlier))
        if earlier is not None and self._keeps(earlier):
            return _said(201, self._shown(earlier))
        number = f"B{self._next:06d}"
        self._next += 1
        now = self._now()
        self._orders[number] = _Order(
            number=number,
            reference=reference,
            order=given,
            state=state,
            made_at=now,
            visible_at=now + self._settle_s,
            job=f"J{number[1:]}" if state == "working" else "",
            done_at=now + self._options.late_s,
        )
        return _said(201, self._shown(self._orders[number]))

    def _pending(self, given: dict[str, Any]) -> SimAnswer:
        before = len(self._orders)
        answer = self._committed(given, "working")
        if len(self._orders) == before:
            return answer
        order = list(self._orders.values())[-1]
        return _said(202, {"job": order.job})

    def _cancelled(self, number: str) -> SimAnswer:
        order = self._orders.get(number)
        if order is None:
            return _refused(404, "no_such_order")
        order.state = "cancelled"
        return _said(200, self._shown(order))

    def _shown(self, order: _Order) -> dict[str, Any]:
        if order.state == "working" and order.done_at <= self._now():
            order.state = "standing"
        return {
            "number": order.number,
            "state": order.state,
            "job": order.job,
            "order": order.order,
            "unannounced": "a field that nobody asked for",
        }

    def _commit_late(self) -> None:
        now = self._now()
        due = [given for at, given in self._late if at <= now]
        self._late = [(at, given) for at, given in self._late if at > now]
        for given in due:
            self._committed(given)

    def _keeps(self, earlier: _Order) -> bool:
        """Whether the key of an earlier order is still remembered."""
        if self._options.guarantee is not Guarantee.KEY:
            return False
        life_s = self._options.remembered_for_s
        return life_s is None or self._now() - earlier.made_at < life_s


def _cents(total: object) -> str:
    try:
        value = Decimal(str(total))
    except InvalidOperation:
        return ""
    return f"{value:.2f}"[-2:]


def _said(status: int, spoken: Mapping[str, Any]) -> SimAnswer:
    return json_answer(status, {"bogus": spoken})


def _refused(status: int, code: str, message: str = "") -> SimAnswer:
    return _said(status, {"code": code, "message": message or f"refused: {code}"})
