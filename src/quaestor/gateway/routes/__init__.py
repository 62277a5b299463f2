"""The operations of the API, one file per noun."""

from __future__ import annotations

from quaestor.gateway.operation import Operation
from quaestor.gateway.routes.approvals import APPROVALS
from quaestor.gateway.routes.budget import BUDGET
from quaestor.gateway.routes.reference import REFERENCE
from quaestor.gateway.routes.requisitions import REQUISITIONS
from quaestor.gateway.routes.traces import TRACES, WORKLIST
from quaestor.gateway.routes.validations import VALIDATIONS

__all__ = ["OPERATIONS"]

OPERATIONS: tuple[Operation, ...] = (
    *VALIDATIONS,
    *REQUISITIONS,
    *BUDGET,
    *APPROVALS,
    *REFERENCE,
    *TRACES,
    *WORKLIST,
)
