"""Our Workday's people: who must decide a requisition, and who does, when, and for whom.

A step is carried out by the routing's own timing, by the control port, or by a person over REST.
Nothing waits: what is due is done when somebody looks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from lxml import etree

from quaestor.connectors.workday.xml import Element

__all__ = [
    "Act",
    "Held",
    "NotAwaiting",
    "People",
    "Person",
    "Process",
    "Routing",
    "RoutingStep",
    "Step",
    "wid",
]

Act = Literal["approve", "deny", "send_back"]

_STATUS: Mapping[str, str] = {"approve": "Approved", "deny": "Denied", "send_back": "Sent Back"}


def wid(kind: str, name: str) -> str:
    """A Workday ID: 32 hexadecimal characters, the same for the same thing on every day."""
    return hashlib.blake2b(f"{kind}/{name}".encode(), digest_size=16).hexdigest()


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A worker. `token` lets him act over REST as himself. His roles are those of his `company`;
    without one they are the whole tenant's.
    """

    id: str
    name: str
    manager: str | None = None
    roles: tuple[str, ...] = ()
    company: str = ""
    active: bool = True
    token: str = ""

    @property
    def wid(self) -> str:
        return wid("worker", self.id)


class RoutingStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step. `by` is `manager` (the requester's), a role, or an employee id.

    `after_ms` after it began the step is carried out by itself (`None`: somebody must act):
    `do`, by `actor` where that is another than whose step it is or his delegate.
    """

    by: str = "manager"
    after_ms: Annotated[float, msgspec.Meta(ge=0)] | None = None
    do: Act = "approve"
    actor: str | None = None
    comment: str = ""


class Routing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tenant's own routing and delegation: `delegations` has the delegate of a person."""

    steps: tuple[RoutingStep, ...] = (RoutingStep("manager"), RoutingStep("finance"))
    delegations: Mapping[str, str] = {}


class NotAwaiting(Exception):
    """Nobody waits for this person's act."""


class People:
    """Everybody in the tenant."""

    def __init__(self, people: Sequence[Person]) -> None:
        self._by_id = {person.id: person for person in people}
        self._changed_at: dict[str, datetime] = {}

    @property
    def all(self) -> tuple[Person, ...]:
        return tuple(self._by_id.values())

    def put(self, person: Person, at: datetime) -> None:
        """Somebody new, or known and changed."""
        self._by_id[person.id] = person
        self._changed_at[person.id] = at

    def changed_since(self, since: datetime) -> tuple[Person, ...]:
        return tuple(
            person
            for person in self.all
            if person.id in self._changed_at and self._changed_at[person.id] >= since
        )

    def find(self, employee_id: str) -> Person | None:
        return self._by_id.get(employee_id)

    def of_wid(self, identifier: str) -> Person | None:
        return next((person for person in self.all if person.wid == identifier), None)

    def asked(self, by: str, requester: str) -> tuple[Person, ...]:
        """Whom a step awaits."""
        person = self._by_id.get(requester)
        if by == "manager":
            manager = self._by_id.get(person.manager or "") if person else None
            return (manager,) if manager else ()
        if by in self._by_id:
            return (self._by_id[by],)
        company = person.company if person else ""
        return tuple(
            one
            for one in self.all
            if by in one.roles and one.active and (not one.company or one.company == company)
        )


@dataclass
class Step:
    """A step of one process. `acted` and `holder` are employee ids once it is completed."""

    wid: str
    rule: RoutingStep
    awaiting: tuple[Person, ...]
    began_on: date
    began_at: float
    status: str = "Awaiting Action"
    acted: Person | None = None
    holder: Person | None = None
    completed_on: date | None = None
    comment: str = ""


@dataclass
class Process:
    """The business process of one requisition."""

    wid: str
    routing: Routing
    requester: str
    began_on: date
    steps: list[Step] = field(default_factory=list)
    status: str = "In Progress"
    completed_on: date | None = None

    @property
    def waiting(self) -> Step | None:
        """The step that somebody must act on."""
        last = self.steps[-1] if self.steps else None
        return last if last is not None and last.status == "Awaiting Action" else None

    def begin(self, people: People, now: float, today: date) -> None:
        """Enter the next step that awaits somebody; end the process where there is none."""
        while len(self.steps) < len(self.routing.steps):
            rule = self.routing.steps[len(self.steps)]
            awaiting = people.asked(rule.by, self.requester)
            step = Step(wid(self.wid, str(len(self.steps))), rule, awaiting, today, now)
            self.steps.append(step)
            if awaiting:
                return
            step.status, step.completed_on = "Not Required", today
        self.status, self.completed_on = "Successfully Completed", today

    def advance(self, people: People, now: float, today: date) -> None:
        """Carry out what is due."""
        while (step := self.waiting) is not None and step.rule.after_ms is not None:
            due = step.began_at + step.rule.after_ms / 1000.0
            if due > now:
                return
            holder = step.awaiting[0]
            by = step.rule.actor or self.routing.delegations.get(holder.id, holder.id)
            actor = people.find(by) or holder
            self._complete(step, step.rule.do, actor, holder, step.rule.comment, today)
            self._follow(people, step.rule.do, due, today)

    def act(
        self, people: People, person: Person, do: Act, comment: str, now: float, today: date
    ) -> Step:
        """A person acts on the waiting step. Raises `NotAwaiting`."""
        step = self.waiting
        holder = self.holder(person) if step is not None else None
        if step is None or holder is None:
            raise NotAwaiting
        self._complete(step, do, person, holder, comment, today)
        self._follow(people, do, now, today)
        return step

    def holder(self, person: Person) -> Person | None:
        """Whose place in the waiting step this person may take: his own, or his delegator's."""
        step = self.waiting
        for awaited in step.awaiting if step is not None else ():
            if person.id in (awaited.id, self.routing.delegations.get(awaited.id)):
                return awaited
        return None

    def _complete(
        self, step: Step, do: Act, actor: Person, holder: Person, comment: str, today: date
    ) -> None:
        step.status, step.acted, step.holder = _STATUS[do], actor, holder
        step.comment, step.completed_on = comment, today

    def _follow(self, people: People, do: Act, now: float, today: date) -> None:
        if do == "approve":
            self.begin(people, now, today)
        elif do == "deny":
            self.status, self.completed_on = "Denied", today


@dataclass
class Held:
    """A requisition as it stands in the tenant."""

    number: str
    wid: str
    data: Element
    process: Process | None
    visible_at: float
    cancelled: bool = False

    @property
    def status(self) -> str:
        """The document's own status."""
        if self.cancelled:
            return "CANCELED"
        if self.process is None:
            return "DRAFT"
        ended = {"Successfully Completed": "APPROVED", "Denied": "DENIED"}
        return ended.get(self.process.status, "IN_PROGRESS")

    def shown(self) -> str:
        """The data as text."""
        return etree.tostring(self.data, encoding="unicode")
