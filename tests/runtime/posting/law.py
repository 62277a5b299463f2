"""The law of DESIGN D3, checked on what the system really holds after everything has ended."""

from __future__ import annotations

from quaestor.connectors.kit.contract import Applied, Guarantee, Rejected
from quaestor.flows.kit.dossier import Withdrawn
from quaestor.model.refusal import REFUSALS, Refusal
from tests.runtime.posting.erp import Erp
from tests.runtime.posting.fleet import Ended, Fleet
from tests.runtime.posting.plan import Plan

__all__ = ["broken"]

# Parked with one of these, a person is told that nothing stands there.
_SURELY_NOTHING = ("send_attempts_exhausted", "resend_forbidden", "lane_wait_exceeded")
# With one of these he is told that something is there which is not, or not only, what we sent.
_SOMETHING_ELSE = ("erp_duplicate", "erp_reference_conflict", "erp_document_differs")


def broken(plan: Plan, erp: Erp, fleet: Fleet, idle: bool) -> list[str]:
    """Which laws this schedule broke, by name; empty when all hold."""
    laws = [] if idle else ["livelock"]
    ended = fleet.row.ended
    if ended is None:
        return [*laws, "no_end"]
    if isinstance(ended.result, Refusal):
        kind = REFUSALS.get(ended.result.code)
        laws += [] if kind is not None and kind.owner == ended.result.owner else ["no_owner"]
    laws += _withdrawal(plan, fleet)
    numbers = {order.number for order in erp.ours}
    if len(numbers) > 1:
        found = plan.late and _reported(fleet, ended, "erp_duplicate", numbers)
        return laws if found else [*laws, "second_document"]
    if plan.late and numbers and _says_nothing(ended):
        found = _reported(fleet, ended, "erp_document_late", numbers)
        return laws if found else [*laws, "document_nobody_owns"]
    return laws + _truth(plan, erp, fleet, ended)


def _withdrawal(plan: Plan, fleet: Fleet) -> list[str]:
    """After a withdrawal no create leaves.

    One that was in flight then may still be leaving, and so may one of a process that froze
    between the last look at its lease and the first byte (only in the plans that break settling).
    """
    for withdrawal in fleet.withdrawals:
        end = withdrawal.ended or float("inf")
        for create in fleet.creates:
            when = create.begun if withdrawal.in_flight or plan.late else create.left
            if withdrawal.committed < when < end:
                return ["create_after_withdrawal"]
    return []


def _says_nothing(ended: Ended) -> bool:
    match ended.result:
        case Rejected() | Withdrawn(left=None):
            return True
        case Refusal(code=code):
            return code in _SURELY_NOTHING
        case _:
            return False


def _reported(fleet: Fleet, ended: Ended, code: str, numbers: set[str]) -> bool:
    refusals = list(fleet.reported)
    if isinstance(ended.result, Refusal):
        refusals.append(ended.result)
    return any(
        refusal.code == code and numbers <= set(refusal.details["numbers"].split(", "))
        for refusal in refusals
    )


def _truth(plan: Plan, erp: Erp, fleet: Fleet, ended: Ended) -> list[str]:
    """What we say and what stands there are the same."""
    by_number = {order.number: order for order in erp.ours}
    as_sent = all(order.whole and order.content == fleet.row.content for order in erp.ours)
    whole = as_sent and not erp.contradicted
    laws = []
    if by_number and _says_nothing(ended):
        laws.append("document_nobody_owns")
    match ended.result:
        case Applied(number=number) | Withdrawn(left=Applied(number=number)):
            if number not in by_number:
                laws.append("no_such_document")
            elif isinstance(ended.result, Applied):
                # The last write wins where repeating is harmless: a late one is not promised.
                may_be_older = plan.late and plan.kept is Guarantee.REPEATABLE
                if by_number[number].content != fleet.row.content and not may_be_older:
                    laws.append("other_version")
                if not by_number[number].whole and not fleet.told:
                    laws.append("difference_unnoticed")
        case Refusal(code=code) if code in _SOMETHING_ELSE and not plan.foreign:
            if whole:
                laws.append("false_alarm")
    if fleet.reported and not plan.foreign and not plan.late and whole:
        laws.append("false_alarm")
    return laws
