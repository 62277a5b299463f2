"""Refused at the door: at once and unread the first time, unhurried for who does not listen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import msgspec

from quaestor.gateway.admission import Admission
from quaestor.gateway.door import Door
from quaestor.gateway.services import GatewayLimits
from quaestor.security.identity import LaptopIssuer, new_signing_key
from quaestor.security.known_tokens import KnownTokens

LIMITS = GatewayLimits(at_once_max=3, changes_max=2, per_client_max=1)
ASKING = ("/v1/validations",)
ISSUER = LaptopIssuer(new_signing_key())
NOW_S = 1_800_000_000


def token_of(client: str) -> str:
    return ISSUER.token(
        subject=client, scopes=["a:b"], entities=["acme-de"], now_s=NOW_S, ttl_s=600
    )


class Visitors:
    """An application behind a door, and its clock, which only waiting moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.admission = Admission(LIMITS, lambda: self.now)
        self.tokens = KnownTokens([ISSUER.trusted])
        self.door = Door(
            self._app, self.admission, self.tokens, ASKING, lambda: self.now, self._sleep
        )
        self.inside = ExitStack()
        self.waits: list[float] = []
        self.meanwhile: Callable[[], None] = lambda: None

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        self.meanwhile()

    async def comes(
        self, path: str = "/v1/requisitions", *, port: int = 1, token: str = ""
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer to a POST; nobody may read the request."""
        said: list[Any] = []

        async def send(message: Any) -> None:
            said.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "client": ("127.0.0.1", port),
            "headers": [(b"authorization", f"Bearer {token}".encode())],
        }
        await self.door(scope, None, send)
        headers = {name.decode(): value.decode() for name, value in said[0]["headers"]}
        return said[0]["status"], headers, said[-1].get("body", b"")

    def take_room(self, changes: int, others: int = 0) -> None:
        for number in range(changes + others):
            self.inside.enter_context(self.admission.room(changes=number < changes))


async def test_who_finds_no_room_is_told_so_by_name_and_when_to_come_again() -> None:
    visitors = Visitors()
    visitors.take_room(changes=2)

    status, headers, body = await visitors.comes()

    problem = msgspec.json.decode(body)
    assert (status, problem["code"], problem["status"]) == (503, "overloaded", 503)
    assert (headers["retry-after"], headers["content-type"]) == ("1", "application/problem+json")
    assert (headers["x-request-id"], visitors.waits) == (problem["request_id"], [])


async def test_changes_leave_room_to_whoever_only_asks() -> None:
    visitors = Visitors()
    visitors.take_room(changes=2)

    asked, _, _ = await visitors.comes("/v1/validations")
    health, _, _ = await visitors.comes("/healthz")
    visitors.take_room(changes=0, others=1)
    full, _, _ = await visitors.comes("/v1/validations")

    assert (asked, health, full) == (200, 200, 503)


async def test_a_client_that_has_its_share_is_known_by_its_token_at_the_door() -> None:
    visitors = Visitors()
    portal = token_of("portal")
    visitors.tokens.verify(portal, now_s=NOW_S)
    visitors.inside.enter_context(visitors.admission.share("portal", changes=True))

    greedy, _, body = await visitors.comes(token=portal)
    asking, _, _ = await visitors.comes("/v1/validations", token=portal)
    other, _, _ = await visitors.comes(token=token_of("another"))

    assert (greedy, msgspec.json.decode(body)["code"]) == (429, "rate_limited")
    assert (asking, other) == (200, 200)


async def test_who_does_not_wait_as_told_is_made_to_on_that_connection_alone() -> None:
    visitors = Visitors()
    visitors.take_room(changes=2)
    await visitors.comes(port=1)
    visitors.now += 0.25

    impatient, _, _ = await visitors.comes(port=1)
    waits = list(visitors.waits)
    stranger, _, _ = await visitors.comes(port=2)

    assert (impatient, waits) == (503, [0.75])
    assert (stranger, visitors.waits) == (503, [0.75])


async def test_the_more_are_sent_away_the_later_they_are_to_come() -> None:
    visitors = Visitors()
    visitors.take_room(changes=2)

    told = [(await visitors.comes(port=port))[1]["retry-after"] for port in range(3001)]
    visitors.now += 6
    later = (await visitors.comes(port=0))[1]["retry-after"]

    assert [told[place] for place in (0, 499, 500, 1000, 2000, 3000)] == list("112355")
    assert later == "1"


async def test_who_was_to_come_by_now_counts_no_more_whoever_was_told_before_or_after() -> None:
    visitors = Visitors()
    visitors.take_room(changes=2)

    for port in range(1100):
        await visitors.comes(port=port)
    visitors.now += 2.5
    told = (await visitors.comes(port=5000))[1]["retry-after"]

    # Only the last hundred, who were told three seconds, are still away.
    assert told == "1"


async def test_who_waited_is_let_in_where_there_is_room_by_then() -> None:
    visitors = Visitors()
    visitors.take_room(changes=2)
    await visitors.comes()
    visitors.meanwhile = visitors.inside.close

    status, _, _ = await visitors.comes()

    assert status == 200
