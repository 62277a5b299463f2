"""A connector with its simulator, set up for one check of the contract suite."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import aiohttp
import msgspec

from quaestor.connectors.kit.attempt import Attempt, Exchange, open_attempt
from quaestor.connectors.kit.config import http_wire
from quaestor.connectors.kit.contract import (
    Absent,
    ActionGuarantee,
    Command,
    Found,
    Guarantee,
    NotKnown,
    Submitted,
    SubmittingConnector,
)
from quaestor.connectors.kit.faults import FaultyProxy
from quaestor.connectors.kit.kind import ConnectorKind, SimulatorOptions
from quaestor.connectors.kit.simulator import Ready, Simulator
from quaestor.security.secrets import Secret

__all__ = ["CANARY", "ContractBroken", "Rig", "Subject", "require"]

CANARY = "canary-7f3a91-never-shown"


class ContractBroken(AssertionError):
    """The connector breaks the contract that every vendor passes."""


def require(holds: bool, sentence: str) -> None:
    """Raise `ContractBroken` with the sentence unless it holds."""
    if not holds:
        raise ContractBroken(sentence)


@dataclass(frozen=True)
class Subject:
    """What the suite needs to know of one vendor.

    `system` makes the table `[systems.NAME]` from address and simulator's credentials, secrets
    by any reference. `order` makes the create command of a posting key; `refused` one that the
    vendor refuses. `creates` is how a creating request begins (`POST /orders`). `options` are
    the simulator's own; they must make `CANARY` its password or token. `found_within_s` is how
    long a look-up may take to show what stands there. `rejected_as` is the refusal that the
    vendor's own word becomes.
    """

    kind: ConnectorKind
    system: Callable[[str, Mapping[str, str]], Mapping[str, Any]]
    order: Callable[[str], Command]
    refused: Callable[[str], Command]
    creates: str
    options: Mapping[str, Any] = field(default_factory=dict)
    found_within_s: float = 5.0
    rejected_as: str = "erp_rejected"


class Rig:
    """Simulator, faulty proxy, wire and connector of one subject, for one check.

    Everything that a caller could see is kept: `exchanges` and `errors`.
    """

    def __init__(self, subject: Subject, *, settle_s: float = 0.0, proxied: bool = False) -> None:
        self.subject = subject
        self._settle_s = settle_s
        self._proxied = proxied
        self._stack = AsyncExitStack()
        self.exchanges: list[Exchange] = []
        self.errors: list[NotKnown] = []
        self.points: list[str] = []
        self.total_timeout_s = 5.0
        self.send_within_s = 10.0

    async def __aenter__(self) -> Rig:
        make = self.subject.kind.simulator
        require(make is not None, "a connector brings a simulator along")
        assert make is not None
        options = SimulatorOptions(settle_s=self._settle_s, seed=7, extra=self.subject.options)
        self.simulator = Simulator(make(options))
        self.ready: Ready = await self._stack.enter_async_context(self.simulator)
        url = self.ready.url
        if self._proxied:
            self.proxy = await self._stack.enter_async_context(
                FaultyProxy(url, watch=self.subject.creates)
            )
            url = self.proxy.url
        self._http = await self._stack.enter_async_context(aiohttp.ClientSession())
        self.connector = self.connect(url)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def connect(self, url: str) -> SubmittingConnector:
        """A connector of its own wire to this address."""
        table = dict(self.subject.system(url, self.ready.credentials))
        config = msgspec.convert(table, self.subject.kind.config_type)
        wire = http_wire(config, lambda reference: Secret(CANARY))
        self._stack.push_async_callback(wire.close)
        connector = self.subject.kind.build(config, wire)
        if not isinstance(connector, SubmittingConnector):
            raise ContractBroken("it creates documents: it implements `Connector` and `Submits`")
        return connector

    @property
    def promise(self) -> ActionGuarantee:
        """What the connector promises about the suite's command."""
        return self.connector.manifest.actions[self.subject.order("a" * 52).action]

    @property
    def findable(self) -> bool:
        """Whether the system can be asked what an earlier send left behind."""
        return self.promise.guarantee is not Guarantee.NONE

    async def submit(self, command: Command, stored: bytes | None = None) -> Submitted | NotKnown:
        """Send the rendered (or the given) bytes within an attempt; not-knowing as a value."""
        body = self.connector.render(command) if stored is None else stored
        with open_attempt(self._attempt()) as attempt:
            try:
                return await self.connector.submit(command, body)
            except NotKnown as error:
                self.errors.append(error)
                return error
            finally:
                self.exchanges.extend(attempt.exchanges)

    async def find(self, command: Command) -> Found | NotKnown:
        """Look once within an attempt; not-knowing as a value."""
        with open_attempt(self._attempt()) as attempt:
            try:
                return await self.connector.find(command)
            except NotKnown as error:
                self.errors.append(error)
                return error
            finally:
                self.exchanges.extend(attempt.exchanges)

    async def found(self, command: Command, *, within_s: float | None = None) -> Found | NotKnown:
        """Look until something is found, or the time for it is over."""
        wait_s = self.subject.found_within_s if within_s is None else within_s
        deadline = time.monotonic() + wait_s
        while True:
            found = await self.find(command)
            if not isinstance(found, Absent) or time.monotonic() >= deadline:
                return found
            await asyncio.sleep(0.02)

    async def fault(self, do: str, *, nth: int = 1, seconds: float = 5.0) -> None:
        """Let the next creating request meet this fault of the simulator."""
        fault = {"on": self.subject.creates, "do": do, "nth": nth, "seconds": seconds}
        async with self._http.put(f"{self.ready.control}/faults", json=[fault]) as answer:
            require(answer.status == 200, f"the simulator takes the fault {do}")

    async def documents(self, command: Command) -> list[dict[str, Any]]:
        """What stands in the simulator under this command's reference, visible or not."""
        query = {"reference": command.key}
        async with self._http.get(f"{self.ready.control}/documents", params=query) as answer:
            documents: list[dict[str, Any]] = (await answer.json())["documents"]
            return documents

    async def edit(self, number: str, changes: Mapping[str, Any]) -> None:
        """A person changes a document in the simulated system."""
        url = f"{self.ready.control}/documents/{number}"
        async with self._http.patch(url, json=dict(changes)) as answer:
            require(answer.status == 200, "the simulator lets a document be edited")

    async def requests(self) -> int:
        """How many requests have reached the simulated system."""
        async with self._http.get(f"{self.ready.control}/requests") as answer:
            return int((await answer.json())["count"])

    def shown(self) -> bytes:
        """Everything that a caller of this rig could have stored, logged or shown."""
        errors = [(repr(error), error.reason, error.code, vars(error)) for error in self.errors]
        return (
            msgspec.json.encode(self.exchanges)
            + repr(self.exchanges).encode()
            + (repr(errors).encode())
        )

    def _attempt(self) -> Attempt:
        return Attempt(
            send_before=time.monotonic() + self.send_within_s,
            total_timeout_s=self.total_timeout_s,
            correlation_id="contract-suite",
            at=self.points.append,
        )
