"""Steps become rows in lanes, with waits and doubts between them."""

from __future__ import annotations

import pytest

from quaestor.audit.trace import Step
from quaestor.console.drawing import drawn
from quaestor.console.timeline import timeline
from tests.console.steps import AT, a_step, begun, lost_answer, sent


def test_a_lost_answer_is_one_doubt_from_its_first_byte_to_what_told() -> None:
    line = timeline(lost_answer())

    [doubt] = line.doubts
    assert (doubt.lane.name, doubt.first, doubt.last) == ("sap", 2, 4)
    assert (doubt.since - AT).total_seconds() == 1
    assert doubt.until is not None
    assert (doubt.until - AT).total_seconds() == 6


ENDS = [
    ([a_step(3, "look", "absent", system="sap")], [(1, 3)]),
    ([a_step(3, "look", "several", system="sap")], [(1, 3)]),
    ([a_step(3, "look", "transient", system="sap")], [(1, None)]),
    ([begun(3), sent(4, "applied")], [(1, 4)]),
    ([begun(3), sent(4, "rejected")], [(1, 4)]),
    ([sent(3, "perhaps_lost"), sent(4, "lost")], [(1, None)]),
    ([a_step(3, "resolve", "applied", system="sap")], [(1, 3)]),
    ([a_step(3, "park", "outcome_unknown", refusal="outcome_unknown")], [(1, None)]),
    (
        [a_step(3, "look", "absent", system="sap"), begun(4), sent(5, "lost")],
        [(1, 3), (4, None)],
    ),
]


@pytest.mark.parametrize(("then", "spans"), ENDS)
def test_a_doubt_lasts_until_somebody_knows(
    then: list[Step], spans: list[tuple[int, int | None]]
) -> None:
    line = timeline([begun(1), sent(2, "ambiguous"), *then])

    found = [
        (
            int((doubt.since - AT).total_seconds()),
            int((doubt.until - AT).total_seconds()) if doubt.until else None,
        )
        for doubt in line.doubts
    ]
    assert found == spans


def test_two_documents_of_one_purchase_are_in_doubt_apart() -> None:
    steps = [
        begun(1, document_id=1),
        begun(1, document_id=2),
        sent(2, "ambiguous", document_id=1),
        sent(2, "ambiguous", document_id=2),
        a_step(3, "look", "applied", system="sap", document_id=2),
    ]

    line = timeline(steps)

    assert [doubt.until is None for doubt in line.doubts] == [True, False]


LANES = [
    (a_step(effect="receive", system="coupa"), "coupa"),
    (a_step(), "quaestor"),
    (a_step(effect="send", system="sap"), "sap"),
    (a_step(effect="event", outcome="decided", actor="system:workday"), "workday"),
    (a_step(effect="event", outcome="cancel", actor="sub:abcdefghijklmnop"), "people"),
    (a_step(effect="record", details={"decided_by": "workday"}), "workday"),
    (a_step(effect="tell", outcome="told", details={"to": "sub:x", "text": "x"}), "people"),
]


@pytest.mark.parametrize(("step", "lane"), LANES)
def test_a_step_stands_in_the_lane_where_it_took_place(step: Step, lane: str) -> None:
    assert timeline([step]).rows[0].lane.name == lane


def test_lanes_go_from_the_source_over_ourselves_to_people() -> None:
    steps = [
        a_step(0, "receive", system="coupa"),
        a_step(1, "tell", "told"),
        a_step(2, "send", "begun", system="sap"),
        a_step(3),
    ]

    assert [lane.name for lane in timeline(steps).lanes] == ["coupa", "quaestor", "sap", "people"]


WAITS = [
    (begun(0), "5.0 s for an answer"),
    (sent(0, "ambiguous"), "5.0 s until nothing of it could be applied any more"),
    (a_step(0, outcome="awaiting"), "5.0 s for a decision"),
    (
        a_step(0, outcome="parked", refusal="erp_rejected", details={"owner": "finance"}),
        "5.0 s for finance",
    ),
    (a_step(0), "5.0 s without a step"),
]


@pytest.mark.parametrize(("before", "wait"), WAITS)
def test_a_wait_says_how_long_and_for_what(before: Step, wait: str) -> None:
    assert [row.wait for row in timeline([before, a_step(5)]).rows] == ["", wait]


def test_the_picture_has_one_hatched_span_and_a_mark_for_every_step() -> None:
    picture = str(drawn(timeline(lost_answer()), "UTC"))

    assert picture.count('url(#hatch)"') == 1
    assert picture.count('class="mark') == 5
    assert "Perhaps applied in sap 14:02:01.000 to 14:02:06.000" in picture


def test_the_picture_of_a_long_trace_stays_small() -> None:
    steps = [a_step(n / 10, "send", "begun", system=f"s{n % 6}") for n in range(5000)]

    picture = str(drawn(timeline(steps), "UTC"))

    assert len(picture) < 120_000


def test_a_name_cannot_become_markup_in_the_picture() -> None:
    steps = [a_step(0, "send", "begun", system="<script>alert(1)</script>")]

    picture = str(drawn(timeline(steps), "UTC"))

    assert "<script" not in picture
