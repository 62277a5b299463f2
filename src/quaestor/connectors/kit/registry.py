"""Which kinds of systems there are: our own vendors, and a customer's from the project folder.

A vendor is a folder with a `connector.py` that holds `KIND`. Nothing is imported before it is
asked for, so that the kit knows no vendor and an unused one costs nothing.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from types import ModuleType

from quaestor.connectors.kit.kind import ConnectorKind

__all__ = ["ConnectorFolderInvalid", "connector_kinds"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_NOT_VENDORS = frozenset({"kit"})


class ConnectorFolderInvalid(Exception):
    """A folder under `connectors/` of the project is not a connector."""


class _Kinds(Mapping[str, ConnectorKind]):
    """Kinds by name, each loaded when it is first asked for."""

    def __init__(self, loaders: Mapping[str, Callable[[], ModuleType]]) -> None:
        self._loaders = loaders
        self._loaded: dict[str, ConnectorKind] = {}

    def __getitem__(self, name: str) -> ConnectorKind:
        if name not in self._loaded:
            module = self._loaders[name]()
            kind = getattr(module, "KIND", None)
            if not isinstance(kind, ConnectorKind):
                raise ConnectorFolderInvalid(f"connectors/{name}/connector.py holds no KIND")
            if kind.manifest.kind != name:
                raise ConnectorFolderInvalid(
                    f"connectors/{name} calls itself {kind.manifest.kind}: name the folder so"
                )
            self._loaded[name] = kind
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)


def connector_kinds(project: Path | None = None) -> Mapping[str, ConnectorKind]:
    """All kinds by name; with a project folder also those under its `connectors/`.

    A customer's connector does not replace one of ours: raises `ConnectorFolderInvalid` then,
    and for a folder whose name cannot be a connector's.
    """
    loaders = dict(_shipped())
    for folder in _own(project):
        if _NAME.fullmatch(folder.name) is None:
            raise ConnectorFolderInvalid(f"{folder.name} cannot be a connector's name")
        if folder.name in loaders:
            raise ConnectorFolderInvalid(f"{folder.name} is the name of a shipped connector")
        loaders[folder.name] = _loader_of(folder)
    return _Kinds(dict(sorted(loaders.items())))


@cache
def _shipped() -> tuple[tuple[str, Callable[[], ModuleType]], ...]:
    # What is installed stays so for as long as a process lives.
    return tuple(_found())


def _found() -> Iterator[tuple[str, Callable[[], ModuleType]]]:
    package = importlib.import_module("quaestor.connectors")
    for found in pkgutil.iter_modules(package.__path__):
        if not found.ispkg or found.name in _NOT_VENDORS:
            continue
        name = f"quaestor.connectors.{found.name}.connector"
        folders = [Path(place) / found.name for place in package.__path__]
        # A folder with a mapping alone is a vendor in the making, and no connector yet.
        if any((folder / "connector.py").is_file() for folder in folders):
            yield found.name, partial(importlib.import_module, name)


def _own(project: Path | None) -> list[Path]:
    if project is None or not (project / "connectors").is_dir():
        return []
    return sorted(
        folder
        for folder in (project / "connectors").iterdir()
        if (folder / "connector.py").is_file()
    )


def _loader_of(folder: Path) -> Callable[[], ModuleType]:
    def load() -> ModuleType:
        # The folder is imported as a package, so that its files may import each other relatively,
        # as ours do; under a name of its own place, so that two projects do not meet in it.
        place = str(folder.resolve())
        package = f"quaestor_project_connector_{hashlib.sha256(place.encode()).hexdigest()[:16]}"
        if package not in sys.modules:
            _import_package(package, folder)
        return importlib.import_module(f"{package}.connector")

    return load


def _import_package(name: str, folder: Path) -> None:
    init = folder / "__init__.py"
    if not init.is_file():
        module = ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module
        return
    spec = importlib.util.spec_from_file_location(
        name, init, submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ConnectorFolderInvalid(f"{folder.name} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
