"""Planted mistakes: each is the whole system with one thing wrong, and the law must find it."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from quaestor.connectors.kit.contract import (
    AlreadyExists,
    Ambiguous,
    Found,
    NotKnown,
    Rejected,
    Submitted,
    Transient,
)
from quaestor.model.refusal import refuse
from quaestor.runtime import posting
from quaestor.runtime.posting import Intent, IntentState, Limits, Move
from tests.runtime.posting.conduct import Conduct

__all__ = [
    "AnswersABadGatewayWithRejected",
    "AnswersABadGatewayWithTransient",
    "BelievesARejectionInDoubt",
    "ForgetsOnAmbiguous",
    "ForgetsOnTransient",
    "ForgetsTheWithdrawal",
    "RecordsAfterSending",
    "ResendsAfterWithdrawal",
    "SettlesFromTheStartOfTheLease",
    "ShowsADuplicateAsRejected",
    "TranslatesADuplicateAsRejected",
    "TrustsAbsenceTooEarly",
]


class RecordsAfterSending(Conduct):
    """The intent is committed when the answer has come, not before the first byte."""

    records_before_sending = False


class TrustsAbsenceTooEarly(Conduct):
    """Every look that finds nothing is believed, whenever it started."""

    def looked(
        self, intent: Intent, started_at: datetime, now: datetime, found: Found | NotKnown
    ) -> Intent:
        started_at = max(started_at, intent.settled_at or started_at)
        return posting.looked(intent, started_at, now, found)


class ForgetsOnAmbiguous(Conduct):
    """A lost answer counts as a lost request."""

    def send_answered(
        self, intent: Intent, now: datetime, answer: Submitted | NotKnown, last_byte_by: datetime
    ) -> Intent:
        if isinstance(answer, Ambiguous):
            answer = Transient(answer.reason, system=answer.system)
        return posting.send_answered(intent, now, answer, last_byte_by)


class ForgetsOnTransient(Conduct):
    """This try was surely not applied, so no try was."""

    def send_answered(
        self, intent: Intent, now: datetime, answer: Submitted | NotKnown, last_byte_by: datetime
    ) -> Intent:
        after = posting.send_answered(intent, now, answer, last_byte_by)
        return _forgotten(after) if isinstance(answer, Transient) else after

    def looked(
        self, intent: Intent, started_at: datetime, now: datetime, found: Found | NotKnown
    ) -> Intent:
        after = posting.looked(intent, started_at, now, found)
        return _forgotten(after) if isinstance(found, Transient) else after


def _forgotten(intent: Intent) -> Intent:
    if intent.state is IntentState.RESOLVED:
        return intent
    return replace(intent, state=IntentState.UNSENT, settled_at=None, doubtful_since=None)


class ShowsADuplicateAsRejected(Conduct):
    """The runtime ends a send as refused because the system says that it exists already."""

    def send_answered(
        self, intent: Intent, now: datetime, answer: Submitted | NotKnown, last_byte_by: datetime
    ) -> Intent:
        if isinstance(answer, AlreadyExists):
            intent = replace(intent, settled_at=None, doubtful_since=None)
            answer = Rejected(refuse("erp_rejected", reason="duplicate"))
        return posting.send_answered(intent, now, answer, last_byte_by)


class TranslatesADuplicateAsRejected(Conduct):
    """Only the connector is wrong: the core has to survive that while a send is in doubt."""

    def answered(self, answer: Submitted | NotKnown) -> Submitted | NotKnown:
        if isinstance(answer, AlreadyExists):
            return Rejected(refuse("erp_rejected", reason="duplicate"))
        return answer


class BelievesARejectionInDoubt(Conduct):
    """A refusal of the second send is taken for the outcome of the first."""

    def send_answered(
        self, intent: Intent, now: datetime, answer: Submitted | NotKnown, last_byte_by: datetime
    ) -> Intent:
        if isinstance(answer, Rejected):
            intent = replace(intent, settled_at=None, doubtful_since=None)
        return posting.send_answered(intent, now, answer, last_byte_by)


class AnswersABadGatewayWithRejected(Conduct):
    """A proxy's 502 is taken for the application's refusal."""

    def bad_gateway(self) -> Submitted | NotKnown:
        return Rejected(refuse("erp_rejected", status="502"))


class AnswersABadGatewayWithTransient(Conduct):
    """A proxy's 502 is taken for proof that nothing was applied."""

    def bad_gateway(self) -> Submitted | NotKnown:
        return Transient("502")


class ResendsAfterWithdrawal(Conduct):
    """A doubt is answered by sending again although the send was withdrawn."""

    def next_move(self, intent: Intent, now: datetime, limits: Limits) -> Move:
        return posting.next_move(replace(intent, withdrawn=False), now, limits)

    def begin_send(self, intent: Intent, now: datetime, lease_until: datetime) -> Intent:
        begun = posting.begin_send(replace(intent, withdrawn=False), now, lease_until)
        return replace(begun, withdrawn=intent.withdrawn)


class ForgetsTheWithdrawal(Conduct):
    """A withdrawal of something unresolved is not kept."""

    def withdraw(self, intent: Intent, now: datetime) -> Intent:
        after = posting.withdraw(intent, now)
        return after if after.state is IntentState.RESOLVED else replace(after, withdrawn=False)


class SettlesFromTheStartOfTheLease(Conduct):
    """A lost send is counted from when it was begun; its last byte left later."""

    def send_lost(self, intent: Intent, lease_until: datetime) -> Intent:
        lost = posting.send_lost(intent, intent.sent_at or lease_until)
        return replace(lost, touched_at=lease_until)
