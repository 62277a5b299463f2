"""A Coupa requisition as Coupa delivers it, with only what a test is about spelt out."""

from __future__ import annotations

from datetime import date
from typing import Any

from quaestor.connectors.coupa.config import CoupaConfig
from quaestor.connectors.coupa.layout import Segments
from quaestor.connectors.coupa.mapping import map_requisition
from quaestor.connectors.kit.published import Mapped, NotMapped
from quaestor.model.crosswalk import Crosswalks
from quaestor.model.employee import Directory
from tests.support.builders import a_directory, crosswalks

__all__ = ["a_coupa_account", "a_coupa_line", "a_coupa_requisition", "mapped_from"]

DAY = date(2026, 11, 22)


def a_coupa_account(
    company: str = "DE10", cost_center: str = "4100", gl_account: str = "6810", **more: Any
) -> dict[str, Any]:
    return {
        "id": 1,
        "segment-1": company,
        "segment-2": cost_center,
        "segment-3": gl_account,
    } | more


def a_coupa_line(number: int | None = 1, **members: Any) -> dict[str, Any]:
    """A line of 3 at 1200.00; a member given as `None` is null."""
    return {
        "line-num": number,
        "line-type": "RequisitionQuantityLine",
        "description": "Laptop",
        "quantity": "3.0",
        "uom": {"code": "EA"},
        "unit-price": "1200.00",
        "total": "3600.0000",
        "currency": {"code": "EUR"},
        "commodity": {"name": "IT Hardware"},
        "supplier": {"number": "SUP-1001"},
        "account": a_coupa_account(),
        "account-allocations": [],
    } | members


def a_coupa_requisition(*lines: dict[str, Any], **members: Any) -> dict[str, Any]:
    given = list(lines) or [a_coupa_line()]
    return {
        "id": 20417,
        "status": "approved",
        "submitted-at": "2026-11-16T09:31:40+01:00",
        "currency": {"code": "EUR"},
        "requested-by": {"login": "aberger"},
        "requisition-lines": given,
    } | members


def mapped_from(
    source: Any,
    *,
    book: Crosswalks | None = None,
    directory: Directory | None = None,
    segments: Segments | None = None,
    version: int = 1,
) -> Mapped | NotMapped:
    return map_requisition(
        source,
        config=CoupaConfig(segments=segments or Segments()),
        crosswalks=book or crosswalks(),
        directory=directory or a_directory(),
        on=DAY,
        version=version,
    )
