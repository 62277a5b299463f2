"""Secrets by reference: a project folder says where a secret is, never what it is.

env:NAME      an environment variable of the process
file:PATH     a file, its last newline left out; a relative path starts in the project folder
vault:PATH    a secret store; not available in this build, and refused by name
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

__all__ = [
    "FILE_BYTES_MAX",
    "Resolve",
    "Secret",
    "SecretUnavailable",
    "is_reference",
    "resolver",
]

FILE_BYTES_MAX = 64 * 1024

_REFERENCE = re.compile(r"(?P<scheme>env|file|vault):(?P<name>\S.*)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Secret:
    """A resolved secret. It shows itself to `reveal` alone: not to print, log, pickle or diff."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the wire."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


Resolve = Callable[[str], Secret]
"""Resolves a reference into its secret; raises `SecretUnavailable`."""


class SecretUnavailable(Exception):
    """The reference leads nowhere. `code` is one of `secret_reference_invalid`,
    `secret_not_set`, `secret_file_unreadable`, `secret_store_unavailable`.

    The message names the reference, which is not the secret; where a value was written in its
    place, it is not repeated.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


def is_reference(text: str) -> bool:
    """Whether the text has the form of a reference."""
    return _REFERENCE.fullmatch(text) is not None


def resolver(folder: Path, environ: Mapping[str, str] | None = None) -> Resolve:
    """The resolver of a project folder; `environ` is the process's own unless given."""

    def resolve(reference: str) -> Secret:
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise SecretUnavailable(
                "secret_reference_invalid", "write env:NAME, file:PATH or vault:PATH"
            )
        name = match["name"]
        match match["scheme"]:
            case "env":
                return _from_environment(name, os.environ if environ is None else environ)
            case "file":
                return _from_file(folder / name, name)
            case _:
                raise SecretUnavailable(
                    "secret_store_unavailable",
                    f"vault:{name} needs a secret store, and this build has none; "
                    "write env:NAME or file:PATH",
                )

    return resolve


def _from_environment(name: str, environ: Mapping[str, str]) -> Secret:
    if not _VARIABLE.fullmatch(name):
        raise SecretUnavailable(
            "secret_reference_invalid", "after env: comes the name of a variable"
        )
    value = environ.get(name, "")
    if not value:
        raise SecretUnavailable("secret_not_set", f"the environment variable {name} is not set")
    return Secret(value)


def _from_file(path: Path, name: str) -> Secret:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
        text = raw.decode()
    except (OSError, UnicodeDecodeError):
        raise SecretUnavailable(
            "secret_file_unreadable", f"the file {name} is not there, or is not text"
        ) from None
    value = text.removesuffix("\n").removesuffix("\r")
    if not value or len(raw) > FILE_BYTES_MAX:
        raise SecretUnavailable(
            "secret_file_unreadable", f"the file {name} is empty or over {FILE_BYTES_MAX} bytes"
        )
    return Secret(value)
