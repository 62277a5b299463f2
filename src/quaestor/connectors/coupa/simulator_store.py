"""The objects that stand in our Coupa: requisitions, master data, integration history records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from typing import Any

from quaestor.connectors.coupa.fields import HEADER

__all__ = ["RESOURCES", "Collection", "SimStore", "stamp"]

RESOURCES = ("requisitions", "suppliers", "users", "accounts", "integration_history_records")

# Coupa writes times in the company's own zone, not in UTC.
_ZONE = timezone(timedelta(hours=-8))
_FIRST_ID = 50_001


def stamp(moment: datetime) -> str:
    """A time as Coupa writes it: whole seconds, in the company's zone."""
    return moment.astimezone(_ZONE).isoformat(timespec="seconds")


class Collection:
    """One resource: objects by id, and the monotonic second from which each can be seen."""

    def __init__(self) -> None:
        self._objects: dict[int, dict[str, Any]] = {}
        self._visible_at: dict[int, float] = {}

    def __contains__(self, identity: int) -> bool:
        return identity in self._objects

    def put(self, value: Mapping[str, Any], visible_at: float = 0.0) -> None:
        identity = int(value["id"])
        self._objects[identity] = deepcopy(dict(value))
        self._visible_at.setdefault(identity, visible_at)

    def get(self, identity: int, now: float | None = None) -> dict[str, Any] | None:
        """The object itself, to be changed in place; with `now` only if it can be seen."""
        if now is not None and self._visible_at.get(identity, 0.0) > now:
            return None
        return self._objects.get(identity)

    def seen(self, now: float) -> list[dict[str, Any]]:
        """What can be seen, in the order of arrival."""
        return [one for identity, one in self._objects.items() if self._visible_at[identity] <= now]

    def every(self) -> Iterable[dict[str, Any]]:
        return self._objects.values()

    def next_id(self) -> int:
        return max([_FIRST_ID - 1, *self._objects]) + 1


class SimStore:
    """All resources of one simulated installation."""

    def __init__(self) -> None:
        self.of = {name: Collection() for name in RESOURCES}

    def take(self, document: Mapping[str, Any]) -> None:
        """A requisition as a file holds it, with the master data that it refers to.

        What Coupa does not publish is left out. Lines that repeat a number are dropped without a
        word, as Coupa does ("Requisitions API", Line Numbering); the count of lines keeps them.
        """
        requisition = {name: value for name, value in document.items() if name in HEADER}
        requisition.setdefault("exported", False)
        requisition.setdefault("last-exported-at", None)
        given = requisition.get("requisition-lines") or []
        requisition.setdefault("line-count", len(given))
        requisition["requisition-lines"] = _without_repeated(given)
        self.of["requisitions"].put(requisition)
        self._refer(requisition)

    def _refer(self, requisition: Mapping[str, Any]) -> None:
        at = requisition.get("updated-at")
        for person in ("requested-by", "created-by", "updated-by"):
            self._replica("users", requisition.get(person), at, active=True)
        for line in requisition["requisition-lines"]:
            self._replica("suppliers", line.get("supplier"), at)
            allocations = line.get("account-allocations") or []
            for holder in (line, *allocations):
                self._replica("accounts", holder.get("account"), at)

    def _replica(self, resource: str, value: Any, at: Any, **more: Any) -> None:
        if not isinstance(value, dict) or not isinstance(value.get("id"), int):
            return
        if value["id"] not in self.of[resource]:
            self.of[resource].put({**more, "created-at": at, "updated-at": at, **value})


def _without_repeated(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept: dict[Any, dict[str, Any]] = {}
    for position, line in enumerate(lines, start=1):
        kept.setdefault(line.get("line-num", position), line)
    return list(kept.values())
