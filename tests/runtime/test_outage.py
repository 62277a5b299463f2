"""A system that was down for eight hours: what waited comes in turn, and within its quota."""

from __future__ import annotations

import asyncio
import re
import statistics

from quaestor.connectors.kit.classify import Answer, Voice
from quaestor.connectors.kit.contract import Absent, Applied, Command, Found, Submitted
from quaestor.connectors.kit.pace import Pace
from quaestor.connectors.kit.wires.http import HttpRequest, HttpWire
from tests.connectors.raw_server import answer
from tests.support.database import TestDatabase
from tests.support.engine import bench_on, running
from tests.support.gateway import until

SLOTS, PER_S, AT_ONCE = 8, 40, 5
# What a request may take from our pace to their clock on a busy machine.
LATE_S = 0.25
LATER = "update quaestor.clock_offset set offset_by = $1::text::interval"
ALL_WAIT = """
select count(*) = $1 from quaestor.work
where lane = 'erp/acme-de' and done_at is null and parked_at is null
"""
_POST = re.compile(rb"POST /orders/(\w+) HTTP/1\.1\r\n")


class Vendor:
    """A system over HTTP that may be down: then nobody listens. It counts for itself."""

    def __init__(self) -> None:
        self.came: list[tuple[float, str]] = []
        self.at_once = self.at_once_max = 0
        self.port = 0

    async def up(self) -> asyncio.Server:
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def most_within(self, seconds: float) -> int:
        """The most requests in any stretch of so many seconds."""
        times = [at for at, _ in self.came]
        return max(sum(at <= each < at + seconds for each in times) for at in times)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while found := _POST.match(await reader.readuntil(b"\r\n\r\n")):
                await reader.readexactly(len(found[1]))
                self.came.append((asyncio.get_running_loop().time(), found[1].decode()))
                self.at_once += 1
                self.at_once_max = max(self.at_once_max, self.at_once)
                await asyncio.sleep(0.05)
                self.at_once -= 1
                writer.write(answer())
        except asyncio.IncompleteReadError:
            writer.close()


class Orders:
    """Its connector: the key is the body, and the number."""

    def __init__(self, wire: HttpWire) -> None:
        self.wire = wire

    def render(self, command: Command) -> bytes:
        return command.key.encode()

    async def submit(self, command: Command, stored: bytes) -> Submitted:
        request = HttpRequest("POST", f"/orders/{command.key}", body=stored, commits=True)
        await self.wire.exchange(request, _done)
        return Applied(command.key)

    async def find(self, command: Command) -> Found:
        return Absent()


def _done(reply: Answer) -> Voice:
    return Voice.DONE


async def test_after_eight_hours_what_waited_comes_in_turn_and_within_its_quota(
    database: TestDatabase,
) -> None:
    vendor = Vendor()
    (await vendor.up()).close()
    wire = HttpWire(f"http://127.0.0.1:{vendor.port}", slots=SLOTS, pace=Pace(PER_S, AT_ONCE))
    bench = await bench_on(database, connector=Orders(wire))
    owner = await database.connect()

    async with running(bench.engine(slots=SLOTS)):
        for hours, waiting in ((0, 40), (4, 80), (8, 120)):
            async with owner.connection() as connection:
                await connection.execute(LATER, f"{hours} hours")
            await bench.take_in(40, prefix=f"H{hours}-")
            await until(owner, ALL_WAIT, waiting)
        server = await vendor.up()
        await bench.until({"ordered": 120}, seconds=30)
    server.close()
    await wire.close()

    sent = [key for _, key in vendor.came]
    rows = await bench.database.fetch("select key from quaestor.intent order by document_id")
    turn = {row["key"]: place for place, row in enumerate(rows)}
    assert sorted(sent) == sorted(turn)
    assert 1 < vendor.at_once_max <= SLOTS
    assert vendor.most_within(1.0) <= AT_ONCE + PER_S * (1.0 + LATE_S)
    # What the closed door was tried with meanwhile stands behind those that waited.
    assert statistics.median(abs(place - turn[key]) for place, key in enumerate(sent)) <= SLOTS
