"""Lanes and circuits, by values: slots, shares, probes."""

from __future__ import annotations

from quaestor.runtime.lanes import (
    NO_SYSTEM,
    Circuit,
    Lanes,
    lane_name,
    lane_names,
    system_of,
)


def test_a_lane_is_a_system_for_one_entity() -> None:
    lane = lane_name("sap", "acme-de")

    system = system_of(lane)

    assert (lane, system) == ("sap/acme-de", "sap")


def test_slots_belong_to_the_system_not_to_the_lane() -> None:
    lanes = Lanes({"sap": 2})

    taken = [lanes.take(lane, 0.0) for lane in ("sap/a", "sap/b", "sap/a")]

    assert taken == [True, True, False]


def test_a_slot_given_back_is_free_again() -> None:
    lanes = Lanes({"sap": 1})
    lanes.take("sap/a", 0.0)

    lanes.give_back("sap/a")

    assert lanes.take("sap/b", 0.0)


def test_lanes_with_work_share_the_slots_of_their_system() -> None:
    lanes = Lanes({"sap": 8}, ["sap/a", "sap/b", "sap/c"])
    lanes.saw_work(["sap/a", "sap/b", "sap/b"])

    shares = lanes.shares(0.0, room=80)

    assert shares == {"sap/a": 4, "sap/b": 4, "sap/c": 4}


def test_the_order_of_the_lanes_rotates() -> None:
    lanes = Lanes({"sap": 8}, ["sap/a", "sap/b", "sap/c"])

    firsts = [next(iter(lanes.shares(0.0, room=80))) for _ in range(3)]

    assert sorted(firsts) == ["sap/a", "sap/b", "sap/c"]


def test_an_open_circuit_lets_one_probe_through_at_its_time() -> None:
    lanes = Lanes({"sap": 8})
    lanes.circuit("sap").trouble(100.0, "no connection", wait_s=5.0, jitter=0.0)

    free = [lanes.free("sap", at) for at in (104.9, 105.0)]
    lanes.take("sap/a", 105.0)
    free.append(lanes.free("sap", 106.0))

    assert free == [0, 1, 0]


def test_an_answer_of_the_application_closes_the_circuit() -> None:
    circuit = Circuit()
    circuit.trouble(0.0, "no connection", wait_s=None, jitter=0.5)

    closed = circuit.spoke()

    assert closed
    assert (circuit.open, circuit.failures) == (False, 0)


def test_probes_move_apart_while_the_trouble_lasts() -> None:
    circuit = Circuit()
    pauses = []

    for _ in range(8):
        now = circuit.probe_at
        circuit.trouble(now, "no connection", wait_s=None, jitter=0.999)
        pauses.append(round(circuit.probe_at - now))

    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_calls_that_break_together_are_one_trouble() -> None:
    circuit = Circuit()

    news = [circuit.trouble(5.0, "no connection", wait_s=None, jitter=0.999) for _ in range(40)]

    assert (sum(news), circuit.failures, round(circuit.probe_at)) == (1, 1, 6)


def test_of_several_wishes_of_the_vendor_the_longest_is_obeyed() -> None:
    circuit = Circuit()

    for wait_s in (2.0, 7.0, None, 3.0):
        circuit.trouble(10.0, "429", wait_s=wait_s, jitter=0.3)

    assert circuit.probe_at == 17.0


def test_the_wish_of_the_vendor_is_obeyed_to_the_second() -> None:
    circuit = Circuit()

    circuit.trouble(10.0, "429", wait_s=7.0, jitter=0.3)

    assert circuit.probe_at == 17.0


def test_what_needs_no_system_waits_in_a_lane_of_its_entity() -> None:
    names = lane_names(["sap"], ["a", "b"])

    system = system_of(lane_name(NO_SYSTEM, "a"))

    assert names == ("sap/a", "sap/b", "/a", "/b")
    assert system == NO_SYSTEM


def test_entities_that_had_work_share_what_may_be_taken_without_a_system() -> None:
    lanes = Lanes({"sap": 8}, lane_names(["sap"], ["a", "b", "c"]))
    lanes.saw_work(["/a", "/b"])

    shares = lanes.shares(0.0, room=80)

    assert {name: shares[name] for name in ("/a", "/b", "/c")} == {"/a": 40, "/b": 40, "/c": 40}


def test_what_needs_no_system_comes_after_who_waits_for_a_slot() -> None:
    lanes = Lanes({"sap": 8}, lane_names(["sap"], ["a", "b"]))

    orders = [list(lanes.shares(0.0, room=80)) for _ in range(4)]

    assert [order[2:] for order in orders] == [
        ["/a", "/b"],
        ["/a", "/b"],
        ["/b", "/a"],
        ["/a", "/b"],
    ]
