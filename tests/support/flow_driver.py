"""Steps a flow by values: no database, no network, no clock.

It means by `Await`, `Park`, `Done` and `Stay` what `flows.kit.step` says, and nothing more: events
that interrupt are asked about first, before every stage and before every resend; what nobody
consumed stays. Budget effects are decided by the real `budget.decide`. What a ledger answers, the
test says with `answer`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from quaestor.budget.balance import Balance, DocumentHolding, apply, loaded
from quaestor.budget.decide import decide
from quaestor.connectors.kit.contract import Applied, Rejected
from quaestor.flows.kit.dossier import (
    Answered,
    ApprovalRequested,
    ApprovalWithdrawn,
    Document,
    Dossier,
    Refused,
    Result,
    SendView,
    Withdrawn,
)
from quaestor.flows.kit.effects import (
    Adjust,
    Adopt,
    Commit,
    Consume,
    Effect,
    Inquire,
    Release,
    Relieve,
    RequestApproval,
    Reserve,
    Send,
    Tell,
    Withdraw,
    WithdrawApproval,
)
from quaestor.flows.kit.flow import Flow
from quaestor.flows.kit.step import Await, Done, Park, Stay, Step
from quaestor.model.event import Event, Retry, event_name

__all__ = ["FlowDriver"]

STEPS_MAX = 200


@dataclass
class FlowDriver:
    """One document in one flow. `sent`, `told` and `asked` remember what went outside, in order."""

    flow: Flow
    document: Document
    reads: Mapping[type, Any]
    now: datetime
    balances: dict[str, Balance] = field(default_factory=dict)
    holding: DocumentHolding = field(default_factory=DocumentHolding)
    later: Document | None = None
    stage: str = ""
    waiting: Await | Park | Done | None = None
    sending: str | None = None
    events: list[Event] = field(default_factory=list)
    results: dict[str, Result] = field(default_factory=dict)
    sends: dict[str, SendView] = field(default_factory=dict)
    sent: list[Send] = field(default_factory=list)
    told: list[Tell] = field(default_factory=list)
    asked: list[Inquire] = field(default_factory=list)
    asking: dict[str, Inquire] = field(default_factory=dict)
    open_requests: list[str] = field(default_factory=list)
    steps: list[tuple[str, Step]] = field(default_factory=list)
    _withdrawn: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.stage = self.stage or self.flow.first

    # --- what the world does ---

    def start(self) -> FlowDriver:
        """Run until the document rests."""
        self._run()
        return self

    def moves(self) -> bool:
        """One step, or one event asked about; false where the document rests."""
        return self._interrupted() or self._goes_on()

    def deliver(self, *events: Event) -> None:
        """These events come, in this order, and the document is looked at once."""
        self.events.extend(events)
        self._run()

    def arrives(self, later: Document, *events: Event) -> None:
        """A later version is stored beside the document, and events with it."""
        self.later = later
        self.deliver(*events)

    def answer(self, result: Applied | Rejected | None) -> None:
        """The pending send is resolved, and the document goes on; `None` as in `settles`."""
        self.settles(result)
        self._run()

    def settles(self, result: Applied | Rejected | None) -> None:
        """The pending send is resolved; `None`: it is certain that it left nothing."""
        assert self.sending is not None, "nothing is being sent"
        name = self.sending
        if name in self._withdrawn:
            left = result if isinstance(result, Applied) else None
            self._resolve(name, Withdrawn(left))
        else:
            assert result is not None, "a send that is not withdrawn is sent again"
            self._resolve(name, result)

    def hears(self, result: Answered | Refused) -> None:
        """The oldest open question is answered, and the document goes on."""
        self.learns(result)
        self._run()

    def learns(self, result: Answered | Refused) -> None:
        """The oldest open question is answered."""
        self.results[self.asking.pop(next(iter(self.asking))).name] = result

    def left_the_wire(self) -> None:
        """The first byte of the pending send left, and no answer came: perhaps applied."""
        assert self.sending is not None, "nothing is being sent"
        self._see(self.sending, "unresolved")

    def may_be_sent(self) -> bool:
        """Before a (re)send: the flow is asked about its events; a withdrawn one never is."""
        self._run()
        return self.sending is not None and self.sending not in self._withdrawn

    def passes(self, **time: int) -> None:
        """Time passes, in the units of `timedelta`."""
        self.now += timedelta(**time)
        self._run()

    # --- what a test asks ---

    @property
    def parked(self) -> str | None:
        """The code of the refusal that the document is parked with."""
        return self.waiting.refusal.code if isinstance(self.waiting, Park) else None

    @property
    def outcome(self) -> str | None:
        """How the document ended."""
        return self.waiting.outcome if isinstance(self.waiting, Done) else None

    def actions(self) -> list[str]:
        """`action order_group` of everything that was sent, in order."""
        return [f"{send.action} {send.order_group.split('/')[0]}" for send in self.sent]

    def dossier(self) -> Dossier:
        """What the next stage is given."""
        return Dossier(
            document=self.document,
            stage=self.stage,
            now=self.now,
            results=dict(self.results),
            events=tuple(self.events),
            sends=dict(self.sends),
            later=self.later,
            reads={kind: self.reads[kind] for kind in self.flow.stages[self.stage].reads},
        )

    # --- the rules ---

    def _run(self) -> None:
        for _ in range(STEPS_MAX):
            if not self.moves():
                return
        raise AssertionError(f"no rest after {STEPS_MAX} steps, at {self.stage}")

    def _interrupted(self) -> bool:
        for event in tuple(self.events):
            step = self.flow.interrupted(self.dossier(), event)
            if step is not None:
                self._consume([event])
                if not isinstance(step.next, Stay):
                    self.waiting, self.asking = None, {}
                self._take(step)
                return True
            if isinstance(event, Retry):
                self._consume([event])
                self.waiting = None if isinstance(self.waiting, Park) else self.waiting
                return True
        return False

    def _goes_on(self) -> bool:
        if self.sending is not None or self.asking or isinstance(self.waiting, Park | Done):
            return False
        if isinstance(self.waiting, Await):
            if not self._wakes_up(self.waiting):
                return False
            self.waiting = None
            return True
        self.waiting = None
        self._take(self.flow.stages[self.stage].run(self.dossier()))
        return True

    def _wakes_up(self, awaiting: Await) -> bool:
        if any(event_name(event) in awaiting.events for event in self.events):
            self.stage = awaiting.then
            return True
        if awaiting.until is None or awaiting.on_timeout is None or self.now < awaiting.until:
            return False
        self.stage = awaiting.on_timeout
        return True

    def _take(self, step: Step) -> None:
        self.steps.append((self.stage, step))
        for effect in step.do:
            self._carry_out(effect)
        self._consume(step.consumes)
        match step.next:
            case str(stage):
                self.stage = stage
            case Await() as awaiting:
                self.stage, self.waiting = awaiting.then, awaiting
            case Park() as park:
                self.stage, self.waiting = park.resume or self.stage, park
            case Done() as done:
                assert self.sending is None, "done while a send is unresolved"
                self.waiting = done
            case Stay():
                pass

    def _consume(self, events: Iterable[Event]) -> None:
        gone = tuple(events)
        self.events = [event for event in self.events if event not in gone]

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Reserve() | Adjust() | Commit() | Relieve() | Release() | Consume():
                decision = decide(self.balances, self.holding, effect, as_of=self.now)
                balances = loaded(self.balances, decision.loads)
                self.balances = apply(balances, decision.entries)
                self.holding = decision.holding
                self.results[effect.name] = decision.result
            case Send():
                self._send(effect)
            case Withdraw(name):
                self._withdraw(name)
            case RequestApproval(name):
                self.open_requests.append(name)
                self.results[name] = ApprovalRequested(name, self.now)
            case WithdrawApproval(name):
                self.open_requests = [each for each in self.open_requests if each != name]
                self.results[name] = ApprovalWithdrawn(name)
            case Adopt():
                assert self.sending is None, "adopted while a send is unresolved"
                assert self.later is not None, "no later version has arrived"
                self.document, self.later = self.later, None
            case Tell():
                self.told.append(effect)
            case Inquire():
                self.asked.append(effect)
                self.asking[effect.name] = effect

    def _send(self, send: Send) -> None:
        assert self.sending is None, f"{send.name} while {self.sending} is unresolved"
        assert not _left_something(self.results.get(send.name)), (
            f"{send.name} was sent and left something"
        )
        self.sent.append(send)
        self.sends[send.name] = SendView(
            send.name, f"key-of-{send.name}", send.system, send.action, send.generation, "unsent"
        )
        self.sending = send.name

    def _withdraw(self, name: str) -> None:
        assert self.sending == name, f"withdraw {name}, which is not being sent"
        self._withdrawn.add(name)
        if self.sends[name].state == "unsent":
            self._resolve(name, Withdrawn(None))

    def _resolve(self, name: str, result: Result) -> None:
        self.results[name] = result
        self._see(name, "resolved")
        self.sending = None

    def _see(self, name: str, state: str) -> None:
        self.sends[name] = msgspec.structs.replace(self.sends[name], state=state)


def _left_something(result: Result | None) -> bool:
    return isinstance(result, Applied) or (
        isinstance(result, Withdrawn) and result.left is not None
    )
