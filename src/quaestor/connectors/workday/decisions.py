"""What Workday's people decided, as evidence that is held against our minimum. Pure.

An item of the stream `decisions` is one completed business process with its completed steps, the
requisition as it stands in Workday at that time, and the employee ids of those who acted.

Not in the published contract, and to be confirmed on a first real tenant: the words of a step's
status, and how a delegated step names its delegator. What is not understood never counts for an
approval. Times are days: the interface gives no hour.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from quaestor.connectors.kit.published import Decision, NotDecided, NotMapped
from quaestor.connectors.workday.mapping import RequisitionRules, fields_of
from quaestor.connectors.workday.stamp import Stamp, digest_of, read_stamp
from quaestor.connectors.workday.xml import Element, XmlRefused, child, parsed, text_of
from quaestor.model.approval import ApprovalDecision, ApprovalEvidence, Verdict
from quaestor.model.employee import Directory
from quaestor.model.refusal import Refusal, refuse

__all__ = ["DecisionItem", "DecisionWords", "decided"]

COMMENT_CHARS = 500
STEPS_MAX = 500


class DecisionWords(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tenant's steps and events say, `[systems.NAME.words]`; upper and lower case alike.

    `on_behalf` finds the delegator's name in the descriptor of who completed a step, in its
    group `holder`; `actor` is the name of who acted.
    """

    step_approved: tuple[str, ...] = ("Approved",)
    step_denied: tuple[str, ...] = ("Denied",)
    step_sent_back: tuple[str, ...] = ("Sent Back",)
    event_approved: tuple[str, ...] = ("Successfully Completed",)
    event_denied: tuple[str, ...] = ("Denied",)
    on_behalf: str = r"(?i)(?P<actor>.+?)\s*\(?on behalf of:?\s+(?P<holder>[^()]+)\)?"

    def __post_init__(self) -> None:
        try:
            groups = re.compile(self.on_behalf).groupindex.keys()
        except re.error as error:
            raise ValueError(f"`on_behalf` is no regular expression: {error}") from error
        if not {"actor", "holder"} <= groups:
            raise ValueError("`on_behalf` needs the groups `actor` and `holder`")


class DecisionItem(msgspec.Struct, frozen=True):
    """The body of one item. `event` and `steps` are Workday's JSON, `requisition` its XML.

    `people` gives the employee id of a Workday ID.
    """

    event: Mapping[str, Any]
    steps: Sequence[Mapping[str, Any]]
    requisition: str
    people: Mapping[str, str] = {}


def decided(
    body: bytes,
    *,
    system: str,
    directory: Directory,
    rules: RequisitionRules,
    words: DecisionWords,
) -> Decision | NotDecided | NotMapped:
    """Read one item of the stream. `system` is Workday's name in the project and the directory."""
    try:
        item = msgspec.json.decode(body, type=DecisionItem)
        requisition = parsed(item.requisition.encode())
    except (msgspec.DecodeError, XmlRefused) as error:
        return _unreadable(f"the item cannot be read: {type(error).__name__}")
    data = child(requisition, "Requisition_data")
    reference = text_of(data, "Requisition_Number")
    stamp = read_stamp(text_of(data, "Internal_Memo"))
    if data is None or stamp is None:
        return _unreadable("the requisition carries no stamp of ours", reference=reference)
    if len(item.steps) > STEPS_MAX:
        return _unreadable("the process has more steps than the limit", reference=reference)
    return _read(item, data, stamp, _Reader(system, directory, words, item), rules)


def _read(
    item: DecisionItem, data: Element, stamp: Stamp, reader: _Reader, rules: RequisitionRules
) -> Decision | NotDecided | NotMapped:
    reference = text_of(data, "Requisition_Number")
    event, words = str(item.event.get("id", "")), reader.words
    status = _descriptor(item.event.get("status"))
    ended = _day(item.event.get("completedDate"))
    approved, denied = _says(status, words.event_approved), _says(status, words.event_denied)
    if ended is None:
        return _unreadable("the process has not ended", reference=reference)
    if not approved and not denied:
        where = (stamp.source_system, stamp.source_id, stamp.version)
        return NotDecided(*where, reference, event, status)
    votes = reader.votes()
    if isinstance(votes, Refusal):
        return NotMapped((votes,))
    if denied and not any(vote.verdict == "rejected" for vote in votes):
        return _unreadable("the process was denied, and no step says by whom", reference=reference)
    if not votes:
        return _unreadable("the process ended well, and nobody voted", reference=reference)
    content, version = _voted_on(item, data, stamp, words, rules)
    evidence = ApprovalEvidence(
        decided_by=reader.system, decisions=votes, content_hash=content, version=version
    )
    return Decision(
        stamp.source_system, stamp.source_id, stamp.version, reference, event, ended, evidence
    )


