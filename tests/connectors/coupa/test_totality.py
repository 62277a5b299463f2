"""Whatever arrives, the mapping gives a requisition or names why not; it never raises."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quaestor.connectors.coupa.config import CoupaConfig
from quaestor.connectors.coupa.fields import ALLOCATION, HEADER, LINE
from quaestor.connectors.coupa.mapping import read_published
from quaestor.connectors.kit.published import Mapped, NotMapped, Published, Reading, Withdrawn
from tests.support.builders import a_directory, crosswalks
from tests.support.coupa import DAY, a_coupa_line, a_coupa_requisition, mapped_from

BOOK, DIRECTORY = crosswalks(), a_directory()
NAMES = sorted({*HEADER, *LINE, *ALLOCATION, "approval", "decisions", "code", "login", "number"})
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=20,
)


def is_answered(result: Published) -> bool:
    """A requisition, one that was taken back, or at least one reason; and what was left behind."""
    if not isinstance(result, Mapped | NotMapped):
        return isinstance(result, Withdrawn)
    answered = isinstance(result, Mapped) or bool(result.refusals)
    return answered and all(loss.times > 0 for loss in result.loss.losses)


@given(st.sampled_from(sorted(HEADER)), JSON, st.sampled_from(sorted(LINE)), JSON)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_value_in_any_field_is_answered(
    header_field: str, header_value: Any, line_field: str, line_value: Any
) -> None:
    source = a_coupa_requisition(a_coupa_line(**{line_field: line_value}))

    result = mapped_from(source | {header_field: header_value}, book=BOOK, directory=DIRECTORY)

    assert is_answered(result)


@given(JSON)
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_json_is_answered(source: Any) -> None:
    raw = json.dumps(source).encode()

    result = read_published(CoupaConfig(), raw, Reading(BOOK, DIRECTORY, DAY))

    assert is_answered(result)
