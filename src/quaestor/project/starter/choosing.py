"""Which systems a new project connects: one for each part, told by what connectors can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from quaestor.connectors.kit.contract import Manifest
from quaestor.connectors.kit.kind import ConnectorKind
from quaestor.connectors.kit.registry import connector_kinds
from quaestor.model.budget import BALANCE_QUESTION

__all__ = ["NO_SYSTEM", "Chosen", "SystemUnsuited", "choose", "suited"]

NO_SYSTEM = "none"

_SUITS: Mapping[str, Callable[[Manifest], bool]] = {
    "procurement": lambda manifest: "requisitions" in manifest.streams,
    "approvals": lambda manifest: "submit_requisition" in manifest.actions,
    "planning": lambda manifest: BALANCE_QUESTION in manifest.questions,
    "erp": lambda manifest: "create_order" in manifest.actions,
}


class SystemUnsuited(Exception):
    """No connector of this name can do that part."""

    def __init__(self, part: str, asked: str) -> None:
        known = [*suited(part), *(() if part == "erp" else (NO_SYSTEM,))]
        super().__init__(f"--{part} {asked}: one of {', '.join(known)}")
        self.part, self.asked = part, asked


class Chosen(msgspec.Struct, frozen=True):
    """The systems of a new project: name in the project → kind, for each part that has one.

    `asked` is where requisitions come from when no procurement system is connected, and who
    decides when no approval system is: a system that is only named.
    """

    kinds: Mapping[str, ConnectorKind]
    procurement: str
    approvals: str
    planning: str
    erp: str

    @property
    def source(self) -> str:
        """Where requisitions come from: the procurement system, or a portal of one's own."""
        return self.procurement or "portal"

    @property
    def decider(self) -> str:
        """Whose approval counts: the approval system's, else that of where requisitions are."""
        return self.approvals or self.source


def suited(part: str) -> list[str]:
    """The kinds that can do this part, by name."""
    kinds = connector_kinds()
    return [name for name in kinds if _SUITS[part](kinds[name].manifest)]


def choose(*, procurement: str, approvals: str, planning: str, erp: str) -> Chosen:
    """Raises `SystemUnsuited` for a name that no connector has, or that cannot do its part."""
    asked = {
        "procurement": procurement,
        "approvals": approvals,
        "planning": planning,
        "erp": erp,
    }
    kinds: dict[str, ConnectorKind] = {}
    names: dict[str, str] = {}
    for part, kind in asked.items():
        if kind == NO_SYSTEM and part != "erp":
            names[part] = ""
            continue
        if kind not in suited(part):
            raise SystemUnsuited(part, kind)
        # The short name is what people call it: sap_s4 is `sap`.
        names[part] = kind.split("_")[0]
        kinds[names[part]] = connector_kinds()[kind]
    return Chosen(kinds, **names)
