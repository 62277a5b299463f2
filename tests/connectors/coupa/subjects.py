"""Coupa as a subject of the contract suite and of the laws of pulling."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quaestor.connectors.coupa.connector import KIND
from quaestor.connectors.kit.contract import Command
from quaestor.connectors.kit.pull_suite import PullSubject
from quaestor.connectors.kit.rig import CANARY, Subject
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.status import DocumentStatus, State

__all__ = [
    "EXAMPLES",
    "FAST",
    "GAP_S",
    "KEY",
    "a_report",
    "coupa",
    "coupa_stream",
    "coupa_table",
    "refused",
]

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "it-hardware" / "requisitions"
KEY = "k7qfn2xw3mzr5tdy4hbp6vgs2alj3ecu5oi7k4qf6nxw2mzr5tdy"
SEEDED = "20417"
# Faster than Coupa, where the rate is not what a test is about; the gap as small as it may be.
FAST = {"requests_per_s": 5000.0, "burst": 500}
GAP_S = 0.01


def coupa_table(url: str, credentials: Mapping[str, str], **more: Any) -> dict[str, Any]:
    return {
        "system": "coupa",
        "connector": "coupa",
        "base_url": url,
        "auth": {
            "kind": "oauth2",
            "client_id": credentials["client_id"],
            "client_secret": "env:COUPA_CLIENT_SECRET",
        },
        "oauth": {"gap_s": GAP_S},
        "settle_s": 0.1,
        **FAST,
        **more,
    }


def coupa(**options: Any) -> Subject:
    return Subject(
        kind=KIND,
        system=coupa_table,
        order=a_report,
        refused=lambda key: a_report(key, source_id="99999"),
        creates="POST /api/integration_history_records",
        options={
            "client_secret": CANARY,
            "token_gap_s": GAP_S,
            "requisitions": [str(EXAMPLES)],
            **FAST,
            **options,
        },
        rejected_as="status_not_reported",
    )


def a_report(
    key: str = KEY,
    *,
    source_id: str = SEEDED,
    state: State = "ordered",
    orders: tuple[str, ...] = ("4500000001",),
    refusal: Refusal | None = None,
    message: str = "",
) -> Command:
    """Say that this requisition was ordered; with a refusal, that it was refused."""
    return Command(
        key=key,
        system="coupa",
        action="report_status",
        entity="acme-de",
        created_at=datetime.now(UTC),
        status=DocumentStatus(
            source_id=source_id,
            number=source_id,
            state="refused" if refusal else state,
            orders=() if refusal else orders,
            message=message,
            refusal=refusal,
        ),
    )


def refused(code: str, **details: str) -> Refusal:
    return refuse(code, **details)


def coupa_stream(stream: str) -> PullSubject:
    """One stream with pages of three; several objects share one second."""
    return PullSubject(
        kind=KIND,
        system=lambda url, credentials: coupa_table(url, credentials, pulls={"page": 3}),
        stream=stream,
        an_object=lambda nth: _object(stream, nth),
        a_change={"req-title": "Changed"} if stream == "requisitions" else {"name": "Changed"},
        asks=f"GET /api/{stream}",
        page=3,
        acknowledges=stream == "requisitions",
        options={"client_secret": CANARY, "token_gap_s": GAP_S, **FAST},
    )


def _object(stream: str, nth: int) -> dict[str, Any]:
    at = f"2026-03-01T09:30:{nth // 2:02d}+01:00"
    common = {"id": 700 + nth, "created-at": at, "updated-at": at}
    if stream == "requisitions":
        return {**common, "status": "approved", "exported": False, "req-title": f"Title {nth}"}
    return {**common, "name": f"Name {nth}"}
