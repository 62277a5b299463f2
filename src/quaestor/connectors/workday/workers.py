"""Workers as rows of the directory. Pure.

Workday knows people and their managers; how much a person may approve is policy of ours and is
not read from here.
"""

from __future__ import annotations

from quaestor.connectors.workday.xml import (
    Element,
    XmlRefused,
    child,
    children,
    id_of,
    parsed,
    qualified,
    text_of,
)
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.replica import PersonRow

__all__ = ["worker_ids", "worker_row"]

_EMPLOYEE = ("Employee_ID", "Contingent_Worker_ID")


def worker_row(body: bytes) -> PersonRow | Refusal:
    """One `Worker` of `Get_Workers_Response` by the employee id; a refusal where it names nobody.

    Of what Workday tells of a person nothing else is kept.
    """
    try:
        worker = parsed(body)
    except XmlRefused as error:
        return refuse("source_document_invalid", why=str(error))
    wid, employee_id = worker_ids(worker)
    if not wid or not employee_id:
        return refuse("source_document_invalid", why="the worker has no id")
    data = child(worker, "Worker_Data")
    status = child(data, "Employment_Data", "Worker_Status_Data")
    return PersonRow(
        id=employee_id,
        name=_name(worker, data),
        login=text_of(data, "User_ID"),
        manager=_manager(data, employee_id),
        # Who is not said to be active is not.
        active=text_of(status, "Active") in ("1", "true")
        and text_of(status, "Terminated") not in ("1", "true"),
    )


def worker_ids(worker: Element) -> tuple[str, str]:
    """The Workday ID and the employee id of a `Worker`."""
    reference = child(worker, "Worker_Reference")
    employee_id = id_of(reference, *_EMPLOYEE) or text_of(worker, "Worker_Data", "Worker_ID")
    return id_of(reference, "WID"), employee_id


def _name(worker: Element, data: Element | None) -> str:
    names = child(data, "Personal_Data", "Name_Data")
    for kind in ("Preferred_Name_Data", "Legal_Name_Data"):
        detail = child(names, kind, "Name_Detail_Data")
        if detail is not None and detail.get(qualified("Formatted_Name")):
            return detail.get(qualified("Formatted_Name"), "")
    return text_of(worker, "Worker_Descriptor")


def _manager(data: Element | None, employee_id: str) -> str | None:
    """The last link of the chain is the worker's own organisation, whose manager he may be."""
    chain = children(
        data,
        "Management_Chain_Data",
        "Worker_Supervisory_Management_Chain_Data",
        "Management_Chain_Data",
    )
    managers = [id_of(child(link, "Manager_Reference"), *_EMPLOYEE) for link in chain]
    return next((one for one in reversed(managers) if one and one != employee_id), None)
