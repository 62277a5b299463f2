"""Imports point down, what decides is pure, and each contract that says so can fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "pyproject.toml"

# A house of empty rooms. A planted import goes into one of them.
ROOMS = (
    "cli/main.py",
    "app.py",
    "project/files.py",
    "gateway/routes.py",
    "actions/cancel.py",
    "runtime/engine.py",
    "runtime/posting.py",
    "flows/order.py",
    "validation/checks.py",
    "budget/node.py",
    "approvals/rule.py",
    "connectors/kit/contract.py",
    "connectors/acme/client.py",
    "connectors/acme/mapping.py",
    "connectors/zenith/connector.py",
    "audit/append.py",
    "store/pool.py",
    "model/money.py",
    "settings.py",
)


def lint(config: Path, first_on_path: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts of `config` on the package `quaestor` found under `first_on_path`."""
    return subprocess.run(
        [
            Path(sys.executable).parent / "lint-imports",
            "--no-logo",
            "--no-cache",
            "--config",
            config,
        ],
        cwd=first_on_path,
        env=os.environ | {"PYTHONPATH": f"{first_on_path}{os.pathsep}{ROOT}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def build_house(folder: Path) -> Path:
    for room in ROOMS:
        path = folder / "quaestor" / room
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        for package in path.relative_to(folder).parents:
            if package.name:
                (folder / package / "__init__.py").touch()
    return folder


def test_the_house_keeps_its_contracts() -> None:
    outcome = lint(CONFIG, ROOT / "src")

    assert outcome.returncode == 0, outcome.stdout
    assert "0 broken" in outcome.stdout


def test_a_clean_house_with_rooms_not_yet_built_is_accepted(tmp_path: Path) -> None:
    house = build_house(tmp_path)

    outcome = lint(CONFIG, house)

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "0 broken" in outcome.stdout


PLANTED = [
    ("model/money.py", "from quaestor.store import pool", "Imports point down"),
    ("budget/node.py", "from quaestor.approvals import rule", "Imports point down"),
    ("settings.py", "from quaestor.model import money", "Imports point down"),
    ("runtime/engine.py", "import quaestor.app", "Imports point down"),
    ("runtime/engine.py", "from quaestor.project import files", "Imports point down"),
    ("pantry.py", "", "Imports point down"),
    ("flows/order.py", "import asyncio", "What decides performs no effect"),
    ("flows/order.py", "from quaestor.store import pool", "What decides performs no effect"),
    ("validation/checks.py", "import aiohttp", "What decides performs no effect"),
    ("approvals/rule.py", "import asyncpg", "What decides performs no effect"),
    ("model/money.py", "import random", "What decides performs no effect"),
    ("connectors/acme/mapping.py", "import asyncio", "What decides performs no effect"),
    ("connectors/acme/mapping.py", "from time import time", "What decides performs no effect"),
    ("runtime/posting.py", "import asyncio", "The posting core performs no effect"),
    (
        "connectors/acme/client.py",
        "from quaestor.connectors.zenith import connector",
        "Vendors know the kit, not each other",
    ),
    (
        "connectors/kit/contract.py",
        "from quaestor.connectors.acme import client",
        "Vendors know the kit, not each other",
    ),
    (
        "runtime/engine.py",
        "from quaestor.connectors.acme import client",
        "Vendors are known by their kind alone",
    ),
    (
        "app.py",
        "from quaestor.connectors.acme import client",
        "Vendors are known by their kind alone",
    ),
]


@pytest.mark.parametrize(("room", "line", "contract"), PLANTED)
def test_a_planted_import_breaks_its_contract(
    room: str, line: str, contract: str, tmp_path: Path
) -> None:
    house = build_house(tmp_path)
    (house / "quaestor" / room).write_text(line + "\n")

    outcome = lint(CONFIG, house)

    assert outcome.returncode == 1
    assert f"{contract} BROKEN" in outcome.stdout


ALLOWED = [
    ("connectors/acme/client.py", "import asyncio, aiohttp, time"),
    ("connectors/acme/client.py", "from quaestor.connectors.kit import contract"),
    ("runtime/engine.py", "from quaestor.connectors.kit import contract"),
    ("app.py", "from quaestor.connectors.kit import contract"),
    ("flows/order.py", "from quaestor.budget import node"),
]


@pytest.mark.parametrize(("room", "line"), ALLOWED)
def test_an_import_that_points_down_is_allowed(room: str, line: str, tmp_path: Path) -> None:
    house = build_house(tmp_path)
    (house / "quaestor" / room).write_text(line + "\n")

    outcome = lint(CONFIG, house)

    assert outcome.returncode == 0, outcome.stdout
