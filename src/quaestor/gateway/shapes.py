"""What comes in: the bodies of requests. Strict: a member that nobody asked for is refused (N14).

The canonical requisition of `model.requisition`, as a caller may state it.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from quaestor.gateway.fields import Amount, Day, FieldFault, Instant, Quantity, nfc, read_field
from quaestor.gateway.problems import FaultAt, Problem
from quaestor.model.approval import ApprovalDecision, ApprovalEvidence
from quaestor.model.coding import Coding, Split
from quaestor.model.requisition import Requisition, RequisitionLine

__all__ = [
    "ApprovalIn",
    "CancelIn",
    "DecisionIn",
    "RequisitionIn",
    "ReservationIn",
    "ReservationLineIn",
    "requisition_of",
    "shape",
]

T = TypeVar("T")

Code = Annotated[str, Meta(min_length=1, max_length=100)]
SystemName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Text = Annotated[str, Meta(max_length=2000)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Version = Annotated[int, Meta(ge=1, le=1_000_000)]
Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class _In(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class CodingIn(_In, frozen=True, kw_only=True):
    """Where a cost is charged, in Quaestor's own codes."""

    cost_center: Annotated[str, Meta(max_length=100)] = ""
    gl_account: Annotated[str, Meta(max_length=100)] = ""
    project: Code | None = None
    tax_code: Code | None = None


class SplitIn(_In, frozen=True, kw_only=True):
    """One share of a line."""

    coding: CodingIn
    amount: Amount


class LineIn(_In, frozen=True, kw_only=True):
    """One line; `amount` is quantity times unit price, and the splits add up to it."""

    number: Annotated[int, Meta(ge=1, le=1_000_000)]
    description: Annotated[str, Meta(min_length=1, max_length=2000)]
    supplier: Code
    quantity: Quantity
    uom: Annotated[str, Meta(min_length=1, max_length=20)]
    unit_price: Amount
    amount: Amount
    splits: tuple[SplitIn, ...]
    category: Annotated[str, Meta(max_length=100)] = ""
    material: Code | None = None
    need_by: Day | None = None
    ship_to: Code | None = None


class VoteIn(_In, frozen=True, kw_only=True):
    """One person's vote, cast elsewhere."""

    approver: Name
    verdict: Literal["approved", "rejected"]
    decided_at: Instant
    on_behalf_of: Name | None = None
    comment: Text = ""


class ApprovalIn(_In, frozen=True, kw_only=True):
    """An approval decided by a platform, with its votes and what they were cast on."""

    decided_by: SystemName
    decisions: Annotated[tuple[VoteIn, ...], Meta(max_length=100)]
    content_hash: Hash | None = None
    version: Version | None = None


class RequisitionIn(_In, frozen=True, kw_only=True):
    """A requisition. `source_system` and `source_id` say where it was born, for ever."""

    source_system: SystemName
    source_id: Name
    entity: Code
    requester: Name
    currency: Annotated[str, Meta(max_length=10)]
    total: Amount
    lines: tuple[LineIn, ...]
    number: Name | None = None
    version: Version | None = None
    submitted_at: Instant | None = None
    preparer: Name | None = None
    beneficiary: Name | None = None
    title: Text = ""
    approval: ApprovalIn | None = None


class CancelIn(_In, frozen=True, kw_only=True):
    """Why the document is not wanted any more; it goes into the trail."""

    reason: Text = ""


class ReservationLineIn(_In, frozen=True, kw_only=True):
    """An amount to hold, in the currency of the reservation."""

    cost_center: Annotated[str, Meta(max_length=100)] = ""
    gl_account: Annotated[str, Meta(max_length=100)] = ""
    amount: Amount


class ReservationIn(_In, frozen=True, kw_only=True):
    """Budget to hold for something that is decided elsewhere.

    Charged on the day `on` (today where nothing is said), released at `expires_at` at the latest.
    """

    source_system: SystemName
    source_id: Name
    entity: Code
    currency: Annotated[str, Meta(max_length=10)]
    lines: Annotated[tuple[ReservationLineIn, ...], Meta(min_length=1, max_length=500)]
    on: Day | None = None
    expires_at: Instant | None = None


