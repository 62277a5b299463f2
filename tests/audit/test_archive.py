"""The file of a month proves itself, and whatever is changed in it is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quaestor.audit.archive import verify_archive
from quaestor.audit.note import SigningKey
from tests.audit.archived import (
    KEY,
    Trail,
    lines_of,
    rewrite,
)

STRANGER = SigningKey("audit.example.com/test", b"s" * 32)


async def test_the_file_of_a_month_proves_itself_without_a_database(
    trail: Trail, tmp_path: Path
) -> None:
    file = await trail.exported(tmp_path)
    await trail.worker.terminate()

    report = trail.checked(file).report

    assert report.findings == ()
    assert (report.ok, report.month, report.entries, report.known) == (True, "2020-01", 6, True)
    assert (report.first_leaf, report.end_leaf, report.size) == (0, 11, 314)
    assert file.stat().st_mode & 0o077 == 0
    assert file.name == "audit-2020-01.jsonl.gz"


async def test_a_month_in_the_middle_proves_itself_as_well(trail: Trail, tmp_path: Path) -> None:
    await trail.detached(tmp_path)

    file = await trail.exported(tmp_path, "2020-02")

    report = trail.checked(file).report
    assert (report.ok, report.entries) == (True, 6)
    assert (report.first_leaf, report.end_leaf) == (2, 13)


async def test_without_a_checkpoint_from_elsewhere_the_file_says_so(
    trail: Trail, tmp_path: Path
) -> None:
    file = await trail.exported(tmp_path)

    report = verify_archive(file, [], [KEY.verifying]).report

    assert (report.ok, report.known) == (True, False)


async def test_a_file_that_a_stranger_signed_proves_nothing(trail: Trail, tmp_path: Path) -> None:
    file = await trail.exported(tmp_path)

    report = verify_archive(file, trail.signed, [STRANGER.verifying]).report

    assert [finding.kind for finding in report.findings] == ["checkpoint_invalid"]


def _change_entry(lines: list[Any]) -> None:
    lines[1]["salt"] = "A" * 22 + "=="


def _change_commitment(lines: list[Any]) -> None:
    del lines[1]["canonical"], lines[1]["salt"]
    lines[1]["commitment"] = lines[2]["commitment"]


def _change_column(lines: list[Any]) -> None:
    lines[1]["correlation_id"] = "c-2"


def _change_month(lines: list[Any]) -> None:
    lines[0]["month"] = "2020-02"


def _remove_last(lines: list[Any]) -> None:
    del lines[-1]


def _remove_first(lines: list[Any]) -> None:
    del lines[1]


def _exchange(lines: list[Any]) -> None:
    lines[1], lines[2] = lines[2], lines[1]


def _change_neighbour(lines: list[Any]) -> None:
    lines[3]["hash"] = lines[0]["right"][0]


def _change_right(lines: list[Any]) -> None:
    lines[0]["right"].reverse()


def _forget_right(lines: list[Any]) -> None:
    del lines[0]["right"][0]


def _other_format(lines: list[Any]) -> None:
    lines[0]["format"] = 2


def _no_header(lines: list[Any]) -> None:
    del lines[0]


TAMPERED: list[tuple[Callable[[list[Any]], None], str]] = [
    (_change_entry, "entry_changed"),
    (_change_commitment, "tree_differs"),
    (_change_column, "column_changed"),
    (_change_month, "column_changed"),
    (_remove_last, "archive_unreadable"),
    (_remove_first, "archive_unreadable"),
    (_exchange, "archive_unreadable"),
    (_change_neighbour, "tree_differs"),
    (_change_right, "tree_differs"),
    (_forget_right, "archive_unreadable"),
    (_other_format, "archive_unreadable"),
    (_no_header, "archive_unreadable"),
]


@pytest.mark.parametrize(("tamper", "kind"), TAMPERED)
async def test_whatever_is_changed_in_a_file_is_found(
    trail: Trail, tmp_path: Path, tamper: Callable[[list[Any]], None], kind: str
) -> None:
    file = await trail.exported(tmp_path)
    lines = lines_of(file)
    tamper(lines)
    rewrite(file, lines)

    report = trail.checked(file).report

    assert not report.ok
    assert report.findings[0].kind == kind


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00"])
def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "audit-2020-01.jsonl.gz"
    file.write_bytes(content)

    report = verify_archive(file, [], [KEY.verifying]).report

    assert [finding.kind for finding in report.findings] == ["archive_unreadable"]


async def test_a_cut_file_is_found(trail: Trail, tmp_path: Path) -> None:
    file = await trail.exported(tmp_path)
    file.write_bytes(file.read_bytes()[:-30])

    report = trail.checked(file).report

    assert report.findings[0].kind == "archive_unreadable"
