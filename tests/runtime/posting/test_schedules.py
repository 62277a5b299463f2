"""The law of the posting core over random schedules; a failure names its seed and replays."""

from __future__ import annotations

from collections import Counter

import pytest

from quaestor.connectors.kit.contract import Guarantee
from tests.runtime.posting.plan import CRASH_POINTS
from tests.runtime.posting.schedules import first_broken, play
from tests.runtime.posting.wire import CREATE_FAULTS

GUARANTEES = list(Guarantee)
FEW = range(300)
MANY = range(10_000)
MANY_LATE = range(3_000)


@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_at_most_one_document_and_every_end_is_owned(guarantee: Guarantee) -> None:
    broken = first_broken(guarantee, FEW)

    assert broken is None, broken


@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_a_document_that_commits_after_the_settle_time_is_found_later(guarantee: Guarantee) -> None:
    broken = first_broken(guarantee, FEW, late=True)

    assert broken is None, broken


@pytest.mark.slow
@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_ten_thousand_schedules_hold_the_law(guarantee: Guarantee) -> None:
    broken = first_broken(guarantee, MANY)

    assert broken is None, broken


@pytest.mark.slow
@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_thousands_of_schedules_that_break_the_settle_time_are_found(guarantee: Guarantee) -> None:
    broken = first_broken(guarantee, MANY_LATE, late=True)

    assert broken is None, broken


def test_a_false_claim_to_remember_keys_is_found_by_reconciliation() -> None:
    broken = first_broken(Guarantee.KEY, FEW, late=True, kept=Guarantee.SEARCH)

    assert broken is None, broken


@pytest.mark.parametrize("guarantee", [Guarantee.KEY, Guarantee.SEARCH])
def test_breaking_the_settle_time_really_makes_second_documents(guarantee: Guarantee) -> None:
    documents = Counter(play(guarantee, seed, late=True).documents for seed in FEW)

    assert sum(count for number, count in documents.items() if number > 1) >= 20, documents


def test_the_schedules_reach_every_fault_crash_move_and_end() -> None:
    seen: Counter[str] = Counter()

    for guarantee in GUARANTEES:
        first_broken(guarantee, FEW, seen=seen)

    wanted = {f"wire {fault}" for fault in CREATE_FAULTS}
    wanted |= {f"crash {point}" for point in CRASH_POINTS}
    wanted |= {f"look {fault}" for fault in ("none", "refused", "slow", "garbled", "forbidden")}
    wanted |= {f"move {move}" for move in ("SendNow", "LookNow", "WaitUntil")}
    wanted |= {f"answer {kind}" for kind in ("Applied", "Pending", "Rejected", "AlreadyExists")}
    wanted |= {f"answer {kind}" for kind in ("Ambiguous", "Transient", "Permanent")}
    wanted |= {f"found {kind}" for kind in ("Applied", "Several", "Pending", "Absent")}
    wanted |= {f"resolved {kind}" for kind in ("Applied", "Rejected", "Withdrawn")}
    wanted |= {"parked outcome_unknown", "parked resend_forbidden", "parked erp_document_differs"}
    wanted |= {"parked send_attempts_exhausted", "parked erp_reference_conflict"}
    wanted |= {"event cancel", "event change", "withdrawn in flight", "sent in a later version"}
    wanted |= {"fenced off", "send lost", "deadline passed before the first byte", "pause"}
    wanted |= {"answer delivered twice", "told", "retried", "reconciled"}
    assert wanted <= set(seen), wanted - set(seen)


def test_a_seed_replays_to_the_same_trace() -> None:
    first = play(Guarantee.SEARCH, 17, traced=True)

    again = play(Guarantee.SEARCH, 17, traced=True)

    assert len(first.trace) > 3
    assert first == again
