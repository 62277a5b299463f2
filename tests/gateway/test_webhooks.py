"""Webhooks in: what proves itself is a hint, what does not is refused, and none does harm (N68)."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from quaestor.connectors.kit.webhooks import signature_of
from quaestor.gateway.services import GatewayLimits
from quaestor.project.load import load_project
from quaestor.project.problems import ProjectError
from quaestor.project.project import Project
from tests.support.database import TestDatabase
from tests.support.file_only import file_only
from tests.support.gateway import Gateway, Said, gateway_on

PATH = "/v1/webhooks/coupa"
SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
SIGNED = 'secret = "env:HOOK_NEXT"\nnext_secret = "env:HOOK"'
BASIC = 'user = "coupa"\npassword = "env:HOOK"'
BODY = b'{"id": 20417, "status": "pending_approval"}'
GOOD_BASIC = {"Authorization": "Basic " + base64.b64encode(f"coupa:{SECRET}".encode()).decode()}
_STREAM = """
select due_at <= quaestor.clock() as due, hinted_at is not null as hinted
from quaestor.stream where name = 'requisitions'
"""


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", SECRET)
    monkeypatch.setenv("HOOK_NEXT", "whsec_" + base64.b64encode(bytes(32)).decode())


def a_project(folder: Path, webhook: str, *, of: str = "coupa") -> Project:
    settings = file_only(folder) / "quaestor.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(f"{text}\n[systems.{of}.webhook]\n{webhook}\n", encoding="utf-8")
    return load_project(folder)


def signed(identity: str = "msg_1", *, sent_s: float = 0.0, body: bytes = BODY) -> dict[str, str]:
    timestamp = str(int(time.time() + sent_s))
    raw = signature_of(SECRET, identity, timestamp, body)
    return {
        "webhook-id": identity,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(raw).decode(),
    }


async def a_stream(database: TestDatabase, *, trouble: str = "") -> None:
    """One that was asked a moment ago, and will be again in an hour."""
    owner = await database.connect()
    await owner.fetch(
        "insert into quaestor.stream (system, name, due_at, trouble) "
        "values ('coupa', 'requisitions', quaestor.clock() + interval '1 hour', $1) returning 1",
        trouble,
    )


async def state(database: TestDatabase) -> tuple[bool, bool]:
    """Whether the stream is due, and whether a hint is known."""
    row = await (await database.connect()).fetchrow(_STREAM)
    assert row is not None
    return row["due"], row["hinted"]


async def told(gateway: Gateway, headers: dict[str, str], body: bytes = BODY) -> Said:
    headers = {"Authorization": "", **headers}
    return await gateway.ask("POST", PATH, raw=body, headers=headers, key=None)


async def test_a_call_out_makes_the_requisitions_due(
    database: TestDatabase, tmp_path: Path
) -> None:
    await a_stream(database)
    async with gateway_on(database, project=a_project(tmp_path / "acme", BASIC)) as gateway:
        said = await told(gateway, GOOD_BASIC)

    assert said.status == 200
    assert await state(database) == (True, True)


async def test_a_delivery_that_was_here_before_is_answered_and_has_no_effect(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with gateway_on(database, project=a_project(tmp_path / "acme", SIGNED)) as gateway:
        headers = signed()
        first = await told(gateway, headers)
        await a_stream(database)
        second = await told(gateway, headers)

    assert (first.status, second.status) == (200, 200)
    assert await state(database) == (False, False)


REFUSED: list[tuple[str, Callable[[], dict[str, str]], bytes, str]] = [
    ("N68 no signature", dict, BODY, "signature_invalid"),
    (
        "N68 bad signature",
        lambda: signed() | {"webhook-signature": "v1,AAAA"},
        BODY,
        "signature_invalid",
    ),
    ("N68 re-serialised", signed, BODY.replace(b" ", b""), "signature_invalid"),
    ("N68 five minutes late", lambda: signed(sent_s=-330), BODY, "timestamp_out_of_range"),
    ("N68 five minutes early", lambda: signed(sent_s=330), BODY, "timestamp_out_of_range"),
]


@pytest.mark.parametrize(
    ("made", "body", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
async def test_a_forged_or_late_delivery_changes_nothing(
    database: TestDatabase,
    tmp_path: Path,
    made: Callable[[], dict[str, str]],
    body: bytes,
    code: str,
) -> None:
    await a_stream(database)
    async with gateway_on(database, project=a_project(tmp_path / "acme", SIGNED)) as gateway:
        said = await told(gateway, made(), body)

    assert said.code == (401, code)
    assert await state(database) == (False, False)


async def test_a_signature_list_with_one_good_one_is_accepted(
    database: TestDatabase, tmp_path: Path
) -> None:
    await a_stream(database)
    headers = signed()
    headers["webhook-signature"] = f"v1,AAAA {headers['webhook-signature']} v1a,BBBB"
    async with gateway_on(database, project=a_project(tmp_path / "acme", SIGNED)) as gateway:
        said = await told(gateway, headers)

    assert said.status == 200
    assert await state(database) == (True, True)


async def test_a_hint_does_not_shorten_the_pause_that_a_system_asked_for(
    database: TestDatabase, tmp_path: Path
) -> None:
    await a_stream(database, trouble="429 Too Many Requests")
    async with gateway_on(database, project=a_project(tmp_path / "acme", BASIC)) as gateway:
        said = await told(gateway, GOOD_BASIC)

    assert said.status == 200
    assert await state(database) == (False, True)


async def test_whoever_guesses_is_held_up(database: TestDatabase, tmp_path: Path) -> None:
    limits = GatewayLimits(bad_tokens_per_minute_max=3)
    project = a_project(tmp_path / "acme", BASIC)
    async with gateway_on(database, project=project, limits=limits) as gateway:
        codes = [(await told(gateway, {"Authorization": "Basic x"})).code for _ in range(4)]
        good = await told(gateway, GOOD_BASIC)

    assert codes == [(401, "signature_invalid")] * 3 + [(429, "rate_limited")]
    assert good.status == 200


async def test_a_secret_that_is_not_there_lets_nobody_in(
    database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOOK")
    async with gateway_on(database, project=a_project(tmp_path / "acme", BASIC)) as gateway:
        said = await told(gateway, GOOD_BASIC)

    assert said.code == (401, "signature_invalid")


async def test_a_client_gets_a_token_and_posts_with_it(
    database: TestDatabase, tmp_path: Path
) -> None:
    await a_stream(database)
    client = 'client_id = "coupa"\nclient_secret = "env:HOOK"'
    async with gateway_on(database, project=a_project(tmp_path / "acme", client)) as gateway:
        asked = await gateway.ask(
            "POST",
            f"{PATH}/token",
            raw=b"grant_type=client_credentials",
            headers={**GOOD_BASIC, "Content-Type": "application/x-www-form-urlencoded"},
            key=None,
        )
        token = asked.json["access_token"]
        said = await told(gateway, {"Authorization": f"Bearer {token}"})
        forged = await told(gateway, {"Authorization": f"Bearer 9{token}"})

    assert (asked.status, said.status, forged.status) == (200, 200, 401)
    assert await state(database) == (True, True)


async def test_a_system_without_a_webhook_takes_none(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        said = await told(gateway, GOOD_BASIC)

    assert said.code == (404, "webhook_unknown")


@pytest.mark.parametrize(
    ("webhook", "of"),
    [
        ('token = "written out"', "coupa"),
        ('user = "coupa"\npassword = "written out"', "coupa"),
        ('secret = "written out"', "coupa"),
        ('kind = "signed"', "coupa"),
        ('token = "env:HOOK"', "sap"),
    ],
)
def test_a_webhook_table_is_refused_where_it_cannot_work(
    tmp_path: Path, webhook: str, of: str
) -> None:
    with pytest.raises(ProjectError) as refused:
        a_project(tmp_path / "acme", webhook, of=of)

    assert f"systems.{of}.webhook" in str(refused.value)
    assert "written out" not in str(refused.value)
