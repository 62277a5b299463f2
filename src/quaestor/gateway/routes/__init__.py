"""The operations of the API, one file per noun."""

from __future__ import annotations

from quaestor.gateway.operation import Operation
from quaestor.gateway.routes.requisitions import REQUISITIONS

__all__ = ["OPERATIONS"]

OPERATIONS: tuple[Operation, ...] = (*REQUISITIONS,)
