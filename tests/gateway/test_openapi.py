"""The document says what the gateway does: checked, and asked for with whatever it allows."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from quaestor.gateway.openapi import openapi_document
from quaestor.gateway.routes import OPERATIONS
from quaestor.model.refusal import REFUSALS
from tests.support.database import TestDatabase
from tests.support.gateway import a_body, a_reservation, gateway_on

# So that what has an id is found, and not only looked for.
CONFIG = """
[parameters]
"path.id" = "1"
"path.list" = "suppliers"
"path.code" = "not_found"

[[operations]]
include-operation-id = ["readReservation", "releaseReservation"]
parameters = { "path.id" = "2" }

# Without If-Match a change is answered with the status made for it (RFC 6585).
[checks.missing_required_header]
expected-statuses = [400, 401, 403, 404, 428]

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 428]
"""
HOOKS = Path(__file__).resolve().parents[1] / "support" / "generated_requests.py"
OPTIONS = (
    "--phases=examples,coverage,fuzzing",
    "--max-examples=15",
    "--seed=7",
    "--generation-database=none",
    "--no-color",
    "--suppress-health-check=all",
    # That amounts add up, and that a supplier exists, no schema can say: good form is refused too.
    "--exclude-checks=positive_data_acceptance",
    # A webhook is authenticated by its connector, and none is here.
    "--exclude-path-regex=^/v1/webhooks",
)


def test_the_document_is_valid() -> None:
    document = openapi_document(OPERATIONS)

    validate(document)

    assert document["openapi"] == "3.1.0"


def test_every_code_of_an_operation_is_a_refusal() -> None:
    unknown = {code for each in OPERATIONS for code in each.refuses} - REFUSALS.keys()

    assert unknown == set()


@pytest.mark.slow
async def test_whatever_the_document_allows_or_forbids_is_answered_as_it_says(
    database: TestDatabase, tmp_path: Path
) -> None:
    (tmp_path / "schemathesis.toml").write_text(f'hooks = "{HOOKS}"\n' + CONFIG)
    async with gateway_on(database) as gateway:
        await gateway.ask("POST", "/v1/requisitions", a_body())
        await gateway.ask("POST", "/v1/budget/reservations", a_reservation())
        asking = await asyncio.create_subprocess_exec(
            Path(sys.executable).parent / "schemathesis",
            "run",
            f"{gateway.url}/openapi.json",
            *OPTIONS,
            "--header",
            f"Authorization: Bearer {gateway.token()}",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        said, _ = await asyncio.wait_for(asking.communicate(), 240)

    assert asking.returncode == 0, said.decode()
    passed = re.search(r"generated, ([\d,]+) passed", said.decode())
    assert passed is not None, said.decode()
    assert int(passed[1].replace(",", "")) > 50 * len(OPERATIONS)