def _voted_on(
    item: DecisionItem,
    data: Element,
    stamp: Stamp,
    words: DecisionWords,
    rules: RequisitionRules,
) -> tuple[str | None, int | None]:
    """The hash and the version that the votes were cast on; nothing where that is unknown."""
    # After a step back the document may have been another one when the earlier votes were cast,
    # and days are too coarse to tell which came first.
    if any(_says(_descriptor(step.get("status")), words.step_sent_back) for step in item.steps):
        return None, None
    now = digest_of(fields_of(data, rules))
    if now != stamp.fields_digest:
        # Edited on its way: what was voted on is this, and no version of ours has this hash.
        return now, stamp.version
    return stamp.content_hash, stamp.version


class _Reader:
    """Reads the votes of one item."""

    def __init__(
        self, system: str, directory: Directory, words: DecisionWords, item: DecisionItem
    ) -> None:
        self.system = system
        self.words = words
        self._directory = directory
        self._item = item
        self._on_behalf = re.compile(words.on_behalf)

    def votes(self) -> tuple[ApprovalDecision, ...] | Refusal:
        """Every approval and denial, in Workday's order; a refusal where one cannot be read."""
        found = []
        for step in self._item.steps:
            status = _descriptor(step.get("status"))
            verdict: Verdict
            if _says(status, self.words.step_approved):
                verdict = "approved"
            elif _says(status, self.words.step_denied):
                verdict = "rejected"
            else:
                continue
            day, actor = _day(step.get("completedDate")), step.get("completedByPerson")
            if day is None or not isinstance(actor, Mapping) or not actor.get("id"):
                return _invalid("a step does not say who completed it, and when")
            found.append(
                ApprovalDecision(
                    approver=self._person(str(actor["id"])),
                    verdict=verdict,
                    decided_at=day,
                    on_behalf_of=self._holder(step, actor),
                    comment=_comment(step),
                )
            )
        return tuple(found)

    def _holder(self, step: Mapping[str, Any], actor: Mapping[str, Any]) -> str | None:
        """Whose step it was, where that is another than who completed it.

        A name alone is no identity: a delegator who cannot be identified stays a name, which
        the directory does not know, so that his authority is not counted.
        """
        awaited = {
            str(one["id"]): str(one.get("descriptor", ""))
            for one in step.get("awaitingPersons") or ()
            if isinstance(one, Mapping) and one.get("id")
        }
        named = self._on_behalf.fullmatch(str(actor.get("descriptor", "")).strip())
        if named is not None:
            name = named["holder"].strip()
            same = [person for person, called in awaited.items() if called == name]
            return self._person(same[0]) if len(same) == 1 else name
        if not awaited or str(actor["id"]) in awaited:
            return None
        others = [self._person(person) for person in awaited]
        return others[0] if len(others) == 1 else "one of " + ", ".join(sorted(others))

    def _person(self, identifier: str) -> str:
        """Our id of a person; Workday's own where the directory has nobody of that identity."""
        reference = identifier.rpartition("=")[2]
        employee = self._item.people.get(identifier, reference)
        for login in (employee, reference):
            found = self._directory.by_identity(self.system, login)
            if found is not None:
                return found.id
        return f"{self.system}:{employee}"


def _comment(step: Mapping[str, Any]) -> str:
    comments = step.get("comments") or ()
    texts = [str(one.get("comment", "")) for one in comments if isinstance(one, Mapping)]
    return " ".join(" ".join(texts).split())[:COMMENT_CHARS]


def _descriptor(reference: Any) -> str:
    return str(reference.get("descriptor", "")) if isinstance(reference, Mapping) else ""


def _says(status: str, words: Sequence[str]) -> bool:
    return status.strip().casefold() in {word.casefold() for word in words}


def _day(text: Any) -> datetime | None:
    """Midnight UTC of a date; a time beside it is passed over."""
    try:
        day = date.fromisoformat(str(text)[:10])
    except ValueError:
        return None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _invalid(why: str, **details: str) -> Refusal:
    return refuse("source_document_invalid", why=why, **details)


def _unreadable(why: str, **details: str) -> NotMapped:
    return NotMapped((_invalid(why, **details),))
