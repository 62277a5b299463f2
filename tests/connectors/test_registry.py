"""Which kinds of systems there are, ours and a customer's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from quaestor.connectors.kit.registry import ConnectorFolderInvalid, connector_kinds

OWN = """
from quaestor.connectors.bogus.connector import KIND as BOGUS
from msgspec.structs import replace
{helper}
KIND = replace(BOGUS, manifest=replace(BOGUS.manifest, kind="{name}"))
"""


def a_project(folder: Path, name: str, *, says: str | None = None, package: bool = False) -> Path:
    """A project with one connector of its own."""
    place = folder / "connectors" / name
    place.mkdir(parents=True)
    helper = "from .helping import HELP" if package else ""
    place.joinpath("connector.py").write_text(OWN.format(name=says or name, helper=helper))
    if package:
        place.joinpath("__init__.py").write_text('"""A ledger of our own."""\n')
        place.joinpath("helping.py").write_text("HELP = 1\n")
    return folder


def test_every_shipped_vendor_is_known_by_its_folder() -> None:
    kinds = connector_kinds()

    assert {"bogus", "sap_s4"} <= set(kinds)
    assert {name: kind.manifest.kind for name, kind in kinds.items()} == {n: n for n in kinds}


def test_a_vendor_is_not_imported_before_it_is_asked_for() -> None:
    script = (
        "import sys; from quaestor.connectors.kit.registry import connector_kinds;"
        "names = list(connector_kinds());"
        "print(names, [m for m in sys.modules if m.startswith('quaestor.connectors.sap')])"
    )

    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert "'sap_s4'" in said.stdout
    assert said.stdout.strip().endswith("[]")


@pytest.mark.parametrize("package", [False, True])
def test_a_customers_own_connector_stands_beside_ours(tmp_path: Path, package: bool) -> None:
    name = f"own_ledger_{package}".lower()
    project = a_project(tmp_path, name, package=package)

    kinds = connector_kinds(project)

    assert kinds[name].manifest.kind == name
    assert "sap_s4" in kinds


def test_two_projects_may_each_have_a_connector(tmp_path: Path) -> None:
    first = a_project(tmp_path / "first", "ledger_one")
    second = a_project(tmp_path / "second", "ledger_two", package=True)

    names = [kind.manifest.kind for kind in (connector_kinds(first)["ledger_one"],)]
    names += [connector_kinds(second)["ledger_two"].manifest.kind]

    assert names == ["ledger_one", "ledger_two"]


def test_two_projects_may_call_their_connectors_the_same(tmp_path: Path) -> None:
    first = connector_kinds(a_project(tmp_path / "first", "same_ledger"))["same_ledger"]
    other = a_project(tmp_path / "second", "same_ledger", says="misnamed")

    with pytest.raises(ConnectorFolderInvalid, match="calls itself misnamed"):
        connector_kinds(other)["same_ledger"]

    assert first.manifest.kind == "same_ledger"


@pytest.mark.parametrize("name", ["sap_s4", "My-Ledger", "9ledger"])
def test_a_folder_cannot_take_a_shipped_name_or_an_impossible_one(
    tmp_path: Path, name: str
) -> None:
    project = a_project(tmp_path, name)

    with pytest.raises(ConnectorFolderInvalid, match=name):
        connector_kinds(project)


def test_a_connector_without_a_kind_is_named(tmp_path: Path) -> None:
    project = a_project(tmp_path, "kindless")
    (project / "connectors/kindless/connector.py").write_text("KIND = None\n")

    with pytest.raises(ConnectorFolderInvalid, match="kindless"):
        connector_kinds(project)["kindless"]


def test_a_project_without_connectors_has_ours_alone(tmp_path: Path) -> None:
    assert set(connector_kinds(tmp_path)) == set(connector_kinds())