class DecisionIn(_In, frozen=True, kw_only=True):
    """A decision on the version that was seen. `approver` is given by a platform that relays."""

    verdict: Literal["approved", "rejected"]
    version: Version
    approver: Name | None = None
    on_behalf_of: Name | None = None
    comment: Text = ""


# --- from values to bodies ------------------------------------------------------------------------

_AT = re.compile(r" - at `(key in )?\$(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>[^`]*)`")
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+|\.\.\.)\]")


def shape(value: Any, kind: type[T]) -> T:
    """The body as its type. Raises `Problem` with the code and the place of the first fault."""
    try:
        return msgspec.convert(value, kind, dec_hook=read_field)
    except msgspec.ValidationError as error:
        raise _problem(error) from error


def _problem(error: msgspec.ValidationError) -> Problem:
    message = str(error)
    at = _AT.search(message)
    pointer = _pointer(at["path"] if at else "")
    said = _AT.sub("", message)
    if isinstance(error.__cause__, FieldFault):
        code, said = error.__cause__.code, "See the meaning of the code."
    elif unknown := _UNKNOWN.match(said):
        code, pointer = "unknown_field", f"{pointer}/{_escaped(unknown['name'])}"
        said = "Nobody asked for this member."
    elif missing := _MISSING.match(said):
        code, pointer = "field_missing", f"{pointer}/{missing['name']}"
        said = "This member is required."
    else:
        code = "value_invalid"
    return Problem(code, errors=[FaultAt(pointer[:500], code, said[:300])])


def _pointer(path: str) -> str:
    """`$.lines[0].amount` as a JSON pointer (RFC 6901)."""
    return "".join(f"/{name or place}" for name, place in _STEP.findall(path))


def _escaped(name: str) -> str:
    return ascii(name)[1:-1].replace("~", "~0").replace("/", "~1")[:100]


# --- from bodies to nouns -------------------------------------------------------------------------


def requisition_of(body: RequisitionIn, *, now: datetime, version: int) -> Requisition:
    """The noun; `now` is the submission of a document that does not say its own."""
    return Requisition(
        source_system=body.source_system,
        source_id=nfc(body.source_id),
        number=nfc(body.number or body.source_id),
        version=version,
        entity=body.entity,
        requester=nfc(body.requester),
        currency=body.currency,
        total=Decimal(body.total),
        lines=tuple(_line(line) for line in body.lines),
        submitted_at=body.submitted_at.value if body.submitted_at else now,
        preparer=nfc(body.preparer) if body.preparer else None,
        beneficiary=nfc(body.beneficiary) if body.beneficiary else None,
        title=nfc(body.title),
        approval=_evidence(body.approval) if body.approval else None,
    )


def _line(line: LineIn) -> RequisitionLine:
    return RequisitionLine(
        number=line.number,
        description=nfc(line.description),
        supplier=line.supplier,
        quantity=Decimal(line.quantity),
        uom=line.uom,
        unit_price=Decimal(line.unit_price),
        amount=Decimal(line.amount),
        splits=tuple(_split(split) for split in line.splits),
        category=line.category,
        material=line.material,
        need_by=line.need_by.value if line.need_by else None,
        ship_to=line.ship_to,
    )


def _split(split: SplitIn) -> Split:
    coding = split.coding
    return Split(
        Coding(coding.cost_center, coding.gl_account, coding.project, coding.tax_code),
        Decimal(split.amount),
    )


def _evidence(approval: ApprovalIn) -> ApprovalEvidence:
    votes = tuple(
        ApprovalDecision(
            vote.approver, vote.verdict, vote.decided_at.value, vote.on_behalf_of, vote.comment
        )
        for vote in approval.decisions
    )
    return ApprovalEvidence(approval.decided_by, votes, approval.content_hash, approval.version)
