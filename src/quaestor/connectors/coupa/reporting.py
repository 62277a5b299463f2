"""Writing back what became of a requisition, where its people look for it.

Coupa's way for an integration to speak about a document is the integration history record; with
`create_alert` it also reaches the integration's contacts ("Integration History Record API",
playbook "PO's and PO Changes Integration into your ERP", option 2). A record is found again by its
`external-id`, which is our key. Custom fields of the header show number and state in the
requisition itself, where an installation has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from quaestor.connectors.coupa.asked import PATHS, member
from quaestor.connectors.coupa.client import CoupaClient, Refused
from quaestor.connectors.coupa.config import CoupaConfig, ReportRules
from quaestor.connectors.coupa.manifest import REQUISITIONS
from quaestor.connectors.kit.contract import (
    Absent,
    Applied,
    Command,
    Found,
    Permanent,
    Rejected,
    Several,
    Submitted,
)
from quaestor.model.refusal import REFUSALS, refuse
from quaestor.model.status import DocumentStatus

__all__ = ["RECORDS", "Reporting", "render_report"]

RECORDS = "/integration_history_records"
ALERTS = f"{RECORDS}/create_alert"
_RECORD_FIELDS = ("id", "document-id", "document-type", "external-id", "status", "responses")
_TEXT_MAX = 255


class Report(msgspec.Struct, frozen=True):
    """What is stored and sent: the custom fields to set, and the record to create, as its bytes."""

    requisition: int
    fields: Mapping[str, str]
    record: msgspec.Raw
    alert: bool


def render_report(command: Command, rules: ReportRules) -> bytes:
    """The bytes of a report; pure. Raises `Permanent` where Coupa has no such document."""
    status = command.status
    if status is None or not status.source_id.isdigit():
        why = "a report needs the status of one of Coupa's requisitions"
        raise Permanent(why, refuse("connector_refused", system=command.system, why=why))
    fields = {
        rules.order_field: ", ".join(status.orders),
        rules.state_field: status.state,
    }
    record: dict[str, Any] = {
        "document-type": "RequisitionHeader",
        "document-id": int(status.source_id),
        "document-status": status.state,
        "contact-alert-type": rules.alerts,
        "external-id": command.key,
        "status": "error" if status.state == "refused" else "success",
        "responses": [_response(status)],
    }
    if rules.integration:
        record["integration"] = {"code": rules.integration}
    report = Report(
        requisition=int(status.source_id),
        fields={name: value[:_TEXT_MAX] for name, value in fields.items() if name},
        record=msgspec.Raw(msgspec.json.encode(record, order="deterministic")),
        alert=status.state == "refused",
    )
    return msgspec.json.encode(report, order="deterministic")


def _response(status: DocumentStatus) -> dict[str, str]:
    """The refusal in the words of its meaning, or what became of the requisition."""
    if status.refusal is None:
        told = status.message or f"{status.state}: {', '.join(status.orders)}".removesuffix(": ")
        return {"response-code": status.state, "response-message": told}
    refusal = status.refusal
    meaning = REFUSALS[refusal.code].meaning if refusal.code in REFUSALS else refusal.code
    details = ", ".join(f"{name}: {value}" for name, value in sorted(refusal.details.items()))
    parts = [status.message, meaning, details]
    return {
        "response-code": refusal.code,
        "response-message": " ".join(part for part in parts if part),
    }


class Reporting:
    """Sends reports to one installation."""

    def __init__(self, config: CoupaConfig, client: CoupaClient) -> None:
        self._config = config
        self._client = client

    async def submit(self, command: Command, stored: bytes) -> Submitted:
        """Set the fields, then create the record unless it stands there.

        Both may be done twice: the fields are set, and a record that is there is looked for first.
        """
        report = msgspec.json.decode(stored, type=Report)
        rejected = await self._set(report)
        if rejected is not None:
            return rejected
        found = await self.find(command)
        if isinstance(found, Applied):
            return found
        created = await self._client.change(
            "POST", ALERTS if report.alert else RECORDS, bytes(report.record), _RECORD_FIELDS
        )
        if isinstance(created, Refused):
            return self._rejected(created)
        return _applied(created)

    async def find(self, command: Command) -> Found:
        """The record under our key; two of them say the same, and do no harm."""
        query = {"external_id": command.key, "order_by": "id", "dir": "asc", "limit": "2"}
        listed = await self._client.listed_values(RECORDS, query, _RECORD_FIELDS)
        if isinstance(listed, Refused):
            raise listed.permanent(self._config.system)
        ours = [one for one in listed if member(one, "external-id") == command.key]
        if not ours:
            return Absent()
        if len(ours) > 1:
            return Several(tuple(str(one.get("id")) for one in ours))
        return _applied(ours[0])

    async def _set(self, report: Report) -> Rejected | None:
        """Set the custom fields; Coupa takes one that it does not know without a word."""
        if not report.fields:
            return None
        path = f"{PATHS[REQUISITIONS]}/{report.requisition}"
        body = msgspec.json.encode({"custom-fields": report.fields})
        changed = await self._client.change("PUT", path, body, ("id", "custom-fields"))
        if isinstance(changed, Refused):
            return self._rejected(changed)
        shown = member(changed, "custom-fields") or {}
        lost = [name for name, value in report.fields.items() if member(shown, name) != value]
        if lost:
            message = f"Coupa has no custom field {', '.join(lost)} on requisitions"
            details = {"code": "custom_field_unknown", "message": message}
            return Rejected(refuse("status_not_reported", **details))
        return None

    def _rejected(self, refused: Refused) -> Rejected:
        return Rejected(refuse("status_not_reported", **refused.details()))


def _applied(record: Mapping[str, Any]) -> Applied:
    return Applied(str(record.get("id")))
