"""The connections of a wire: taken again while they are good, and ended with whatever broke."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import struct
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from quaestor.connectors.kit.attempt import open_attempt
from quaestor.connectors.kit.config import TlsConfig
from quaestor.connectors.kit.contract import Ambiguous, Transient
from quaestor.connectors.kit.wires import connections
from quaestor.connectors.kit.wires.http import HttpRequest, HttpWire
from tests.connectors.certificates import served_as
from tests.connectors.raw_server import Arrived, RawServer, answer, until
from tests.connectors.wires import CREATE, LOOK, an_attempt, good, hear, raised

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
Loop = Callable[[], asyncio.AbstractEventLoop]


def run(loop: Loop, act: Coroutine[Any, Any, None]) -> None:
    """Run it on this kind of loop; what is left open or unheard fails the test."""
    lost: list[dict[str, Any]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: lost.append(context))
            runner.run(act)
            gc.collect()
        gc.collect()
    assert lost == []


class Peer:
    """A system of a bare socket that does only what the test says, when it says it."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    async def accepted(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        connection, _ = await asyncio.wait_for(loop.sock_accept(self._listener), 5)
        connection.setblocking(False)
        return connection

    async def asked(self, connection: socket.socket) -> bytes:
        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(loop.sock_recv(connection, 65_536), 5)


@contextmanager
def peer() -> Iterator[Peer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield Peer(listener)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# --- taken again ----------------------------------------------------------------------------------


async def test_the_connection_that_rested_last_is_taken_first() -> None:
    release = asyncio.Event()

    async def held(request: Arrived) -> bytes:
        if request.target == "/held":
            await release.wait()
        return answer()

    async with RawServer(held) as server:
        wire = HttpWire(server.url)
        first = asyncio.create_task(wire.exchange(HttpRequest("GET", "/held"), hear))
        await until(lambda: len(server.arrived) == 1, "the first connection is in use")
        await wire.exchange(LOOK, hear)
        release.set()
        await first
        await wire.exchange(LOOK, hear)
        await wire.close()

        assert [request.connection for request in server.arrived] == [1, 2, 1]


@pytest.mark.parametrize(
    "left", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], ids=["its end", "an answer"]
)
@LOOPS
def test_a_resting_connection_with_something_unread_is_never_taken(loop: Loop, left: bytes) -> None:
    async def act() -> None:
        with peer() as system:
            wire = HttpWire(system.url)
            warm = asyncio.create_task(wire.exchange(LOOK, hear))
            with await system.accepted() as first:
                await system.asked(first)
                first.sendall(answer())
                await warm
                # The event loop does not run between this and the next request.
                first.sendall(left) if left else first.shutdown(socket.SHUT_WR)
                send = asyncio.create_task(wire.exchange(CREATE, hear))
                with await system.accepted() as second:
                    assert (await system.asked(second)).startswith(b"POST /orders ")
                    second.sendall(answer(b'{"second": true}'))
                    assert (await send).body == b'{"second": true}'
                    assert await ended(system, first)
                    await wire.close()

    run(loop, act())


async def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    async def chatty(request: Arrived) -> bytes:
        return answer() + answer(b'{"of": "nobody"}')

    async with RawServer(chatty) as server:
        wire = HttpWire(server.url)
        replies = [await wire.exchange(LOOK, hear) for _ in range(2)]
        await wire.close()

        assert [reply.body for reply in replies] == [b"{}", b"{}"]
        assert server.connections == 2


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n",
    ],
)
async def test_a_connection_that_the_system_wants_closed_is_not_taken_again(head: bytes) -> None:
    async def closing(request: Arrived) -> bytes:
        return head + b"{}"

    async with RawServer(closing) as server:
        wire = HttpWire(server.url)
        for _ in range(2):
            await wire.exchange(LOOK, hear)
        await wire.close()

        assert server.connections == 2


async def test_a_connection_that_rested_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_S", 0.02)
    with peer() as system:
        wire = HttpWire(system.url)
        look = asyncio.create_task(wire.exchange(LOOK, hear))
        with await system.accepted() as connection:
            await system.asked(connection)
            connection.sendall(answer())
            await look

            assert await system.asked(connection) == b""
        await wire.close()


