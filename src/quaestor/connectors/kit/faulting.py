"""Which request meets which fault: the plan behind `PUT /faults` of a simulator."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import msgspec

__all__ = ["Fault", "FaultPlan"]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "MERGE", "DELETE", "*"})


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One planned fault.

    `on` is a method and a path ("POST /orders"): the path's beginning, or a pattern with `*` or
    `…`. `nth` counts matching requests from the moment the fault was put, the next one being 1;
    from there on the fault meets `times` of them. `seconds` is the delay of `commit_late`, the
    length of `hang`, or the `Retry-After` of `429`.
    """

    on: str
    do: Literal[
        "drop_after_commit",
        "500_after_commit",
        "commit_late",
        "reset",
        "hang",
        "429",
        "expire_token",
    ]
    nth: Annotated[int, msgspec.Meta(ge=1)] = 1
    seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 5.0
    times: Annotated[int, msgspec.Meta(ge=1)] = 1

    def __post_init__(self) -> None:
        method, _, path = self.on.partition(" ")
        if method not in _METHODS or not path.startswith(("/", "*", "…")):
            raise ValueError("`on` must be a method and a path, such as `POST /orders`")

    def meets(self, method: str, path: str) -> bool:
        """Whether a request is of the kind that this fault counts."""
        wanted, _, pattern = self.on.partition(" ")
        if wanted not in ("*", method):
            return False
        pattern = pattern.replace("…", "*")
        return fnmatchcase(path, pattern) if "*" in pattern else path.startswith(pattern)


class _Pending:
    __slots__ = ("fault", "left", "seen")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen = 0
        self.left = fault.times


class FaultPlan:
    """The faults still to come. Every fault counts each request; the first that is due acts."""

    def __init__(self) -> None:
        self._pending: list[_Pending] = []

    def put(self, faults: Sequence[Fault]) -> None:
        """Replace the plan."""
        self._pending = [_Pending(fault) for fault in faults]

    def next(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets, if any."""
        acting: _Pending | None = None
        for pending in self._pending:
            if not pending.fault.meets(method, path):
                continue
            pending.seen += 1
            if acting is None and pending.seen >= pending.fault.nth:
                acting = pending
        if acting is None:
            return None
        acting.left -= 1
        if acting.left == 0:
            self._pending.remove(acting)
        return acting.fault

    def pending(self) -> list[dict[str, Any]]:
        """The plan as it stands, for `GET /faults`."""
        return [
            {**msgspec.to_builtins(pending.fault), "seen": pending.seen, "left": pending.left}
            for pending in self._pending
        ]
