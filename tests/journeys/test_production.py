"""Production without containers: the commands of compose.yaml, as processes, on a DSN."""

from __future__ import annotations

import json
import re
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from joserfc.jwk import ECKey

from quaestor.security.identity import LAPTOP_ISSUER, LaptopIssuer, new_signing_key
from tests.support.database import TestDatabase
from tests.support.quaestor_process import ROOT, quaestor, running_quaestor, until

pytestmark = [pytest.mark.slow, pytest.mark.serial]

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SECRETS = ("COUPA_CLIENT_ID", "COUPA_CLIENT_SECRET", "WORKDAY_TOKEN", "SAP_USER", "SAP_PASSWORD")


def command(service: str, place: Path) -> list[str]:
    """The service's command, its paths below `place`, on a free port of the loopback."""
    said = []
    for word in COMPOSE["services"][service]["command"]:
        here = word.replace("/run/secrets", str(place / "secrets"))
        for mount in ("project-keys", "project", "keys", "signing", "checkpoints"):
            here = re.sub(rf"=/{mount}(?=/|$)", f"={place / mount}", here)
        here = here.replace("0.0.0.0", "127.0.0.1").replace("--port=8700", "--port=0")
        here = re.sub(r"\$\{QUAESTOR_ISSUER[^}]*\}", LAPTOP_ISSUER, here)
        said.append(re.sub(r"\$\{QUAESTOR_AUDIENCE[^}]*\}", "quaestor", here))
    return [*said, "--json"]


def a_production(place: Path, dsn: str) -> str:
    """Project, secrets and keys as docs/production.md asks for them; a token of the issuer."""
    assert quaestor("init", place / "project", "--real", "--json").code == 0
    settings = place / "project" / "quaestor.toml"
    text = settings.read_text(encoding="utf-8")
    # Nobody listens there: nothing of this test leaves the machine.
    text = re.sub(r'^base_url = ".*"', 'base_url = "http://127.0.0.1:1"', text, flags=re.MULTILINE)
    text = text.replace('# environment = "test" ', 'environment = "production" ', 1)
    settings.write_text(text, encoding="utf-8")
    for folder in ("secrets", "project-keys"):
        (place / folder).mkdir()
    (place / "secrets" / "dsn").write_text(f"{dsn}\n", encoding="utf-8")
    pem = new_signing_key()
    key = ECKey.import_key(pem)
    public = {**key.as_dict(private=False), "kid": key.thumbprint(), "alg": "ES256"}
    jwks = json.dumps({"keys": [public]})
    (place / "project-keys" / "jwks.json").write_text(jwks, encoding="utf-8")
    return LaptopIssuer(pem).token(
        subject="portal",
        scopes=["requisitions:write", "approvals:decide"],
        entities=["acme-de"],
        now_s=int(time.time()),
        ttl_s=600,
        environment="production",
    )


def asked(url: str, token: str = "", body: bytes | None = None) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "first"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, body, headers if body else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as said:
            return said.status, said.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


async def test_the_commands_of_the_composition_work_as_processes(
    place: Path, empty_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "hush-hush")
    monkeypatch.setenv("QUAESTOR_METRICS_PORT", "0")
    token = a_production(place, empty_database.dsn)
    dsn = f"file:{place / 'secrets' / 'dsn'}"
    body = (place / "project" / "requisitions" / "first.json").read_bytes()

    migrated = quaestor(*command("migrate", place))
    released = quaestor(*command("release", place))
    with (
        running_quaestor(*command("gateway", place)) as (gateway, ready),
        running_quaestor(*command("worker", place)) as (worker, working),
    ):
        healthy = asked(f"{ready['url']}/healthz")
        taken = asked(f"{ready['url']}/v1/requisitions", token, body)
        held = until(lambda: _held(dsn), "what would have been sent", seconds=90)
        of_gateway = asked(ready["metrics"])[1].decode()
        of_worker = asked(working["metrics"])[1].decode()
        worker.send_signal(signal.SIGTERM)
        gateway.send_signal(signal.SIGTERM)
        codes = (worker.wait(60), gateway.wait(60))
    told = quaestor("worklist", "--dsn", dsn)

    assert len(migrated.result["applied"]) > 3
    assert released.code == 0, released.told
    assert (healthy[0], taken[0]) == (200, 201), taken
    assert [(one["system"], one["number"]) for one in held] == [("sap", "FIRST-1")]
    assert codes == (0, 0)
    assert "PRODUCTION project" in told.told
    assert "hush-hush" not in json.dumps(held) + of_gateway + of_worker
    assert 'method="POST",route="/v1/requisitions",status="201"} 1.0' in of_gateway
    assert 'quaestor_parked{owner="operator",refusal="held_while_observing"} 1.0' in of_worker


def _held(dsn: str) -> list[dict[str, Any]]:
    said = quaestor("observe", "report", "--payload", "--dsn", dsn, "--json")
    return list(said.result["held"])
