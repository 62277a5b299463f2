"""The ledger: carries budget effects out, in the transaction of the step.

Balances are locked in key order, decided one document after the other on running balances, and
written as one summed update per node. Reservations of one batch on one hot node cost one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

import asyncpg

from quaestor.budget.balance import Balance, LedgerEntry, apply
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
select node, entity, parent, control, tolerance_pct, tolerance_amount, budget, pre, enc, act
from quaestor.budget_balance where node in (select node from chain)
order by node for no key update
"""
_MOVE = """
update quaestor.budget_balance balance
set pre = balance.pre + moved.pre, enc = balance.enc + moved.enc, act = balance.act + moved.act
from unnest($1::text[], $2::numeric[], $3::numeric[], $4::numeric[]) moved(node, pre, enc, act)
where balance.node = moved.node
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
    for case in cases:
        for effect in case.budget:
            decision = decide(balances, case.state.holding, effect, as_of=now)
            balances = apply(balances, decision.entries)
            entered.extend((case.document.id, effect, entry) for entry in decision.entries)
            case.keep(holding=decision.holding)
            case.keep_result(effect.name, decision.result)
            refusal = decision.result.refusal if isinstance(decision.result, Refused) else None
            case.note(
                type(effect).__name__.lower(),
                type(decision.result).__name__.lower(),
                refusal=refusal,
                name=effect.name,
                details=_shortfalls(decision),
            )
        case.budget = []
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
    return Balance(node, Balances(row["pre"], row["enc"], row["act"]))


def _shortfalls(decision: BudgetDecision) -> dict[str, str]:
    """What was short, as evidence: node, needed, available."""
    if not decision.shortfalls:
        return {}
    short = (f"{each.node}: {each.needed} of {each.available}" for each in decision.shortfalls)
    return {"short": "; ".join(short)}


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