@LOOPS
def test_an_answer_before_the_request_was_read_ends_the_connection(loop: Loop) -> None:
    async def act() -> None:
        with peer() as system:
            wire = HttpWire(system.url)
            large = HttpRequest("POST", "/orders", body=b"x" * 20_000_000, commits=True)
            send = asyncio.create_task(wire.exchange(large, hear))
            with await system.accepted() as first:
                await system.asked(first)
                first.sendall(answer(b"{}", "422 Too much"))
                assert (await send).status == 422
                look = asyncio.create_task(wire.exchange(LOOK, hear))
                with await system.accepted() as second:
                    await system.asked(second)
                    second.sendall(answer())
                    await look
                    await wire.close()

    run(loop, act())


# --- where it broke -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begun", "hard", "reason"),
    [
        (b"", False, "the connection ended before the answer"),
        (b"HTTP/1.1 200 OK\r\nContent-", False, "the connection ended before the answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", False, "the answer was cut"),
        (b"", True, "the connection was reset"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", True, "the answer was cut"),
    ],
)
@LOOPS
def test_where_the_connection_broke_is_told(
    loop: Loop, begun: bytes, hard: bool, reason: str
) -> None:
    async def act() -> None:
        with peer() as system:
            wire = HttpWire(system.url)
            with open_attempt(an_attempt()) as attempt:
                send = asyncio.create_task(raised(wire.exchange(CREATE, hear)))
            connection = await system.accepted()
            await system.asked(connection)
            if begun:
                connection.sendall(begun)
                # Read before the end comes: a reset throws away what was not.
                await asyncio.sleep(0.05)
            reset(connection) if hard else connection.close()
            error = await send
            await wire.close()

            assert isinstance(error, Ambiguous)
            assert attempt.exchanges[0].broke == reason

    run(loop, act())


async def test_what_would_break_the_head_is_never_sent() -> None:
    async with RawServer(good) as server:
        wire = HttpWire(server.url)
        request = HttpRequest("POST", "/orders", (("X", "a\r\nY: b"),), b"{}", commits=True)
        error = await raised(wire.exchange(request, hear))
        await wire.close()

        assert isinstance(error, Transient)
        assert (server.connections, server.begun) == (0, b"")


async def test_what_a_point_raises_is_not_lost() -> None:
    def at(point: str) -> None:
        raise RuntimeError(point)

    async with RawServer(good) as server:
        wire = HttpWire(server.url)
        attempt = an_attempt()
        attempt.at = at
        with open_attempt(attempt):
            error = await raised(wire.exchange(CREATE, hear))
        await wire.close()

        assert isinstance(error, Ambiguous)
        assert "RuntimeError" in error.reason


# --- ended ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["place", "handshake", "answer", "body"])
@LOOPS
def test_what_is_cancelled_leaves_nothing_behind(loop: Loop, phase: str) -> None:
    async def act() -> None:
        with peer() as system:
            tls = phase == "handshake"
            url = system.url.replace("http:", "https:") if tls else system.url
            wire = HttpWire(url, slots=1)
            others = [
                asyncio.create_task(wire.exchange(LOOK, hear))
                for _ in range(6 if phase == "place" else 0)
            ]
            busy = [await system.accepted() for _ in others]
            send = asyncio.create_task(wire.exchange(CREATE, hear))
            if phase == "place":
                await asyncio.sleep(0.02)
            else:
                busy.append(await system.accepted())
                await system.asked(busy[-1])
            if phase == "body":
                busy[-1].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
                await asyncio.sleep(0.02)

            send.cancel()
            with suppress(asyncio.CancelledError):
                await send
            if phase != "place":
                assert await ended(system, busy[-1])
            for connection in busy[: len(others)]:
                await system.asked(connection)
                connection.sendall(answer())
            await asyncio.gather(*others)
            opened = wire._opened()
            assert (opened._places._value, len(opened._open)) == (6, len(others))
            await wire.close()
            for connection in busy:
                connection.close()

    run(loop, act())


async def ended(system: Peer, connection: socket.socket) -> bool:
    """Whether the client has ended this connection, by FIN or RST."""
    try:
        return await system.asked(connection) == b""
    except ConnectionResetError:
        return True


