"""The budget's decision: balances and an effect in, a named result and ledger entries out.

Precedence of refusals, first match wins:

1. `budget_key_reused`   a second `Reserve` with other lines than the document holds
2. `negative_amount`     a line below zero, where no credit note is booked
3. `budget_not_found`    no balance for a node or for one of its ancestors (B15)
4. `budget_below_commitments` a node that is charged more would be cut below what it carries (B13)
5. `budget_exceeded`     a node or ancestor under absolute control has too little (B1, B6)

Everything or nothing (B5): a refusal has no entries. What another system states a budget to be is
true whether the lines fit or not: that is loaded also where 5 refuses. Source of the B-rules:
specs 5.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from quaestor.budget.balance import (
    ZERO,
    Balance,
    BudgetLoad,
    DocumentHolding,
    LedgerEntry,
    as_lines,
    by_node,
    held_after,
    loaded,
)
from quaestor.budget.effects import (
    Adjust,
    BudgetEffect,
    BudgetLine,
    BudgetResult,
    Commit,
    Committed,
    Consume,
    Consumed,
    Release,
    Released,
    Relieve,
    Relieved,
    Reserve,
    Reserved,
)
from quaestor.model.refusal import Refusal, Refused, refuse

__all__ = ["BudgetDecision", "Shortfall", "decide", "nodes_of"]


class Shortfall(msgspec.Struct, frozen=True):
    """Evidence: `needed` more was asked of `node` than its `available`, in its currency."""

    node: str
    needed: Decimal
    available: Decimal


class BudgetDecision(msgspec.Struct, frozen=True):
    """What was decided. `entries` are to be written as they are; none on a refusal.

    `loads` are the budgets that another system stated, to be written before the entries.
    `holding` is what the document holds afterwards. `shortfalls` name every node that is short,
    whether it refused (absolute) or only warned (advisory, or a debt that exists).
    """

    result: BudgetResult
    entries: tuple[LedgerEntry, ...]
    holding: DocumentHolding
    shortfalls: tuple[Shortfall, ...] = ()
    loads: tuple[BudgetLoad, ...] = ()


class _Movement(msgspec.Struct, frozen=True):
    """Changes per node before they are checked."""

    pre: Mapping[str, Decimal] = {}
    enc: Mapping[str, Decimal] = {}
    act: Mapping[str, Decimal] = {}


def nodes_of(effect: BudgetEffect, held: DocumentHolding) -> frozenset[str]:
    """The nodes whose balances `decide` needs, without their ancestors: what must be locked."""
    return frozenset(line.node for line in _lines_of(effect)) | held.nodes


def decide(
    balances: Mapping[str, Balance],
    held: DocumentHolding,
    effect: BudgetEffect,
    *,
    as_of: datetime,
) -> BudgetDecision:
    """Decide one effect of one document against balances that nobody else moves meanwhile.

    Several effects in one batch are decided one after the other, each on the balances after
    the one before (`balance.apply`), so exactly as many pass as fit (B20).
    """
    refusal = _refusal_of_form(held, effect)
    if refusal is not None:
        return BudgetDecision(Refused(refusal), (), held)
    movement = _movement(held, effect)
    try:
        entries = _entries(balances, movement)
    except _NodeMissing as missing:
        return BudgetDecision(Refused(refuse("budget_not_found", node=missing.node)), (), held)
    loads, cut = _loads(balances, effect, entries)
    hard = [node for node in cut if balances[node].node.control == "absolute"]
    if hard:
        below = refuse("budget_below_commitments", nodes=",".join(hard))
        return BudgetDecision(Refused(below), (), held)
    balances = loaded(balances, loads)
    short = tuple(_shortfalls(balances, entries))
    over = [each.node for each in short if balances[each.node].node.control == "absolute"]
    if over and not isinstance(effect, Consume):
        exceeded = refuse("budget_exceeded", nodes=",".join(over))
        return BudgetDecision(Refused(exceeded), (), held, short, loads)
    warnings = tuple(f"over_budget:{each.node}" for each in short)
    warnings += tuple(f"budget_below_commitments:{node}" for node in cut)
    result = _result(effect, movement, as_of, warnings)
    return BudgetDecision(result, entries, held_after(held, entries), short, loads)


def _lines_of(effect: BudgetEffect) -> tuple[BudgetLine, ...]:
    match effect:
        case Reserve() | Adjust() | Relieve():
            return effect.lines
        case Commit():
            return effect.relieves + effect.lines
        case Consume():
            return effect.relieves + effect.actuals
        case Release():
            return ()


def _refusal_of_form(held: DocumentHolding, effect: BudgetEffect) -> Refusal | None:
    if isinstance(effect, Reserve) and held.pre and _something(effect.lines) != held.pre:
        return refuse("budget_key_reused", effect=effect.name)
    signed = effect.relieves if isinstance(effect, Consume) else _lines_of(effect)
    negative = sorted(line.node for line in signed if line.amount < 0)
    return refuse("negative_amount", node=negative[0]) if negative else None


def _something(lines: Iterable[BudgetLine]) -> dict[str, Decimal]:
    return {node: amount for node, amount in by_node(lines).items() if amount}


def _movement(held: DocumentHolding, effect: BudgetEffect) -> _Movement:
    match effect:
        case Reserve() | Adjust():
            # Setting to the wanted amounts makes a repeated Reserve a movement of nothing.
            wanted = by_node(effect.lines)
            nodes = wanted.keys() | held.pre.keys()
            return _Movement({n: wanted.get(n, ZERO) - held.pre.get(n, ZERO) for n in nodes})
        case Commit():
            return _Movement(_lowered(held.pre, effect.relieves), by_node(effect.lines))
        case Relieve():
            return _Movement(enc=_lowered(held.enc, effect.lines))
        case Release():
            return _Movement({node: -amount for node, amount in held.pre.items()})
        case Consume():
            return _Movement(enc=_lowered(held.enc, effect.relieves), act=by_node(effect.actuals))


def _lowered(column: Mapping[str, Decimal], lines: Iterable[BudgetLine]) -> dict[str, Decimal]:
    """Never more is relieved than is held (B4, B18)."""
    return {n: -min(amount, column.get(n, ZERO)) for n, amount in by_node(lines).items()}


class _NodeMissing(Exception):
    def __init__(self, node: str) -> None:
        super().__init__(node)
        self.node = node


def _entries(balances: Mapping[str, Balance], movement: _Movement) -> tuple[LedgerEntry, ...]:
    """What moves on each node, and what that comes to on its ancestors, in key order."""
    entries = []
    rolled: dict[str, LedgerEntry] = {}
    for node in sorted(movement.pre.keys() | movement.enc.keys() | movement.act.keys()):
        entry = LedgerEntry(
            node,
            movement.pre.get(node, ZERO),
            movement.enc.get(node, ZERO),
            movement.act.get(node, ZERO),
        )
        entries.append(entry)
        for ancestor in _ancestors(balances, node):
            was = rolled.get(ancestor, LedgerEntry(ancestor))
            rolled[ancestor] = LedgerEntry(
                ancestor, was.pre + entry.pre, was.enc + entry.enc, was.act + entry.act, True
            )
    every = sorted([*entries, *rolled.values()], key=lambda entry: (entry.node, entry.rolled_up))
    return tuple(entry for entry in every if entry.pre or entry.enc or entry.act)


def _ancestors(balances: Mapping[str, Balance], node: str) -> list[str]:
    """Nearest first; every one of them, and the node itself, must have a balance (B15)."""
    chain: list[str] = []
    at: str | None = node
    while at is not None and at not in chain:
        if at not in balances:
            raise _NodeMissing(at)
        chain.append(at)
        at = balances[at].node.parent
    return chain[1:]


def _loads(
    balances: Mapping[str, Balance], effect: BudgetEffect, entries: Iterable[LedgerEntry]
) -> tuple[tuple[BudgetLoad, ...], tuple[str, ...]]:
    """What is loaded of what is stated, and the nodes charged more that it would cut too far.

    A statement that is older than the one before says nothing new. No budget is cut below what
    stands against it (B13): where nothing more is charged, it just stays.
    """
    stated = effect.stated if isinstance(effect, Reserve | Adjust) else ()
    if not stated:
        return (), ()
    needed = _needed(entries)
    loads, cut = [], []
    for each in sorted(stated, key=lambda each: each.node):
        was = balances.get(each.node)
        if was is None or (was.as_of is not None and each.as_of < was.as_of):
            continue
        change = each.amount - was.node.amount
        if change >= 0 or each.amount >= was.stands.pre + was.stands.enc + was.stands.act:
            loads.append(BudgetLoad(each.node, each.amount, change, each.as_of, each.system))
        elif needed.get(each.node, ZERO) > 0:
            cut.append(each.node)
    return tuple(loads), tuple(cut)


def _needed(entries: Iterable[LedgerEntry]) -> dict[str, Decimal]:
    needed: dict[str, Decimal] = {}
    for entry in entries:
        needed[entry.node] = needed.get(entry.node, ZERO) + entry.net
    return needed


def _shortfalls(
    balances: Mapping[str, Balance], entries: Iterable[LedgerEntry]
) -> Iterable[Shortfall]:
    """Only an increase is checked (B3): what frees budget passes on an overspent node too."""
    for node, amount in _needed(entries).items():
        if amount > 0 and amount > (available := balances[node].available):
            yield Shortfall(node, amount, available)


def _result(
    effect: BudgetEffect, movement: _Movement, as_of: datetime, warnings: tuple[str, ...]
) -> BudgetResult:
    match effect:
        case Reserve() | Adjust():
            return Reserved(as_lines(by_node(effect.lines)), as_of, warnings)
        case Commit():
            return Committed(as_lines(movement.enc), as_of, warnings)
        case Relieve():
            return Relieved(as_lines({n: -a for n, a in movement.enc.items()}))
        case Release():
            return Released(as_lines({n: -a for n, a in movement.pre.items()}))
        case Consume():
            return Consumed(as_lines(movement.act), warnings)
