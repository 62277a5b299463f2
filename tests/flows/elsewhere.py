"""What stands elsewhere: orders in the ledger, requests at the platform, what Coupa was told."""

from __future__ import annotations

from dataclasses import dataclass, field

from quaestor.budget.keys import BudgetPolicy
from quaestor.budget.stating import BudgetSource
from quaestor.connectors.kit.contract import Applied, Rejected
from quaestor.flows.kit.dossier import Answered
from quaestor.flows.kit.effects import Send
from quaestor.flows.kit.reads import Routing
from quaestor.flows.kit.step import Await
from quaestor.model.approval import Verdict
from quaestor.model.event import Decided
from quaestor.model.refusal import refuse
from quaestor.model.requisition import Requisition
from tests.flows.world import NODE_100, NOW, a_driver, evidence
from tests.support.flow_driver import FlowDriver

__all__ = ["Elsewhere", "decided_there", "driver_with_planning", "driver_with_platform"]

ROUTING = Routing(
    asks=frozenset({"workday"}), takes_back=frozenset({"workday"}), reports_to=frozenset({"coupa"})
)


def driver_with_platform(requisition: Requisition) -> FlowDriver:
    """Its decider works in a system of his own, and its source takes reports."""
    return a_driver(requisition, routing=ROUTING)


def driver_with_planning(requisition: Requisition) -> FlowDriver:
    """And another system states its budgets."""
    driver = driver_with_platform(requisition)
    source = BudgetSource("planning", 600, {NODE_100: None})
    driver.reads = {**driver.reads, BudgetPolicy: BudgetPolicy(source=source)}
    return driver


def decided_there(
    number: str, of: Requisition, by: str = "ben", verdict: Verdict = "approved"
) -> Decided:
    """The platform names a request by its own number only."""
    given = evidence(of, by, verdict)
    return Decided(f"there-{number}-{by}", NOW, "workday", evidence=given, reference=number)


@dataclass
class Elsewhere:
    """Takes what is sent. `refuses` are actions answered with that refusal code."""

    orders: dict[str, str] = field(default_factory=dict)
    requests: dict[str, str] = field(default_factory=dict)
    reports: list[str] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    taken: int = 0

    def take(self, send: Send) -> Applied | Rejected:
        """The answer of that system; what it holds is changed by then."""
        if send.action in self.refuses:
            return Rejected(refuse(self.refuses[send.action]))
        self.taken += 1
        match send.action:
            case "create_order":
                assert send.order_group not in self.orders, "a second order for one group"
                self.orders[send.order_group] = number = f"45{self.taken:08}"
            case "submit_requisition":
                self.requests[send.order_group] = number = f"rq{self.taken}"
            case "report_status":
                assert send.status is not None
                self.reports.append(send.status.state)
                number = f"report-{self.taken}"
            case _:
                number = send.cancels or ""
                self.orders = {g: n for g, n in self.orders.items() if n != number}
                self.requests = {r: n for r, n in self.requests.items() if n != number}
        return Applied(number)

    def answer(self, driver: FlowDriver) -> None:
        """What is being sent arrives and is answered."""
        driver.answer(self.take(driver.sent[-1]))

    def settle(self, driver: FlowDriver) -> bool:
        """What the document waits for outside is answered well, and it is not looked at yet."""
        if driver.asking:
            plan = {"mode": "gross", "currency": "EUR", "budget": "1000.00"}
            driver.learns(Answered(plan, driver.now, driver.now))
        elif driver.sending is not None:
            driver.settles(self.take(driver.sent[-1]))
        else:
            return False
        return True

    def finish(self, driver: FlowDriver) -> None:
        """Everything goes well from here: sends are answered, the open request is granted."""
        while True:
            if self.settle(driver) or driver.moves():
                continue
            if isinstance(driver.waiting, Await):
                request = driver.open_requests[-1]
                body: Requisition = driver.document.body
                driver.deliver(decided_there(self.requests[request], body))
            else:
                return
