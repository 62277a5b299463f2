"""What a send of a flow becomes: its posting key, the command, and the bytes that are stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from quaestor.connectors.kit.contract import Command
from quaestor.flows.kit.effects import Send
from quaestor.runtime.case import Case
from quaestor.runtime.posting_key import posting_key

__all__ = ["key_of", "written"]

_encode = msgspec.json.Encoder(decimal_format="string").encode


def key_of(case: Case, send: Send, deployment: str) -> str:
    """The posting key, from the business document alone (DESIGN D3)."""
    return posting_key(
        deployment=deployment,
        system=send.system,
        company_code=send.order.company_code if send.order else "",
        source_system=case.document.source_system,
        source_id=case.document.source_id,
        order_group=send.order_group,
        action=send.action,
        generation=send.generation,
    )


def written(
    case: Case, send: Send, key: str, since: datetime, render: Callable[[Command], bytes]
) -> tuple[bytes, bytes]:
    """The command as it is stored, and the bytes that are sent. Raises `Permanent`."""
    command = Command(
        key=key,
        system=send.system,
        action=send.action,
        entity=case.document.entity,
        created_at=since,
        order=send.order,
        cancels=send.cancels,
        status=send.status,
        requisition=send.requisition,
    )
    return _encode(command), render(command)