@LOOPS
def test_closing_ends_what_is_under_way_and_what_rests(loop: Loop) -> None:
    async def act() -> None:
        with peer() as system:
            wire = HttpWire(system.url)
            send = asyncio.create_task(raised(wire.exchange(CREATE, hear)))
            with await system.accepted() as connection:
                await system.asked(connection)
                await wire.close()

                assert isinstance(await send, Ambiguous)
                assert await system.asked(connection) == b""

    run(loop, act())


async def test_an_answer_without_a_length_is_not_whole_because_we_ended_it() -> None:
    with peer() as system:
        wire = HttpWire(system.url)
        with open_attempt(an_attempt()) as attempt:
            send = asyncio.create_task(raised(wire.exchange(CREATE, hear)))
        with await system.accepted() as connection:
            await system.asked(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n{")
            await until(lambda: begun(wire), "the answer has begun")
            await wire.close()

            assert isinstance(await send, Ambiguous)
            assert attempt.exchanges[0].broke == "the answer was cut"


def begun(wire: HttpWire) -> bool:
    return any(each._reader and each._reader.begun for each in wire._opened()._open)


async def test_a_closed_wire_may_be_used_again() -> None:
    async with RawServer(good) as server:
        wire = HttpWire(server.url)
        await wire.exchange(LOOK, hear)
        await wire.close()
        reply = await wire.exchange(LOOK, hear)
        await wire.close()

        assert (reply.status, server.connections) == (200, 2)


# --- names and addresses --------------------------------------------------------------------------


async def test_an_address_that_refuses_is_followed_by_the_next_one_and_names_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    async with RawServer(good) as server:
        port = int(server.url.rsplit(":", 1)[1])
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            closed = unused.getsockname()[1]

            async def resolved(host: str, *_: Any, **__: Any) -> list[Any]:
                asked.append(host)
                kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
                return [(*kind, ("127.0.0.1", closed)), (*kind, ("127.0.0.1", port))]

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
            wire = HttpWire("http://erp.example")
            close = HttpRequest("GET", "/orders", (("Accept", "application/json"),))
            await wire.exchange(close, hear)
            wire._opened()._resting[0].abort()
            await wire.exchange(close, hear)
            monkeypatch.setattr(connections, "DNS_S", 0.0)
            wire._opened()._addresses_until = 0.0
            wire._opened()._resting[0].abort()
            await wire.exchange(close, hear)
            await wire.close()

        assert asked == ["erp.example", "erp.example"]
        assert [request.headers["host"] for request in server.arrived] == ["erp.example"] * 3


async def test_an_address_of_version_6_is_written_in_brackets() -> None:
    hosts: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        hosts.append(head.decode().split("Host: ")[1].split("\r\n")[0])
        writer.write(answer())
        writer.close()

    server = await asyncio.start_server(talk, "::1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        wire = HttpWire(f"http://[::1]:{port}/erp")
        await wire.exchange(LOOK, hear)
        await wire.close()

    assert hosts == [f"[::1]:{port}"]


# --- TLS ------------------------------------------------------------------------------------------


@LOOPS
def test_a_certificate_is_always_verified(loop: Loop, tmp_path: Path) -> None:
    context, authority = served_as("localhost", tmp_path)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(size)
                writer.write(answer())
        writer.close()

    async def outcome(url: str, tls: ssl.SSLContext | None) -> tuple[list[str], str]:
        wire = HttpWire(url, tls=tls)
        attempt = an_attempt()
        attempt.at = (points := []).append
        with open_attempt(attempt):
            for body in (b"{}", b"x" * 3_000_000):
                request = HttpRequest("POST", "/orders", body=body, commits=True)
                with suppress(Transient):
                    await wire.exchange(request, hear)
        await wire.close()
        return points, attempt.exchanges[0].broke

    async def act() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context, limit=2**20)
        port = server.sockets[0].getsockname()[1]
        trusting = TlsConfig(ca_file=authority).context()
        try:
            known = await outcome(f"https://localhost:{port}", trusting)
            unknown = await outcome(f"https://localhost:{port}", None)
            misnamed = await outcome(f"https://127.0.0.1:{port}", trusting)
        finally:
            server.close()
            await server.wait_closed()

        assert known == (["after_send", "after_answer"] * 2, "")
        assert unknown == ([], "no connection (SSLCertVerificationError)")
        assert misnamed == ([], "no connection (SSLCertVerificationError)")

    run(loop, act())
