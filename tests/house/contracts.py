"""An import contract for a house whose rooms are built one after another.

`forbidden`, as import-linter ships it, stops when a room it names does not exist yet. Naming
only the rooms that stand would leave each new room unguarded until somebody remembers the list.
"""

from __future__ import annotations

from grimp import ImportGraph
from importlinter import ContractCheck
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.domain.imports import ModuleExpression

__all__ = ["RoomContract"]


class RoomContract(ForbiddenContract):
    """Forbids imports, direct or through others, between the named rooms that already stand."""

    type_name = "room"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Check the rooms in `graph`; those not yet built are left out."""
        self.source_modules = _standing(self.source_modules, graph)
        self.forbidden_modules = _standing(self.forbidden_modules, graph)
        return super().check(graph, verbose)


def _standing(expressions: set[ModuleExpression], graph: ImportGraph) -> set[ModuleExpression]:
    return {
        expression
        for expression in expressions
        if expression.has_wildcard_expression()
        or not expression.expression.startswith("quaestor.")
        or expression.expression in graph.modules
    }
