"""The table `[systems.NAME]` of a Workday tenant."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import msgspec
from msgspec.structs import replace

from quaestor.connectors.kit.config import SystemConfig
from quaestor.connectors.workday.decisions import DecisionWords
from quaestor.connectors.workday.mapping import RequisitionRules

__all__ = ["WorkdayConfig"]

_Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class WorkdayConfig(SystemConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Workday tenant.

    `base_url` is scheme and host; `service_path` and `rest_path` follow it. `version` is the
    version of the SOAP services. `initiator` is the Workday ID of the person that our
    requisitions are submitted by, `business_process` that of the requisition's process type;
    the stream `decisions` needs the first. `decisions_since` leaves older decisions out.
    `requisition` are the installation's rules for requisitions, `words` what its steps say. A
    requester is the worker whose employee id stands in the directory's `identities`.
    """

    tenant: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
    version: Annotated[str, msgspec.Meta(pattern=r"^v[0-9]{1,3}\.[0-9]$")] = "v30.0"
    service_path: str = "/ccx/service"
    rest_path: str = "/businessProcess/v1"
    initiator: str = ""
    business_process: str = ""
    decisions_since: date | None = None
    pages_max: _Count = 20
    items_max: _Count = 50
    workers_page: Annotated[int, msgspec.Meta(ge=1, le=999)] = 100
    requisition: RequisitionRules = RequisitionRules()
    words: DecisionWords = DecisionWords()

    @property
    def rules(self) -> RequisitionRules:
        """The rules for requisitions; workers are who the directory says, unless a table does."""
        rules = self.requisition
        if "worker" in rules.codes or not self.logins:
            return rules
        return replace(rules, codes={**rules.codes, "worker": self.logins})

    def soap(self, service: str) -> str:
        """The path of a SOAP service below `base_url`."""
        return f"{self.service_path}/{self.tenant}/{service}/{self.version}"
