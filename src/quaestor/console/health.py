"""How the systems are: is it them or us, what waits, and what each promises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from quaestor.console.asking import Ask, Go, Page, Refused, Reply, at_most
from quaestor.console.counting import Backlog, backlogs, due_first
from quaestor.console.reading import documents_by_id
from quaestor.console.services import SystemFacts
from quaestor.security.authorization import Scope
from quaestor.store import Connection

__all__ = ["SYSTEM", "SYSTEMS", "Health", "Stream", "health"]

# Two rounds of upkeep and a slow machine: who has not been seen for so long is not at work.
WORKER_SILENT_S = 30

_CIRCUITS = "select system, open, reason, failures, opened_at, seen_at from quaestor.system_state"
_STREAMS = """
select system, name, due_at, asked_at, answered_at, trouble from quaestor.stream
order by system, name
"""
# Of the newest documents alone: intents are not indexed by when they were answered.
_ANSWERED = """
select system, max(resolved_at) as at from (
    select system, resolved_at from quaestor.intent order by document_id desc limit 1000
) newest where resolved_at is not null group by system
"""
_WORKERS = "select id, started_at, seen_at from quaestor.worker order by id"


class Stream(msgspec.Struct, frozen=True):
    """What is pulled from a system: when it was asked, when it answered, and its trouble."""

    name: str
    due_at: datetime
    asked_at: datetime | None
    answered_at: datetime | None
    trouble: str


class Health(msgspec.Struct, frozen=True):
    """One system. `state` is `working`, `trouble`, `quiet` where nothing was heard of it yet,
    `asked` where it only answers questions, or `named` where it does nothing for us.
    """

    facts: SystemFacts
    state: str
    since: datetime | None
    reason: str
    failures: int
    answered_at: datetime | None
    waiting: int
    oldest: datetime | None
    streams: tuple[Stream, ...]


def health(
    systems: Iterable[SystemFacts],
    circuits: Mapping[str, Mapping[str, Any]],
    streams: Mapping[str, Sequence[Stream]],
    waiting: Mapping[str, Backlog],
    answered: Mapping[str, datetime],
) -> list[Health]:
    """How each system is, by what was read; those in trouble first."""
    found = []
    for facts in systems:
        circuit = circuits.get(facts.name, {})
        its = tuple(streams.get(facts.name, ()))
        pulled = [each.answered_at for each in its if each.answered_at is not None]
        heard = max([*pulled, *filter(None, [answered.get(facts.name)])], default=None)
        backlog = waiting.get(facts.name, Backlog())
        state = "working" if heard is not None else "quiet"
        if circuit.get("open") or any(each.trouble for each in its):
            state = "trouble"
        elif not facts.actions and not facts.streams and heard is None:
            state = "asked" if facts.questions else "named"
        found.append(
            Health(
                facts=facts,
                state=state,
                since=circuit.get("opened_at") if circuit.get("open") else None,
                reason=circuit.get("reason", "") if circuit.get("open") else "",
                failures=circuit.get("failures", 0) if circuit.get("open") else 0,
                answered_at=heard,
                waiting=backlog.count,
                oldest=backlog.oldest,
                streams=its,
            )
        )
    return sorted(found, key=lambda each: each.state != "trouble")


async def _read(ask: Ask, connection: Connection) -> list[Health]:
    streams: dict[str, list[Stream]] = {}
    for row in await connection.fetch(_STREAMS):
        stream = Stream(
            row["name"], row["due_at"], row["asked_at"], row["answered_at"], row["trouble"]
        )
        streams.setdefault(row["system"], []).append(stream)
    return health(
        ask.services.systems,
        {row["system"]: dict(row) for row in await connection.fetch(_CIRCUITS)},
        streams,
        await backlogs(
            connection, [facts.name for facts in ask.services.systems], ask.caller.entities
        ),
        {row["system"]: row["at"] for row in await connection.fetch(_ANSWERED)},
    )


async def _systems(ask: Ask, connection: Connection) -> Reply | Go:
    workers = await connection.fetch(_WORKERS)
    shows = {
        "systems": await _read(ask, connection),
        "workers": workers,
        "silent": [
            row["id"]
            for row in workers
            if (ask.now - row["seen_at"]).total_seconds() > WORKER_SILENT_S
        ],
    }
    return Reply("systems.html", shows, refreshable=True)


async def _system(ask: Ask, connection: Connection) -> Reply | Go:
    name = ask.path["name"]
    found = next((each for each in await _read(ask, connection) if each.facts.name == name), None)
    if found is None:
        raise Refused(404, "not_found")
    per_page = ask.services.limits.rows_per_page
    first = min(at_most(ask.query.get("from"), 1), max(1, found.waiting))
    ids = await due_first(connection, name, ask.caller.entities, first - 1, per_page)
    shows = {
        "system": found,
        "documents": await documents_by_id(connection, ids),
        "first": first,
        "last": first + len(ids) - 1,
        "previous": max(1, first - per_page) if first > 1 else None,
        "following": first + per_page if first + per_page <= found.waiting else None,
    }
    return Reply("system.html", shows, refreshable=True)


_SCOPES = (Scope.TRACES_READ, Scope.WORKLIST_READ, Scope.WORKLIST_ACT)
SYSTEMS = Page("/console/systems", _systems, _SCOPES)
SYSTEM = Page("/console/systems/{name:str}", _system, _SCOPES, query=("from",))
