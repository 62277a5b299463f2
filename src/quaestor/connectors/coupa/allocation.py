"""Who pays for a line: one account, or several by amount or by share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from quaestor.connectors.coupa.fields import ACCOUNT, ALLOCATION
from quaestor.connectors.coupa.layout import Layout, Segments
from quaestor.connectors.coupa.source import Node
from quaestor.connectors.kit.loss import Dispositions, dropped
from quaestor.model.coding import Coding, Split
from quaestor.model.crosswalk import CodeKind
from quaestor.model.money import round_to_minor, total, without_idle_zeros

__all__ = ["Ours", "Shares", "read_splits"]

Ours = Callable[[CodeKind, str], str | None]

# Coupa stores a share with ten decimals: a third of a line is up to this much short of itself.
PCT_ROUNDING = Decimal("0.0000000001")

_IDLE = dropped("The segment has no meaning set up.")


@dataclass(frozen=True)
class Shares:
    """The splits of one line, and the legal entities they charge."""

    splits: tuple[Split, ...]
    entities: frozenset[str]


def read_splits(line: Node, amount: Decimal, currency: str, config: Layout, ours: Ours) -> Shares:
    """The splits of a line over `amount`; `ours` looks a code up and reports a missing one.

    Amounts win over shares. Shares are turned into amounts cumulatively, so that the parts add
    up to the whole to the last minor unit.
    """
    allocations = line.children("account-allocations")
    if not allocations:
        account = line.child("account")
        if account is None:
            line.invalid("account", "an account, or account-allocations")
            return Shares((), frozenset())
        entity, coding = _coding(account, config, ours)
        return Shares((Split(coding, amount),), frozenset({entity} - {""}))
    codings, entities = [], set()
    for allocation in allocations:
        line.findings.account_for(allocation, ALLOCATION, {})
        account = allocation.child("account")
        if account is None:
            allocation.invalid("account", "an account")
            continue
        entity, coding = _coding(account, config, ours)
        codings.append(coding)
        entities.add(entity)
    amounts = _amounts(line, allocations, amount, currency)
    splits = tuple(Split(*pair) for pair in zip(codings, amounts, strict=False))
    return Shares(splits, frozenset(entities - {""}))


def _amounts(line: Node, allocations: list[Node], amount: Decimal, currency: str) -> list[Decimal]:
    stated = [allocation.decimal("amount") for allocation in allocations]
    if all(one is not None for one in stated):
        given = [one for one in stated if one is not None]
        exact = [without_idle_zeros(one, currency) for one in given]
        if total(exact) != amount:
            line.findings.refuse("split_not_100", where=line.at("account-allocations"))
        return exact
    shares = [allocation.decimal("pct") for allocation in allocations]
    known = [share for share in shares if share is not None]
    short = abs(total(known) - 100)
    if len(known) != len(shares) or short > PCT_ROUNDING * len(shares):
        line.findings.refuse("split_not_100", where=line.at("account-allocations"))
        return []
    return _divided(amount, known, currency)


def _divided(amount: Decimal, shares: list[Decimal], currency: str) -> list[Decimal]:
    whole, before, sum_of_shares = total(shares), Decimal(0), Decimal(0)
    parts = []
    for share in shares:
        sum_of_shares += share
        upto = round_to_minor(amount * sum_of_shares / whole, currency)
        parts.append(upto - before)
        before = upto
    return parts


def _coding(account: Node, config: Layout, ours: Ours) -> tuple[str, Coding]:
    """The entity and the coding of an account, from its segments; empty where unknown."""
    layout = config.segments
    account.findings.account_for(account, _account_fields(layout), {})
    entity = _segment(account, layout.company, "company_code", ours)
    cost_center = _segment(account, layout.cost_center, "cost_center", ours)
    gl_account = _segment(account, layout.gl_account, "gl_account", ours)
    project = None
    if layout.project is not None and account.has(f"segment-{layout.project}"):
        project = _segment(account, layout.project, "project", ours)
    return entity, Coding(cost_center, gl_account, project or None)


@cache
def _account_fields(layout: Segments) -> Dispositions:
    read = {layout.company, layout.cost_center, layout.gl_account, layout.project}
    idle = [f"segment-{number}" for number in range(1, 21) if number not in read]
    return ACCOUNT | dict.fromkeys(idle, _IDLE)


def _segment(account: Node, number: int, kind: CodeKind, ours: Ours) -> str:
    theirs = account.text(f"segment-{number}")
    if theirs is None:
        account.invalid(f"segment-{number}", f"the {kind.replace('_', ' ')}")
        return ""
    return ours(kind, theirs) or ""
