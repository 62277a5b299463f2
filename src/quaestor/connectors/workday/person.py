"""One person's own acts in Workday: see what waits for him, approve, deny, send back.

Workday takes an act from the person whose token it is, and from nobody else: an integration
cannot approve for him. So this is no action of the connector; whoever lets people act from
elsewhere gives each of them a wire with a grant of his own.

An act is sent once. Where its answer is lost (`Ambiguous`), `standing` tells; a second act on a
completed step is refused as `approval_not_awaiting_you`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from quaestor.connectors.kit.classify import Answer
from quaestor.connectors.kit.contract import Ambiguous, Permanent, Rejected, Transient
from quaestor.connectors.kit.redact import safe_text
from quaestor.connectors.kit.wires.http import HttpRequest, HttpWire
from quaestor.connectors.workday.client import hear_rest
from quaestor.connectors.workday.config import WorkdayConfig
from quaestor.model.refusal import Refusal, refuse

__all__ = ["ACT_REFUSALS", "Acted", "AwaitingStep", "WorkdayPerson"]

PAGE = 100
COMMENT_CHARS = 4000

_WID = re.compile(r"[0-9a-f]{32}")
_CODE = re.compile(r"A[0-9]{2,5}")

# The error codes of Workday's OpenAPI (businessProcess v1) for approve, deny and sendBack.
ACT_REFUSALS: Mapping[str, str] = {
    "A181": "approval_comment_required",
    "A183": "approval_step_not_deniable",
    "A190": "approval_step_not_approvable",
    "A202": "approval_return_target_wrong",
    "A212": "approval_not_awaiting_you",
    "A225": "approval_denial_unauthorized",
    "A227": "approval_step_not_returnable",
    "A234": "approval_action_missing",
    "A1573": "approval_comment_forbidden",
}


class AwaitingStep(msgspec.Struct, frozen=True):
    """A step as the person sees it. `event` is the process; `completed` is a date or empty."""

    id: str
    descriptor: str
    event: str
    process: str
    status: str
    created: str
    completed: str = ""


class Acted(msgspec.Struct, frozen=True):
    """Workday took the act; `status` is the step's, or the process's, afterwards."""

    step: str
    status: str


class WorkdayPerson:
    """The person whose token the wire carries. Keeps nothing."""

    def __init__(self, config: WorkdayConfig, wire: HttpWire) -> None:
        self._config = config
        self._wire = wire

    async def awaiting(self) -> tuple[AwaitingStep, ...]:
        """Every step that waits for this person. Raises `Transient` or `Permanent`."""
        found: list[AwaitingStep] = []
        for page in range(self._config.pages_max):
            answer = await self._get(f"/eventSteps?limit={PAGE}&offset={page * PAGE}")
            if answer.status >= 400:
                refusal = self._refusal(answer)
                raise Permanent("Workday does not show what waits", refusal)
            rows = answer.json.get("data")
            if not isinstance(rows, list):
                raise Transient("the answer has no rows", system=False)
            found += (_step(row) for row in rows if isinstance(row, dict))
            if len(rows) < PAGE:
                return tuple(found)
        raise Transient("more waits for this person than pages_max allows", system=False)

    async def standing(self, step: str) -> AwaitingStep | None:
        """The step as it is now; `None` where this person may not see it."""
        self._known(step)
        answer = await self._get(f"/eventSteps/{step}")
        if answer.status == 404:
            return None
        if answer.status >= 400:
            raise Permanent("Workday does not show the step", self._refusal(answer))
        return _step(answer.json)

    async def approve(self, step: str, comment: str) -> Acted | Rejected:
        """Approve; Workday asks for a comment."""
        return await self._act(step, "approve", {"comment": comment})

    async def deny(self, step: str, comment: str, action: str = "") -> Acted | Rejected:
        """Deny; `action` is the step action's id where there are several."""
        chosen = {"stepAction": {"id": action}} if action else {}
        return await self._act(step, "deny", {"comment": comment, **chosen})

    async def send_back(self, step: str, reason: str, to: str) -> Acted | Rejected:
        """Send back to the step with the id `to`."""
        self._known(to)
        return await self._act(step, "sendBack", {"reason": reason, "to": {"id": to}})

    async def _act(self, step: str, act: str, body: Mapping[str, Any]) -> Acted | Rejected:
        self._known(step)
        said = body.get("comment") or body.get("reason") or ""
        if not said.strip():
            return Rejected(refuse("approval_comment_required"))
        if len(said) > COMMENT_CHARS:
            raise _unusable(f"the comment has more than {COMMENT_CHARS} characters")
        target = f"{self._config.rest_path}/eventSteps/{step}/{act}"
        headers = (("Accept", "application/json"), ("Content-Type", "application/json"))
        # The published text names the id as a field of the body too.
        content = msgspec.json.encode({"id": step, **body})
        request = HttpRequest("POST", target, headers, content, commits=True)
        answer = await self._wire.exchange(request, hear_rest)
        if answer.status >= 400:
            return Rejected(self._refusal(answer))
        told = answer.json
        if told.get("id") not in (None, step):
            raise Ambiguous("Workday answered about another step")
        return Acted(step, _descriptor(told.get("eventStatus") or told.get("status")))

    async def _get(self, target: str) -> Answer:
        headers = (("Accept", "application/json"),)
        request = HttpRequest("GET", f"{self._config.rest_path}{target}", headers)
        return await self._wire.exchange(request, hear_rest)

    def _refusal(self, answer: Answer) -> Refusal:
        """The first code that has a name here, else Workday's own code and sentence."""
        codes = _codes(answer.json)
        message = self._wire.safe(safe_text(str(answer.json.get("error", ""))))
        for code in codes:
            if code in ACT_REFUSALS:
                return refuse(ACT_REFUSALS[code], code=code, message=message)
        told = codes[0] if codes else f"HTTP {answer.status}"
        return refuse("approval_act_refused", code=told, message=message)

    def _known(self, identifier: str) -> None:
        if _WID.fullmatch(identifier) is None:
            raise _unusable("the step is not named by a Workday ID")


def _codes(spoken: Any) -> list[str]:
    if not isinstance(spoken, Mapping):
        return []
    rows = [spoken, *(one for one in spoken.get("errors") or () if isinstance(one, Mapping))]
    codes = (str(row.get("code", "")) for row in rows)
    return [code for code in codes if _CODE.fullmatch(code)]


def _step(row: Mapping[str, Any]) -> AwaitingStep:
    event = row.get("event")
    return AwaitingStep(
        id=str(row.get("id", "")),
        descriptor=str(row.get("descriptor", "")),
        event=str(event.get("id", "")) if isinstance(event, Mapping) else "",
        process=_descriptor(row.get("overallProcess")) or _descriptor(event),
        status=_descriptor(row.get("status")),
        created=str(row.get("creationDate", "")),
        completed=str(row.get("completedDate", "")),
    )


def _descriptor(reference: Any) -> str:
    return str(reference.get("descriptor", "")) if isinstance(reference, Mapping) else ""


def _unusable(why: str) -> Permanent:
    return Permanent(why, refuse("connector_refused", system="workday", why=why))
