"""What the gateway carries: validations while somebody types, and requisitions taken in.

Validation asks the replicas and the ledger, next to the bare route with the same body; at 300 a
second its latency counts, at saturation its rate. Intake is durable when it is answered, and a
request that is repeated with its key makes no second document: both are counted afterwards.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import msgspec

from quaestor.audit.keyfile import read_or_make_key
from quaestor.bench.asking import Asker, request_bytes
from quaestor.bench.bare import BARE_TARGET
from quaestor.bench.folder import CENTERS, ENTITY
from quaestor.bench.load import percentile
from quaestor.bench.meters import cpu_s, has_proc
from quaestor.security.identity import LaptopIssuer, new_signing_key

__all__ = ["Served", "Serving", "a_requisition", "bearer_token", "measure_gateway"]

RATE_PER_S = 300.0
CONNECTIONS = 16
# Every so many requests one comes once more with its key, when it was answered long ago.
REPEATED_EVERY = 10
_LONG_AGO = 2 * CONNECTIONS
_SOURCE = "portal"
_COUNT = "select count(*) from quaestor.document where source_system = $1"
_SCOPES = ("requisitions:write", "requisitions:read", "budget:reserve")
_LINES = (
    ("Laptop Helio Book 14, 32 GB, 1 TB", "2", "1849.00", "3698.00", "it-hardware"),
    ("Docking station USB-C, 96 W", "2", "219.50", "439.00", "it-accessories"),
    ("Monitor 27 inch, QHD, height adjustable", "4", "389.90", "1559.60", "it-hardware"),
)


class Serving(Protocol):
    """A process that answers HTTP at `ready["url"]`."""

    @property
    def pid(self) -> int: ...

    @property
    def ready(self) -> Mapping[str, Any]: ...


class Served(msgspec.Struct, frozen=True):
    """Rates in requests per second, latencies in ms; processor ms of the serving process for each
    request at saturation, where they can be measured. `intake_accepted` requisitions are as many
    `intake_documents`, although `intake_repeated` requests came twice.
    """

    validation_rps: float
    validation_p50_ms: float
    validation_p99_ms: float
    bare_rps: float
    bare_p50_ms: float
    bare_p99_ms: float
    intake_rps: float
    intake_p50_ms: float
    intake_p99_ms: float
    intake_accepted: int
    intake_repeated: int
    intake_documents: int
    validation_cpu_ms: float | None = None
    bare_cpu_ms: float | None = None
    intake_cpu_ms: float | None = None

    @property
    def is_exact(self) -> bool:
        """Whether what was accepted is there, once."""
        return self.intake_accepted == self.intake_documents > 0


async def measure_gateway(
    gateway: Serving, bare: Serving, folder: Path, owner: asyncpg.Connection, window_s: float
) -> Served:
    """Measure the gateway beside the bare route.

    `folder` is the gateway's data directory. Raises `BenchFailed`.
    """
    token = bearer_token(folder, "bench")
    bodies = [msgspec.json.encode(a_requisition(number)) for number in range(1, CENTERS + 1)]
    asked = cycle([request_bytes("/v1/validations", token, body) for body in bodies])
    echoed = cycle([request_bytes(BARE_TARGET, token, body) for body in bodies])
    checking = Asker(gateway.ready["url"], CONNECTIONS, asked.__next__)
    plain = Asker(bare.ready["url"], CONNECTIONS, echoed.__next__)
    warm_s = min(1.0, window_s / 2)
    ours, theirs = _Saturated(checking, gateway.pid, 200), _Saturated(plain, bare.pid, 200)
    # Turn and turn about, as everything here: bare, ours, ours, bare.
    for one in (theirs, ours, ours, theirs):
        await one.window(warm_s, window_s / 2)
    bare_paced = (await plain.at_rate(RATE_PER_S, window_s)).only(200)
    paced = (await checking.at_rate(RATE_PER_S, window_s)).only(200)
    arriving = _Arriving(token)
    asker = Asker(gateway.ready["url"], CONNECTIONS, arriving.next)
    taken = _Saturated(asker, gateway.pid, 201)
    await taken.window(warm_s, window_s)
    return Served(
        validation_rps=ours.per_s,
        validation_p50_ms=percentile(paced.latencies_ms, 50),
        validation_p99_ms=percentile(paced.latencies_ms, 99),
        bare_rps=theirs.per_s,
        bare_p50_ms=percentile(bare_paced.latencies_ms, 50),
        bare_p99_ms=percentile(bare_paced.latencies_ms, 99),
        intake_rps=taken.per_s,
        intake_p50_ms=percentile(taken.latencies_ms, 50),
        intake_p99_ms=percentile(taken.latencies_ms, 99),
        intake_accepted=arriving.made,
        intake_repeated=arriving.repeated,
        intake_documents=await owner.fetchval(_COUNT, _SOURCE),
        validation_cpu_ms=ours.cpu_ms,
        bare_cpu_ms=theirs.cpu_ms,
        intake_cpu_ms=taken.cpu_ms,
    )


class _Saturated:
    """Windows at saturation, and what the answering process `pid` spent in them."""

    def __init__(self, asker: Asker, pid: int, status: int) -> None:
        self._asker, self._pid, self._status = asker, pid, status
        self._measured_s = self._cpu_s = 0.0
        self.latencies_ms: list[float] = []

    async def window(self, warm_s: float, measured_s: float) -> None:
        """One more window. Raises `BenchFailed` for another status."""
        (await self._asker.at_saturation(warm_s)).only(self._status)
        spent_s = cpu_s([self._pid])
        heard = (await self._asker.at_saturation(measured_s)).only(self._status)
        self._cpu_s += cpu_s([self._pid]) - spent_s
        self._measured_s += measured_s
        self.latencies_ms += heard.latencies_ms

    @property
    def per_s(self) -> float:
        """Answers per second, over all windows."""
        return len(self.latencies_ms) / self._measured_s

    @property
    def cpu_ms(self) -> float | None:
        """Processor ms of the process for each answer."""
        return self._cpu_s * 1000 / len(self.latencies_ms) if has_proc() else None


def bearer_token(folder: Path, client: str) -> str:
    """A token of this client for the gateway whose data directory this is."""
    issuer = LaptopIssuer(read_or_make_key(folder / "issuer.key", new_signing_key))
    return issuer.token(
        subject=client,
        scopes=_SCOPES,
        entities=[ENTITY],
        now_s=int(time.time()),
        ttl_s=3600,
        client=client,
    )


class _Arriving:
    """Requisitions one after the other, every tenth of them twice."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._asked = 0
        self._latest: deque[bytes] = deque(maxlen=_LONG_AGO)
        self.made = self.repeated = 0

    def next(self) -> bytes:
        self._asked += 1
        if self._asked % REPEATED_EVERY == 0 and len(self._latest) == _LONG_AGO:
            self.repeated += 1
            return self._latest[0]
        self.made += 1
        body = msgspec.json.encode(a_requisition(self.made))
        key = f'idempotency-key: "bench-{self.made}"\r\n'
        self._latest.append(request_bytes("/v1/requisitions", self._token, body, key))
        return self._latest[-1]


def a_requisition(number: int) -> dict[str, Any]:
    """A requisition as a portal hands it in: three lines, 1 kB."""
    center = f"center-{4000 + number % CENTERS}"
    return {
        "source_system": _SOURCE,
        "source_id": f"P-{number}",
        "entity": ENTITY,
        "requester": "ana.berger",
        "title": "Equipment for new colleagues",
        "currency": "EUR",
        "total": "5696.60",
        "lines": [
            {
                "number": place,
                "description": text,
                "supplier": "helio-systems",
                "quantity": quantity,
                "uom": "EA",
                "unit_price": price,
                "amount": amount,
                "splits": [
                    {"coding": {"cost_center": center, "gl_account": account}, "amount": amount}
                ],
            }
            for place, (text, quantity, price, amount, account) in enumerate(_LINES, start=1)
        ],
    }
