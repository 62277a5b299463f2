"""Taking back what an approval platform was handed: its people need not decide it any more.

    a change ─► changed ─► validating            one after the other, oldest first; each is sent
    a time-out ─► expiring ─► expired            until it is answered
    a cancellation ─► … ─► withdrawing ⇄ withdrawn ─► reporting_cancelled

Whether the platform could take it back decides nothing here: a decision on a request that is not
open any more is not counted. So a refusal holds up neither a new version nor an expiry. A
cancellation is complete only when nothing waits over there: its refusal is a person's.
"""

from __future__ import annotations

import msgspec

from quaestor.connectors.kit.contract import Applied, Rejected
from quaestor.flows.kit.dossier import HANDED, Dossier, Withdrawn
from quaestor.flows.kit.effects import Send
from quaestor.flows.kit.reads import Routing
from quaestor.flows.kit.step import Park, Step
from quaestor.model.refusal import refuse

__all__ = ["WITHDRAWING_READS", "changed", "unanswered", "withdrawing", "withdrawn"]

WITHDRAWING_READS: tuple[type, ...] = (Routing,)

_BACK = "taken_back/"
# The process ended before: there is nothing to take back, and nobody to be kept waiting.
_ENDED = "approval_ended_there"


class _Handed(msgspec.Struct, frozen=True):
    """A request that a platform has: its name, the system, and its number there."""

    request: str
    system: str
    number: str

    @property
    def send(self) -> str:
        """The name of the send that takes it back."""
        return _BACK + self.request


def changed(dossier: Dossier) -> Step:
    """Another version is the document: the one before it waits for nobody's decision."""
    send = unanswered(dossier)
    return Step((), "validating") if send is None else Step((send,), "changed")


def unanswered(dossier: Dossier) -> Send | None:
    """Take the next request back that stands there; `None` where all are answered for."""
    for handed in _standing(dossier):
        if not isinstance(dossier.results.get(handed.send), Rejected):
            return _taking_back(handed)
    return None


def withdrawing(dossier: Dossier) -> Step:
    """Take back what stands there: first what was never asked, then what was refused."""
    standing = _standing(dossier)
    if not standing:
        return Step((), "reporting_cancelled")
    first = min(standing, key=lambda handed: handed.send in dossier.results)
    return Step((_taking_back(first),), "withdrawn")


def withdrawn(dossier: Dossier) -> Step:
    """What the platform refuses to take back is the operator's, until nobody waits there."""
    answers = [dossier.results.get(handed.send) for handed in _standing(dossier)]
    refused = [answer.refusal for answer in answers if isinstance(answer, Rejected)]
    if not refused or len(refused) < len(answers):
        return Step((), "withdrawing")
    refusal = refuse("approval_not_withdrawn", **refused[0].details)
    return Step((), Park(refusal.owner, refusal, ways_out=("retry",), resume="withdrawing"))


def _standing(dossier: Dossier) -> tuple[_Handed, ...]:
    """The requests that platforms have and could give back, by name."""
    takes_back = dossier.read(Routing).takes_back
    found = []
    for name, send in sorted(dossier.sends.items()):
        if not name.startswith(HANDED) or send.system not in takes_back:
            continue
        match dossier.results.get(name):
            case Applied(number) | Withdrawn(left=Applied(number)):
                handed = _Handed(name.removeprefix(HANDED), send.system, number)
                if not _is_gone(dossier, handed):
                    found.append(handed)
    return tuple(found)


def _is_gone(dossier: Dossier, handed: _Handed) -> bool:
    match dossier.results.get(handed.send):
        case Applied() | Withdrawn(left=Applied()):
            return True
        case Rejected(refusal):
            return refusal.code == _ENDED
        case _:
            return False


def _taking_back(handed: _Handed) -> Send:
    return Send(
        handed.send,
        handed.system,
        "cancel_requisition",
        order_group=handed.request,
        cancels=handed.number,
    )
