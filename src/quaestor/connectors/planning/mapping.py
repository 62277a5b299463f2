"""A question about a budget as a path, and the service's answer as facts. Pure.

An answer says as of when it is true. Without that, or with a time that has not come, it has no
age, and what has no age is no fact (DESIGN D13: unknown age fails closed). How old is too old is
decided by the check that asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from quaestor.connectors.kit.contract import Answer, Question
from quaestor.model.budget import node_key

__all__ = ["AnswerUnusable", "QuestionUnusable", "budget_answer", "budget_target"]

_AMOUNT = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,4})?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_YEAR = re.compile(r"[12][0-9]{3}")
# Neither of the two names that a path gives another meaning.
_CODE = re.compile(r"(?!\.{1,2}\Z)[^/\x00-\x1f]{1,64}")


class QuestionUnusable(ValueError):
    """The question does not say which budget is meant."""


class AnswerUnusable(ValueError):
    """The answer is not what the service's definition promises."""


class _Budget(msgspec.Struct, frozen=True):
    """What is read of an answer; fields that are not known are passed over."""

    entity: str
    fiscal_year: int
    cost_center: str
    mode: str
    currency: str
    amount: str
    as_of: datetime
    account: str | None = None
    consumed_elsewhere: str = "0"


def budget_target(question: Question) -> str:
    """Path and query of the budget that is asked for: an entity's, a year's, a cost center's.

    The facts are `fiscal_year`, `cost_center`, and `account` where budgets are by account.
    Raises `QuestionUnusable`.
    """
    year = question.facts.get("fiscal_year", "")
    codes = [question.entity, question.facts.get("cost_center", "")]
    account = question.facts.get("account")
    if not _YEAR.fullmatch(year):
        raise QuestionUnusable("fiscal_year is not a year")
    if not all(_CODE.fullmatch(code) for code in (*codes, *([account] if account else []))):
        raise QuestionUnusable("entity, cost_center or account is not a code")
    entity, cost_center = (quote(code, safe="") for code in codes)
    query = f"?{urlencode({'account': account}, quote_via=quote)}" if account else ""
    return f"/budgets/{entity}/{year}/{cost_center}{query}"


def budget_answer(body: bytes, question: Question, now: datetime, ahead: timedelta) -> Answer:
    """The facts of an answer: `node`, `mode`, `currency`, `budget`, `consumed_elsewhere`.

    Amounts are decimal strings in major units. Raises `AnswerUnusable`, also for an answer to
    another question, and for one from further `ahead` of `now` than clocks may differ.
    """
    try:
        given = msgspec.json.decode(body, type=_Budget)
    except msgspec.DecodeError as error:
        # The decoder names the member, never its value.
        raise AnswerUnusable(f"the answer is not a budget: {error}") from None
    if given.as_of.tzinfo is None:
        raise AnswerUnusable("as_of has no offset from UTC")
    if given.as_of > now + ahead:
        raise AnswerUnusable("as_of lies in the future")
    if given.mode != "gross":
        raise AnswerUnusable("the mode is not gross")
    amounts = (given.amount, given.consumed_elsewhere)
    if not all(_AMOUNT.fullmatch(amount) for amount in amounts):
        raise AnswerUnusable("an amount is not a plain decimal")
    if not _CURRENCY.fullmatch(given.currency):
        raise AnswerUnusable("the currency is not a code of ISO 4217")
    if _named(given) != _asked(question):
        raise AnswerUnusable("the answer is about another budget")
    return Answer(_facts(given), given.as_of)


def _facts(given: _Budget) -> Mapping[str, str]:
    return {
        "node": node_key(given.entity, given.fiscal_year, given.cost_center, given.account),
        "mode": given.mode,
        "currency": given.currency,
        "budget": given.amount,
        "consumed_elsewhere": given.consumed_elsewhere,
    }


def _named(given: _Budget) -> tuple[Any, ...]:
    return (given.entity, str(given.fiscal_year), given.cost_center, given.account or "")


def _asked(question: Question) -> tuple[Any, ...]:
    facts = question.facts
    return (
        question.entity,
        facts.get("fiscal_year"),
        facts.get("cost_center"),
        facts.get("account") or "",
    )
