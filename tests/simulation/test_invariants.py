"""What the check of blind creates forbids and what it allows, by the requests of one key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.simulation.folder import SETTLE_S
from tests.simulation.invariants import sent_unseen
from tests.simulation.wires import Sent

_CREATE = Sent(0.0, "weak", "POST", "/orders", b"key", "one", True, "worker-0.0", left=True)
_LOOK = replace(_CREATE, method="GET", target="/orders?reference=key", body=b"", commits=False)

DOUBTED = replace(_CREATE, fault="reset")
SEEN_BEFORE = replace(_LOOK, at=-1.0, status=200)
SEEN_SETTLED = replace(_LOOK, at=SETTLE_S, status=200)
SEEN_EARLY = replace(_LOOK, at=SETTLE_S - 2.0, status=200)
LOOKED_IN_VAIN = replace(_LOOK, at=SETTLE_S, status=503, fault="503")
HEARD_IN_PART = replace(_LOOK, at=SETTLE_S, status=200, fault="cut")
# Later than that look: no connection is made, or it is too late for a first byte; it is refused.
UNCONNECTED = replace(_CREATE, at=SETTLE_S + 1.0, left=False, fault="refused")
BELATED = replace(_CREATE, at=SETTLE_S + 1.0, left=False)
REFUSED = replace(_CREATE, at=SETTLE_S + 1.0, status=429, fault="429")
DOUBTED_AGAIN = replace(DOUBTED, at=SETTLE_S + 1.0)
AGAIN = replace(_CREATE, at=SETTLE_S + 2.0, status=201)


@pytest.mark.parametrize(
    "before",
    [
        pytest.param([], id="first"),
        pytest.param([UNCONNECTED], id="none_left_before"),
        pytest.param([REFUSED], id="the_one_before_was_refused"),
        pytest.param([DOUBTED, SEEN_SETTLED], id="looked_for"),
        # Seed 154: it was taken for blind, because the look stood before the attempt.
        pytest.param([DOUBTED, SEEN_SETTLED, UNCONNECTED], id="looked_for_then_no_connection"),
        pytest.param([DOUBTED, SEEN_SETTLED, UNCONNECTED, BELATED], id="none_left_since_the_look"),
        pytest.param([DOUBTED, SEEN_SETTLED, REFUSED], id="looked_for_then_refused"),
    ],
)
def test_a_create_may_leave_where_no_doubt_is_left(before: list[Sent]) -> None:
    found = list(sent_unseen([*before, AGAIN]))

    assert found == []


@pytest.mark.parametrize(
    "before",
    [
        pytest.param([DOUBTED], id="nobody_looked"),
        pytest.param([DOUBTED, SEEN_EARLY], id="looked_too_early"),
        pytest.param([DOUBTED, LOOKED_IN_VAIN], id="nobody_answered"),
        pytest.param([DOUBTED, HEARD_IN_PART], id="half_an_answer"),
        pytest.param([SEEN_BEFORE, DOUBTED], id="looked_before_the_doubt"),
        pytest.param([UNCONNECTED, DOUBTED_AGAIN], id="the_one_that_left_is_in_doubt"),
        pytest.param([DOUBTED, SEEN_SETTLED, DOUBTED_AGAIN], id="looked_for_the_one_before"),
        pytest.param(
            [DOUBTED, SEEN_SETTLED, UNCONNECTED, DOUBTED_AGAIN], id="a_new_doubt_after_all"
        ),
    ],
)
def test_a_create_after_a_doubt_that_nobody_looked_for_is_caught(before: list[Sent]) -> None:
    found = list(sent_unseen([*before, AGAIN]))

    assert found == [AGAIN]


def test_an_attempt_that_found_no_connection_does_not_hide_the_doubt_before_it() -> None:
    found = list(sent_unseen([DOUBTED, UNCONNECTED, AGAIN]))

    assert found == [UNCONNECTED, AGAIN]
