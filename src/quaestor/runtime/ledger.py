"""The ledger: carries budget effects out, in the transaction of the step.

Balances are locked in key order, decided one document after the other on running balances, and
written as one summed update per node. Reservations of one batch on one hot node cost one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

import asyncpg

from quaestor.budget.balance import Balance, BudgetLoad, LedgerEntry, apply, loaded
from quaestor.budget.decide import BudgetDecision, decide, nodes_of
from quaestor.model.budget import Balances, BudgetNode
from quaestor.model.refusal import Refused
from quaestor.runtime.case import BudgetEffect, Case
from quaestor.store import Connection

__all__ = ["balance_of", "carry_out"]

# A node and all of its ancestors, locked in key order so that two batches cannot dead-lock.
_LOCK = """
with recursive chain as (
    select node, parent from quaestor.budget_balance where node = any($1)
    union
    select up.node, up.parent from quaestor.budget_balance up join chain on up.node = chain.parent
)
select node, entity, parent, control, tolerance_pct, tolerance_amount, budget, budget_as_of,
       pre, enc, act
from quaestor.budget_balance where node in (select node from chain)
order by node for no key update
"""
_MOVE = """
update quaestor.budget_balance balance
set pre = balance.pre + moved.pre, enc = balance.enc + moved.enc, act = balance.act + moved.act
from unnest($1::text[], $2::numeric[], $3::numeric[], $4::numeric[]) moved(node, pre, enc, act)
where balance.node = moved.node
"""
_LOAD = """
update quaestor.budget_balance balance
set budget = balance.budget + stated.change, budget_as_of = stated.as_of
from unnest($1::text[], $2::numeric[], $3::timestamptz[]) stated(node, change, as_of)
where balance.node = stated.node
"""
_ENTER_LOADS = """
insert into quaestor.budget_entry (at, entity, node, document_id, effect, kind, budget, as_of)
select $1, balance.entity, stated.node, stated.document_id, 'source:' || stated.system, 'load',
       stated.change, stated.as_of
from unnest($2::text[], $3::bigint[], $4::text[], $5::numeric[], $6::timestamptz[])
     stated(node, document_id, system, change, as_of)
join quaestor.budget_balance balance on balance.node = stated.node
"""
_ENTER = """
insert into quaestor.budget_entry (at, entity, node, document_id, effect, kind, pre, enc, act)
select $1, balance.entity, entry.node, entry.document_id, entry.effect, entry.kind,
       entry.pre, entry.enc, entry.act
from unnest($2::text[], $3::bigint[], $4::text[], $5::text[],
            $6::numeric[], $7::numeric[], $8::numeric[])
     entry(node, document_id, effect, kind, pre, enc, act)
join quaestor.budget_balance balance on balance.node = entry.node
"""


async def carry_out(connection: Connection, cases: Sequence[Case], now: datetime) -> None:
    """Decide and write the budget effects of these cases, in their order; results go into them."""
    wanted = {
        node
        for case in cases
        for effect in case.budget
        for node in nodes_of(effect, case.state.holding)
    }
    rows = await connection.fetch(_LOCK, sorted(wanted))
    balances = {row["node"]: balance_of(row) for row in rows}
    entered: list[tuple[int, BudgetEffect, LedgerEntry]] = []
    stated: list[tuple[int, BudgetLoad]] = []
    for case in cases:
        for effect in case.budget:
            decision = decide(balances, case.state.holding, effect, as_of=now)
            balances = apply(loaded(balances, decision.loads), decision.entries)
            stated.extend((case.document.id, load) for load in decision.loads)
            entered.extend((case.document.id, effect, entry) for entry in decision.entries)
            case.keep(holding=decision.holding)
            case.keep_result(effect.name, decision.result)
            refusal = decision.result.refusal if isinstance(decision.result, Refused) else None
            case.note(
                type(effect).__name__.lower(),
                type(decision.result).__name__.lower(),
                refusal=refusal,
                name=effect.name,
                details=_evidence(decision),
            )
        case.budget = []
    if stated:
        await _write_loads(connection, stated, now)
    if entered:
        await _write(connection, entered, now)


def balance_of(row: asyncpg.Record) -> Balance:
    """A row of `budget_balance` as the decision takes it."""
    node = BudgetNode(
        key=row["node"],
        entity=row["entity"],
        amount=row["budget"],
        control=row["control"],
        tolerance_pct=row["tolerance_pct"],
        tolerance_amount=row["tolerance_amount"],
        parent=row["parent"],
    )
    stands = Balances(row["pre"], row["enc"], row["act"])
    return Balance(node, stands, row["budget_as_of"])


def _evidence(decision: BudgetDecision) -> dict[str, str]:
    """What was stated by whom, and what was short: node, needed, available."""
    details = {}
    if decision.shortfalls:
        short = (f"{each.node}: {each.needed} of {each.available}" for each in decision.shortfalls)
        details["short"] = "; ".join(short)
    if decision.loads:
        loads = (
            f"{each.node}: {each.amount}, {each.system} as of {each.as_of.isoformat()}"
            for each in decision.loads
        )
        details["budget"] = "; ".join(loads)
    return details


async def _write_loads(
    connection: Connection, stated: Sequence[tuple[int, BudgetLoad]], now: datetime
) -> None:
    changes: dict[str, Decimal] = {}
    # Of the statements about a node none is older than the one before it.
    as_of = {load.node: load.as_of for _, load in stated}
    for _, load in stated:
        changes[load.node] = changes.get(load.node, Decimal(0)) + load.change
    nodes = sorted(changes)
    await connection.execute(
        _LOAD, nodes, [changes[node] for node in nodes], [as_of[node] for node in nodes]
    )
    moved = [(document, load) for document, load in stated if load.change]
    if moved:
        await connection.execute(
            _ENTER_LOADS,
            now,
            [load.node for _, load in moved],
            [document for document, _ in moved],
            [load.system for _, load in moved],
            [load.change for _, load in moved],
            [load.as_of for _, load in moved],
        )


async def _write(
    connection: Connection,
    entered: Sequence[tuple[int, BudgetEffect, LedgerEntry]],
    now: datetime,
) -> None:
    moved: dict[str, list[Decimal]] = {}
    for _document, _effect, entry in entered:
        sums = moved.setdefault(entry.node, [Decimal(0)] * 3)
        for place, change in enumerate((entry.pre, entry.enc, entry.act)):
            sums[place] += change
    nodes = sorted(moved)
    await connection.execute(_MOVE, nodes, *(_column(moved, nodes, place) for place in range(3)))
    await connection.execute(
        _ENTER,
        now,
        [entry.node for _, _, entry in entered],
        [document for document, _, _ in entered],
        [effect.name for _, effect, _ in entered],
        [type(effect).__name__.lower() for _, effect, _ in entered],
        [entry.pre for _, _, entry in entered],
        [entry.enc for _, _, entry in entered],
        [entry.act for _, _, entry in entered],
    )


def _column(moved: dict[str, list[Decimal]], nodes: Iterable[str], place: int) -> list[Decimal]:
    return [moved[node][place] for node in nodes]
