"""Reserve: hold budget for something that is decided elsewhere, while its caller waits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from quaestor.actions.asking import Asked
from quaestor.actions.cancel import cancel
from quaestor.actions.checking import Reads
from quaestor.actions.finding import DocumentRef
from quaestor.actions.refusing import NotAccepted
from quaestor.actions.requisitions import locked
from quaestor.actions.stating import Stated, ask_budgets, left_unasked
from quaestor.actions.submit import Desk
from quaestor.budget.effects import BudgetLine, Reserve, StatedBudget
from quaestor.budget.keys import BudgetPolicy, charge
from quaestor.flows.budget_reservation import HeldBudget
from quaestor.flows.kit.dossier import Document, Reserved
from quaestor.flows.kit.reads import EntityBook
from quaestor.model.calendar import Calendar
from quaestor.model.canonical import canonical_bytes
from quaestor.model.coding import Split
from quaestor.model.entity import Entity
from quaestor.model.money import MINOR_UNITS, minor_unit
from quaestor.model.rates import Rates
from quaestor.model.refusal import Refusal, Refused, refuse
from quaestor.runtime.case import Case
from quaestor.runtime.inquiring import AnswerLink
from quaestor.runtime.ledger import carry_out
from quaestor.runtime.receiving import Inbound, Taken, take_in
from quaestor.runtime.state import WorkState, encode_state
from quaestor.security.authorization import Scope, permit, permit_entity
from quaestor.security.identity import Caller
from quaestor.store import Connection

__all__ = ["Held", "Wanted", "ask_source_of", "release_reservation", "reserve"]

_HELD_FOR = timedelta(days=30)
_HELD_FOR_MAX = timedelta(days=400)
_NOW = "select quaestor.clock()"
_STATE = "update quaestor.work set state = $2 where document_id = $1"
_KINDS = (EntityBook, BudgetPolicy, Rates)


class Wanted(msgspec.Struct, frozen=True):
    """What is to be held: amounts in `currency`, charged on the day `on` (`None` for today)."""

    source_system: str
    source_id: str
    entity: str
    currency: str
    splits: Sequence[Split]
    on: date | None = None
    expires_at: datetime | None = None


class Held(msgspec.Struct, frozen=True):
    """The budget holds these lines, in base currency, until `expires_at` at the latest."""

    id: int
    correlation_id: str
    lines: tuple[BudgetLine, ...]
    as_of: datetime
    expires_at: datetime
    warnings: tuple[str, ...]


class _Undone(Exception):
    """Takes the savepoint back: what the budget refused leaves no document."""


async def ask_source_of(
    links: Mapping[str, AnswerLink],
    reads: Reads,
    wanted: Wanted,
    *,
    now: datetime,
    within_s: float,
) -> Stated:
    """What the source of the budget states now of what is to be held; see `ask_budget_source`."""
    known = reads("budget_reservation", wanted.entity, _KINDS)
    found, policy = known[EntityBook].find(wanted.entity), known[BudgetPolicy]
    if found is None or policy.source is None:
        return ()
    lines = _lines(known, found, wanted, now)
    if isinstance(lines, Refusal):
        return ()
    return await ask_budgets(links, policy, found[0], lines, now=now, within_s=within_s)


async def reserve(
    connection: Connection, caller: Caller, desk: Desk, wanted: Wanted, stated: Stated = ()
) -> Held | Refusal:
    """Hold the budget or none of it, in the caller's transaction; the budget's no is a value.

    `stated` is what the source of the budget said just before. A source that said nothing is no
    answer to keep: it is raised as `NotAccepted`.
    Raises `Forbidden`, `NotFound` for another entity, and `NotAccepted` for what cannot be asked
    of a budget, or is here already.
    """
    permit(caller, desk.environment, Scope.BUDGET_RESERVE)
    permit_entity(caller, wanted.entity)
    now = await connection.fetchval(_NOW)
    if isinstance(stated, Refusal):
        raise NotAccepted(stated)
    held = _held(desk, caller, wanted, now)
    policy = desk.reads("budget_reservation", wanted.entity, _KINDS)[BudgetPolicy]
    missing = left_unasked(policy, held.lines, stated)
    if missing is not None:
        raise NotAccepted(missing)
    try:
        async with connection.transaction():
            done = await _hold(connection, caller, desk, held, stated, now)
            if isinstance(done, Refusal):
                raise _Undone
    except _Undone:
        pass
    return done


def _held(desk: Desk, caller: Caller, wanted: Wanted, now: datetime) -> HeldBudget:
    if wanted.currency not in MINOR_UNITS:
        raise NotAccepted(refuse("unknown_currency", currency=wanted.currency[:10]))
    for place, split in enumerate(wanted.splits):
        exponent = split.amount.as_tuple().exponent
        if isinstance(exponent, int) and -exponent > minor_unit(wanted.currency):
            raise NotAccepted(refuse("too_many_decimals", where=f"lines[{place}].amount"))
        if split.amount == Decimal(0):
            raise NotAccepted(refuse("value_invalid", where=f"lines[{place}].amount"))
    known = desk.reads("budget_reservation", wanted.entity, _KINDS)
    found = known[EntityBook].find(wanted.entity)
    if found is None:
        raise NotAccepted(refuse("entity_unknown", entity=wanted.entity))
    lines = _lines(known, found, wanted, now)
    if isinstance(lines, Refusal):
        raise NotAccepted(lines)
    expires_at = wanted.expires_at or now + _HELD_FOR
    if expires_at <= now:
        raise NotAccepted(refuse("date_in_past", where="expires_at"))
    return HeldBudget(
        wanted.source_system,
        wanted.source_id,
        wanted.entity,
        caller.subject,
        lines,
        min(expires_at, now + _HELD_FOR_MAX),
    )


def _lines(
    known: Mapping[type, Any], found: tuple[Entity, Calendar], wanted: Wanted, now: datetime
) -> tuple[BudgetLine, ...] | Refusal:
    entity, calendar = found
    return charge(
        wanted.splits,
        wanted.currency,
        entity=entity,
        calendar=calendar,
        on=wanted.on or entity.local_date(now),
        rates=known[Rates],
        policy=known[BudgetPolicy],
    )


async def _hold(
    connection: Connection,
    caller: Caller,
    desk: Desk,
    held: HeldBudget,
    stated: tuple[StatedBudget, ...],
    now: datetime,
) -> Held | Refusal:
    digest = hashlib.sha256(canonical_bytes(held)).hexdigest()
    inbound = Inbound(
        document_type="budget_reservation",
        entity=held.entity,
        source_system=held.source_system,
        source_id=held.source_id,
        number=held.source_id,
        version=1,
        content_hash=digest,
        changed_at=now,
        body=held,
        received_from="gateway",
        brought_by=caller.subject,
        facts={"client": caller.client},
    )
    taken = await take_in(connection, desk.recorder, desk.flow, desk.release, inbound)
    if taken.status != "accepted":
        facts = {"document": taken.document_id, "correlation_id": taken.correlation_id}
        raise NotAccepted(refuse("duplicate_document"), facts=facts if taken.document_id else {})
    case = _case(desk, held, taken, digest, now)
    case.budget.append(Reserve("reservation", held.lines, stated))
    await carry_out(connection, [case], now)
    await desk.recorder.record(connection, [case], now)
    match case.state.results["reservation"]:
        case Refused(refusal):
            return refusal
        case Reserved(lines, as_of, warnings):
            await connection.execute(_STATE, taken.document_id, encode_state(case.state))
            return Held(
                taken.document_id,
                taken.correlation_id,
                lines,
                as_of,
                held.expires_at,
                warnings,
            )
        case other:
            raise TypeError(type(other).__name__)


def _case(desk: Desk, held: HeldBudget, taken: Taken, digest: str, now: datetime) -> Case:
    document = Document(
        taken.document_id,
        "budget_reservation",
        held.entity,
        held.source_system,
        held.source_id,
        taken.correlation_id,
        1,
        digest,
        held,
    )
    return Case(
        document, desk.flow, desk.release, desk.flow.first, WorkState(), "", None, 0, 0, now
    )


async def release_reservation(
    connection: Connection,
    caller: Caller,
    environment: str,
    document_id: int,
    *,
    request_id: str,
) -> Asked:
    """Give a reservation back; a worker frees the budget. Raises as `cancel_requisition`."""
    permit(caller, environment, Scope.BUDGET_RESERVE)
    row = await locked(connection, caller, document_id, "budget_reservation")
    document = DocumentRef(
        row["id"],
        row["entity"],
        row["type"],
        row["number"],
        row["correlation_id"],
        row["stage"],
        row["outcome"],
        row["parked_code"],
    )
    return await cancel(connection, document, by=caller.subject, request_id=request_id)
