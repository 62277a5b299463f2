"""Requisitions: submit, look at, cancel, change."""

from __future__ import annotations

from typing import Any

import msgspec

from quaestor.actions.submit import Desk, submit
from quaestor.gateway.operation import Answer, Call, Operation
from quaestor.gateway.shapes import RequisitionIn, requisition_of
from quaestor.security.authorization import Scope
from quaestor.store import Connection

__all__ = ["REQUISITIONS"]

_NOW = "select quaestor.clock()"


class RequisitionTaken(msgspec.Struct, frozen=True):
    """The document that was made. Whatever happens to it carries its correlation id."""

    id: int
    correlation_id: str
    version: int
    content_hash: str
    status: str


def desk_of(call: Call) -> Desk:
    """Where requisitions are taken in."""
    services = call.services
    return Desk(
        services.recorder,
        services.flows["requisition_to_order"],
        services.release,
        services.reads,
        services.environment,
    )


async def _submit(call: Call, connection: Connection) -> Answer:
    body: RequisitionIn = call.body
    now = await connection.fetchval(_NOW)
    requisition = requisition_of(body, now=now, version=body.version or 1)
    taken = await submit(connection, call.caller, desk_of(call), requisition)
    return _taken(taken.document_id, taken.correlation_id, requisition, "accepted", 201)


def _taken(id_: int, correlation_id: str, requisition: Any, said: str, status: int) -> Answer:
    from quaestor.model.canonical import content_hash

    body = RequisitionTaken(
        id_, correlation_id, requisition.version, content_hash(requisition), said
    )
    headers = {"Location": f"/v1/requisitions/{id_}", "ETag": f'"{requisition.version}"'}
    return Answer(status, body, headers)


REQUISITIONS = (
    Operation(
        id="submitRequisition",
        method="POST",
        path="/v1/requisitions",
        summary="Submit a requisition.",
        handler=_submit,
        takes=RequisitionIn,
        answers=RequisitionTaken,
        status=201,
        scopes=(Scope.REQUISITIONS_WRITE,),
        mode="act",
        keyed=True,
    ),
)
