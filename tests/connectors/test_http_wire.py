"""The HTTP wire sends at most once, in time, and says truly where it broke."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable

import pytest
import uvloop

from quaestor.connectors.kit.attempt import open_attempt
from quaestor.connectors.kit.auth import BearerAuth
from quaestor.connectors.kit.classify import Answer, Voice
from quaestor.connectors.kit.contract import DEADLINE_PASSED, Ambiguous, NotKnown, Transient
from quaestor.connectors.kit.wires.http import HttpRequest, HttpWire
from quaestor.security.secrets import Secret
from quaestor.store.errors import NetworkCallInTransaction
from quaestor.store.guard import TransactionMark
from tests.connectors.raw_server import Arrived, RawServer, answer, until
from tests.connectors.wires import CANCEL, CREATE, LOOK, an_attempt, breaking, good, hear, raised

# --- the deadline ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kept_alive", [True, False])
async def test_no_byte_leaves_when_the_deadline_passes_in_front_of_the_pool(
    kept_alive: bool,
) -> None:
    release = asyncio.Event()
    header = () if kept_alive else ("Connection: close",)

    async def held(request: Arrived) -> bytes:
        await release.wait()
        return answer(b"{}", "200 OK", *header)

    async with RawServer(held) as server:
        wire = HttpWire(server.url, slots=1, connect_timeout_s=5)
        looks = [asyncio.create_task(wire.exchange(LOOK, hear)) for _ in range(6)]
        await until(lambda: len(server.arrived) == 6, "the pool is full")
        attempt = an_attempt(send_within_s=0.05)
        with open_attempt(attempt):
            send = asyncio.create_task(raised(wire.exchange(CREATE, hear)))
        await until(lambda: time.monotonic() > attempt.send_before, "the deadline has passed")
        release.set()

        error = await send
        await asyncio.gather(*looks)
        await wire.close()

        assert (type(error), error.code) == (Transient, DEADLINE_PASSED)
        assert (server.methods(), server.begun) == (["GET"] * 6, b"")


async def test_a_pool_without_a_free_connection_means_that_nothing_was_sent() -> None:
    release = asyncio.Event()

    async def held(request: Arrived) -> bytes:
        await release.wait()
        return answer()

    async with RawServer(held) as server:
        wire = HttpWire(server.url, slots=1, connect_timeout_s=0.1)
        looks = [asyncio.create_task(wire.exchange(LOOK, hear)) for _ in range(6)]
        await until(lambda: len(server.arrived) == 6, "the pool is full")
        error = await raised(wire.exchange(CREATE, hear))
        release.set()
        await asyncio.gather(*looks)
        await wire.close()

        assert isinstance(error, Transient)
        assert server.methods() == ["GET"] * 6


async def test_a_starved_event_loop_sends_nothing_too_late() -> None:
    async def starving(renew: bool) -> Secret:
        ends = time.monotonic() + 0.06
        while time.monotonic() < ends:
            pass
        return Secret("token")

    async with RawServer(good) as server:
        wire = HttpWire(server.url, auth=BearerAuth(starving))
        with open_attempt(an_attempt(send_within_s=0.05)):
            error = await raised(wire.exchange(CREATE, hear))
        await wire.close()

        assert error.code == DEADLINE_PASSED
        assert (server.arrived, server.begun) == ([], b"")


async def test_a_deadline_that_moves_on_with_a_renewed_lease_is_the_one_that_counts() -> None:
    async with RawServer(good) as server:
        attempt = an_attempt(send_within_s=-1)

        async def renewing(renew: bool) -> Secret:
            attempt.send_before = time.monotonic() + 10
            return Secret("token")

        wire = HttpWire(server.url, auth=BearerAuth(renewing))
        with open_attempt(attempt):
            reply = await wire.exchange(CREATE, hear)
        await wire.close()

        assert reply.status == 200


# --- at most once ---------------------------------------------------------------------------------


async def second_request_ends_the_connection(request: Arrived) -> bytes | None:
    return answer() if request.target == "/warm" else None


async def dead_connection(url: str, request: HttpRequest) -> NotKnown:
    wire = HttpWire(url)
    try:
        await wire.exchange(HttpRequest("GET", "/warm"), hear)
        return await raised(wire.exchange(request, hear))
    finally:
        await wire.close()


@pytest.mark.parametrize("request_", [CREATE, CANCEL, LOOK], ids=lambda request: request.method)
async def test_a_dead_kept_alive_connection_never_makes_the_client_send_again(
    request_: HttpRequest,
) -> None:
    async with RawServer(second_request_ends_the_connection) as server:
        error = await dead_connection(server.url, request_)

        assert server.methods() == ["GET", request_.method]
        assert server.connections == 1
        assert isinstance(error, Ambiguous if request_.commits else Transient)


async def test_redirects_are_not_followed() -> None:
    async def moved(request: Arrived) -> bytes:
        return answer(b"", "307 Temporary Redirect", "Location: /elsewhere")

    async with RawServer(moved) as server:
        wire = HttpWire(server.url)
        error = await raised(wire.exchange(CREATE, hear))
        await wire.close()

        assert isinstance(error, Ambiguous)
        assert [request.target for request in server.arrived] == ["/orders"]


async def test_no_request_is_made_while_a_transaction_is_open() -> None:
    async with RawServer(good) as server:
        wire = HttpWire(server.url)
        mark = TransactionMark()
        mark.enter()
        try:
            with pytest.raises(NetworkCallInTransaction):
                await wire.exchange(CREATE, hear)
        finally:
            mark.leave()
        await wire.close()

        assert server.arrived == []


# --- where it broke -------------------------------------------------------------------------------


async def refused_port() -> str:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{bound.getsockname()[1]}"


@pytest.mark.parametrize("address", ["http://no-such-host.invalid", "refused", "tls"])
async def test_what_breaks_before_the_first_byte_is_transient_and_the_systems_trouble(
    address: str,
) -> None:
    async with RawServer(good) as server:
        at = {"refused": await refused_port(), "tls": server.url.replace("http:", "https:")}
        wire = HttpWire(at.get(address, address), connect_timeout_s=0.3)
        error = await raised(wire.exchange(CREATE, hear))
        await wire.close()

        assert isinstance(error, Transient)
        assert error.system


@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"NOT HTTP AT ALL\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        answer(b"<html>login</html>", "302 Found", "Location: https://login.example/"),
        answer(b"<html>bad gateway</html>", "502 Bad Gateway"),
        answer(b"<html>not here</html>", "404 Not Found"),
    ],
    ids=["end of file", "not HTTP", "broken chunk", "login page", "gateway", "foreign 404"],
)
async def test_what_breaks_after_the_first_byte_is_ambiguous_on_a_create_alone(
    reply: bytes | None,
) -> None:
    async with RawServer(breaking(reply)) as server:
        wire = HttpWire(server.url)
        on_create = await raised(wire.exchange(CREATE, hear))
        on_look = await raised(wire.exchange(LOOK, hear))
        await wire.close()

        assert isinstance(on_create, Ambiguous)
        assert isinstance(on_look, Transient)


async def test_an_answer_that_never_comes_is_cut_by_the_total_timeout() -> None:
    async with RawServer(breaking(b"", close=False)) as server:
        wire = HttpWire(server.url)
        with open_attempt(an_attempt(total_timeout_s=0.1)) as attempt:
            error = await raised(wire.exchange(CREATE, hear))
        await wire.close()

        assert isinstance(error, Ambiguous)
        assert attempt.exchanges[0].elapsed_ms < 1000


async def test_an_answer_larger_than_the_limit_is_not_read_to_its_end() -> None:
    async def large(request: Arrived) -> bytes:
        return answer(b"x" * 100_000)

    async with RawServer(large) as server:
        wire = HttpWire(server.url, answer_bytes_max=10_000)
        error = await raised(wire.exchange(CREATE, hear))
        await wire.close()

        assert isinstance(error, Ambiguous)
        assert "larger than the limit" in error.reason


async def test_an_ear_that_breaks_on_an_answer_has_not_understood_it() -> None:
    def deaf(reply: Answer) -> Voice:
        raise RecursionError

    async with RawServer(good) as server:
        wire = HttpWire(server.url)
        error = await raised(wire.exchange(CREATE, deaf))
        await wire.close()

        assert isinstance(error, Ambiguous)


# --- the points -----------------------------------------------------------------------------------


async def points_of_a_large_create() -> tuple[list[str], list[str], list[str]]:
    """The points passed while the system does not read, when it has, and at the end."""
    points: list[str] = []
    seen: list[list[str]] = []

    async def script(request: Arrived) -> bytes:
        await until(lambda: "after_send" in points, "the whole request was written")
        seen.append(list(points))
        return answer()

    async with RawServer(script) as server:
        server.read_body.clear()
        wire = HttpWire(server.url)
        attempt = an_attempt()
        attempt.at = points.append
        # More than the sockets' buffers hold: it cannot leave while nobody reads.
        request = HttpRequest("POST", "/orders", body=b"x" * 900_000 * 16, commits=True)
        with open_attempt(attempt):
            send = asyncio.create_task(wire.exchange(request, hear))
        await until(lambda: server.connections == 1, "the connection stands")
        unread = [list(points)]
        for _ in range(50):
            await asyncio.sleep(0)
            unread.append(list(points))
        server.read_body.set()
        await send
        await wire.close()
        return unread[-1], seen[0], points


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_after_send_is_passed_when_the_last_byte_left_and_before_the_answer(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        unread, read, end = runner.run(points_of_a_large_create())

    assert unread == []
    assert read == ["after_send"]
    assert end == ["after_send", "after_answer"]


LAST = b"the last bytes"


def received_by_a_thread(listener: socket.socket, received: bytearray) -> None:
    """Takes one connection and its bytes, whatever the event loop of the test does."""
    connection, _ = listener.accept()
    with connection:
        while chunk := connection.recv(65_536):
            received.extend(chunk)
            if received.endswith(LAST):
                connection.sendall(answer())


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("size", [10, 12_000_000])
def test_at_after_send_the_bytes_have_left_the_process(
    loop: Callable[[], asyncio.AbstractEventLoop], size: int
) -> None:
    request = HttpRequest("POST", "/orders", body=b"x" * size + LAST, commits=True)
    received = bytearray()
    arrived_while_stopped: list[bool] = []

    def at(point: str) -> None:
        # Nothing else runs in this process now, as when it is killed here.
        deadline = time.monotonic() + 2
        while not received.endswith(LAST) and time.monotonic() < deadline:
            time.sleep(0)
        arrived_while_stopped.append(received.endswith(LAST))

    async def create(url: str) -> None:
        wire = HttpWire(url)
        attempt = an_attempt()
        attempt.at = at
        with open_attempt(attempt):
            await wire.exchange(request, hear)
        await wire.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=received_by_a_thread, args=(listener, received))
        server.start()
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(create(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        server.join(5)

    assert arrived_while_stopped == [True, True]


async def test_a_look_up_passes_no_points() -> None:
    points: list[str] = []
    async with RawServer(good) as server:
        wire = HttpWire(server.url)
        attempt = an_attempt()
        attempt.at = points.append
        with open_attempt(attempt):
            await wire.exchange(LOOK, hear)
        await wire.close()

    assert points == []
