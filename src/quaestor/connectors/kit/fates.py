"""What becomes of each field in a mapping: nothing is lost silently (DESIGN D14).

A mapping publishes one table from field path to fate. A test holds the table against the fields
of the nouns, and changes each field to see that the fate is true.
"""

from __future__ import annotations

import msgspec

__all__ = ["Defaulted", "Dropped", "Fate", "Mapped"]


class Mapped(msgspec.Struct, frozen=True, tag="mapped"):
    """The field's value decides `to` in the vendor's form; `note` says how, where not plainly."""

    to: str
    note: str = ""


class Defaulted(msgspec.Struct, frozen=True, tag="defaulted"):
    """The field's value decides `to`; where it is empty the configured value of `by` stands."""

    to: str
    by: str


class Dropped(msgspec.Struct, frozen=True, tag="dropped"):
    """The vendor does not get this field, for a reason."""

    reason: str


Fate = Mapped | Defaulted | Dropped
