"""Workday as a system that takes requisitions once, and tells what its people decided.

Nobody can approve for somebody else here: what an integration may do is submit, read and cancel.
A person's own acts are in `person.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from lxml import etree
from msgspec.structs import replace

from quaestor.connectors.kit.contract import (
    DEADLINE_PASSED,
    Absent,
    AlreadyExists,
    Ambiguous,
    Applied,
    Command,
    Delivered,
    Found,
    Manifest,
    Page,
    Permanent,
    Probe,
    Rejected,
    Several,
    Submitted,
    Transient,
    unsupported,
)
from quaestor.connectors.kit.kind import ConnectorKind, ReplicaStream, SimulatorOptions
from quaestor.connectors.kit.published import Published, Reading
from quaestor.connectors.kit.simulated import Simulated
from quaestor.connectors.kit.wires.http import HttpWire
from quaestor.connectors.workday.client import FoundRequisition, WorkdayClient
from quaestor.connectors.workday.config import WorkdayConfig
from quaestor.connectors.workday.decisions import DecisionItem, decided
from quaestor.connectors.workday.manifest import (
    CANCEL_REQUISITION,
    DECISIONS,
    MANIFEST,
    SUBMIT_REQUISITION,
    WORKERS,
)
from quaestor.connectors.workday.mapping import (
    differences,
    reference_in,
    reference_of,
    render_cancel,
    render_submit,
)
from quaestor.connectors.workday.soap import Fault, payload
from quaestor.connectors.workday.workers import worker_ids, worker_row
from quaestor.connectors.workday.xml import child, id_of, text_of
from quaestor.model.refusal import refuse

__all__ = ["KIND", "WorkdayConnector"]

# The sentence of the vendor's own WSDL; Workday gives validation errors no code.
_TAKEN = "documents cannot be resubmitted"
_CANCELLED = frozenset({"canceled", "cancelled"})
# Ids of a document's status whose approval is over; not in any contract that we have.
_ENDED = frozenset({"approved", "denied", "closed"})


class _Cursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of `decisions`: events that ended on `day` or later are asked for, `seen` are delivered."""

    day: str
    seen: tuple[str, ...]


