"""The table `[systems.NAME]` of a Coupa installation."""

from __future__ import annotations

from typing import Annotated

import msgspec

from quaestor.connectors.coupa.layout import Segments
from quaestor.connectors.kit.config import SystemConfig
from quaestor.connectors.kit.oauth import OAuthRules

__all__ = ["SCOPES", "CoupaConfig", "CoupaOAuth", "PullRules", "ReportRules"]

# What the streams and the write-back need; an installation that does less asks for less.
SCOPES = (
    "core.requisition.read",
    "core.requisition.write",
    "core.supplier.read",
    "core.user.read",
    "core.accounting.read",
    "core.integration.read",
    "core.integration.write",
)


class CoupaOAuth(OAuthRules, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As `OAuthRules`. Coupa's pages name `/oauth2/token`, its Swagger `/oauth2/access_tokens`.

    Five seconds between a token and its first use: Coupa's own advice ("OpenID Connect Clients",
    Design Considerations), since the token may not be known everywhere at once.
    """

    scopes: tuple[str, ...] = SCOPES
    gap_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 5.0


class PullRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is pulled, and how. Times in seconds.

    Requisitions in one of the `statuses` are new to us until they are marked as exported.
    Changes are read again from `overlap_s` before the last one, since what was written earlier
    may become visible later. `page` is at most 50, Coupa's own limit.
    """

    statuses: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("approved",)
    overlap_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 60.0
    page: Annotated[int, msgspec.Meta(ge=2, le=50)] = 50


class ReportRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a requisition's status goes.

    It always becomes an integration history record, and an alert to the integration's contacts
    for a refusal. `integration` is the code of the integration set up in Coupa that the records
    belong to; `alerts` whom they concern. `order_field` and `state_field` are the installation's
    custom fields of the requisition header that take the order numbers and the state as well.
    """

    integration: str = ""
    alerts: str = "Technical"
    order_field: str = ""
    state_field: str = ""


class CoupaConfig(SystemConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Coupa installation.

    `base_url` is scheme and host; `api_path` follows it. `system` is the system's name in the
    project folder and in the crosswalks. `amount_line_uom` is our unit for a line without a
    quantity (`RequisitionAmountLine`). The rate is Coupa's limit ("Exception Handling and Error
    Codes").
    """

    system: str = "coupa"
    connector: str = "coupa"
    base_url: str = ""
    requests_per_s: Annotated[float, msgspec.Meta(gt=0)] | None = 25.0
    burst: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
    oauth: CoupaOAuth = CoupaOAuth()
    api_path: str = "/api"
    segments: Segments = Segments()
    amount_line_uom: str = "EA"
    pulls: PullRules = PullRules()
    report: ReportRules = ReportRules()
