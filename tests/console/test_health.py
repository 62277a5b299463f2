"""How a system is, by what was read of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from quaestor.console.counting import Backlog
from quaestor.console.health import Stream, health
from quaestor.console.services import ActionFacts, SystemFacts

AT = datetime(2026, 11, 22, tzinfo=UTC)
SAP = SystemFacts("sap", "SAP", actions=(ActionFacts("create_order", "search", 1.0, "allowed"),))
PLANNING = SystemFacts("planning", "Planning", questions=("balance",))
NAMED = SystemFacts("portal", "no connector")
OPEN = {"open": True, "opened_at": AT, "reason": "refused", "failures": 3}
CLOSED = {"open": False, "opened_at": AT, "reason": "refused", "failures": 0}


def a_stream(trouble: str = "") -> Stream:
    return Stream("requisitions", AT, AT, AT, trouble)


STATES: list[tuple[SystemFacts, dict[str, Any], list[Stream], dict[str, datetime], str]] = [
    (SAP, {}, [], {"sap": AT}, "working"),
    (SAP, {}, [], {}, "quiet"),
    (SAP, {}, [a_stream()], {}, "working"),
    (SAP, OPEN, [], {"sap": AT}, "trouble"),
    (SAP, CLOSED, [], {"sap": AT}, "working"),
    (SAP, {}, [a_stream("refused")], {"sap": AT}, "trouble"),
    (PLANNING, {}, [], {}, "asked"),
    (NAMED, {}, [], {}, "named"),
]


@pytest.mark.parametrize(("facts", "circuit", "streams", "answered", "state"), STATES)
def test_a_system_is_what_was_heard_of_it(
    facts: SystemFacts,
    circuit: dict[str, Any],
    streams: list[Stream],
    answered: dict[str, datetime],
    state: str,
) -> None:
    [found] = health([facts], {facts.name: circuit}, {facts.name: streams}, {}, answered)

    assert found.state == state


def test_a_closed_circuit_tells_no_old_trouble() -> None:
    [found] = health([SAP], {"sap": CLOSED}, {}, {}, {"sap": AT})

    assert (found.since, found.reason, found.failures) == (None, "", 0)


def test_what_is_in_trouble_comes_first() -> None:
    found = health([NAMED, SAP], {"sap": OPEN}, {}, {"sap": Backlog(5, AT)}, {})

    assert [each.facts.name for each in found] == ["sap", "portal"]
    assert (found[0].waiting, found[0].oldest) == (5, AT)
