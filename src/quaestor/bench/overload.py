"""Overload: many times more requisitions over HTTP than the gateway can take in.

Each must be answered in a bounded time, taken in or refused; what was taken in is there once, and
what was refused is not there. Beside it somebody asks for validations, ten a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncpg
import msgspec

from quaestor.bench.asking import Asker, request_bytes
from quaestor.bench.gateway import Serving, a_requisition, bearer_token
from quaestor.bench.load import percentile
from quaestor.bench.meters import has_proc, peak_memory_mb, resident_mb
from quaestor.bench.surge import Surge, Surged

__all__ = ["Overload", "measure_overload"]

TIMES = 20
CALLERS = 2_000
# Of so many requests one is of another client, which finds room beside the greedy one.
_ANOTHERS_EVERY = 10
_SUSTAINED_S = 4.0
_SUSTAINED_CONNECTIONS = 16
_VALIDATIONS_PER_S = 10.0
_VALIDATORS = 16
_TAKEN = 201
_REFUSED = (429, 503)
_STORED = """
select source_id, count(*) from quaestor.document where source_id like $1 || '-%' group by 1
"""


class Overload(msgspec.Struct, frozen=True):
    """`seconds` of requests that came `times` as often as `sustained_per_s`, the rate at which the
    gateway takes requisitions in at saturation. `sent_per_s` left; for the others no caller was
    free, as each waits for its answer. `lost` were not answered, `unexcused` refused without being
    told when to come again. `documents` are there of those `accepted`; `strays` twice, or of no
    accepted request. Latencies in ms, memory in MB.
    """

    seconds: float
    times: int
    sustained_per_s: float
    sent_per_s: float
    sent: int
    accepted: int
    refused_429: int
    refused_503: int
    lost: int
    unexcused: int
    documents: int
    strays: int
    accepted_per_s: float
    accepted_p50_ms: float
    accepted_p99_ms: float
    refused_p50_ms: float
    refused_p99_ms: float
    answer_ms_max: float
    validations_answered: int
    validations_refused: int
    validation_p50_ms: float
    validation_p99_ms: float
    memory_before_mb: float | None = None
    memory_mb: float | None = None

    @property
    def is_exact(self) -> bool:
        """Whether each was answered, and what was accepted is there once, and nothing else."""
        answered = self.accepted + self.refused_429 + self.refused_503 == self.sent
        stored = self.documents == self.accepted > 0
        return answered and stored and not (self.lost or self.unexcused or self.strays)


async def measure_overload(
    gateway: Serving, folder: Path, owner: asyncpg.Connection, seconds: float
) -> Overload:
    """Flood the gateway for so long. `folder` is its data directory. Raises `BenchFailed`."""
    url = gateway.ready["url"]
    sustained = await _sustained(url, folder)
    before_mb = resident_mb(gateway.pid) if has_proc() else None
    surge = Surge(url, CALLERS, TIMES * sustained, _requests(folder, "surge"))
    validation = request_bytes(
        "/v1/validations", bearer_token(folder, "person"), msgspec.json.encode(a_requisition(1))
    )
    validating = Asker(url, _VALIDATORS, lambda: validation)
    surged, validated = await asyncio.gather(
        surge.run(seconds), validating.at_rate(_VALIDATIONS_PER_S, seconds)
    )
    documents, strays = await _stored(owner, surged)
    refused = surged.latencies_of(*_REFUSED)
    accepted = surged.latencies_of(_TAKEN)
    return Overload(
        seconds=round(surged.elapsed_s, 1),
        times=TIMES,
        sustained_per_s=round(sustained, 1),
        sent_per_s=round(len(surged.statuses) / surged.elapsed_s, 1),
        sent=len(surged.statuses),
        accepted=surged.answered(_TAKEN),
        refused_429=surged.answered(429),
        refused_503=surged.answered(503),
        lost=surged.lost,
        unexcused=surged.unexcused,
        documents=documents,
        strays=strays,
        accepted_per_s=round(surged.answered(_TAKEN) / surged.elapsed_s, 1),
        accepted_p50_ms=round(percentile(accepted, 50), 1),
        accepted_p99_ms=round(percentile(accepted, 99), 1),
        refused_p50_ms=round(percentile(refused, 50), 1),
        refused_p99_ms=round(percentile(refused, 99), 1),
        answer_ms_max=round(max([*accepted, *refused], default=0.0), 1),
        validations_answered=validated.statuses[200],
        validations_refused=validated.statuses.total() - validated.statuses[200],
        validation_p50_ms=round(percentile(validated.latencies_ms, 50), 1),
        validation_p99_ms=round(percentile(validated.latencies_ms, 99), 1),
        memory_before_mb=before_mb and round(before_mb, 1),
        memory_mb=round(peak_memory_mb(gateway.pid), 1) if has_proc() else None,
    )


async def _sustained(url: str, folder: Path) -> float:
    """Requisitions taken in per second while each caller waits for its answer."""
    made, numbers = _requests(folder, "sustained"), iter(range(10**9))
    asker = Asker(url, _SUSTAINED_CONNECTIONS, lambda: made(next(numbers)))
    await asker.at_saturation(1.0)
    return (await asker.at_saturation(_SUSTAINED_S)).only(_TAKEN).per_s


def _requests(folder: Path, name: str) -> Callable[[int], bytes]:
    """Makes request by number; nearly all of them are of one client."""
    greedy, another = (bearer_token(folder, f"{name}-{client}") for client in ("one", "two"))

    def made(number: int) -> bytes:
        # Every number once: no request is another one's twin.
        source_id = f"{name}-{number}"
        body = msgspec.json.encode(a_requisition(number) | {"source_id": source_id})
        key = f'idempotency-key: "{source_id}"\r\n'
        token = greedy if number % _ANOTHERS_EVERY else another
        return request_bytes("/v1/requisitions", token, body, key)

    return made


async def _stored(owner: asyncpg.Connection, surged: Surged) -> tuple[int, int]:
    """How many accepted requests have a document, and how many documents should not be there."""
    documents = strays = 0
    for row in await owner.fetch(_STORED, "surge"):
        number = int(row["source_id"].rpartition("-")[2])
        is_taken = surged.statuses[number] == _TAKEN
        documents += is_taken
        strays += row["count"] - is_taken
    return documents, strays
