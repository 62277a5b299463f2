"""`connector check`: can this tenant be used as configured, and what to do in Workday if not."""

from __future__ import annotations

from quaestor.connectors.kit.contract import NotKnown, Permanent, Probe
from quaestor.connectors.workday.client import WorkdayClient
from quaestor.connectors.workday.config import WorkdayConfig
from quaestor.connectors.workday.workers import worker_ids

__all__ = ["probes"]

_NETWORK_FIX = "Open the way to the tenant's host, and check base_url and tenant."
_AUTH_FIX = "Register an API client for the integration system user, and give its token."
_READ_FIX = (
    "Let the integration's security group get requisitions (domain Process: Requisition) "
    "through the Resource_Management service of this version."
)
_WORKERS_FIX = "Let the integration's security group get workers (domain Worker Data)."
_IDS_FIX = (
    "Let Get_Workers answer with the reference, Workday ID and employee id alike: the response "
    "group Include_Reference, and the domain Worker Data: Public Worker Reports."
)
_EVENTS_FIX = "Let the integration's person view business process events (Core Navigation)."
_INITIATOR_FIX = "Set initiator to the Workday ID of the person that submits our requisitions."


async def probes(client: WorkdayClient, config: WorkdayConfig) -> tuple[Probe, ...]:
    """One line per thing tried, in the order in which they depend on each other."""
    try:
        # A number that nothing carries.
        await client.requisitions("quaestor-check")
    except Permanent as error:
        reached = (Probe("network", True), Probe("credentials", True))
        return (*reached, Probe("requisitions", False, error.reason, _READ_FIX))
    except NotKnown as error:
        if error.code == "connector_auth_failed":
            return (Probe("network", True), Probe("credentials", False, error.reason, _AUTH_FIX))
        return (Probe("network", False, error.reason, _NETWORK_FIX),)
    return (
        Probe("network", True),
        Probe("credentials", True),
        Probe("requisitions", True, "may be read"),
        *await _workers(client),
        await _events(client, config),
    )


async def _workers(client: WorkdayClient) -> tuple[Probe, ...]:
    try:
        page = await client.workers(1)
    except NotKnown as error:
        return (Probe("workers", False, error.reason, _WORKERS_FIX),)
    known = [worker for worker in page.workers if all(worker_ids(worker))]
    told = f"{len(known)} of {len(page.workers)} workers of the first page show their ids"
    return (
        Probe("workers", bool(page.workers), f"{page.pages} pages", _WORKERS_FIX),
        Probe("fields", len(known) == len(page.workers), told, _IDS_FIX),
    )


async def _events(client: WorkdayClient, config: WorkdayConfig) -> Probe:
    if not config.initiator:
        return Probe("decisions", False, "no initiator is set", _INITIATOR_FIX)
    since = config.decisions_since.isoformat() if config.decisions_since else ""
    try:
        await client.ended_events(since)
    except NotKnown as error:
        return Probe("decisions", False, error.reason, _EVENTS_FIX)
    return Probe("decisions", True, "the processes of the initiator may be read")
