"""What the gateway carries: validations while somebody types, and requisitions taken in.

Validation asks the replicas and the ledger, next to the bare route with the same body; at 300 a
second its latency counts, at saturation its rate. Intake is durable when it is answered, and a
request that is repeated with its key makes no second document: both are counted afterwards.
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from quaestor.audit.keyfile import read_or_make_key
from quaestor.bench.asking import Asker, Heard, request_bytes
from quaestor.bench.bare import BARE_TARGET
from quaestor.bench.folder import CENTERS, ENTITY
from quaestor.bench.load import percentile
from quaestor.security.identity import LaptopIssuer, new_signing_key

__all__ = ["Served", "measure_gateway"]

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


class Served(msgspec.Struct, frozen=True):
    """Rates in requests per second, latencies in ms. `intake_accepted` requisitions are
    as many `intake_documents`, although `intake_repeated` requests came twice.
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

    @property
    def is_exact(self) -> bool:
        """Whether what was accepted is there, once."""
        return self.intake_accepted == self.intake_documents > 0


async def measure_gateway(
    gateway: str, bare: str, folder: Path, owner: asyncpg.Connection, window_s: float
) -> Served:
    """Measure the gateway at one address beside the bare route at the other.

    `folder` is the gateway's data directory. Raises `BenchFailed`.
    """
    token = _token(folder)
    body = msgspec.json.encode(a_requisition(1))
    asked = request_bytes("/v1/validations", token, body)
    echoed = request_bytes(BARE_TARGET, token, body)
    checking = Asker(gateway, CONNECTIONS, lambda: asked)
    plain = Asker(bare, CONNECTIONS, lambda: echoed)
    warm_s = min(1.0, window_s / 2)
    rates: dict[bool, list[Heard]] = {True: [], False: []}
    # Turn and turn about, as everything here: bare, ours, ours, bare.
    for is_ours in (False, True, True, False):
        asker = checking if is_ours else plain
        rates[is_ours].append((await asker.at_saturation(warm_s, window_s / 2)).only(200))
    bare_paced = (await plain.at_rate(RATE_PER_S, window_s)).only(200)
    paced = (await checking.at_rate(RATE_PER_S, window_s)).only(200)
    arriving = _Arriving(token)
    taken = (await Asker(gateway, CONNECTIONS, arriving.next).at_saturation(warm_s, window_s)).only(
        201
    )
    return Served(
        validation_rps=_mean(rates[True]),
        validation_p50_ms=percentile(paced.latencies_ms, 50),
        validation_p99_ms=percentile(paced.latencies_ms, 99),
        bare_rps=_mean(rates[False]),
        bare_p50_ms=percentile(bare_paced.latencies_ms, 50),
        bare_p99_ms=percentile(bare_paced.latencies_ms, 99),
        intake_rps=taken.per_s,
        intake_p50_ms=percentile(taken.latencies_ms, 50),
        intake_p99_ms=percentile(taken.latencies_ms, 99),
        intake_accepted=arriving.made,
        intake_repeated=arriving.repeated,
        intake_documents=await owner.fetchval(_COUNT, _SOURCE),
    )


def _mean(heard: list[Heard]) -> float:
    return sum(each.per_s for each in heard) / len(heard)


def _token(folder: Path) -> str:
    issuer = LaptopIssuer(read_or_make_key(folder / "issuer.key", new_signing_key))
    return issuer.token(
        subject="bench",
        scopes=_SCOPES,
        entities=[ENTITY],
        now_s=int(time.time()),
        ttl_s=3600,
        client="bench",
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
