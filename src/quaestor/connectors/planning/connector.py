"""Planning as a system that answers while somebody waits; asking changes nothing there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from quaestor.connectors.kit.classify import Answer as HttpAnswer
from quaestor.connectors.kit.classify import Voice
from quaestor.connectors.kit.contract import (
    Answer,
    Manifest,
    NotKnown,
    Permanent,
    Probe,
    Question,
    Transient,
)
from quaestor.connectors.kit.kind import ConnectorKind, SimulatorOptions
from quaestor.connectors.kit.redact import safe_text
from quaestor.connectors.kit.simulated import Simulated
from quaestor.connectors.kit.wires.http import HttpRequest, HttpWire
from quaestor.connectors.planning.config import PlanningConfig
from quaestor.connectors.planning.manifest import MANIFEST
from quaestor.connectors.planning.mapping import (
    AnswerUnusable,
    QuestionUnusable,
    budget_answer,
    budget_target,
)
from quaestor.model.budget import BALANCE_QUESTION
from quaestor.model.refusal import refuse

__all__ = ["KIND", "PlanningConnector"]

_ACCEPT = (("Accept", "application/json"),)
_NETWORK_FIX = "Open the way to the planning service from here, and check base_url."
_FIELDS_FIX = "Answer GET /budgets/… as openapi.yaml says: 404 with code budget_not_found."
_AUTH_FIX = "Give the token of a client of the planning service that may read budgets."


class PlanningConnector:
    """One planning system. Keeps nothing. `clock` gives the time of day, for ages alone."""

    def __init__(
        self,
        config: PlanningConfig,
        wire: HttpWire,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._config = config
        self._wire = wire
        self._clock = clock

    @property
    def manifest(self) -> Manifest:
        return MANIFEST

    async def check(self) -> tuple[Probe, ...]:
        """Network, credentials, permission and fields, each with what to do."""
        try:
            answer = await self._wire.exchange(HttpRequest("GET", "/status", _ACCEPT), _hear)
        except NotKnown as error:
            if error.code == "connector_auth_failed":
                bad = Probe("credentials", False, error.reason, _AUTH_FIX)
                return (Probe("network", True), bad)
            return (Probe("network", False, error.reason, _NETWORK_FIX),)
        good = answer.status == 200
        return (
            Probe("network", True),
            Probe("credentials", True),
            Probe("budgets", good, f"HTTP {answer.status}", "" if good else _AUTH_FIX),
            await self._fields(),
        )

    async def _fields(self) -> Probe:
        """A budget that nobody has is answered as such: path and problems are as defined."""
        facts = {"fiscal_year": "2000", "cost_center": "quaestor-check"}
        try:
            await self.answer(Question(BALANCE_QUESTION, "quaestor-check", facts))
        except Permanent as error:
            if error.code != "budget_not_found":
                return Probe("fields", False, error.reason, _FIELDS_FIX)
        except NotKnown as error:
            return Probe("fields", False, error.reason, _FIELDS_FIX)
        return Probe("fields", True, "a budget that is not there is told by its code")

    async def answer(self, question: Question) -> Answer:
        """The budget that is asked for, in gross, and as of when it is true.

        Raises `Permanent` `budget_not_found` where planning has none, `Transient` where the
        answer states no fact.
        """
        if question.name != BALANCE_QUESTION:
            raise self._refused(f"the question {question.name} is not answered")
        try:
            target = budget_target(question)
        except QuestionUnusable as error:
            raise self._refused(str(error)) from error
        answer = await self._wire.exchange(HttpRequest("GET", target, _ACCEPT), _hear)
        if answer.status == 404:
            refusal = refuse("budget_not_found", entity=question.entity, **question.facts)
            raise Permanent("planning has no such budget", refusal)
        if answer.status >= 400:
            raise self._not_answered(answer)
        ahead = timedelta(seconds=self._config.ahead_s)
        try:
            return budget_answer(answer.body, question, self._clock(), ahead)
        except AnswerUnusable as error:
            reason = self._wire.safe(str(error))
        raise Transient(reason, code="check_unknown", system=False)

    def _not_answered(self, answer: HttpAnswer) -> Permanent:
        told = answer.json.get("title") if isinstance(answer.json, dict) else ""
        return self._refused(self._wire.safe(safe_text(f"HTTP {answer.status}: {told}")))

    def _refused(self, why: str) -> Permanent:
        return Permanent(why, refuse("connector_refused", system=self._config.system, why=why))


def _hear(answer: HttpAnswer) -> Voice:
    """Did the service itself speak? Its refusals are problems with a code (RFC 9457)."""
    if answer.status == 429 or (answer.status == 503 and answer.header("Retry-After")):
        return Voice.BUSY
    if answer.status in (401, 403):
        return Voice.LOGIN
    spoken: Any = answer.json
    if not isinstance(spoken, Mapping):
        return Voice.UNSURE
    if answer.status == 200:
        return Voice.DONE
    return Voice.REFUSED if 400 <= answer.status < 500 and "code" in spoken else Voice.UNSURE


def _simulator(options: SimulatorOptions) -> Simulated:
    from quaestor.connectors.planning.simulator import PlanningSimulator

    return PlanningSimulator(options)


def _simulator_options() -> type[msgspec.Struct]:
    from quaestor.connectors.planning.simulator import PlanningSimulatorOptions

    return PlanningSimulatorOptions


KIND = ConnectorKind(
    manifest=MANIFEST,
    config_type=PlanningConfig,
    build=PlanningConnector,
    simulator=_simulator,
    simulator_options=_simulator_options,
)
