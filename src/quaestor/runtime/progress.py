"""Progress: carry one case as far as it goes without waiting. No I/O, no clock.

The order in which a case is looked at is fixed: the answer to its send, events that interrupt, the
send that must be resolved, what it awaits, then the stage itself. `proceed` returns when the
ledger must decide budget effects (`case.budget`), when a send, a look-up or a question is due
(`case.move`), or when the case rests (`case.due_at`, parked, awaiting, done).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from quaestor.connectors.kit.contract import (
    ActionGuarantee,
    Applied,
    Command,
    Permanent,
    Rejected,
)
from quaestor.flows.kit.dossier import ApprovalRequested, ApprovalWithdrawn, Withdrawn
from quaestor.flows.kit.effects import (
    Adjust,
    Adopt,
    Commit,
    Consume,
    Effect,
    Inquire,
    Record,
    Release,
    Relieve,
    RequestApproval,
    Reserve,
    Send,
    Start,
    Tell,
    Wake,
    Withdraw,
    WithdrawApproval,
)
from quaestor.flows.kit.flow import Stage
from quaestor.flows.kit.step import Await, Done, Park, Stay, Step
from quaestor.model.event import Retry, event_name
from quaestor.model.refusal import refuse
from quaestor.runtime.case import Arrived, Case, ClosedRequest, IntentRow
from quaestor.runtime.commanding import key_of, written
from quaestor.runtime.inquiring import AskNow, asked_again, begin_asking, next_question
from quaestor.runtime.lanes import lane_name
from quaestor.runtime.observing import Held, held, held_park, note_held
from quaestor.runtime.posting import (
    IntentState,
    Limits,
    LookNow,
    Outcome,
    ParkSend,
    Resolved,
    SendNow,
    WaitUntil,
    new_intent,
    next_move,
    perhaps_sent,
    retried,
    send_lost,
    standing,
    withdraw,
)
from quaestor.runtime.restored import doubted, perhaps_posted, written_at
from quaestor.runtime.state import SentIntent
from quaestor.runtime.stepping import note_step, passes

__all__ = ["FlowBroken", "Target", "World", "proceed"]


class FlowBroken(Exception):
    """A flow asked for something that the vocabulary does not allow."""


@dataclass(frozen=True)
class Target:
    """A system as the runtime sees it: how commands are rendered and what it guarantees.

    One that is only `observed` is never sent anything.
    """

    system: str
    render: Callable[[Command], bytes]
    guarantees: Mapping[str, ActionGuarantee]
    findable: bool
    observed: bool = False


@dataclass(frozen=True)
class World:
    """What progress knows beyond the case.

    `reads(case, kinds)` fetches what a stage declared. `asked` are the systems that answer
    questions. `find_first_before` is set after a
    restore: what the source changed before that instant may already have been sent in the time
    that was lost, so it is looked for before its first send (D3). That time began at
    `lost_since`.
    """

    deployment: str
    targets: Mapping[str, Target]
    reads: Callable[[Case, tuple[type, ...]], Mapping[type, Any]]
    limits: Limits
    steps_max: int = 200
    find_first_before: datetime | None = None
    lost_since: datetime | None = None
    asked: frozenset[str] = frozenset()


def proceed(case: Case, world: World, now: datetime) -> None:
    """Carry the case on until it needs the ledger, a send slot, or time; see the module."""
    while not case.budget:
        if case.state.sending is not None:
            _take_answer(case)
        if case.events and _interrupted(case, world, now):
            continue
        if case.outcome is not None or case.state.parked is not None:
            return
        if case.state.sending is not None:
            if not _resolve_sending(case, world, now):
                return
        elif case.state.asking:
            _ask(case, world, now)
            return
        elif case.state.awaiting is not None:
            if not _wakes_up(case, now):
                return
        else:
            _run_stage(case, world, now)


# --- events ---------------------------------------------------------------------------------------


def _take_answer(case: Case) -> None:
    """What was answered stands in the results before an event is put: who asks whether anything
    was ordered must not be told no because a change came in the same moment as the answer.
    """
    row = case.sending_row
    if row is not None and row.core.outcome is not None:
        _resolved(case, row, row.core.outcome)


def _interrupted(case: Case, world: World, now: datetime) -> bool:
    for arrived in case.events:
        if isinstance(arrived.event, Retry):
            _retry(case, world, arrived, now)
            return True
        dossier = case.dossier(now, world.reads(case, _stage(case).reads))
        step = _guarded(case, lambda d, e=arrived.event: case.flow.interrupted(d, e), dossier)
        if step is not None:
            case.consume([arrived])
            if not isinstance(step.next, Stay):
                # A question that nobody waits for any more is not asked.
                case.keep(awaiting=None, parked=None, asking={})
                case.outcome = None
            _apply(case, world, now, step, by=event_name(arrived.event), actor=arrived.event.by)
            return True
    return False


def _retry(case: Case, world: World, arrived: Arrived, now: datetime) -> None:
    case.consume([arrived])
    if case.state.parked is None:
        case.note("retry", "nothing_parked", actor=arrived.event.by)
        return
    case.keep(parked=None, asking=asked_again(case.state.asking, now))
    row = case.sending_row
    if row is not None and row.core.outcome is None:
        known = doubted(row.core, written_at(row), world.find_first_before)
        row.core, row.is_changed = retried(known, now), True
    case.note("retry", "resumed", actor=arrived.event.by)


def _wakes_up(case: Case, now: datetime) -> bool:
    awaiting = case.state.awaiting
    assert awaiting is not None
    if any(event_name(arrived.event) in awaiting.events for arrived in case.events):
        case.stage = awaiting.then
        case.keep(awaiting=None)
        return True
    if awaiting.until is not None and now >= awaiting.until and awaiting.on_timeout is not None:
        before, case.stage = case.stage, awaiting.on_timeout
        case.keep(awaiting=None)
        case.note("await", "timed_out", before=before)
        return True
    case.due_at = awaiting.until
    return False


# --- stages ---------------------------------------------------------------------------------------


def _stage(case: Case) -> Stage:
    stage = case.flow.stages.get(case.stage)
    if stage is None:
        raise FlowBroken(f"{case.flow.name} has no stage {case.stage}")
    return stage


def _guarded(case: Case, run: Callable[..., Step | None], *given: Any) -> Step | None:
    """Run flow code; what it raises parks the document, with the place but not the data."""
    try:
        return run(*given)
    except Exception as error:  # noqa: BLE001 - a flow may raise anything; the document owns it
        refusal = refuse("flow_failed", stage=case.stage, error=type(error).__name__)
        return Step((), Park("operator", refusal))


def _run_stage(case: Case, world: World, now: datetime) -> None:
    if case.state.steps >= world.steps_max:
        _park(case, Park("operator", refuse("steps_exhausted", stage=case.stage)))
        return
    stage = case.flow.stages.get(case.stage)
    if stage is None:
        _park(case, Park("operator", refuse("flow_unknown", stage=case.stage)))
        return
    step = _guarded(case, stage.run, case.dossier(now, world.reads(case, stage.reads)))
    assert step is not None
    _apply(case, world, now, step)


def _apply(
    case: Case, world: World, now: datetime, step: Step, *, by: str = "", actor: str = ""
) -> None:
    before, told = case.stage, len(case.notes)
    case.keep(steps=case.state.steps + 1)
    # Without effects nothing is half done when the step cannot be taken.
    undo = case.snapshot() if step.do else None
    try:
        for effect in step.do:
            _take_up(case, world, now, effect)
        _go_on(case, step)
        used = [arrived for arrived in case.events if arrived.event in step.consumes]
        if used:
            case.consume(used)
    except (Permanent, FlowBroken) as error:
        # Nothing of this step took place; the stage runs again after a person has acted.
        if undo is not None:
            case.restore(undo)
        if isinstance(error, Held):
            note_held(case, error)
            _park(case, held_park(error.refusal))
            return
        refusal = (
            error.refusal
            if isinstance(error, Permanent)
            else refuse("flow_failed", stage=before, error=str(error))
        )
        _park(case, Park(refusal.owner, refusal))
        return
    if by:
        case.note("event", by.lower(), before=before, actor=actor)
    for arrived in used:
        heard = event_name(arrived.event).lower()
        case.note("event", heard, before=before, actor=arrived.event.by)
    if by or used or not passes(case, step, before, told):
        note_step(case, step, before)


def _go_on(case: Case, step: Step) -> None:
    match step.next:
        case str(stage):
            case.stage = stage
        case Await() as awaiting:
            case.stage = awaiting.then
            case.keep(awaiting=awaiting)
        case Park() as park:
            case.stage = park.resume or case.stage
            case.keep(parked=park)
        case Done(outcome):
            if case.state.sending is not None or case.state.asking:
                what = case.state.sending or next(iter(case.state.asking))
                raise FlowBroken(f"done while {what} is unresolved")
            case.outcome = outcome
        case Stay():
            pass


def _park(case: Case, park: Park) -> None:
    case.keep(parked=park)
    case.note("park", park.refusal.code, refusal=park.refusal)


# --- effects --------------------------------------------------------------------------------------


def _take_up(case: Case, world: World, now: datetime, effect: Effect) -> None:
    match effect:
        case Reserve() | Adjust() | Commit() | Relieve() | Release() | Consume():
            case.budget.append(effect)
        case Record(facts=facts):
            case.note("record", "recorded", before=case.stage, name=effect.name, details=facts)
        case Tell(whom=whom, message=message, refusal=refusal):
            told = {"text": message}
            case.note(
                "tell",
                "told",
                before=case.stage,
                name=effect.name,
                to=whom,
                refusal=refusal,
                details=told,
            )
        case Send():
            _intend(case, world, now, effect)
        case Withdraw(name=name):
            _withdraw(case, name, now)
        case RequestApproval(name=name):
            case.approvals.append(effect)
            case.keep_result(name, ApprovalRequested(name, now))
        case WithdrawApproval(name=name):
            case.approvals.append(ClosedRequest(name, "withdrawn"))
            case.keep_result(name, ApprovalWithdrawn(name))
        case Adopt(version=version):
            _adopt(case, version)
        case Inquire(name=name):
            case.keep(asking={**case.state.asking, name: begin_asking(effect, now)})
        case Start():
            case.children.append(effect)
        case Wake():
            case.wakes.append(effect)


def _adopt(case: Case, version: int) -> None:
    if case.later is None or case.later.version != version:
        raise FlowBroken(f"version {version} has not arrived")
    if any(standing(row.core) == "unresolved" for row in case.intents.values()):
        raise FlowBroken("a later version while a send is unresolved")
    case.document, case.later, case.adopted = case.later, None, True


def _intend(case: Case, world: World, now: datetime, send: Send) -> None:
    if case.state.sending is not None:
        raise FlowBroken(f"{send.name} while {case.state.sending} is unresolved")
    target = world.targets.get(send.system)
    if target is None or send.action not in target.guarantees:
        refusal = refuse("connector_refused", system=send.system, action=send.action)
        raise Permanent(f"{send.system} cannot {send.action}", refusal)
    key = key_of(case, send, world.deployment)
    known = case.intents.get(send.name)
    if target.observed:
        _, payload = written(case, send, key, known.created_at if known else now, target.render)
        raise Held(send.system, send.action, send.name, payload)
    if known is None:
        case.intents[send.name] = _new_row(case, world, target, send, key, now)
        sent = SentIntent(key, send.system, send.action, send.generation)
        case.keep(sends={**case.state.sends, send.name: sent})
    elif known.core.key != key:
        raise FlowBroken(f"{send.name} was sent before under another key")
    elif isinstance(known.core.outcome, Rejected) or known.core.outcome == Withdrawn(None):
        # Surely nothing stands there, and a person let it be tried again: what is sent may
        # have been corrected, so it is rendered anew under the same key.
        anew = written(case, send, key, known.created_at, target.render)
        again = retried(known.core, now)
        known.core = doubted(again, written_at(known), world.find_first_before)
        known.command, known.payload = anew
        known.is_changed = known.is_rewritten = True
    case.keep(sending=send.name)


def _new_row(
    case: Case, world: World, target: Target, send: Send, key: str, now: datetime
) -> IntentRow:
    core = new_intent(key, send.action, target.guarantees[send.action], findable=target.findable)
    before, since = world.find_first_before, now
    if before is not None and perhaps_posted(case.changed_at, now, before):
        core = perhaps_sent(core, before)
        # What is looked for may be as old as the time that was lost.
        since = min(now, case.changed_at, world.lost_since or now)
    command, payload = written(case, send, key, since, target.render)
    return IntentRow(
        core=core,
        name=send.name,
        system=send.system,
        action=send.action,
        generation=send.generation,
        lane=lane_name(send.system, case.document.entity),
        command=command,
        payload=payload,
        created_at=now,
        is_new=True,
    )


def _withdraw(case: Case, name: str, now: datetime) -> None:
    if case.state.sending not in (None, name):
        raise FlowBroken(f"withdraw {name} while {case.state.sending} is unresolved")
    row = case.intents.get(name)
    if row is None:
        raise FlowBroken(f"withdraw {name}, which was never sent")
    row.core, row.is_changed = withdraw(row.core, now), True
    case.keep(sending=name)


# --- the send that must be resolved ---------------------------------------------------------------


def _resolve_sending(case: Case, world: World, now: datetime) -> bool:
    """True when the send is resolved and the flow goes on."""
    row = case.sending_row
    assert row is not None
    core = row.core
    if core.state is IntentState.IN_FLIGHT and core.lease_until and core.lease_until <= now:
        # Whoever sent it is gone: the lease is over and its outcome was never recorded.
        row.core, row.is_changed = send_lost(core, core.lease_until), True
        case.note("send", "lost", system=row.system, attempt=core.attempts)
    known = doubted(row.core, written_at(row), world.find_first_before)
    if known is not row.core:
        row.core, row.is_changed = known, True
        case.note("send", "perhaps_lost", system=row.system, attempt=core.attempts)
    match next_move(row.core, now, world.limits):
        case Resolved(result):
            _resolved(case, row, result)
            return True
        case ParkSend(refusal):
            _park(case, Park(refusal.owner, refusal))
        case WaitUntil(at):
            case.due_at = at
        case SendNow() if _is_observed(world, row.system):
            # It was intended while something was still sent there.
            note_held(case, row)
            _park(case, held_park(held(row.system, row.action)))
        case (SendNow() | LookNow()) as move:
            case.move = move
    return False


def _ask(case: Case, world: World, now: datetime) -> None:
    entity = case.document.entity
    match next_question(case.state.asking, entity, now, world.limits, world.asked):
        case ParkSend(refusal):
            _park(case, Park(refusal.owner, refusal))
        case WaitUntil(at):
            case.due_at = at
        case AskNow() as move:
            case.move = move


def _is_observed(world: World, system: str) -> bool:
    target = world.targets.get(system)
    return target is not None and target.observed


def _resolved(case: Case, row: IntentRow, result: Outcome) -> None:
    case.keep(sending=None, results={**case.state.results, row.name: result})
    told = case.notes[-1] if case.notes else None
    match result:
        case Applied(number) | Withdrawn(Applied(number)):
            row.number, row.is_changed = number, True
        case _:
            number = ""
    if told is not None and (told.name, told.outcome) == (row.name, type(result).__name__.lower()):
        # The answer itself says it, in the same transaction.
        return
    case.note(
        "resolve",
        type(result).__name__.lower(),
        system=row.system,
        external_id=number,
        attempt=row.core.attempts,
        refusal=result.refusal if isinstance(result, Rejected) else None,
    )
