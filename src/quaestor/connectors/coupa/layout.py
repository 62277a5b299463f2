"""What an installation's documents mean: its account segments, and its free choices. Pure."""

from __future__ import annotations

from typing import Protocol

import msgspec

__all__ = ["Layout", "Segments"]


class Segments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The number of the account segment that holds each code, 1 to 20; `None` is unused.

    Coupa has no cost center or GL account of its own: every customer lays out his chart of
    accounts over twenty numbered segments.
    """

    company: int = 1
    cost_center: int = 2
    gl_account: int = 3
    project: int | None = None


class Layout(Protocol):
    """The part of an installation's configuration that a mapping reads.

    `system` is the system's name in the project folder and in the crosswalks; `amount_line_uom`
    our unit for a line without a quantity (`RequisitionAmountLine`).
    """

    @property
    def system(self) -> str: ...

    @property
    def segments(self) -> Segments: ...

    @property
    def amount_line_uom(self) -> str: ...
