"""Our Workday: requisitions over SOAP, their approval by people, processes and acts over REST.

Its oddities: faults with HTTP 500, `Add_Only`, pages from 1, days without an hour, REST that
shows a person only what is his, and a delegation that stands nowhere but in a descriptor.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from lxml import etree

from quaestor.connectors.kit.kind import SimulatorOptions
from quaestor.connectors.kit.simulated import SimAnswer, SimRequest
from quaestor.connectors.workday import simulator_soap as soap
from quaestor.connectors.workday.simulator_process import (
    Act,
    Held,
    NotAwaiting,
    People,
    Person,
    Process,
    Routing,
    Step,
    wid,
)
from quaestor.connectors.workday.simulator_rest import Rest
from quaestor.connectors.workday.soap import CONTENT_TYPE, payload
from quaestor.connectors.workday.xml import (
    Element,
    XmlRefused,
    child,
    children,
    id_of,
    qualified,
    text_of,
)

__all__ = ["INITIATOR", "WorkdaySimulator", "WorkdaySimulatorOptions"]

# Of the integration's person, who initiates the processes of our requisitions.
INITIATOR = wid("worker", "integration")
REST = "/businessProcess/v1"

# The people of examples/it-hardware, with the employee ids that its directory holds.
PEOPLE = (
    Person("21001", "Ana Berger", "21002", company="acme-de"),
    Person("21002", "Ben Koch", "10001", company="acme-de"),
    Person("21003", "Carla Lindt", "10001", roles=("finance",), company="acme-de"),
    Person("31001", "Dan Moore", "31002", company="acme-us"),
    Person("31002", "Erin Wells", "10001", company="acme-us"),
    Person("31003", "Fay Nolan", "10001", roles=("finance",), company="acme-us"),
    Person("10001", "Gus Adler", roles=("cfo",)),
)


class WorkdaySimulatorOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What this simulator takes besides settle time and seed.

    `token` is the integration's; `people` the tenant's workers; `routing` who decides, and who
    does it by himself. The control port changes the routing: see the README.
    """

    tenant: str = "acme"
    token: str = "simulated-only"
    people: tuple[Person, ...] = PEOPLE
    routing: Routing = Routing()


