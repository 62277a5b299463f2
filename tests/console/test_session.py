"""A session is what the token said, sealed, and never longer."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable

import msgspec
import pytest

from quaestor.console.forms import is_loopback, is_own_form, read_form, safe_return
from quaestor.console.session import SessionTooLarge, seal, unseal
from quaestor.security.identity import Caller

KEY, OTHER_KEY = bytes(32), bytes([1]) * 32
CALLER = Caller("ana", "ana", frozenset({"traces:read"}), frozenset({"acme-de"}), "test", 1000)


def test_a_session_is_the_caller_until_its_end() -> None:
    cookie = seal(CALLER, KEY)

    assert unseal(cookie, KEY, now_s=999) == CALLER
    assert unseal(cookie, KEY, now_s=1000) is None


def test_a_session_shows_nothing_of_what_is_in_it() -> None:
    assert b"acme" not in base64.urlsafe_b64decode(seal(CALLER, KEY) + "==")


def flipped(cookie: str) -> str:
    return ("B" if cookie[0] == "A" else "A") + cookie[1:]


@pytest.mark.parametrize(
    "change",
    [
        flipped,
        lambda cookie: cookie[:-2],
        lambda cookie: "",
        lambda cookie: "x" * 5000,
        lambda cookie: "ü" + cookie,
        lambda cookie: "AAAA",
    ],
)
def test_a_cookie_that_we_did_not_seal_is_none(change: Callable[[str], str]) -> None:
    assert unseal(change(seal(CALLER, KEY)), KEY, now_s=0) is None


def test_a_cookie_of_another_deployment_is_none() -> None:
    assert unseal(seal(CALLER, OTHER_KEY), KEY, now_s=0) is None


def test_more_than_a_browser_keeps_is_no_session() -> None:
    entities = frozenset(os.urandom(20).hex() for _ in range(400))

    with pytest.raises(SessionTooLarge):
        seal(msgspec.structs.replace(CALLER, entities=entities), KEY)


FORMS = [
    ({"sec-fetch-site": "same-origin", "origin": "http://q:1", "host": "q:1"}, True),
    ({"sec-fetch-site": "same-origin", "host": "q:1"}, True),
    ({"origin": "http://q:1", "host": "q:1"}, True),
    ({"origin": "https://q", "host": "q"}, True),
    ({"sec-fetch-site": "cross-site", "origin": "http://q:1", "host": "q:1"}, False),
    ({"sec-fetch-site": "same-site", "origin": "http://q:1", "host": "q:1"}, False),
    ({"sec-fetch-site": "none", "host": "q:1"}, False),
    ({"origin": "http://evil", "host": "q:1"}, False),
    ({"origin": "http://q:2", "host": "q:1"}, False),
    ({"origin": "null", "host": "q:1"}, False),
    ({"host": "q:1"}, False),
    ({}, False),
]


@pytest.mark.parametrize(("headers", "is_own"), FORMS)
def test_a_form_is_ours_only_where_the_browser_says_so(
    headers: dict[str, str], is_own: bool
) -> None:
    assert is_own_form(headers) is is_own


RETURNS = [
    ("/console/trace/4500?from=2", "/console/trace/4500?from=2"),
    ("/console/?q=a//b", "/console/?q=a//b"),
    ("https://evil.example/console/", "/console/"),
    ("//evil.example", "/console/"),
    ("/console//evil.example", "/console/"),
    ("/console/\\evil", "/console/"),
    ("/v1/worklist", "/console/"),
    ("/console/\r\nSet-Cookie: x", "/console/"),
    ("", "/console/"),
]


@pytest.mark.parametrize(("asked", "to"), RETURNS)
def test_a_sign_in_leads_to_a_page_of_the_console(asked: str, to: str) -> None:
    assert safe_return(asked) == to


@pytest.mark.parametrize(
    ("host", "is_own_machine"),
    [
        ("127.0.0.1:8700", True),
        ("localhost", True),
        ("[::1]:8700", True),
        ("q.acme.com", False),
        ("127.0.0.1.acme.com", False),
        ("", False),
        ("[", False),
    ],
)
def test_ones_own_machine_is_told_by_the_host(host: str, is_own_machine: bool) -> None:
    assert is_loopback(host) is is_own_machine


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"a=1&" * 50, b"{}"])
def test_what_is_no_form_has_no_token(body: bytes) -> None:
    assert "token" not in read_form(body)
