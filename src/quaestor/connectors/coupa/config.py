"""How a Coupa installation is set up: what its account segments mean, and its free choices."""

from __future__ import annotations

import msgspec

__all__ = ["DOCUMENT_CONFIG", "CoupaConfig", "Segments"]


class Segments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The number of the account segment that holds each code, 1 to 20; `None` is unused.

    Coupa has no cost center or GL account of its own: every customer lays out his chart of
    accounts over twenty numbered segments.
    """

    company: int = 1
    cost_center: int = 2
    gl_account: int = 3
    project: int | None = None


class CoupaConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`system` is the system's name in the project folder and in the crosswalks.

    `amount_line_uom` is our unit for a line without a quantity (`RequisitionAmountLine`).
    """

    system: str = "coupa"
    segments: Segments = Segments()
    amount_line_uom: str = "EA"


DOCUMENT_CONFIG = CoupaConfig