class WorkdaySimulator:
    """The vendor's part of the simulator. `now` is monotonic time in seconds."""

    def __init__(
        self,
        options: SimulatorOptions,
        *,
        now: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._options = msgspec.convert(dict(options.extra), WorkdaySimulatorOptions)
        self._settle_s = options.settle_s
        self._now = now
        self._clock = clock
        self.reset()

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"token": self._options.token}

    def handed_out(self) -> tuple[str, ...]:
        given = (person.token for person in self._people.all)
        return (self._options.token, *(token for token in given if token))

    def reset(self) -> None:
        self._people = People(self._options.people)
        self._rest = Rest(self._people, INITIATOR, self._looked_at, self._act)
        self._requisitions: dict[str, Held] = {}
        self._routing = self._options.routing
        self._refusing_once = False
        self._next = 1

    def expire_tokens(self) -> None:
        # Its tokens are constants: the next request is refused once, as by a lapsed one.
        self._refusing_once = True

    def documents(self, reference: str | None) -> list[dict[str, Any]]:
        return [
            self._counted(held)
            for held in self._looked_at(hidden=True)
            if reference is None or reference.startswith(held.number)
        ]

    def edit(self, number: str, changes: Mapping[str, Any]) -> bool:
        """`act` lets a person act on the waiting step, `lines` changes fields of lines by their
        id; every other member sets a field of the header, known or not. The number `routing`
        stands for the tenant's routing itself.
        """
        if number == "routing":
            given = {**msgspec.to_builtins(self._routing), **changes}
            self._routing = msgspec.convert(given, Routing)
            return True
        held = self._requisitions.get(number)
        if held is None:
            return False
        self._looked_at()
        for name, value in changes.items():
            if name == "act":
                return self._told_to_act(held, value)
            if name == "lines":
                self._edit_lines(held, value)
            else:
                _set(held.data, name, value)
        return True

    def arrives(self, stream: str, value: Mapping[str, Any]) -> None:
        """A worker of this id is hired, or a requisition of this number is decided at once."""
        number = str(value["id"])
        if stream == "workers":
            self._people.put(Person(number, str(value.get("name", number))), self._clock())
            return
        data = etree.Element(qualified("Requisition_Data"))
        etree.SubElement(data, qualified("Requisition_Number")).text = number
        today = self._clock().date()
        process = Process(wid("event", number), Routing(steps=()), "", today)
        process.begin(self._people, self._now(), today)
        held = Held(number, wid("requisition", number), data, process, self._now())
        self._requisitions[number] = held

    def changes(self, stream: str, source_id: str, changes: Mapping[str, Any]) -> None:
        """A worker is renamed, or somebody rescinds what was decided."""
        if stream == "workers":
            person = self._people.find(source_id)
            assert person is not None, "only who is there changes"
            self._people.put(msgspec.structs.replace(person, **changes), self._clock())
            return
        process = self._requisitions[source_id].process
        assert process is not None, "what arrived has a process"
        process.status = str(changes["status"])

    def acknowledged(self, stream: str) -> frozenset[str]:
        """Workday keeps no mark of what was read."""
        return frozenset()

    def busy(self, seconds: float) -> SimAnswer:
        return SimAnswer(
            429,
            b'{"error":"too many requests"}',
            (("Content-Type", "application/json"), ("Retry-After", f"{math.ceil(seconds)}")),
        )

    def failed(self) -> SimAnswer:
        return _xml(500, soap.fault("Processing_Fault", ["Processing error occurred."]))

    def handle(self, request: SimRequest) -> SimAnswer:
        person, known = self._who(request)
        if not known:
            return SimAnswer(401, b"", (("WWW-Authenticate", "Bearer"),))
        self._looked_at()
        if request.path.startswith(f"{REST}/"):
            return self._rest.handle(request, request.path.removeprefix(REST), person)
        prefix = f"/ccx/service/{self._options.tenant}/"
        if request.method != "POST" or not request.path.startswith(prefix) or person is not None:
            return SimAnswer(404, b"<html>Not found</html>", (("Content-Type", "text/html"),))
        service, _, version = request.path.removeprefix(prefix).partition("/")
        try:
            return _xml(200, self._called(service, version, payload(request.body)))
        except XmlRefused as error:
            return _xml(500, soap.fault("Client", [str(error)]))
        except soap.Faulty as error:
            return _xml(500, soap.fault(error.kind, error.messages, error.xpath))

    def _who(self, request: SimRequest) -> tuple[Person | None, bool]:
        """The person whose token it is, `None` for the integration; and whether it is known."""
        told = request.headers.get("authorization", "")
        if self._refusing_once:
            self._refusing_once = False
            return None, False
        if told == f"Bearer {self._options.token}":
            return None, True
        found = (one for one in self._people.all if one.token and told == f"Bearer {one.token}")
        person = next(found, None)
        return person, person is not None

    # --- SOAP -----------------------------------------------------------------------------------

    def _called(self, service: str, version: str, request: Element) -> bytes:
        soap.check_shape(request)
        if request.get(qualified("version")) not in (None, version):
            raise soap.Faulty("Client", "The version differs from the service's")
        match (service, etree.QName(request).localname):
            case ("Resource_Management", "Submit_Requisition_Request"):
                return self._submitted(request, version)
            case ("Resource_Management", "Cancel_Requisition_Request"):
                return self._cancelled(request, version)
            case ("Resource_Management", "Get_Requisitions_Request"):
                wanted = text_of(request, "Request_Criteria", "Requisition_ID")
                rows = self._looked_at()
                found = [one for one in rows if wanted in ("", one.number)]
                return soap.requisitions(found, request, version)
            case ("Human_Resources", "Get_Workers_Request"):
                return self._workers(request)
        raise soap.Faulty("Client", "The operation is not supported by the service")

    def _submitted(self, request: Element, version: str) -> bytes:
        data = child(request, "Requisition_Data")
        number = text_of(data, "Requisition_Number") or f"RQ-{self._next:08d}"
        if number in self._requisitions:
            only_add = request.get(qualified("Add_Only")) in ("1", "true")
            told = soap.ADD_ONLY if only_add else "The requisition is in progress."
            raise soap.Faulty("Validation_Fault", told)
        soap.check_data(data, self._people.all)
        assert data is not None
        self._next += 1
        identifier = wid("requisition", number)
        process = None
        if text_of(data, "Submit") in ("1", "true"):
            requester = id_of(child(data, "Requester_Reference"), "Employee_ID")
            today = self._clock().date()
            process = Process(wid("event", number), self._routing, requester, today)
            process.begin(self._people, self._now(), today)
        visible_at = self._now() + self._settle_s
        held = Held(number, identifier, data, process, visible_at)
        self._requisitions[number] = held
        return soap.submitted(held, version)

    def _cancelled(self, request: Element, version: str) -> bytes:
        number = id_of(child(request, "Requisition_to_Cancel_Reference"), "Requisition_Number")
        held = self._requisitions.get(number)
        if held is None:
            raise soap.Faulty("Validation_Fault", soap.invalid_id("Requisition_Number", number))
        if held.cancelled or held.status in ("APPROVED", "DENIED"):
            raise soap.Faulty("Validation_Fault", "The requisition cannot be canceled.")
        held.cancelled = True
        if held.process is not None and held.process.completed_on is None:
            held.process.status, held.process.completed_on = "Canceled", self._clock().date()
        return soap.cancelled(held, version)

    def _workers(self, request: Element) -> bytes:
        references = child(request, "Request_References")
        found = list(self._people.all)
        ranged = ("Transaction_Log_Criteria_Data", "Transaction_Date_Range_Data", "Updated_From")
        since = text_of(request, "Request_Criteria", *ranged)
        if since:
            found = list(self._people.changed_since(datetime.fromisoformat(since)))
        if references is not None:
            asked = [id_of(one, "WID") for one in children(references, "Worker_Reference")]
            known = {one: self._people.of_wid(one) for one in asked}
            skips = references.get(qualified("Skip_Non_Existing_Instances")) in ("1", "true")
            missing = [one for one, person in known.items() if person is None]
            if missing and not skips:
                raise soap.Faulty("Validation_Fault", soap.invalid_id("WID", missing[0]))
            found = [person for person in known.values() if person is not None]
        chains = {person.id: self._chain(person) for person in found}
        return soap.workers(found, chains, request, self._clock().isoformat())

    def _chain(self, person: Person) -> list[Person]:
        """The managers above, the nearest first; a circle ends where it closes."""
        chain: list[Person] = []
        above = self._people.find(person.manager or "")
        while above is not None and above not in chain:
            chain.append(above)
            above = self._people.find(above.manager or "")
        return chain

    # --- people ---------------------------------------------------------------------------------

    def _looked_at(self, *, hidden: bool = False) -> list[Held]:
        """Every requisition, after what is due was done; `hidden` are not visible yet."""
        now, today = self._now(), self._clock().date()
        for held in self._requisitions.values():
            if held.process is not None and held.process.completed_on is None:
                held.process.advance(self._people, now, today)
        return [one for one in self._requisitions.values() if hidden or one.visible_at <= now]

    def _act(self, process: Process, person: Person, act: Act, comment: str) -> Step:
        return process.act(self._people, person, act, comment, self._now(), self._clock().date())

    def _told_to_act(self, held: Held, told: Mapping[str, Any]) -> bool:
        person = self._people.find(str(told.get("by", "")))
        if held.process is None or person is None:
            return False
        act = msgspec.convert(told.get("do", "approve"), Act)
        try:
            self._act(held.process, person, act, str(told.get("comment", "")))
        except NotAwaiting:
            return False
        return True

    def _edit_lines(self, held: Held, lines: Mapping[str, Mapping[str, Any]]) -> None:
        for line in children(held.data, "Item_Request_Line_Data"):
            for name, value in lines.get(text_of(line, "Goods_Requisition_Line_ID"), {}).items():
                _set(line, name, value)

    def _counted(self, held: Held) -> dict[str, Any]:
        steps = held.process.steps if held.process is not None else []
        return {
            "number": held.number,
            "reference": held.number,
            "deleted": held.cancelled,
            "visible": held.visible_at <= self._now(),
            "status": held.status,
            "votes": [
                {"by": step.acted.id, "for": step.holder.id, "status": step.status}
                for step in steps
                if step.acted is not None and step.holder is not None
            ],
            "awaiting": [
                person.id for step in steps if step.completed_on is None for person in step.awaiting
            ],
            "document": held.shown(),
        }


def _set(parent: Element, name: str, value: Any) -> None:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    found = child(parent, name)
    (etree.SubElement(parent, qualified(name)) if found is None else found).text = text


def _xml(status: int, body: bytes) -> SimAnswer:
    return SimAnswer(status, body, (("Content-Type", CONTENT_TYPE),))
