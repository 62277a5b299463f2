"""The pace keeps to a vendor's rate and never lets a send outlive its deadline."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quaestor.connectors.kit.attempt import Attempt, open_attempt
from quaestor.connectors.kit.classify import Answer, Voice
from quaestor.connectors.kit.contract import DEADLINE_PASSED, Transient
from quaestor.connectors.kit.pace import Pace, TurnTooLate
from quaestor.connectors.kit.wires.http import HttpRequest, HttpWire
from tests.connectors.raw_server import Arrived, RawServer, answer

SEND = HttpRequest("POST", "/orders", body=b"{}", commits=True)
ONE_S_IN_25 = 1 / 25


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def hear(reply: Answer) -> Voice:
    return Voice.DONE


async def good(request: Arrived) -> bytes:
    return answer()


def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    pace = Pace(25, 20, now=Clock())

    waits = [pace.wait_s(until=1000) for _ in range(45)]

    assert waits[:20] == pytest.approx([0] * 20)
    assert waits[20:] == pytest.approx([ONE_S_IN_25 * turn for turn in range(1, 26)])


def test_a_rested_bucket_is_full_again_and_not_fuller() -> None:
    clock = Clock()
    pace = Pace(25, 20, now=clock)
    for _ in range(20):
        pace.wait_s(until=1000)
    clock.at += 3600

    waits = [pace.wait_s(until=10_000) for _ in range(21)]

    assert waits[:20] == pytest.approx([0] * 20)
    assert waits[20] == pytest.approx(ONE_S_IN_25)


def test_a_turn_after_the_deadline_is_refused_and_takes_nobodys_place() -> None:
    clock = Clock()
    pace = Pace(1, 1, now=clock)
    pace.wait_s(until=1000)

    with pytest.raises(TurnTooLate):
        pace.wait_s(until=clock.at + 0.5)

    assert pace.wait_s(until=1000) == pytest.approx(1.0)


def test_a_turn_that_is_not_due_at_once_is_not_taken() -> None:
    clock = Clock()
    pace = Pace(1, 2, now=clock)

    taken = [pace.taken() for _ in range(3)]
    clock.at += 1.0
    taken.append(pace.taken())

    assert taken == [True, True, False, True]


@given(
    gaps=st.lists(st.integers(0, 300), min_size=1, max_size=120),
    per_s=st.integers(1, 50),
    burst=st.integers(1, 30),
)
def test_no_window_ever_holds_more_than_the_burst_and_the_rate(
    gaps: list[int], per_s: int, burst: int
) -> None:
    clock = Clock()
    pace = Pace(per_s, burst, now=clock)
    sent = []
    for gap_ms in gaps:
        clock.at += gap_ms / 1000
        sent.append(clock.at + pace.wait_s(until=1e9))

    excess = [
        (last - first + 1) - (burst + (sent[last] - sent[first]) * per_s)
        for first in range(len(sent))
        for last in range(first, len(sent))
    ]

    assert max(excess) <= 1e-6


async def test_a_send_whose_turn_comes_too_late_is_our_own_lateness() -> None:
    async with RawServer(good) as server:
        wire = HttpWire(server.url, pace=Pace(0.1, 1))
        with open_attempt(Attempt(time.monotonic() + 5, 5)):
            await wire.exchange(SEND, hear)
            started = time.monotonic()

            with pytest.raises(Transient) as caught:
                await wire.exchange(SEND, hear)

        await wire.close()
        assert (caught.value.code, caught.value.system) == (DEADLINE_PASSED, False)
        assert time.monotonic() - started < 1
        assert len(server.arrived) == 1


async def test_requests_side_by_side_leave_at_the_pace() -> None:
    async with RawServer(good) as server:
        wire = HttpWire(server.url, pace=Pace(50, 2), slots=8)
        started = time.monotonic()

        await asyncio.gather(*(wire.exchange(SEND, hear) for _ in range(7)))

        await wire.close()
        assert time.monotonic() - started >= 5 / 50
        assert len(server.arrived) == 7
