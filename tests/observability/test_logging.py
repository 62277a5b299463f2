"""What is logged is structured, and holds no secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from quaestor.observability.logging import configure_logging
from quaestor.security.masking import mask_values

SECRET = "correct-horse-battery"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    yield stream
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def test_a_line_is_json_with_its_time_its_level_and_its_members(log: io.StringIO) -> None:
    configure_logging(mask_values, as_json=True, stream=log)

    structlog.get_logger("tests.logging").warning("circuit_opened", system="sap")

    line = json.loads(log.getvalue())
    assert line["event"] == "circuit_opened"
    assert (line["level"], line["logger"], line["system"]) == ("warning", "tests.logging", "sap")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("as_json", [True, False])
def test_a_secret_is_masked_by_the_name_of_its_member(as_json: bool, log: io.StringIO) -> None:
    configure_logging(mask_values, as_json=as_json, stream=log)

    structlog.get_logger("tests.masked").info("opened", password=SECRET, auth={"token": SECRET})

    assert "opened" in log.getvalue()
    assert SECRET not in log.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_shows_no_local_variables(as_json: bool, log: io.StringIO) -> None:
    configure_logging(mask_values, as_json=as_json, stream=log)
    given = SECRET

    try:
        raise ValueError(f"{len(given)} characters")
    except ValueError:
        structlog.get_logger("tests.trace").exception("failed")

    assert "21 characters" in log.getvalue()
    assert SECRET not in log.getvalue()


def test_lines_of_other_libraries_take_the_same_way(log: io.StringIO) -> None:
    configure_logging(mask_values, as_json=True, stream=log)

    logging.getLogger("asyncpg").warning("slow: %s", "12 s")

    assert json.loads(log.getvalue())["event"] == "slow: 12 s"


def test_what_is_below_the_level_is_left_out(log: io.StringIO) -> None:
    configure_logging(mask_values, as_json=True, level="error", stream=log)

    structlog.get_logger("tests.level").warning("circuit_opened")

    assert log.getvalue() == ""


def test_a_level_that_does_not_exist_is_refused(log: io.StringIO) -> None:
    with pytest.raises(ValueError, match="loud"):
        configure_logging(mask_values, as_json=True, level="loud", stream=log)
