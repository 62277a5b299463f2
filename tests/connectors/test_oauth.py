"""OAuth 2.0 client credentials: one token for all, renewed once, never shown."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest

from quaestor.connectors.kit.attempt import Attempt, open_attempt
from quaestor.connectors.kit.auth import ClientCredentialsAuth, Granted
from quaestor.connectors.kit.classify import Answer, Voice
from quaestor.connectors.kit.config import SystemConfig, http_wire
from quaestor.connectors.kit.contract import DEADLINE_PASSED, NotKnown, Transient
from quaestor.connectors.kit.wires.http import HttpRequest
from quaestor.security.secrets import Secret, SecretUnavailable
from tests.connectors.raw_server import Arrived, RawServer, answer

SECRET = "canary-of-the-client"
LOOK = HttpRequest("GET", "/api/things")
SEND = HttpRequest("POST", "/api/things", body=b"{}", commits=True)


class Counting:
    """Grants `t1`, `t2`, … and counts; each takes until `release` is set."""

    def __init__(self, life_s: float = 3600.0) -> None:
        self.count = 0
        self.life_s = life_s
        self.release = asyncio.Event()
        self.release.set()

    async def __call__(self) -> Granted:
        self.count += 1
        name = f"token-number-{self.count}"
        await self.release.wait()
        return Granted(Secret(name), self.life_s)


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def an_auth(grant: Counting, **more: Any) -> ClientCredentialsAuth:
    return ClientCredentialsAuth(grant, lambda: Secret(SECRET), **more)


def token_of(headers: Mapping[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer token-number-")


async def test_many_requests_at_a_time_share_one_grant() -> None:
    grant = Counting()
    grant.release.clear()
    auth = an_auth(grant)
    asking = [asyncio.create_task(auth.headers()) for _ in range(20)]
    await asyncio.sleep(0)
    grant.release.set()

    given = await asyncio.gather(*asking)

    assert grant.count == 1
    assert {token_of(one) for one in given} == {"1"}


async def test_a_refused_token_is_replaced_once_for_all_that_used_it() -> None:
    grant = Counting()
    auth = an_auth(grant)
    used = asyncio.Barrier(5)

    async def one_request() -> str:
        await auth.headers()
        await used.wait()
        return token_of(await auth.headers(renew=True))

    given = await asyncio.gather(*(one_request() for _ in range(5)))

    assert given == ["2"] * 5
    assert grant.count == 2


async def test_a_token_is_renewed_before_its_end() -> None:
    clock, grant = Clock(), Counting(life_s=100)
    auth = an_auth(grant, now=clock)
    tokens = []

    for at in (0, 89, 91):
        clock.at = 100 + at
        tokens.append(token_of(await auth.headers()))

    assert tokens == ["1", "1", "2"]


async def test_one_that_stops_waiting_does_not_stop_the_grant_for_others() -> None:
    grant = Counting()
    grant.release.clear()
    auth = an_auth(grant)
    impatient = asyncio.create_task(auth.headers())
    patient = asyncio.create_task(auth.headers())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    grant.release.set()

    given = await patient

    assert (token_of(given), grant.count) == ("1", 1)


async def test_a_fresh_token_is_left_alone_for_the_gap() -> None:
    auth = an_auth(Counting(), gap_s=0.05)
    started = time.monotonic()

    await auth.headers()

    assert time.monotonic() - started >= 0.05


async def test_a_gap_that_outlives_the_deadline_is_told_with_its_length() -> None:
    auth = an_auth(Counting(), gap_s=30)

    with open_attempt(Attempt(time.monotonic() + 2, 2)), pytest.raises(Transient) as caught:
        await auth.headers()

    assert caught.value.code == "token_settling"
    assert caught.value.retry_after_s == pytest.approx(30, abs=1)


async def test_no_token_is_asked_for_when_the_deadline_has_passed() -> None:
    grant = Counting()
    auth = an_auth(grant)

    with open_attempt(Attempt(time.monotonic() - 1, 5)), pytest.raises(Transient) as caught:
        await auth.headers()

    assert (caught.value.code, caught.value.system) == (DEADLINE_PASSED, False)
    assert grant.count == 0


# --- over the wire --------------------------------------------------------------------------------


class Server:
    """A token endpoint and an application that takes the last token only."""

    def __init__(self, token_path: str = "/oauth2/token", **grant: Any) -> None:
        self.path = token_path
        self.grant = grant
        self.granted = 0
        self.status = "200 OK"
        self.forms: list[dict[str, list[str]]] = []
        self.headers: list[Mapping[str, str]] = []

    async def __call__(self, request: Arrived) -> bytes:
        if request.target == self.path:
            self.granted += 1
            self.forms.append(parse_qs(request.body.decode()))
            self.headers.append(request.headers)
            told = {"access_token": self.token, "token_type": "bearer", "expires_in": 3600}
            return answer(msgspec.json.encode({**told, **self.grant}), self.status)
        is_good = request.headers.get("authorization") == f"bearer {self.token}"
        return answer(b"{}", "200 OK" if is_good else "401 Unauthorized")

    @property
    def token(self) -> str:
        return f"granted-token-{self.granted}"


def hear(reply: Answer) -> Voice:
    return Voice.LOGIN if reply.status == 401 else Voice.DONE


def a_config(url: str, **oauth: Any) -> SystemConfig:
    table = {
        "connector": "any",
        "base_url": url,
        "auth": {"kind": "oauth2", "client_id": "client one", "client_secret": "env:SECRET"},
        "oauth": oauth,
    }
    return msgspec.convert(table, SystemConfig)


def resolving(reference: str) -> Secret:
    return Secret(SECRET)


async def exchanged(
    config: SystemConfig,
    *requests: HttpRequest,
    resolve: Callable[[str], Secret] = resolving,
    between: Callable[[], None] = lambda: None,
) -> tuple[list[int], Attempt, list[NotKnown]]:
    wire = http_wire(config, resolve)
    attempt = Attempt(time.monotonic() + 10, 5)
    statuses, errors = [], []
    with open_attempt(attempt):
        for request in requests:
            try:
                statuses.append((await wire.exchange(request, hear)).status)
            except NotKnown as error:
                errors.append(error)
            between()
    await wire.close()
    return statuses, attempt, errors


@pytest.mark.parametrize("path", ["/oauth2/token", "/oauth2/access_tokens"])
async def test_the_token_path_is_the_installations_choice(path: str) -> None:
    server = Server(path)
    async with RawServer(server) as raw:
        config = a_config(raw.url, token_url=path, scopes=["a.read", "b.write"])

        statuses, _, errors = await exchanged(config, LOOK, SEND)

    assert (statuses, errors) == ([200, 200], [])
    assert server.forms == [
        {
            "grant_type": ["client_credentials"],
            "scope": ["a.read b.write"],
            "client_id": ["client one"],
            "client_secret": [SECRET],
        }
    ]


async def test_the_token_endpoint_may_be_on_another_host() -> None:
    tokens = Server("/tenant/token")

    async def application(request: Arrived) -> bytes:
        return answer(b"{}")

    async with RawServer(tokens) as there, RawServer(application) as here:
        config = a_config(here.url, token_url=f"{there.url}/tenant/token")

        statuses, _, errors = await exchanged(config, LOOK)

    assert (statuses, errors, tokens.granted) == ([200], [], 1)


async def test_a_client_may_prove_itself_in_the_header() -> None:
    server = Server()
    async with RawServer(server) as raw:
        config = a_config(raw.url, client_in="header")

        await exchanged(config, LOOK)

    expected = base64.b64encode(f"client+one:{SECRET}".encode()).decode()
    # The server of bare sockets gives headers in lower case.
    assert server.headers[0]["authorization"] == f"Basic {expected}".lower()
    assert server.forms == [{"grant_type": ["client_credentials"]}]


async def test_a_401_gets_one_fresh_token_and_the_request_goes_once_more() -> None:
    server = Server()

    def revoke() -> None:
        server.granted += 10

    async with RawServer(server) as raw:
        statuses, attempt, errors = await exchanged(a_config(raw.url), LOOK, SEND, between=revoke)

    assert (statuses, errors) == ([200, 200], [])
    assert [exchange.status for exchange in attempt.exchanges] == [200, 401, 200]


async def test_a_refused_client_is_named_and_opens_the_systems_circuit() -> None:
    server = Server(error="invalid_client", access_token=None)
    server.status = "401 Unauthorized"
    async with RawServer(server) as raw:
        statuses, _, errors = await exchanged(a_config(raw.url), SEND)

    (error,) = errors
    assert (statuses, server.granted) == ([], 1)
    assert isinstance(error, Transient)
    assert (error.code, error.system) == ("connector_auth_failed", True)


async def test_a_secret_that_is_not_there_is_a_failed_login_and_not_a_crash() -> None:
    def missing(reference: str) -> Secret:
        raise SecretUnavailable("secret_not_set", "the environment variable SECRET is not set")

    async with RawServer(Server()) as raw:
        _, _, errors = await exchanged(a_config(raw.url), SEND, resolve=missing)

    (error,) = errors
    assert isinstance(error, Transient)
    assert error.code == "connector_auth_failed"


async def test_neither_secret_nor_token_is_ever_shown() -> None:
    server = Server()
    async with RawServer(server) as raw:
        config = a_config(raw.url)
        echo = HttpRequest("POST", "/api/things", body=SECRET.encode(), commits=True)

        _, attempt, errors = await exchanged(config, LOOK, SEND, echo)

    shown = repr(attempt.exchanges) + repr(errors) + repr(config)
    assert len(attempt.exchanges) == 3
    assert SECRET not in shown
    assert server.token not in shown


async def test_a_gap_longer_than_a_request_may_take_is_waited_for() -> None:
    async with RawServer(Server()) as raw:
        config = msgspec.structs.replace(a_config(raw.url, gap_s=0.3), total_timeout_s=0.2)
        wire = http_wire(config, resolving)

        reply = await wire.exchange(LOOK, hear)

        await wire.close()
    assert reply.status == 200


@pytest.mark.parametrize("life", [None, "soon", -1, "1e400"])
async def test_a_life_that_is_not_told_is_short(life: object) -> None:
    server = Server(expires_in=life)
    async with RawServer(server) as raw:
        statuses, _, errors = await exchanged(a_config(raw.url), LOOK, LOOK)

    assert (statuses, errors, server.granted) == ([200, 200], [], 1)
