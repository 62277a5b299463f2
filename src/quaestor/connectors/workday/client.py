"""One Workday tenant over the wire: its SOAP services, and what REST says of its processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from lxml import etree

from quaestor.connectors.kit.classify import Answer, Voice
from quaestor.connectors.kit.contract import Permanent, Transient
from quaestor.connectors.kit.redact import safe_text
from quaestor.connectors.kit.wires.http import HttpRequest, HttpWire
from quaestor.connectors.workday.config import WorkdayConfig
from quaestor.connectors.workday.soap import CONTENT_TYPE, Fault, enveloped, hear, said
from quaestor.connectors.workday.workers import worker_ids
from quaestor.connectors.workday.xml import (
    WD,
    Element,
    child,
    children,
    decimal_of,
    id_of,
    qualified,
    text_of,
)
from quaestor.model.refusal import Refusal, refuse

__all__ = ["FoundRequisition", "WorkdayClient", "WorkerPage", "hear_rest"]

RESOURCE_MANAGEMENT = "Resource_Management"
HUMAN_RESOURCES = "Human_Resources"
REST_PAGE = 100
WORKERS_ASKED_MAX = 100


class FoundRequisition(msgspec.Struct, frozen=True):
    """A requisition as Workday shows it: its Workday ID, its data, and the whole element."""

    wid: str
    data: Element
    whole: Element


class WorkerPage(msgspec.Struct, frozen=True):
    """A page of workers. `as_of` is the moment that all pages are read at, as Workday says it."""

    workers: tuple[Element, ...]
    pages: int
    as_of: str


def hear_rest(answer: Answer) -> Voice:
    """Did the REST application speak? Its errors have a member `error`."""
    if answer.status == 429:
        return Voice.BUSY
    if answer.status in (401, 403):
        return Voice.LOGIN
    spoken = answer.json
    if not isinstance(spoken, dict):
        return Voice.UNSURE
    if 200 <= answer.status < 300:
        return Voice.DONE
    refused = 400 <= answer.status < 500 and "error" in spoken
    return Voice.REFUSED if refused else Voice.UNSURE


class WorkdayClient:
    """Keeps nothing. Raises as the kit's wire does, and `Permanent` where a look-up is refused."""

    def __init__(self, config: WorkdayConfig, wire: HttpWire) -> None:
        self._config = config
        self._wire = wire

    # --- SOAP -----------------------------------------------------------------------------------

    async def change(self, message: bytes) -> Element | Fault:
        """Send a message that creates or changes something, once."""
        return await self._call(RESOURCE_MANAGEMENT, message, commits=True)

    async def requisitions(self, number: str) -> list[FoundRequisition]:
        """Every requisition of exactly this number, over all pages."""
        found: list[FoundRequisition] = []
        for page in range(1, self._config.pages_max + 1):
            request = self._request("Get_Requisitions_Request")
            _put(_put(request, "Request_Criteria"), "Requisition_ID", number)
            _paged(request, page, REST_PAGE)
            _put(_put(request, "Response_Group"), "Include_Reference", "1")
            content = await self._look(RESOURCE_MANAGEMENT, request)
            found += (one for one in _requisitions(content) if _number(one) == number)
            if page >= _pages(content):
                return found
        raise Transient("the look-up has more pages than the limit", system=False)

    async def workers(self, page: int, as_of: str = "", since: str = "") -> WorkerPage:
        """One page of all workers, or of those changed `since`; `as_of` keeps the pages of one
        reading together. Both are moments as Workday writes them.
        """
        request = self._request("Get_Workers_Request")
        if since:
            criteria = _put(_put(request, "Request_Criteria"), "Transaction_Log_Criteria_Data")
            _put(_put(criteria, "Transaction_Date_Range_Data"), "Updated_From", since)
        _paged(request, page, self._config.workers_page, as_of)
        _worker_group(request)
        content = await self._look(HUMAN_RESOURCES, request)
        told = text_of(content, "Response_Filter", "As_Of_Entry_DateTime")
        found = children(content, "Response_Data", "Worker")
        return WorkerPage(tuple(found), _pages(content), told or as_of)

    async def employee_ids(self, wids: Iterable[str]) -> dict[str, str]:
        """The employee ids of these Workday IDs; who is no worker is left out."""
        asked = sorted(set(wids))[:WORKERS_ASKED_MAX]
        if not asked:
            return {}
        request = self._request("Get_Workers_Request")
        references = _put(request, "Request_References")
        references.set(qualified("Skip_Non_Existing_Instances"), "1")
        for wid in asked:
            identifier = _put(_put(references, "Worker_Reference"), "ID", wid)
            identifier.set(qualified("type"), "WID")
        _paged(request, 1, WORKERS_ASKED_MAX)
        _put(_put(request, "Response_Group"), "Include_Reference", "1")
        content = await self._look(HUMAN_RESOURCES, request)
        found = (worker_ids(worker) for worker in children(content, "Response_Data", "Worker"))
        return {wid: employee for wid, employee in found if wid and employee}

    def refusal(self, fault: Fault, name: str = "approval_request_refused") -> Refusal:
        """The fault under this name of ours, with Workday's own sentence made safe."""
        message = self._wire.safe(safe_text("; ".join(fault.messages)))
        place = {"xpath": self._wire.safe(fault.xpath)} if fault.xpath else {}
        return refuse(name, code=fault.kind, message=message, **place)

    async def _look(self, service: str, request: Element) -> Element:
        heard = await self._call(service, enveloped(request), commits=False)
        if isinstance(heard, Fault):
            refusal = self.refusal(heard, "system_refuses")
            raise Permanent(f"Workday refuses the look-up: {heard.kind}", refusal)
        return heard

    async def _call(self, service: str, message: bytes, *, commits: bool) -> Element | Fault:
        headers = (("Content-Type", CONTENT_TYPE), ("Accept", "text/xml"), ("SOAPAction", '""'))
        target = self._config.soap(service)
        request = HttpRequest("POST", target, headers, message, commits=commits)
        heard = said((await self._wire.exchange(request, hear)).body)
        if heard.fault is not None:
            return heard.fault
        assert heard.content is not None, "the wire returns messages with content or fault"
        return heard.content

    def _request(self, name: str) -> Element:
        root = etree.Element(qualified(name), nsmap={"wd": WD})
        root.set(qualified("version"), self._config.version)
        return root

    # --- REST -----------------------------------------------------------------------------------

    async def ended_events(self, since: str) -> list[Mapping[str, Any]]:
        """The processes that our integration's person initiated and that have ended.

        `since` is a date (ISO 8601), empty for all. Raises `Transient` beyond the page limit.
        """
        query = {"initiator": self._config.initiator}
        if self._config.business_process:
            query["businessProcess"] = self._config.business_process
        if since:
            query["completedOnOrAfter"] = since
        found = await self._rows("/events", query)
        return [event for event in found if event.get("id") and event.get("completedDate")]

    async def completed_steps(self, event: str) -> list[Mapping[str, Any]]:
        """The completed steps of a process, in Workday's order."""
        return await self._rows(f"/events/{event}/completedSteps", {})

    async def _rows(self, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = []
        for page in range(self._config.pages_max):
            asked = {**query, "limit": str(REST_PAGE), "offset": str(page * REST_PAGE)}
            target = f"{self._config.rest_path}{path}?{urlencode(asked)}"
            headers = (("Accept", "application/json"),)
            answer = await self._wire.exchange(HttpRequest("GET", target, headers), hear_rest)
            if answer.status >= 400:
                raise Permanent(f"Workday refuses {path.rpartition('/')[2]}", self._refused(answer))
            data = answer.json.get("data")
            if not isinstance(data, list):
                raise Transient("the answer has no rows", system=False)
            rows += (row for row in data if isinstance(row, dict))
            total = answer.json.get("total")
            if len(data) < REST_PAGE or (isinstance(total, int) and len(rows) >= total):
                return rows
        raise Transient("there are more rows than pages_max allows", system=False)

    def _refused(self, answer: Answer) -> Refusal:
        spoken = answer.json if isinstance(answer.json, dict) else {}
        message = self._wire.safe(safe_text(str(spoken.get("error", ""))))
        return refuse("system_refuses", code=f"HTTP {answer.status}", message=message)


def _requisitions(content: Element) -> list[FoundRequisition]:
    found = []
    for whole in children(content, "Response_Data", "Requisition"):
        data = child(whole, "Requisition_data")
        if data is not None:
            wid = id_of(child(whole, "Requisition_Reference"), "WID")
            found.append(FoundRequisition(wid, data, whole))
    return found


def _number(found: FoundRequisition) -> str:
    return text_of(found.data, "Requisition_Number")


def _pages(content: Element) -> int:
    told = decimal_of(text_of(content, "Response_Results", "Total_Pages"))
    return 0 if told is None else int(told)


def _paged(request: Element, page: int, count: int, as_of: str = "") -> None:
    chosen = _put(request, "Response_Filter")
    if as_of:
        _put(chosen, "As_Of_Entry_DateTime", as_of)
    _put(chosen, "Page", str(page))
    _put(chosen, "Count", str(count))


def _worker_group(request: Element) -> None:
    group = _put(request, "Response_Group")
    for name in (
        "Include_Reference",
        "Include_Personal_Information",
        "Include_Employment_Information",
        "Include_Management_Chain_Data",
    ):
        _put(group, name, "1")


def _put(parent: Element, name: str, text: str | None = None) -> Element:
    made = etree.SubElement(parent, qualified(name))
    made.text = text
    return made
