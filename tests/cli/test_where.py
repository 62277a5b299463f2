"""Whoever works on a production deployment is told so, where it disturbs nobody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from quaestor.cli import where
from quaestor.cli.output import speaks_to_machine
from quaestor.cli.where import tell_where, tell_where_at
from quaestor.store.deployment import Pinned


@pytest.fixture(autouse=True)
def _untold(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(where, "_told", set())
    machine = speaks_to_machine.set(False)
    yield
    speaks_to_machine.reset(machine)


def test_production_is_named_once_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    tell_where(Pinned("acme", "production"))
    tell_where(Pinned("acme", "production"))

    said = capsys.readouterr()
    assert (said.out, said.err.count("PRODUCTION acme")) == ("", 1)


def test_in_a_terminal_it_is_red(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    tell_where(Pinned("acme", "production"))

    assert "\x1b[1;37;41m" in capsys.readouterr().err


def test_a_test_deployment_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    tell_where(Pinned("acme", "test"))

    assert capsys.readouterr().err == ""


def test_a_machine_is_told_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    speaks_to_machine.set(True)

    tell_where(Pinned("acme", "production"))

    assert capsys.readouterr().err == ""


def test_a_database_that_cannot_be_asked_is_left_to_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell_where_at("postgresql://nobody@127.0.0.1:1/nothing")

    assert capsys.readouterr().err == ""
