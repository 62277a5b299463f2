"""The connections to one system: opened when they are needed, and taken again while they are good.

A connection rests after a whole answer, and the one that rested last is taken first.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from functools import lru_cache
from typing import Any

from aiohappyeyeballs import start_connection
from yarl import URL

from quaestor.connectors.kit.classify import Answer, Broke
from quaestor.connectors.kit.wires.connection import Connection, Told
from quaestor.connectors.kit.wires.http1 import AnswerReader, Broken

__all__ = ["Connections"]

IDLE_S = 15.0
DNS_S = 60.0
# RFC 8305, section 8: how long an address may be silent before the next one is tried beside it.
NEXT_ADDRESS_S = 0.25


class Connections:
    """At most `most` connections to the origin of `url`, opened when they are needed.

    `connect_timeout_s` bounds the wait for a place among them and the making of a connection,
    TLS included. Closed connections are not opened again.
    """

    def __init__(
        self, url: URL, *, most: int, connect_timeout_s: float, tls: ssl.SSLContext | None
    ) -> None:
        self._host = url.raw_host or ""
        self._port = url.port
        self._tls = (tls or _verifying()) if url.scheme == "https" else None
        self._connect_timeout_s = connect_timeout_s
        self._places = asyncio.Semaphore(most)
        self._resolving = asyncio.Lock()
        self._addresses: list[Any] = []
        self._addresses_until = 0.0
        self._open: set[Connection] = set()
        self._resting: deque[Connection] = deque()
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False
        self._emptied = asyncio.Event()

    async def carry(
        self,
        request: bytes,
        reader: AnswerReader,
        *,
        gate: Told,
        flushed: Told,
        timeout_s: float,
    ) -> Answer:
        """One exchange. `gate` is called right before the first byte and may raise; `flushed`
        when the last one has left. Raises `Broken`, `TimeoutError`, `OSError`.
        """
        now = asyncio.get_running_loop().time()
        connect_by = now + min(self._connect_timeout_s, timeout_s)
        if self._places.locked():
            async with asyncio.timeout_at(connect_by):
                await self._places.acquire()
        else:
            await self._places.acquire()
        try:
            connection = self._rested() or await self._connected(connect_by)
            await connection.carry(request, reader, gate, flushed, now + timeout_s)
            if reader.reusable and connection.open and not self._closed:
                self._rest(connection)
            else:
                connection.abort()
        finally:
            self._places.release()
        assert reader.answer is not None
        return reader.answer

    async def close(self) -> None:
        """End all connections, also those in use, and wait until they are gone."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._resting.clear()
        for connection in tuple(self._open):
            connection.abort()
        while self._open:
            self._emptied.clear()
            await self._emptied.wait()

    # --- resting ----------------------------------------------------------------------------------

    def _rested(self) -> Connection | None:
        while self._resting:
            connection = self._resting.pop()
            if connection.open and connection.silent:
                return connection
            connection.abort()
        return None

    def _rest(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        connection.rested_at = loop.time()
        self._resting.append(connection)
        if self._sweeping is None:
            self._sweeping = loop.call_later(IDLE_S, self._sweep)

    def _sweep(self) -> None:
        """End what has rested for too long; the first one has rested longest."""
        loop = asyncio.get_running_loop()
        self._sweeping = None
        while self._resting and self._resting[0].rested_at + IDLE_S <= loop.time():
            self._resting.popleft().abort()
        if self._resting:
            self._sweeping = loop.call_at(self._resting[0].rested_at + IDLE_S, self._sweep)

    def _gone(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._resting:
            self._resting.remove(connection)
        self._emptied.set()

    # --- connecting -------------------------------------------------------------------------------

    async def _connected(self, by: float) -> Connection:
        try:
            async with asyncio.timeout_at(by):
                connection = await self._connect()
        except TimeoutError:
            raise
        except OSError as error:
            # A name may lead elsewhere by now.
            self._addresses_until = 0.0
            raise Broken(Broke.CONNECT, type(error).__name__) from None
        if self._closed:
            connection.abort()
            raise Broken(Broke.CONNECT, "closed")
        return connection

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        sock = await start_connection(
            await self._resolved(), happy_eyeballs_delay=NEXT_ADDRESS_S, interleave=1, loop=loop
        )
        connection = Connection(self._gone)
        try:
            await loop.create_connection(
                lambda: connection,
                sock=sock,
                ssl=self._tls,
                server_hostname=self._host.rstrip(".") if self._tls is not None else None,
            )
        except BaseException:
            sock.close()
            raise
        if not connection.lost:
            self._open.add(connection)
        return connection

    async def _resolved(self) -> list[Any]:
        loop = asyncio.get_running_loop()
        async with self._resolving:
            if loop.time() >= self._addresses_until:
                # An address of version 6 written out needs no other one of this machine to be used.
                flags = 0 if ":" in self._host else socket.AI_ADDRCONFIG
                self._addresses = await loop.getaddrinfo(
                    self._host, self._port, type=socket.SOCK_STREAM, flags=flags
                )
                self._addresses_until = loop.time() + DNS_S
            return self._addresses


@lru_cache(maxsize=1)
def _verifying() -> ssl.SSLContext:
    """What a system's certificate is verified with where it says nothing of its own."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
