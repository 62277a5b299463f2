"""Our Workday's businessProcess REST: processes, their steps, and a person's own acts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from quaestor.connectors.kit.simulated import SimAnswer, SimRequest, json_answer
from quaestor.connectors.workday.simulator_process import (
    Act,
    Held,
    NotAwaiting,
    People,
    Person,
    Process,
    Step,
    wid,
)

__all__ = ["Rest"]

LIMIT = 20
LIMIT_MAX = 100
_MESSAGES: Mapping[str, str] = {
    "A181": "Specify a comment.",
    "A202": "The step you are sending back to isn't supported for this business process.",
    "A212": "This event step is not awaiting your action.",
    "A225": "You are not authorized to deny this event step",
}
_ACTS: Mapping[str, Act] = {"approve": "approve", "deny": "deny", "sendBack": "send_back"}


class Rest:
    """Answers requests of one person, or of the integration (`None`), who sees its own."""

    def __init__(
        self,
        people: People,
        initiator: str,
        held: Callable[[], Sequence[Held]],
        act: Callable[[Process, Person, Act, str], Step],
    ) -> None:
        self._people = people
        self._initiator = initiator
        self._held = held
        self._act = act

    def handle(self, request: SimRequest, path: str, person: Person | None) -> SimAnswer:
        """`path` is below `/businessProcess/v1`."""
        parts = path.strip("/").split("/")
        match (request.method, parts):
            case ("GET", ["events"]):
                return self._events(request, person)
            case ("GET", ["events", identifier]):
                held = self._seen(identifier, person)
                return json_answer(200, self._event(held)) if held else _missing()
            case ("GET", ["events", identifier, ("completedSteps" | "inProgressSteps") as which]):
                held = self._seen(identifier, person)
                return _paged(request, self._steps(held, which)) if held else _missing()
            case ("GET", ["eventSteps"]):
                awaited = [
                    self._step(one, step)
                    for one, step in self._waiting()
                    if person is not None and _process(one).holder(person) is not None
                ]
                return _paged(request, awaited)
            case ("GET", ["eventSteps", identifier]):
                found = self._of_step(identifier, person)
                return json_answer(200, self._step(*found)) if found else _missing()
            case ("POST", ["eventSteps", identifier, act]) if act in _ACTS:
                return self._acted(request, identifier, _ACTS[act], person)
        return _missing()

    # --- reading --------------------------------------------------------------------------------

    def _events(self, request: SimRequest, person: Person | None) -> SimAnswer:
        query = request.query
        # "You must specify exactly one worker parameter": without, there is nothing to see.
        if "initiator" not in query and "worker" not in query:
            return _paged(request, [])
        found = [
            held
            for held in self._held()
            if held.process is not None
            and query.get("initiator", self._initiator) == self._initiator
            and _within(held.process, query)
            and self._may_see(held, person)
        ]
        return _paged(request, [self._event(held) for held in found])

    def _event(self, held: Held) -> dict[str, Any]:
        process = _process(held)
        called = f"Requisition: {held.number}"
        told: dict[str, Any] = {
            "id": process.wid,
            "descriptor": called,
            "creationDate": process.began_on.isoformat(),
            "effectiveDate": process.began_on.isoformat(),
            "status": _instance("status", process.status),
            "initiator": {"id": self._initiator, "descriptor": "Quaestor Integration"},
            "overallBusinessProcess": {"id": process.wid, "descriptor": called},
            "for": {"id": held.wid, "descriptor": held.number},
        }
        if process.completed_on is not None:
            told["completedDate"] = process.completed_on.isoformat()
        return told

    def _steps(self, held: Held, which: str) -> list[dict[str, Any]]:
        completed = which == "completedSteps"
        steps = _process(held).steps
        return [
            self._step(held, one) for one in steps if (one.completed_on is not None) is completed
        ]

    def _step(self, held: Held, step: Step) -> dict[str, Any]:
        process = _process(held)
        told: dict[str, Any] = {
            "id": step.wid,
            "descriptor": f"Approval by {step.rule.by}",
            "order": "abcdefghijklmnopqrstuvwxyz"[process.steps.index(step) % 26],
            "creationDate": step.began_on.isoformat(),
            "status": _instance("status", step.status),
            "event": {"id": process.wid, "descriptor": f"Requisition: {held.number}"},
            "awaitingPersons": [_shown(person) for person in step.awaiting],
            "comments": [],
        }
        if step.completed_on is not None:
            told["completedDate"] = step.completed_on.isoformat()
        if step.acted is not None and step.holder is not None:
            told["completedByPerson"] = _shown(step.acted)
            if step.acted.id != step.holder.id:
                name = f"{step.acted.name} (On Behalf of: {step.holder.name})"
                told["completedByPerson"] = {"id": step.acted.wid, "descriptor": name}
            if step.comment:
                told["comments"] = [
                    {
                        "commentDate": told["completedDate"],
                        "person": _shown(step.acted),
                        "comment": step.comment,
                    }
                ]
        return told

    # --- acting ---------------------------------------------------------------------------------

    def _acted(
        self, request: SimRequest, identifier: str, act: Act, person: Person | None
    ) -> SimAnswer:
        found = self._of_step(identifier, person)
        if found is None or person is None:
            return _missing()
        try:
            given = msgspec.json.decode(request.body, type=dict[str, Any])
        except msgspec.DecodeError:
            return _refused(400, "invalid request", [])
        held, step = found
        comment = str(given.get("reason" if act == "send_back" else "comment") or "").strip()
        if act == "send_back" and (not comment or not isinstance(given.get("to"), dict)):
            return _refused(400, "invalid request: reason and to are required", [])
        if not comment:
            return _refused(400, "validation error", ["A181"])
        process = _process(held)
        if process.waiting is not step:
            return _refused(400, "validation error", ["A212"])
        if process.holder(person) is None:
            return _refused(400, "validation error", ["A225" if act == "deny" else "A212"])
        if act == "send_back" and given["to"].get("id") != wid(process.wid, "initiation"):
            return _refused(400, "validation error", ["A202"])
        try:
            done = self._act(process, person, act, comment)
        except NotAwaiting:
            return _refused(400, "validation error", ["A212"])
        status = "status" if act == "send_back" else "eventStatus"
        text = "reason" if act == "send_back" else "comment"
        said = {"id": done.wid, text: comment, status: _instance("status", done.status)}
        if act == "send_back":
            said["to"] = {"id": given["to"]["id"]}
        return json_answer(201, said)

    # --- who sees what --------------------------------------------------------------------------

    def _seen(self, identifier: str, person: Person | None) -> Held | None:
        found = (held for held in self._held() if held.process and held.process.wid == identifier)
        held = next(found, None)
        return held if held is not None and self._may_see(held, person) else None

    def _may_see(self, held: Held, person: Person | None) -> bool:
        process = _process(held)
        if person is None or person.id == process.requester:
            return True
        asked = {one.id for step in process.steps for one in step.awaiting}
        return person.id in asked or process.holder(person) is not None

    def _waiting(self) -> list[tuple[Held, Step]]:
        running = [(held, held.process.waiting) for held in self._held() if held.process]
        return [(held, step) for held, step in running if step is not None]

    def _of_step(self, identifier: str, person: Person | None) -> tuple[Held, Step] | None:
        for held in self._held():
            for step in held.process.steps if held.process else ():
                if step.wid == identifier and self._may_see(held, person):
                    return held, step
        return None


def _process(held: Held) -> Process:
    assert held.process is not None, "only submitted requisitions have events"
    return held.process


def _within(process: Process, query: Mapping[str, str]) -> bool:
    began = process.began_on.isoformat()
    ended = process.completed_on.isoformat() if process.completed_on is not None else ""
    if ("completedOnOrAfter" in query or "completedOnOrBefore" in query) and not ended:
        return False
    return query.get("completedOnOrAfter", "") <= ended <= query.get(
        "completedOnOrBefore", "9"
    ) and query.get("initiatedOnOrAfter", "") <= began <= query.get("initiatedOnOrBefore", "9")


def _paged(request: SimRequest, rows: Sequence[Mapping[str, Any]]) -> SimAnswer:
    try:
        limit = min(int(request.query.get("limit", LIMIT)), LIMIT_MAX)
        offset = int(request.query.get("offset", 0))
    except ValueError:
        return _refused(400, "invalid paging", [])
    return json_answer(200, {"total": len(rows), "data": rows[offset : offset + limit]})


def _instance(kind: str, descriptor: str) -> dict[str, str]:
    return {"id": wid(kind, descriptor), "descriptor": descriptor}


def _shown(person: Person) -> dict[str, str]:
    return {"id": person.wid, "descriptor": person.name}


def _missing() -> SimAnswer:
    return _refused(404, "resource not found", [])


def _refused(status: int, error: str, codes: Sequence[str]) -> SimAnswer:
    errors = [{"error": _MESSAGES[code], "code": code, "severity": "Critical"} for code in codes]
    return json_answer(status, {"error": error, **({"errors": errors} if errors else {})})
