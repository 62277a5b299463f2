"""The table `[systems.NAME]` of a bogus installation."""

from __future__ import annotations

from quaestor.connectors.kit.config import SystemConfig
from quaestor.connectors.kit.contract import Guarantee

__all__ = ["BogusConfig"]


class BogusConfig(SystemConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`guarantee` is what creating an order promises here; the simulator takes the same option.

    `remembered_for_s` belongs to `key`: how long a key is remembered.
    """

    guarantee: Guarantee = Guarantee.SEARCH
    remembered_for_s: float | None = None
