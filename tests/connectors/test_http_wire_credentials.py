"""The HTTP wire proves who it is, and shows no secret."""

from __future__ import annotations

import msgspec
import pytest

from quaestor.connectors.kit.attempt import open_attempt
from quaestor.connectors.kit.auth import BasicAuth, BearerAuth
from quaestor.connectors.kit.config import SystemConfig, http_wire
from quaestor.connectors.kit.contract import Transient
from quaestor.connectors.kit.wires.http import HttpRequest, HttpWire
from quaestor.security.secrets import Secret
from tests.connectors.raw_server import Arrived, RawServer, answer
from tests.connectors.wires import CREATE, PASSWORD, an_attempt, breaking, good, hear, raised

# --- credentials ----------------------------------------------------------------------------------


async def test_a_refused_token_is_renewed_once_and_the_request_sent_again() -> None:
    async def lapsed(request: Arrived) -> bytes:
        fresh = request.headers["authorization"] == "bearer renewed"
        return answer() if fresh else answer(b"", "401 Unauthorized")

    async def provider(renew: bool) -> Secret:
        return Secret("renewed" if renew else "lapsed")

    async with RawServer(lapsed) as server:
        wire = HttpWire(server.url, auth=BearerAuth(provider))
        reply = await wire.exchange(CREATE, hear)
        await wire.close()

        assert reply.status == 200
        assert server.methods() == ["POST", "POST"]


async def test_a_token_refused_twice_is_named_and_opens_the_circuit() -> None:
    async def never(request: Arrived) -> bytes:
        return answer(b"", "401 Unauthorized")

    async def provider(renew: bool) -> Secret:
        return Secret("token")

    async with RawServer(never) as server:
        wire = HttpWire(server.url, auth=BearerAuth(provider))
        error = await raised(wire.exchange(CREATE, hear))
        await wire.close()

        assert isinstance(error, Transient)
        assert (error.code, error.system) == ("connector_auth_failed", True)
        assert server.methods() == ["POST", "POST"]


async def test_a_refused_password_is_not_tried_again() -> None:
    async def never(request: Arrived) -> bytes:
        return answer(b"", "401 Unauthorized")

    async with RawServer(never) as server:
        wire = HttpWire(server.url, auth=BasicAuth("user", Secret(PASSWORD)))
        error = await raised(wire.exchange(CREATE, hear))
        await wire.close()

        assert error.code == "connector_auth_failed"
        assert server.methods() == ["POST"]


async def test_a_rotated_token_is_picked_up_when_the_old_one_is_refused() -> None:
    stored = ["old"]

    async def only_new(request: Arrived) -> bytes:
        new = request.headers["authorization"] == "bearer new"
        return answer() if new else answer(b"", "401 Unauthorized")

    async with RawServer(only_new) as server:
        table = {
            "connector": "any",
            "base_url": server.url,
            "auth": {"kind": "bearer", "token": "env:TOKEN"},
        }
        config = msgspec.convert(table, SystemConfig)
        wire = http_wire(config, lambda reference: Secret(stored[0]))
        stored[0] = "new"
        reply = await wire.exchange(CREATE, hear)
        await wire.close()

        assert reply.status == 200
        assert server.methods() == ["POST", "POST"]


async def test_a_token_service_in_trouble_means_that_nothing_was_sent() -> None:
    async def broken(renew: bool) -> Secret:
        raise RuntimeError(PASSWORD)

    async with RawServer(good) as server:
        wire = HttpWire(server.url, auth=BearerAuth(broken))
        error = await raised(wire.exchange(CREATE, hear))
        await wire.close()

        assert isinstance(error, Transient)
        assert error.code == "connector_auth_failed"
        assert error.__context__ is None
        assert server.arrived == []


async def test_recorded_exchanges_and_errors_carry_no_credentials() -> None:
    async def quoting(request: Arrived) -> bytes:
        quoted = f'{{"you": "{request.headers["authorization"]}", "also": "{PASSWORD}"}}'
        return answer(quoted.encode(), "500 Oops", f"Set-Cookie: id={PASSWORD}")

    async with RawServer(quoting) as server:
        wire = HttpWire(server.url, auth=BasicAuth("user", Secret(PASSWORD)))
        request = HttpRequest(
            "POST", "/orders", (("Cookie", "id=1"), ("x-csrf-token", "abc")), b"{}", commits=True
        )
        with open_attempt(an_attempt()) as attempt:
            error = await raised(wire.exchange(request, hear))
        await wire.close()
        exchange = attempt.exchanges[0]
        headers = dict(exchange.request_headers)

        assert PASSWORD not in repr(exchange) + repr(error) + repr(vars(wire))
        assert (headers["Cookie"], headers["x-csrf-token"]) == ("***", "***")
        assert headers["Authorization"] == "***"
        assert dict(exchange.response_headers)["Set-Cookie"] == "***"
        assert error.__context__ is None


async def test_an_exchange_without_an_answer_is_recorded_with_where_it_broke() -> None:
    async with RawServer(breaking(None)) as server:
        wire = HttpWire(f"{server.url}/erp")
        with open_attempt(an_attempt()) as attempt:
            await raised(wire.exchange(CREATE, hear))
        await wire.close()
        exchange = attempt.exchanges[0]

        assert (exchange.target, exchange.status) == ("/erp/orders", 0)
        assert exchange.broke == "the connection ended before the answer"
        assert exchange.request_body == CREATE.body


@pytest.mark.parametrize(
    "url",
    [
        "ftp://erp.example",
        "erp.example",
        "https://user:secret@erp.example",
        "https://",
        "https://erp.example/ä",
        "https://erp.example/a b",
    ],
)
def test_an_address_that_is_none_or_has_credentials_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        HttpWire(url)
