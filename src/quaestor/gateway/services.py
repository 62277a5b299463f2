"""What the gateway is given by the composition root. Values and seams, no project folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from quaestor.connectors.kit.contract import Receives
from quaestor.flows.kit.flow import Flow
from quaestor.gateway.balances import BalanceReader
from quaestor.runtime.inquiring import AnswerLink
from quaestor.runtime.recording import Recorder
from quaestor.security.identity import TrustedIssuer
from quaestor.store import Database

__all__ = ["GatewayLimits", "Reads", "Services"]

Reads = Callable[[str, str, tuple[type, ...]], Mapping[type, Any]]


class GatewayLimits(msgspec.Struct, frozen=True):
    """What the gateway takes at once. Beyond `at_once_max` requests, or `changes_max` that change
    something, it answers `overloaded`; and `rate_limited` to a client that has more than
    `per_client_max` of either kind. An address may fail to authenticate
    `bad_tokens_per_minute_max` times. A check that was not made within `validation_deadline_s` is
    unknown; of that the source of a budget has nine tenths.
    """

    at_once_max: int = 128
    changes_max: int = 96
    per_client_max: int = 64
    bad_tokens_per_minute_max: int = 100
    validation_deadline_s: float = 2.0
    page_default: int = 50
    page_max: int = 200

    @property
    def source_deadline_s(self) -> float:
        """Within which another system must have stated a budget, so that it can still be used."""
        return 0.9 * self.validation_deadline_s


@dataclass(frozen=True)
class Services:
    """One gateway's view of a deployment.

    `reads` answers by document type, entity and declared types from the release `release`, to
    which what comes in is pinned. `database` works as the role `quaestor_gateway`, `balances` are
    read in it. `cursor_key` signs cursors; every gateway of the deployment has the same.
    `entities` are all of them, `receivers` those of systems whose webhooks are taken, `asked` the
    systems that answer questions, by system.
    """

    database: Database
    balances: BalanceReader
    recorder: Recorder
    flows: Mapping[str, Flow]
    release: str
    reads: Reads
    environment: str
    trusted: tuple[TrustedIssuer, ...]
    cursor_key: bytes
    entities: tuple[str, ...] = ()
    receivers: Mapping[str, Receives] = field(default_factory=dict)
    asked: Mapping[str, AnswerLink] = field(default_factory=dict)
    limits: GatewayLimits = field(default_factory=GatewayLimits)
