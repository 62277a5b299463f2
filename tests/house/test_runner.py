"""The closing line of the tests is honest about both parts."""

from __future__ import annotations

import pytest

from tests.house.runner import Part, closing_line, exit_code, read_report, satisfiable

REPORT = """<?xml version="1.0"?>
<testsuites><testsuite name="pytest" tests="4" failures="1" errors="0" skipped="1" time="2.5">
<testcase name="a"/><testcase name="b"/><testcase name="c"><failure message="no"/></testcase>
<testcase name="d"><skipped message="../shared/contracts is absent"/></testcase>
</testsuite></testsuites>"""

GOOD = Part(code=0, tests=3, elapsed_s=1.0)
EMPTY = Part(code=5)
BROKEN = Part(code=1, tests=2, failed=1, elapsed_s=0.5)


def test_a_report_is_read_with_its_counts_and_reasons() -> None:
    part = read_report(1, REPORT)

    assert (part.tests, part.passed, part.failed) == (4, 2, 1)
    assert part.skips == ("../shared/contracts is absent",)
    assert part.elapsed_s == 2.5


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([GOOD, GOOD], 0),
        ([GOOD, EMPTY], 0),
        ([EMPTY, EMPTY], 5),
        ([BROKEN, GOOD], 1),
        ([GOOD, Part(code=2)], 2),
        ([GOOD, Part(code=-9)], 9),
    ],
)
def test_the_exit_code_is_the_worse_and_no_tests_at_all_is_a_failure(
    parts: list[Part], code: int
) -> None:
    assert exit_code(parts, unmet=[]) == code


def test_the_closing_line_counts_both_parts() -> None:
    line = closing_line([GOOD, GOOD], unmet=[])

    assert line == "6 passed in 2.0s"


def test_a_failure_in_the_first_part_is_still_told_at_the_end() -> None:
    line = closing_line([BROKEN, GOOD], unmet=[])

    assert line == "1 failed, 4 passed in 1.5s, NOT GOOD: codes 1 and 0"


def test_a_run_that_died_without_a_report_is_not_told_as_good() -> None:
    line = closing_line([GOOD, read_report(3, "")], unmet=[])

    assert line == "3 passed in 1.0s, NOT GOOD: codes 0 and 3"


@pytest.mark.parametrize(
    ("reason", "contracts_are_here", "found"),
    [
        ("../shared/contracts is absent", False, 0),
        ("../shared/contracts is absent", True, 1),
        ("the server did not start", False, 1),
    ],
)
def test_only_absent_contracts_excuse_a_skip(
    reason: str, contracts_are_here: bool, found: int
) -> None:
    parts = [Part(code=0, tests=1, skips=(reason,))]

    unmet = satisfiable(parts, contracts_are_here)

    assert len(unmet) == found
    assert exit_code(parts, unmet) == found
