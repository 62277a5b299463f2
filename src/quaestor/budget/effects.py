"""What may be asked of a budget, and what it answers.

A flow returns the effects in its steps; `budget.decide` answers them against the balances; the
runtime writes what was decided. The words live here, in the room that knows what they mean, and
`flows.kit` offers them on as part of the vocabulary of a step.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from quaestor.model.refusal import Refused

__all__ = [
    "Adjust",
    "BudgetEffect",
    "BudgetLine",
    "BudgetResult",
    "Commit",
    "Committed",
    "Consume",
    "Consumed",
    "Release",
    "Released",
    "Relieve",
    "Relieved",
    "Reserve",
    "Reserved",
    "StatedBudget",
]


class BudgetLine(msgspec.Struct, frozen=True):
    """An amount in the base currency of the budget, asked of one budget node.

    `node` is the budget key (`entity/fiscal year/cost center/account` as budgeted).
    """

    node: str
    amount: Decimal


class StatedBudget(msgspec.Struct, frozen=True):
    """What `system` says may be spent on a node, in base currency, true at `as_of`."""

    node: str
    amount: Decimal
    as_of: datetime
    system: str


class _Named(msgspec.Struct, frozen=True):
    """Every effect has a name, unique in its document, that its result comes back under."""

    name: str


class Reserve(_Named, frozen=True, tag="reserve"):
    """Pre-encumber all lines or none. Result: `Reserved` or `Refused`.

    A document that already holds other lines is refused with `budget_key_reused`: what it holds
    is changed with `Adjust`. The nodes' budgets are first set to what is `stated`, which stays
    so when the lines are refused.
    """

    lines: tuple[BudgetLine, ...]
    stated: tuple[StatedBudget, ...] = ()


class Adjust(_Named, frozen=True, tag="adjust"):
    """Change the open reservation to these lines; only an increase is checked. As `Reserve`.

    Where nothing is reserved (any more), the increase is the whole.
    """

    lines: tuple[BudgetLine, ...]
    stated: tuple[StatedBudget, ...] = ()


class Commit(_Named, frozen=True, tag="commit"):
    """Turn reserved amounts into an encumbrance: relieve `relieves`, encumber `lines`.

    Only the increase over what is relieved is checked (B3). Result: `Committed` or `Refused`.
    """

    relieves: tuple[BudgetLine, ...]
    lines: tuple[BudgetLine, ...]


class Relieve(_Named, frozen=True, tag="relieve"):
    """Lower the encumbrance (a cancelled order), never below zero. Result: `Relieved`."""

    lines: tuple[BudgetLine, ...]


class Release(_Named, frozen=True, tag="release"):
    """Free whatever this document still has reserved; idempotent (B12). Result: `Released`."""


class Consume(_Named, frozen=True, tag="consume"):
    """Book actuals of an invoice and relieve the encumbrance (B4). Result: `Consumed`.

    The debt exists: an exhausted budget warns, it never stops the booking. A credit note has
    negative `actuals` and relieves nothing (B16).
    """

    relieves: tuple[BudgetLine, ...]
    actuals: tuple[BudgetLine, ...]


BudgetEffect = Reserve | Adjust | Commit | Relieve | Release | Consume


class Reserved(msgspec.Struct, frozen=True, tag="reserved"):
    """The budget holds these lines for the document; `as_of` is when it was decided.

    `warnings` name what was granted although the budget is short (`over_budget:NODE`, B9).
    """

    lines: tuple[BudgetLine, ...]
    as_of: datetime
    warnings: tuple[str, ...] = ()


class Committed(msgspec.Struct, frozen=True, tag="committed"):
    """The budget carries these lines as an encumbrance; `warnings` as in `Reserved`."""

    lines: tuple[BudgetLine, ...]
    as_of: datetime
    warnings: tuple[str, ...] = ()


class Released(msgspec.Struct, frozen=True, tag="released"):
    """What was still reserved is free again; empty when nothing was."""

    lines: tuple[BudgetLine, ...] = ()


class Relieved(msgspec.Struct, frozen=True, tag="relieved"):
    """The encumbrance was lowered by these lines, which may be less than was asked (B18)."""

    lines: tuple[BudgetLine, ...] = ()


class Consumed(msgspec.Struct, frozen=True, tag="consumed"):
    """Actuals were booked; `warnings` as in `Reserved`."""

    actuals: tuple[BudgetLine, ...] = ()
    warnings: tuple[str, ...] = ()


BudgetResult = Reserved | Committed | Relieved | Released | Consumed | Refused
