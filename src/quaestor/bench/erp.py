"""The other side of the benchmark: answers as SAP, planning and Coupa do, and costs little.

Not a simulator: no faults, no rules, no visibility delay. It answers after a fixed time: a deep
insert with the order as created, a question about a budget with plenty, a record with its id. It
counts what it created under which reference.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import unquote

import msgspec

__all__ = ["LATENCY_S", "Counted", "Ledger", "answering_after", "counted_at", "serve_ledger"]

LATENCY_S = 0.005
COUNTED_TARGET = "/counted"
LATENCY_TARGET = "/latency/"

BUDGETS_TARGET = "/budgets/"
RECORDS_TARGET = "/api/integration_history_records"

_REFERENCE = re.compile(r"CorrespncExternalReference eq '([^']*)'")
_REASONS = {200: "OK", 201: "Created", 400: "Bad Request"}
_TOKEN = "x-csrf-token: bench\r\nset-cookie: SAP_SESSIONID=bench; path=/\r\n"


class Counted(msgspec.Struct, frozen=True):
    """`requests` of all kinds, at most `at_once_max` of them at a time; `orders` created, under
    how many `references`; requisitions whose number came back to Coupa (`reported`)."""

    requests: int
    orders: int
    references: int
    at_once_max: int = 0
    reported: int = 0


_Due = tuple[Callable[[bytes], None], bytes]


class Ledger:
    """The orders, in memory."""

    def __init__(self) -> None:
        self._numbers = itertools.count(4_500_000_001)
        self._orders: dict[str, list[bytes]] = {}
        self._reported: set[str] = set()
        self._requests = 0
        self._at_once = 0
        self._at_once_max = 0
        self._latency_s = LATENCY_S
        self._slow: set[_Due] = set()

    def create(self, body: bytes) -> bytes:
        """The created order, as SAP answers a deep insert."""
        order = msgspec.json.decode(body)
        order["PurchaseOrder"] = str(next(self._numbers))
        for item in order["to_PurchaseOrderItem"]:
            for navigation in ("to_AccountAssignment", "to_ScheduleLine"):
                if navigation in item:
                    item[navigation] = {"results": item[navigation]}
        order["to_PurchaseOrderItem"] = {"results": order["to_PurchaseOrderItem"]}
        created = msgspec.json.encode(order)
        self._orders.setdefault(order["CorrespncExternalReference"], []).append(created)
        return created

    def found(self, target: str) -> bytes:
        """The orders under the reference that a `$filter` asks for, as a list."""
        asked = _REFERENCE.search(unquote(target))
        return b",".join(self._orders.get(asked[1], [])) if asked else b""

    def counted(self) -> Counted:
        """What was created so far."""
        orders = sum(map(len, self._orders.values()))
        references, reported = len(self._orders), len(self._reported)
        return Counted(self._requests, orders, references, self._at_once_max, reported)

    def begun(self, write: Callable[[bytes], None], answer: bytes) -> None:
        """One more is answered when the time has come."""
        self._at_once += 1
        self._at_once_max = max(self._at_once_max, self._at_once)
        later = asyncio.get_running_loop().call_later
        if self._latency_s <= LATENCY_S:
            later(LATENCY_S, self._ended, write, answer)
        else:
            self._slow.add((write, answer))
            later(self._latency_s, self._ended_late, (write, answer))

    def _ended(self, write: Callable[[bytes], None], answer: bytes) -> None:
        self._at_once -= 1
        write(answer)

    def _ended_late(self, due: _Due) -> None:
        if due in self._slow:
            self._slow.remove(due)
            self._ended(*due)

    def answer_after(self, seconds: float) -> None:
        """From now on; what waits for a slow answer has it at once."""
        self._latency_s = seconds
        for due in tuple(self._slow):
            self._ended_late(due)

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, str, bytes]:
        """Status, further header lines, body."""
        if target == COUNTED_TARGET:
            return 200, "", msgspec.json.encode(self.counted())
        if target.startswith(LATENCY_TARGET):
            self.answer_after(float(target.removeprefix(LATENCY_TARGET)))
            return 200, "", b""
        self._requests += 1
        if target.startswith(BUDGETS_TARGET):
            return 200, "", _budget(target)
        if target.startswith("/api/"):
            return self._coupa(method, target, body)
        if method == "POST":
            return 201, "", b'{"d":' + self.create(body) + b"}"
        if "$filter" in target:
            return 200, "", b'{"d":{"results":[' + self.found(target) + b"]}}"
        return 200, _TOKEN, b'{"d":{"EntitySets":["A_PurchaseOrder"]}}'

    def _coupa(self, method: str, target: str, body: bytes) -> tuple[int, str, bytes]:
        """Takes records; a look for one, or for requisitions, finds none."""
        if method == "GET" or not target.startswith(RECORDS_TARGET):
            return 200, "", b"[]"
        record = msgspec.json.decode(body)
        self._reported.add(record["external-id"])
        created = {"id": len(self._reported), **record}
        return 201, "", msgspec.json.encode(created)


def _budget(target: str) -> bytes:
    """Plenty, as of now."""
    entity, year, center = target.removeprefix(BUDGETS_TARGET).split("/")
    return msgspec.json.encode(
        {
            "entity": entity,
            "fiscal_year": int(year),
            "cost_center": center,
            "mode": "gross",
            "currency": "EUR",
            "amount": "1000000000.00",
            "as_of": datetime.now(UTC),
        }
    )


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with kept-alive connections and bodies of a stated length, and nothing else."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].decode("latin-1")
            begins = end + 4
            length = _length(head)
            if len(self._received) < begins + length:
                return
            body = self._received[begins : begins + length]
            self._received = self._received[begins + length :]
            method, target, _ = head.split(" ", 2)
            is_control = target.startswith((COUNTED_TARGET, LATENCY_TARGET))
            self._answer(*self._ledger.answer(method, target, body), at_once=is_control)

    def _answer(self, status: int, headers: str, body: bytes, *, at_once: bool) -> None:
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\n"
            f"{headers}content-length: {len(body)}\r\n\r\n"
        )
        if at_once:
            self._write(head.encode() + body)
            return
        self._ledger.begun(self._write, head.encode() + body)

    def _write(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)


def _length(head: str) -> int:
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0


def counted_at(url: str) -> Counted:
    """What the ledger at this address counted so far."""
    with urllib.request.urlopen(url + COUNTED_TARGET, timeout=10) as answer:
        return msgspec.json.decode(answer.read(), type=Counted)


def answering_after(url: str, seconds: float) -> None:
    """Have the ledger at this address answer so much later from now on."""
    with urllib.request.urlopen(f"{url}{LATENCY_TARGET}{seconds}", timeout=10):
        pass


async def serve_ledger(
    ready: Callable[[Mapping[str, Any]], None], stop: asyncio.Event, port: int = 0
) -> None:
    """Serve on that port of the loopback, or a free one, until `stop`; `ready` is told where."""
    ledger, loop = Ledger(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(ledger), "127.0.0.1", port, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    ready({"url": f"http://127.0.0.1:{port}"})
    async with server:
        await stop.wait()
