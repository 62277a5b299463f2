"""A newcomer's way over HTTP: up, a token, a requisition, its purchase order."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import a_body, a_line_body
from tests.support.quaestor_process import (
    EXAMPLE,
    processes_naming,
    quaestor,
    running_quaestor,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.serial]

APPROVAL = {
    "decided_by": "workday",
    "version": 1,
    "decisions": [
        {"approver": "ben.koch", "verdict": "approved", "decided_at": "2026-11-20T09:00:00+01:00"}
    ],
}
WANTED = a_body(approval=APPROVAL, lines=[a_line_body(category="it_hardware")])


def ask(url: str, token: str, body: Any = None) -> tuple[int, Any]:
    """One request: a POST where there is a body."""
    headers = {"Authorization": f"Bearer {token}"}
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        headers |= {"Content-Type": "application/json", "Idempotency-Key": "first"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as said:
            return said.status, json.load(said)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def page_of(url: str) -> tuple[int, str]:
    """A page, where redirects lead."""
    with urllib.request.urlopen(url, timeout=10) as said:
        return said.status, said.read().decode()


def token_of(data: Path, *scopes: str) -> str:
    """A token as a user makes one."""
    said = quaestor(
        "token", "--data", data, "--scope", *scopes, "--entity", "acme-de", "--ttl", "1h", "--json"
    )
    assert said.code == 0, said.told
    return str(said.result["token"])


def test_a_newcomer_gets_a_purchase_order_over_http(place: Path) -> None:
    data = place / "data"
    command = ("up", "--project", EXAMPLE, "--data", data, "--port", "0", "--json")
    with running_quaestor(*command) as (process, ready):
        token = token_of(data, "requisitions:write", "approvals:decide", "traces:read")
        taken = ask(f"{ready['url']}/v1/requisitions", token, WANTED)
        again = ask(f"{ready['url']}/v1/requisitions", token, WANTED)
        path = f"{ready['url']}/v1/requisitions/{taken[1]['id']}"
        ordered = until(
            lambda: (seen := ask(path, token)[1])["outcome"] == "ordered" and seen, "the order"
        )
        forbidden = ask(f"{ready['url']}/v1/worklist", token)
        worklist = ask(f"{ready['url']}/v1/worklist", ready["token"])
        status, page = page_of(ready["url"])
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)

    assert (taken[0], again) == (201, taken)
    assert [other["system"] for other in ordered["elsewhere"]] == ["sap"]
    assert (forbidden[0], forbidden[1]["code"]) == (403, "insufficient_scope")
    assert worklist == (200, {"items": [], "next": None})
    assert (status, "Your token" in page) == (200, True)
    assert (code, processes_naming(data)) == (0, [])


def test_a_gateway_of_its_own_answers_and_stops_cleanly(place: Path) -> None:
    data = place / "data"
    up = ("up", "--project", EXAMPLE, "--data", data, "--port", "0", "--json")
    with running_quaestor(*up) as (owner, _):
        serve = ("serve", "--data", data, "--port", "0", "--json")
        with running_quaestor(*serve) as (gateway, ready):
            token = token_of(data, "requisitions:write", "approvals:decide")
            taken = ask(f"{ready['url']}/v1/requisitions", token, WANTED)
            gateway.send_signal(signal.SIGTERM)
            code = gateway.wait(30)
        owner.send_signal(signal.SIGTERM)
        owner.wait(60)

    assert (taken[0], code) == (201, 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ("token", "--scope", "a:b", "--data", "place"),
        ("token", "--entity", "acme-de", "--data", "place"),
        ("token", "--scope", "a:b", "--entity", "acme-de", "--ttl", "soon", "--data", "place"),
    ],
)
def test_a_token_for_nothing_is_not_made(arguments: tuple[str, ...], tmp_path: Path) -> None:
    given = [str(tmp_path) if argument == "place" else argument for argument in arguments]

    said = quaestor(*given, "--json")

    assert said.code == 2
