"""Coupa requisition in: Coupa's published JSON to a `Requisition` in Quaestor's own codes.

Pure: crosswalks and the directory are given, as known on the day the document is read. Unknown
fields never fail; they stand in the loss report. Every refusal of a document is named at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from quaestor.connectors.coupa.allocation import read_splits
from quaestor.connectors.coupa.fields import EXTENSION, HEADER, LINE, REFERENCES
from quaestor.connectors.coupa.layout import Layout
from quaestor.connectors.coupa.source import Findings, Node, decode
from quaestor.connectors.kit.published import Mapped, NotMapped, Reading, Withdrawn
from quaestor.model.approval import ApprovalDecision, ApprovalEvidence, Verdict
from quaestor.model.coding import Split
from quaestor.model.crosswalk import CodeKind, Crosswalks, Missing
from quaestor.model.employee import Directory
from quaestor.model.money import MINOR_UNITS, extended_amount, plain, total, without_idle_zeros
from quaestor.model.refusal import refuse
from quaestor.model.requisition import Requisition, RequisitionLine

__all__ = [
    "BYTES_MAX",
    "MAPPING_VERSION",
    "map_requisition",
    "read_published",
]

MAPPING_VERSION = "coupa.requisition/1"
# Eight times a requisition of 500 lines as Coupa writes it.
BYTES_MAX = 4 * 1024 * 1024

# Submitted, whatever became of it since; a draft or a withdrawn one is nobody's wish.
SUBMITTED = frozenset(
    {
        "pending_buyer_action",
        "pending_approval",
        "approved",
        "ordered",
        "partially_received",
        "received",
    }
)

_HEADER = HEADER | EXTENSION

# Its requester, or who keeps it for him, does not want it any more.
WITHDRAWN = frozenset({"withdrawn", "abandoned"})


def read_published(config: Layout, raw: bytes, reading: Reading) -> Mapped | NotMapped | Withdrawn:
    """As `map_requisition`, from the bytes that Coupa delivered, `BYTES_MAX` at most; or what was
    taken back there.
    """
    if len(raw) > BYTES_MAX:
        size = {"bytes": str(len(raw)), "bytes_max": str(BYTES_MAX)}
        return NotMapped((refuse("payload_too_large", **size),))
    try:
        source = decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return NotMapped((refuse("source_document_invalid", expected="a JSON object"),))
    # As text: what is published may be anything, also what has no hash.
    if isinstance(source, Mapping) and str(source.get("status")) in WITHDRAWN and source.get("id"):
        return Withdrawn(str(source["id"]))
    return map_requisition(
        source,
        config=config,
        crosswalks=reading.crosswalks,
        directory=reading.directory,
        on=reading.on,
        version=reading.version,
    )


def map_requisition(
    source: Any,
    *,
    config: Layout,
    crosswalks: Crosswalks,
    directory: Directory,
    on: date,
    version: int = 1,
) -> Mapped | NotMapped:
    """One requisition header with its lines, as `decode` returns it.

    `version` is the receiver's count of versions: Coupa numbers none. `on` is the day whose
    crosswalks hold.
    """
    findings = Findings()
    if not isinstance(source, Mapping):
        findings.invalid("", "an object")
        return NotMapped(findings.refusals, findings.report())
    mapping = _Mapping(Node(source, "", findings), config, crosswalks, directory, on)
    requisition = mapping.requisition(version)
    if requisition is None or findings.refusals:
        return NotMapped(findings.refusals, findings.report())
    return Mapped(requisition, findings.report())


class _Mapping:
    """One document on its way, so that the four books need not travel through each function."""

    def __init__(
        self,
        header: Node,
        config: Layout,
        crosswalks: Crosswalks,
        directory: Directory,
        on: date,
    ) -> None:
        self.header = header
        self.findings = header.findings
        self.config = config
        self.crosswalks = crosswalks
        self.directory = directory
        self.on = on

    def requisition(self, version: int) -> Requisition | None:
        header = self.header
        self.findings.account_for(header, _HEADER, REFERENCES)
        self._check_status()
        identity = header.text("id")
        header.require("id", "Coupa's id of the requisition")
        currency = self._currency()
        submitted_at = self._submitted_at()
        requester = self._person(
            header, "requested-by" if header.has("requested-by") else "requester"
        )
        lines, entities = self._lines(currency or "")
        if len(entities) > 1:
            self.findings.refuse("several_entities", entities=", ".join(sorted(entities)))
        preparer = self._person(header, "created-by") if header.has("created-by") else None
        approval = self._approval()
        if self.findings.refusals or not (identity and currency and submitted_at and requester):
            return None
        return Requisition(
            source_system=self.config.system,
            source_id=identity,
            number=identity,
            version=version,
            entity=next(iter(entities)),
            requester=requester,
            currency=currency,
            total=self._total(lines, currency),
            lines=tuple(lines),
            submitted_at=submitted_at,
            preparer=None if preparer == requester else preparer,
            title=header.text("req-title") or "",
            approval=approval,
        )

    def _check_status(self) -> None:
        status = self.header.text("status")
        if status not in SUBMITTED:
            self.findings.refuse("not_submitted", status=(status or "missing")[:40])

    def _currency(self) -> str | None:
        """A code, or an object with one: the contract says the first, the examples the second."""
        currency = self.header.required_name("currency", "code")
        if currency is None or currency in MINOR_UNITS:
            return currency
        self.findings.refuse("unknown_currency", currency=currency[:10])
        return None

    def _submitted_at(self) -> datetime | None:
        name = "submitted-at" if self.header.has("submitted-at") else "created-at"
        if not self.header.has(name):
            self.header.invalid("submitted-at", "a date and time")
            return None
        if name == "created-at":
            self.findings.lose("submitted-at", "defaulted", "Taken from created-at.")
        return self.header.instant(name)

    def _person(self, node: Node, name: str) -> str | None:
        login = node.required_name(name, "login")
        if login is None:
            return None
        employee = self.directory.by_identity(self.config.system, login)
        if employee is None:
            self.findings.refuse("person_unknown", where=node.at(name), system=self.config.system)
            return None
        return employee.id

    def _total(self, lines: list[RequisitionLine], currency: str) -> Decimal:
        stated = self.header.decimal("total")
        if stated is None:
            self.findings.lose("total", "defaulted", "The sum of the lines.")
            return total(line.amount for line in lines)
        return without_idle_zeros(stated, currency)

    # --- lines ----------------------------------------------------------------------------------

    def _lines(self, currency: str) -> tuple[list[RequisitionLine], set[str]]:
        nodes = self.header.children("requisition-lines")
        count = self.header.integer("line-count")
        if not nodes and not self.header.has("requisition-lines"):
            self.findings.refuse("no_lines")
        elif nodes and count is not None and count != len(nodes):
            # Coupa drops lines that repeat a line-num without a word; the count gives it away.
            self.header.invalid("line-count", f"{count} lines, and {len(nodes)} came")
        lines: list[RequisitionLine] = []
        entities: set[str] = set()
        for position, node in enumerate(nodes, start=1):
            line = self._line(node, position, currency, entities)
            if line is not None:
                lines.append(line)
        self._check_numbers(lines)
        return lines, entities

    def _check_numbers(self, lines: list[RequisitionLine]) -> None:
        times = Counter(line.number for line in lines)
        for number in sorted(number for number in times if times[number] > 1):
            self.findings.refuse("line_number_repeated", line=str(number), times=str(times[number]))

    def _line(
        self, node: Node, position: int, currency: str, entities: set[str]
    ) -> RequisitionLine | None:
        self.findings.account_for(node, LINE, REFERENCES)
        line_currency = node.named("currency", "code")
        if currency and line_currency is not None and line_currency != currency:
            self.findings.refuse("mixed_currencies", where=node.at("currency"))
        number = node.integer("line-num")
        if number is None:
            number = position
            self.findings.lose(node.at("line-num"), "defaulted", "The line's position.")
        description = node.text("description")
        node.require("description", "a text")
        unit_price = node.decimal("unit-price")
        node.require("unit-price", "a decimal string")
        quantity, uom = self._quantity(node)
        supplier = self._supplier(node)
        commodity = node.required_name("commodity", "name") if node.has("commodity") else None
        category = None if commodity is None else self._ours("material_group", commodity)
        if description is None or unit_price is None or quantity is None or not currency:
            return None
        amount = self._amount(node, quantity, unit_price, currency)
        splits = self._splits(node, amount, currency, entities)
        return RequisitionLine(
            number=number,
            description=description,
            supplier=supplier or "",
            quantity=plain(quantity),
            uom=uom or "",
            unit_price=plain(unit_price),
            amount=amount,
            splits=splits,
            category=category or "",
            material=self._material(node),
            need_by=node.day("need-by-date") or self.header.day("need-by-date"),
            ship_to=self._ship_to(),
        )

    def _quantity(self, node: Node) -> tuple[Decimal | None, str | None]:
        if node.text("line-type") == "RequisitionAmountLine" and not node.has("quantity"):
            self.findings.lose(node.at("quantity"), "defaulted", "An amount line is one unit.")
            return Decimal(1), self.config.amount_line_uom
        quantity = node.decimal("quantity")
        node.require("quantity", "a decimal string")
        unit = node.required_name("uom", "code")
        return quantity, None if unit is None else self._ours("uom", unit)

    def _amount(self, node: Node, quantity: Decimal, unit_price: Decimal, currency: str) -> Decimal:
        stated = node.decimal("total")
        if stated is None:
            self.findings.lose(node.at("total"), "defaulted", "Quantity times unit price.")
            return extended_amount(quantity, unit_price, currency)
        return without_idle_zeros(stated, currency)

    def _splits(
        self, node: Node, amount: Decimal, currency: str, entities: set[str]
    ) -> tuple[Split, ...]:
        shares = read_splits(node, amount, currency, self.config, self._ours)
        entities.update(shares.entities)
        return shares.splits

    def _supplier(self, node: Node) -> str | None:
        number = node.named("supplier", "number")
        if number is None:
            self.findings.refuse("supplier_unknown", where=node.at("supplier.number"))
            return None
        return self._ours("supplier", number)

    def _ship_to(self) -> str | None:
        """Without a location code the goods go where the entity's goods go."""
        location = self.header.named("ship-to-address", "location-code")
        return None if location is None else self._ours("plant", location)

    def _material(self, node: Node) -> str | None:
        theirs = node.named("item", "item-number")
        if theirs is None:
            return None
        ours = self.crosswalks.ours(self.config.system, "material", theirs, self.on)
        if isinstance(ours, Missing):
            self.findings.lose(node.at("item"), "dropped", "The item is not in the crosswalk.")
            return None
        return ours

    def _ours(self, kind: CodeKind, theirs: str) -> str | None:
        ours = self.crosswalks.ours(self.config.system, kind, theirs, self.on)
        if isinstance(ours, Missing):
            self.findings.add(ours.refusal())
            return None
        return ours

    # --- approval -------------------------------------------------------------------------------

    def _approval(self) -> ApprovalEvidence | None:
        node = self.header.child("approval")
        if node is None:
            return None
        decided_by = node.text("decided-by")
        if decided_by is None:
            node.require("decided-by", "the system that decided")
            return None
        decisions = [self._decision(one, decided_by) for one in node.children("decisions")]
        if not decisions:
            node.invalid("decisions", "at least one decision")
        return ApprovalEvidence(
            decided_by=decided_by,
            decisions=tuple(decision for decision in decisions if decision is not None),
            content_hash=node.text("content-hash"),
            version=node.integer("version"),
        )

    def _decision(self, node: Node, decided_by: str) -> ApprovalDecision | None:
        verdicts: dict[str | None, Verdict] = {"approved": "approved", "rejected": "rejected"}
        verdict = verdicts.get(node.text("verdict"))
        decided_at = node.instant("decided-at")
        approver = self._voter(node, "approver", decided_by)
        delegator = self._voter(node, "on-behalf-of", decided_by)
        if verdict is None:
            node.invalid("verdict", "approved or rejected")
        if not node.has("decided-at"):
            node.invalid("decided_at", "a date and time")
        if not node.has("approver"):
            node.invalid("approver", "a person")
        if verdict is None or decided_at is None or approver is None:
            return None
        return ApprovalDecision(
            approver, verdict, decided_at, delegator, node.text("comment") or ""
        )

    def _voter(self, node: Node, name: str, decided_by: str) -> str | None:
        """A login in the deciding system, or the person's id with us."""
        given = node.text(name)
        if given is None:
            return None
        employee = self.directory.by_identity(decided_by, given) or self.directory.find(given)
        if employee is None:
            self.findings.refuse("person_unknown", where=node.at(name), system=decided_by)
            return None
        return employee.id
