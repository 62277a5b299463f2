"""The rules of a project folder: approvals, budget, validation, ownership."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, TypeVar

import msgspec

from quaestor.budget.keys import BudgetPolicy
from quaestor.budget.stating import BudgetSource
from quaestor.model.budget import BudgetNode, Control, node_key
from quaestor.project.files import Folder
from quaestor.project.ownership import Ownership
from quaestor.project.project import ApprovalRules
from quaestor.project.shape import Reader
from quaestor.validation.requisition import Limits

__all__ = ["BudgetEntry", "read_approval_rules", "read_budget", "read_limits", "read_ownership"]

T = TypeVar("T")


class BudgetEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One budget as it is written: the same amount in each of `fiscal_years`.

    Its key is `entity/year/cost center[/account]`. `parent` is the cost center, and the account
    where it has one, of the budget above it, in the same form without entity and year. `live` is
    one whose amount the source of the file states; `amount` is then not needed.
    """

    entity: str
    fiscal_years: tuple[int, ...]
    cost_center: str
    amount: Decimal | None = None
    account: str | None = None
    control: Control = "absolute"
    tolerance_pct: Decimal | None = None
    tolerance_amount: Decimal | None = None
    parent: str | None = None
    live: bool = True

    def nodes(self, *, has_source: bool) -> tuple[BudgetNode, ...]:
        """One node a year."""
        return tuple(
            BudgetNode(
                key=node_key(self.entity, year, self.cost_center, self.account),
                entity=self.entity,
                amount=self.amount or Decimal(0),
                control=self.control,
                tolerance_pct=self.tolerance_pct,
                tolerance_amount=self.tolerance_amount,
                parent=None if self.parent is None else f"{self.entity}/{year}/{self.parent}",
                is_live=has_source and self.live,
            )
            for year in self.fiscal_years
        )


class _BudgetFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`source` is the system that states the amounts; its answers count for `max_age_s`."""

    by_account: bool = True
    budget_accounts: dict[str, str] = {}
    source: str | None = None
    mode: Literal["gross", "net"] = "gross"
    max_age_s: Annotated[int, msgspec.Meta(gt=0)] = 900
    budgets: tuple[BudgetEntry, ...] = ()


def read_approval_rules(folder: Folder) -> ApprovalRules:
    """policies/approvals.yaml; the defaults where there is none."""
    return _read(folder, "policies/approvals.yaml", ApprovalRules) or ApprovalRules()


def read_limits(folder: Folder) -> Limits:
    """policies/validation.yaml; the defaults where there is none."""
    return _read(folder, "policies/validation.yaml", Limits) or Limits()


def read_ownership(folder: Folder) -> Ownership:
    """ownership.yaml; nothing is declared where there is none."""
    return _read(folder, "ownership.yaml", Ownership) or Ownership()


def read_budget(folder: Folder) -> tuple[BudgetPolicy, dict[str, BudgetNode]]:
    """policies/budget.yaml: how a coding finds its budget, and the budgets by key."""
    file = "policies/budget.yaml"
    read = _read(folder, file, _BudgetFile) or _BudgetFile()
    nodes: dict[str, BudgetNode] = {}
    for entry in read.budgets:
        if entry.amount is None and not (read.source and entry.live):
            place = f"{entry.entity}/{entry.cost_center}"
            folder.problems.add(
                "value_missing", file, "budgets", f"{place} has no amount", "amount: 1000.00"
            )
        for node in entry.nodes(has_source=read.source is not None):
            if node.key in nodes:
                folder.problems.add(
                    "id_repeated", file, "budgets", f"there are two budgets {node.key}"
                )
            if node.amount < 0:
                folder.problems.add(
                    "value_invalid", file, "budgets", f"{node.key} is below zero", "0 or more"
                )
            nodes[node.key] = node
    for node in nodes.values():
        if node.parent is not None and node.parent not in nodes:
            folder.problems.add(
                "budget_unknown", file, "budgets", f"{node.key} has no parent {node.parent}"
            )
    if read.mode != "gross":
        folder.problems.add(
            "mode_unsupported", file, "mode", "no budget is net in this build", "mode: gross"
        )
    source = None
    if read.source is not None:
        stated = {node.key: node.parent for node in nodes.values() if node.is_live}
        source = BudgetSource(read.source, read.max_age_s, stated)
    return BudgetPolicy(read.by_account, read.budget_accounts, source), nodes


def _read(folder: Folder, name: str, kind: type[T]) -> T | None:
    if not folder.names(name):
        return None
    source = folder.yaml(name)
    if source is None:
        return None
    reader = Reader(source, folder.problems)
    return reader.convert({} if source.value is None else source.value, kind)