class _WorkerCursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of `workers`: the next page of a reading `as_of` one moment, of who changed `since`."""

    page: int
    as_of: str
    since: str


_C = TypeVar("_C", _Cursor, _WorkerCursor)


class WorkdayConnector:
    """One Workday tenant. Keeps nothing."""

    def __init__(self, config: WorkdayConfig, wire: HttpWire) -> None:
        self._config = config
        self._client = WorkdayClient(config, wire)

    @property
    def manifest(self) -> Manifest:
        config = self._config
        return replace(
            MANIFEST,
            actions={
                action: replace(
                    promise,
                    settle_s=promise.settle_s if config.settle_s is None else config.settle_s,
                    resend=config.resend,
                )
                for action, promise in MANIFEST.actions.items()
            },
        )

    async def check(self) -> tuple[Probe, ...]:
        """Network, credentials and rights, each with what to do in Workday."""
        from quaestor.connectors.workday.check import probes

        return await probes(self._client, self._config)

    # --- submitting -----------------------------------------------------------------------------

    def render(self, command: Command) -> bytes:
        """The SOAP message to store; it carries no credentials."""
        match command.action:
            case "submit_requisition":
                return render_submit(command, self._config.rules, self._config.version)
            case "cancel_requisition":
                return render_cancel(command, self._config.version)
        raise unsupported(command)

    async def submit(self, command: Command, stored: bytes) -> Submitted:
        """Send the stored message once."""
        match command.action:
            case "submit_requisition":
                return await self._submitted(command, stored)
            case "cancel_requisition":
                return await self._cancelled(command, stored)
        raise unsupported(command)

    async def find(self, command: Command) -> Found:
        """What an earlier send left behind, by the number that we gave it."""
        match command.action:
            case "submit_requisition":
                return await self._found(command)
            case "cancel_requisition":
                rows = await self._client.requisitions(command.cancels or "")
                gone = [row for row in rows if _is_cancelled(row)]
                return Applied(command.cancels or "") if gone else Absent()
        raise unsupported(command)

    async def _submitted(self, command: Command, stored: bytes) -> Submitted:
        heard = await self._client.change(stored)
        number = reference_of(command.key)
        if isinstance(heard, Fault):
            if any(_TAKEN in message for message in heard.messages):
                return AlreadyExists(number)
            return Rejected(self._client.refusal(heard))
        reference = child(heard, "Requisition_Reference")
        told, wid = id_of(reference, "Requisition_Number"), id_of(reference, "WID")
        if not wid or told not in ("", number):
            raise Ambiguous("Workday answered without our requisition")
        return Applied(number, facts={"wid": wid})

    async def _found(self, command: Command) -> Found:
        rows = await self._client.requisitions(reference_of(command.key))
        if not rows:
            return Absent()
        if len(rows) > 1:
            return Several(tuple(sorted(row.wid for row in rows)))
        (row,) = rows
        wanted = child(payload(self.render(command)), "Requisition_Data")
        assert wanted is not None, "our own message has the data"
        found = differences(wanted, row.data, self._config.rules)
        if _is_cancelled(row):
            found = ("state: the requisition is cancelled", *found)
        return Applied(text_of(row.data, "Requisition_Number"), found, facts={"wid": row.wid})

    async def _cancelled(self, command: Command, stored: bytes) -> Submitted:
        heard = await self._client.change(stored)
        number = command.cancels or ""
        if not isinstance(heard, Fault):
            return Applied(number)
        # Workday refuses to cancel what is cancelled, or was decided in the meantime.
        statuses = {_status(row) for row in await self._client.requisitions(number)}
        if statuses and statuses <= _CANCELLED:
            return Applied(number)
        if statuses and statuses <= _ENDED:
            return Rejected(self._client.refusal(heard, "approval_ended_there"))
        return Rejected(self._client.refusal(heard))

    # --- streams --------------------------------------------------------------------------------

    async def pull(self, stream: str, after: str | None) -> Page:
        """The next page of `decisions` or `workers`."""
        match stream:
            case "decisions":
                return await self._decisions(_cursor(after, _Cursor("", ())))
            case "workers":
                return await self._workers(_cursor(after, _WorkerCursor(1, "", "")))
        why = f"there is no stream {stream}"
        raise Permanent(why, refuse("connector_refused", system=MANIFEST.kind, why=why))

    async def _decisions(self, cursor: _Cursor) -> Page:
        """Dates are all that Workday filters by, so a day is asked for again until it is over.

        What was delivered on it is remembered in the cursor; a day of overlap covers the
        tenant's time zone.
        """
        if not self._config.initiator:
            why = "initiator is not set: Workday lists processes of one person only"
            raise Permanent(why, refuse("connector_refused", system=MANIFEST.kind, why=why))
        since = self._config.decisions_since
        day = cursor.day or (since.isoformat() if since else "")
        events = await self._client.ended_events(day)
        events.sort(key=lambda event: (str(event["completedDate"]), str(event["id"])))
        fresh = [event for event in events if _mark(event) not in cursor.seen]
        items = await self._in_time(fresh[: self._config.items_max])
        batch = fresh[: len(items)]
        seen = (*cursor.seen, *(_mark(event) for event in batch))
        more = len(fresh) > len(batch)
        if not more and events:
            day = _day_before(str(events[-1]["completedDate"]), day)
            kept = {_mark(event) for event in events if str(event["completedDate"])[:10] >= day}
            seen = tuple(mark for mark in seen if mark in kept)
        moved = msgspec.json.encode(_Cursor(day, seen)).decode()
        return Page(tuple(item for item in items if item is not None), moved, more)

    async def _in_time(self, events: Sequence[Mapping[str, Any]]) -> list[Delivered | None]:
        """The items of these, or of as many of them as there is time for: each is several
        requests, and a page that could never be read to its end would be begun for ever."""
        items: list[Delivered | None] = []
        for event in events:
            try:
                items.append(await self._decision(event))
            except Transient as error:
                if error.code != DEADLINE_PASSED or not items:
                    raise
                break
        return items

    async def _decision(self, event: Mapping[str, Any]) -> Delivered | None:
        """The item of one process; `None` where it is about no requisition of ours."""
        number = reference_in(_descriptor(event.get("for")), _descriptor(event))
        if not number:
            return None
        rows = await self._client.requisitions(number)
        # None, or several: the item is delivered all the same, and stands with an operator.
        whole = etree.tostring(rows[0].whole, encoding="unicode") if len(rows) == 1 else ""
        steps = await self._client.completed_steps(str(event["id"]))
        item = DecisionItem(
            event=event,
            steps=steps,
            requisition=whole,
            people=await self._client.employee_ids(_people(steps)),
        )
        return Delivered(
            event_id=f"{event['id']}:{_descriptor(event.get('status'))}",
            kind="decision",
            source_id=number,
            changed_at=_midnight(str(event["completedDate"])),
            body=msgspec.json.encode(item),
        )

    async def _workers(self, cursor: _WorkerCursor) -> Page:
        """First everybody, page by page as of one moment; from then on who changed since."""
        page = await self._client.workers(cursor.page, cursor.as_of, cursor.since)
        read_at = _moment(page.as_of)
        items = []
        for worker in page.workers:
            body = etree.tostring(worker, method="c14n")
            wid, employee_id = worker_ids(worker)
            digest = hashlib.sha256(body).hexdigest()[:32]
            source_id = employee_id or wid
            items.append(Delivered(f"{source_id}:{digest}", "worker", source_id, read_at, body))
        more = cursor.page < page.pages
        following = (
            _WorkerCursor(cursor.page + 1, page.as_of, cursor.since)
            if more
            else _WorkerCursor(1, "", page.as_of)
        )
        return Page(tuple(items), msgspec.json.encode(following).decode(), more)


def _cursor(after: str | None, first: _C) -> _C:
    """The cursor as this connector made it; `first` where none is given yet."""
    if after is None:
        return first
    try:
        return msgspec.json.decode(after, type=type(first))
    except msgspec.DecodeError:
        refusal = refuse("cursor_unreadable", system=MANIFEST.kind)
    raise Permanent("the cursor is none of this connector's", refusal)


def _mark(event: Mapping[str, Any]) -> str:
    """A short name of an event in one status, so that a cursor stays small."""
    told = f"{event['id']}:{_descriptor(event.get('status'))}"
    return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()


def _descriptor(reference: Any) -> str:
    return str(reference.get("descriptor", "")) if isinstance(reference, Mapping) else ""


def _people(steps: list[Mapping[str, Any]]) -> list[str]:
    """The Workday IDs of everybody who acted in, or was waited for by, a step."""
    named: list[Any] = []
    for step in steps:
        named += [step.get("completedByPerson"), *(step.get("awaitingPersons") or ())]
    ids = [str(one.get("id", "")) for one in named if isinstance(one, Mapping)]
    return [one for one in ids if len(one) == 32 and "=" not in one]


def _is_cancelled(row: FoundRequisition) -> bool:
    return _status(row) in _CANCELLED


def _status(row: FoundRequisition) -> str:
    status = child(row.data, "Requisition_Document_Status_Reference")
    return id_of(status, "Document_Status_ID").casefold()


def _day_before(text: str, fallback: str) -> str:
    try:
        return (date.fromisoformat(text[:10]) - timedelta(days=1)).isoformat()
    except ValueError:
        return fallback


def _midnight(text: str) -> datetime:
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        raise Transient("a process ended on no date", system=False) from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Transient("the workers are of no moment", system=False) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _read_decision(config: WorkdayConfig, body: bytes, reading: Reading) -> Published:
    return decided(
        body,
        system=config.system,
        directory=reading.directory,
        rules=config.rules,
        words=config.words,
    )


def _simulator(options: SimulatorOptions) -> Simulated:
    from quaestor.connectors.workday.simulator import WorkdaySimulator

    return WorkdaySimulator(options)


def _simulator_options() -> type[msgspec.Struct]:
    from quaestor.connectors.workday.simulator import WorkdaySimulatorOptions

    return WorkdaySimulatorOptions


KIND = ConnectorKind(
    manifest=MANIFEST,
    config_type=WorkdayConfig,
    build=WorkdayConnector,
    simulator=_simulator,
    simulator_options=_simulator_options,
    published={DECISIONS: _read_decision},
    replicas={WORKERS: ReplicaStream("employee", worker_row)},
)

assert frozenset((SUBMIT_REQUISITION, CANCEL_REQUISITION)) == MANIFEST.actions.keys()
assert MANIFEST.streams == (DECISIONS, WORKERS)
