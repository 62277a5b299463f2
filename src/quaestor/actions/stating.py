"""Asking the source of budgets while a caller waits, before any transaction is begun."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime

from quaestor.budget.effects import BudgetLine, StatedBudget
from quaestor.budget.keys import BudgetPolicy
from quaestor.budget.stating import BudgetSource, budget_unknown, stated_by
from quaestor.connectors.kit.contract import NotKnown, Permanent, Question
from quaestor.model.budget import BALANCE_QUESTION, node_facts
from quaestor.model.entity import Entity
from quaestor.model.refusal import Refusal, refuse
from quaestor.runtime.inquiring import AnswerLink, ask_at_once

__all__ = ["Stated", "ask_budgets", "left_unasked"]

# What was stated, or why the source stated nothing that can be relied on.
Stated = tuple[StatedBudget, ...] | Refusal


async def ask_budgets(
    links: Mapping[str, AnswerLink],
    policy: BudgetPolicy,
    entity: Entity,
    lines: Iterable[BudgetLine],
    *,
    now: datetime,
    within_s: float,
) -> Stated:
    """What the source states of the budgets that these lines are held against.

    Nothing where no other system states budgets; `budget_unknown` where it did not answer in time
    or says nothing that can be relied on.
    """
    source = policy.source
    nodes = source.asked_about(line.node for line in lines) if source is not None else ()
    if source is None or not nodes:
        return ()
    link = links.get(source.system)
    if link is None:
        return refuse("question_unanswerable", system=source.system)
    asked = (_ask(link, source, entity, node, now, within_s) for node in nodes)
    said = await asyncio.gather(*asked)
    refused = [each for each in said if isinstance(each, Refusal)]
    return refused[0] if refused else tuple(e for e in said if isinstance(e, StatedBudget))


async def _ask(
    link: AnswerLink,
    source: BudgetSource,
    entity: Entity,
    node: str,
    now: datetime,
    within_s: float,
) -> StatedBudget | Refusal:
    question = Question(BALANCE_QUESTION, entity.id, node_facts(node))
    answer = await ask_at_once(link, question, within_s)
    if isinstance(answer, Permanent):
        return answer.refusal
    if isinstance(answer, NotKnown):
        return budget_unknown(source, node, "no usable answer")
    return stated_by(source, node, entity.base_currency, answer.value, answer.as_of, now)


def left_unasked(
    policy: BudgetPolicy, lines: Iterable[BudgetLine], stated: Iterable[StatedBudget]
) -> Refusal | None:
    """`budget_unknown` where the source was not asked about a budget of these lines."""
    if policy.source is None:
        return None
    known = {each.node for each in stated}
    needed = policy.source.asked_about(line.node for line in lines)
    missing = [node for node in needed if node not in known]
    return budget_unknown(policy.source, missing[0], "not asked") if missing else None
