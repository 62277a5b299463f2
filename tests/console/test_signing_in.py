"""Signing in over HTTP."""

from __future__ import annotations

import time

import pytest

from quaestor.security.identity import LaptopIssuer, new_signing_key
from tests.console.browsing import Visitor, text_of
from tests.support.gateway import Gateway


async def test_a_token_becomes_a_session_that_is_not_the_token(
    gateway: Gateway, visitor: Visitor
) -> None:
    token = gateway.token()

    signed = await visitor.sign_in(token, "/console/work?owner=finance")
    page = await visitor.see("/console/work")

    assert (signed.status, signed.headers["Location"]) == (303, "/console/work?owner=finance")
    cookie = signed.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert not any(part in cookie for part in token.split("."))
    assert page.status == 200
    assert token not in page.html


async def test_a_session_never_outlives_its_token(gateway: Gateway, visitor: Visitor) -> None:
    signed = await visitor.sign_in(gateway.token(ttl_s=90))

    [max_age] = [part for part in signed.headers["Set-Cookie"].split("; ") if "Max-Age" in part]
    assert 80 <= int(max_age.partition("=")[2]) <= 90


async def test_beyond_this_machine_the_cookie_is_held_to_tls(
    gateway: Gateway, visitor: Visitor
) -> None:
    visitor.headers = {"Host": "q.acme.example", "Origin": "https://q.acme.example"}

    signed = await visitor.sign_in(gateway.token())

    assert signed.headers["Set-Cookie"].startswith("__Host-quaestor=")
    assert signed.headers["Set-Cookie"].endswith("; Secure")


async def test_who_is_not_signed_in_is_asked_to_and_comes_back(visitor: Visitor) -> None:
    asked = await visitor.see("/console/trace/R-1?from=3")
    form = await visitor.see(asked.headers["Location"])

    assert asked.status == 303
    assert 'value="/console/trace/R-1?from=3"' in form.html


def foreign_token() -> str:
    issuer = LaptopIssuer(new_signing_key())
    return issuer.token(
        subject="x", scopes=["traces:read"], entities=["acme-de"], now_s=int(time.time()), ttl_s=60
    )


@pytest.mark.parametrize("token", ["", "no-token", "a.b.c", "ünlike", foreign_token()])
async def test_a_token_that_does_not_count_opens_nothing(visitor: Visitor, token: str) -> None:
    signed = await visitor.sign_in(token)

    assert signed.status == 401
    assert "Set-Cookie" not in signed.headers
    assert "token_invalid" in signed.html
    assert not token or token not in signed.html


async def test_an_expired_token_opens_nothing(gateway: Gateway, visitor: Visitor) -> None:
    signed = await visitor.sign_in(gateway.token(now_s=int(time.time()) - 3600, ttl_s=60))

    assert signed.status == 401


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("path", ["/console/sign-in", "/console/sign-out"])
async def test_a_form_of_another_site_is_refused(
    gateway: Gateway, visitor: Visitor, headers: dict[str, str], path: str
) -> None:
    visitor.headers = headers

    signed = await visitor.see(path, "POST", token=gateway.token())

    assert signed.status == 403
    assert "Set-Cookie" not in signed.headers
    assert "form_foreign" in signed.html


async def test_signing_out_ends_the_session_in_the_browser(
    gateway: Gateway, visitor: Visitor
) -> None:
    await visitor.sign_in(gateway.token())

    left = await visitor.see("/console/sign-out", "POST")
    after = await visitor.see("/console/work")

    assert "Max-Age=0" in left.headers["Set-Cookie"]
    assert after.headers["Location"].startswith("/console/sign-in")


async def test_the_session_is_worth_nothing_at_the_api(gateway: Gateway, visitor: Visitor) -> None:
    await visitor.sign_in(gateway.token())

    worklist = await visitor.see("/v1/worklist")

    assert worklist.status == 401


async def test_who_keeps_guessing_is_held_up(gateway: Gateway, visitor: Visitor) -> None:
    for _ in range(30):
        await visitor.sign_in("x")

    held = await visitor.sign_in(gateway.token())

    assert held.status == 429
    assert "come again later" in text_of(held.html)
