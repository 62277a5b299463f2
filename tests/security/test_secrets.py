"""A project says where a secret is; the secret itself is shown to nobody."""

from __future__ import annotations

import copy
import pickle
import traceback
from pathlib import Path

import msgspec
import pytest

from quaestor.security.secrets import (
    FILE_BYTES_MAX,
    Secret,
    SecretUnavailable,
    is_reference,
    resolver,
)

CANARY = "canary-7Qx"


def test_a_secret_comes_from_the_environment(tmp_path: Path) -> None:
    resolve = resolver(tmp_path, {"SAP_PASSWORD": CANARY})

    secret = resolve("env:SAP_PASSWORD")

    assert secret.reveal() == CANARY


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_comes_from_a_file_of_the_project_without_its_line_end(
    tmp_path: Path, ending: str
) -> None:
    (tmp_path / "sap.txt").write_bytes(f"{CANARY}{ending}".encode())

    secret = resolver(tmp_path)("file:sap.txt")

    assert secret.reveal() == CANARY


def test_a_secret_file_may_lie_anywhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text(CANARY)

    secret = resolver(tmp_path / "project")(f"file:{elsewhere}")

    assert secret.reveal() == CANARY


UNAVAILABLE = [
    (CANARY, "secret_reference_invalid"),
    ("", "secret_reference_invalid"),
    ("env:", "secret_reference_invalid"),
    ("env:not a name", "secret_reference_invalid"),
    ("env:ABSENT", "secret_not_set"),
    ("env:EMPTY", "secret_not_set"),
    ("file:absent.txt", "secret_file_unreadable"),
    ("file:empty.txt", "secret_file_unreadable"),
    ("file:binary.bin", "secret_file_unreadable"),
    ("file:large.txt", "secret_file_unreadable"),
    ("file:.", "secret_file_unreadable"),
    ("vault:kv/sap", "secret_store_unavailable"),
]


@pytest.mark.parametrize(("reference", "code"), UNAVAILABLE)
def test_a_reference_that_leads_nowhere_says_why_and_repeats_no_value(
    tmp_path: Path, reference: str, code: str
) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "binary.bin").write_bytes(b"\xff\xfe")
    (tmp_path / "large.txt").write_text("x" * (FILE_BYTES_MAX + 1))

    with pytest.raises(SecretUnavailable) as caught:
        resolver(tmp_path, {"EMPTY": ""})(reference)

    assert caught.value.code == code
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret(CANARY)

    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", repr([secret])]

    assert all(CANARY not in text for text in shown)


@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy, msgspec.json.encode])
def test_a_secret_does_not_leave_by_a_side_door(leak: object) -> None:
    with pytest.raises(TypeError) as caught:
        leak(Secret(CANARY))  # type: ignore[operator]

    assert CANARY not in str(caught.value)


def test_a_value_is_told_from_a_reference() -> None:
    told = [is_reference(text) for text in ("env:A", "file:a", "vault:a", "hunter2", "env:", "")]

    assert told == [True, True, True, False, False, False]
