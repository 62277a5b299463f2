"""A trace says whether it is whole, and names what is missing."""

from __future__ import annotations

import pytest

from quaestor.audit.trace import Attachment, Step
from quaestor.console.completeness import completeness
from quaestor.console.timeline import timeline
from tests.console.steps import a_step, a_trace, begun, lost_answer, sent

RECEIVED = a_step(0, "receive", "accepted", stage_after="validating")
TO_RESERVING = a_step(1, stage_before="validating", stage_after="reserving")
BY_WAY_OF = a_step(
    2, stage_before="approving", stage_after="ordering", details={"by_way_of": "reserving"}
)
JUMPED = a_step(3, stage_before="posting", stage_after="answering")

CASES: list[tuple[list[Step], str, str]] = [
    ([RECEIVED, TO_RESERVING, BY_WAY_OF], "whole", ""),
    (lost_answer(), "whole", ""),
    ([RECEIVED, TO_RESERVING, JUMPED], "broken", "Before step 3 the stage posting"),
    ([RECEIVED, BY_WAY_OF], "broken", "Before step 2 the stage reserving"),
    ([begun(0)], "open", "The send to sap that began in step 1"),
    ([begun(0), sent(1, "transient")], "whole", ""),
    ([begun(0), sent(1, "ambiguous")], "open", "What step 1 sent is perhaps applied in sap"),
    ([a_step(0, leaf=None)], "open", "1 of the newest steps wait"),
    ([a_step(0, wire=(Attachment("wire:0", "missing"),))], "broken", "What step 1 refers to"),
    ([a_step(0, wire=(Attachment("wire:0", "erased"),))], "whole", ""),
]


@pytest.mark.parametrize(("steps", "state", "remark"), CASES)
def test_a_trace_is_whole_open_or_broken(steps: list[Step], state: str, remark: str) -> None:
    found = completeness(a_trace(steps), timeline(steps).doubts)

    assert found.state == state
    assert remark in "".join(found.remarks)
    assert bool(found.remarks) == bool(remark)


def test_an_erased_step_does_not_break_what_follows() -> None:
    erased = a_step(1, effect="", outcome="", erased=True)

    found = completeness(a_trace([RECEIVED, erased, BY_WAY_OF]))

    assert found.state == "whole"


def test_more_steps_than_are_read_are_said_to_be_missing() -> None:
    found = completeness(a_trace([RECEIVED], truncated=True))

    assert (found.state, found.remarks) == ("broken", ("Only the first 1 steps are read.",))


def test_the_many_remarks_of_a_broken_trace_are_cut() -> None:
    found = completeness(a_trace([begun(n, system=f"s{n}") for n in range(20)]))

    assert len(found.remarks) == 6
    assert found.remarks[-1] == "And 15 more."
