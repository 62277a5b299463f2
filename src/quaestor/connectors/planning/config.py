"""The table `[systems.NAME]` of a planning system."""

from __future__ import annotations

from typing import Annotated

import msgspec

from quaestor.connectors.kit.config import SystemConfig

__all__ = ["PlanningConfig"]


class PlanningConfig(SystemConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`base_url` is where the service of `openapi.yaml` stands.

    `ahead_s`, in seconds, is how far its clock may run before ours: an answer from further ahead
    has no age that could be relied on.
    """

    total_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    connect_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    ahead_s: Annotated[float, msgspec.Meta(ge=0, le=300)] = 5.0
