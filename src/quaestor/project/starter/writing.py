"""Writing a new project folder: into an empty place, and never where something else lives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from quaestor.project.starter.choosing import Chosen
from quaestor.project.starter.crosswalks import crosswalk_files
from quaestor.project.starter.guide import guide_files
from quaestor.project.starter.people import company_files
from quaestor.project.starter.settings import settings_file

__all__ = ["FolderRefused", "deployment_name", "starter_files", "write_folder"]

_NAME_CHARS_MAX = 40
# Folders of the machine, and everything in them.
_OF_THE_MACHINE = ("/bin", "/boot", "/etc", "/lib", "/proc", "/sbin", "/sys", "/usr")
# What marks a folder as a project, as somebody's data directory, as a repository's inside.
_INHABITED = ("quaestor.toml", "running.json", "postgres", "postgres.location", "audit.key")


class FolderRefused(Exception):
    """The folder cannot be taken; `code` is why, by name."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def deployment_name(folder: Path) -> str:
    """The folder's name as a deployment may be called."""
    bare = re.sub(r"[^a-z0-9_-]+", "-", folder.resolve().name.lower()).strip("-_")
    return (bare if bare[:1].isalpha() else f"acme-{bare}".strip("-"))[:_NAME_CHARS_MAX]


def starter_files(chosen: Chosen, folder: Path, at: datetime, *, real: bool) -> Mapping[str, str]:
    """Every file of the new project, by name."""
    name = deployment_name(folder)
    return {
        "quaestor.toml": settings_file(chosen, name, real=real),
        **company_files(chosen, at),
        **crosswalk_files(chosen),
        **guide_files(chosen, name, str(folder), at, real=real),
    }


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files. Raises `FolderRefused`, as a rule before anything is written."""
    _require_free(folder)
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        told = f"{error.filename or folder} cannot be written: {error.strerror}."
        raise FolderRefused("not_written", told) from error


def _require_free(folder: Path) -> None:
    place = folder.expanduser().resolve()
    inside = [place, *place.parents]
    if place == Path.home().resolve() or len(place.parts) == 1:
        raise FolderRefused("path_dangerous", f"{place} is no place for a project.")
    if any(str(each) in _OF_THE_MACHINE for each in inside):
        raise FolderRefused("path_dangerous", f"{place} belongs to the machine.")
    for each in inside:
        found = next((name for name in _INHABITED if (each / name).exists()), None)
        if found is not None and each != place:
            raise FolderRefused("path_dangerous", f"{each} is inhabited: it has {found}.")
    if folder.is_symlink() or (place.exists() and not place.is_dir()):
        raise FolderRefused("path_dangerous", f"{folder} is there, and is no folder.")
    if place.is_dir() and any(place.iterdir()):
        raise FolderRefused("folder_not_empty", f"{place} is not empty: nothing was written.")
