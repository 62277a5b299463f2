"""What the systems of a project publish, as documents and events of ours, and as rows of lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial

from quaestor.connectors.kit.contract import Delivered, Pulls
from quaestor.connectors.kit.kind import ReplicaStream
from quaestor.connectors.kit.published import (
    Decision,
    Mapped,
    NotDecided,
    NotMapped,
    Published,
    Reading,
    ReadPublished,
    Withdrawn,
)
from quaestor.flows.requisition_to_order import REQUISITION_TO_ORDER
from quaestor.model.employee import Directory
from quaestor.model.event import Cancel, Decided, Event
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.replica import ReplicaRow
from quaestor.project.project import Project
from quaestor.project.systems import OpenSystem, publishing_kinds
from quaestor.runtime.pulling import ForDocument, NotUnderstood, Stream
from quaestor.runtime.receiving import Inbound, inbound_requisition

__all__ = ["ProjectStreams"]

REPLICA_EVERY_S = 60.0


@dataclass(frozen=True)
class ProjectStreams:
    """Reads what is published with the project's codes; `directory` is everybody as known now."""

    project: Project
    directory: Callable[[], Directory]

    def read_requisition(
        self, raw: bytes, *, system: str | None, on: datetime, version: int = 1
    ) -> Mapped | NotMapped:
        """A requisition as this system publishes it, from a file. `None` is the one system that
        publishes any. Raises `LookupError`, with those that do, where that is none of them.
        """
        sources = self._sources
        if system is None and len(sources) == 1:
            (system,) = sources
        if system is None or system not in sources:
            raise LookupError(", ".join(sorted(sources)) or "no system publishes any")
        found = self._read(system, sources[system], raw, on, version)
        if isinstance(found, Mapped | NotMapped):
            return found
        # What was taken back there is a wish of nobody.
        return NotMapped((refuse("not_submitted", status="withdrawn"),))

    @cached_property
    def _sources(self) -> Mapping[str, ReadPublished]:
        return {
            name: kind.published["requisitions"]
            for name, kind in publishing_kinds(self.project).items()
            if "requisitions" in kind.published
        }

    def of(self, name: str, system: OpenSystem) -> Iterator[Stream]:
        """The streams of a system that concern us."""
        source = system.connector
        if not isinstance(source, Pulls):
            return
        every_s = self.project.configs[name].pull_every_s
        stream = partial(
            Stream, name, source=source, total_timeout_s=system.settings.total_timeout_s
        )
        for published, read in system.kind.published.items():
            yield stream(
                published,
                translate=partial(self._translated, name, read),
                flow=REQUISITION_TO_ORDER,
                every_s=every_s,
                observed=self.project.settings.mode_of(name) == "observe",
            )
        for listed, replica in system.kind.replicas.items():
            owner = self.project.ownership.owner(replica.kind)
            if owner is not None and name in self.project.ownership.sources(replica.kind):
                # Three times within what it may be old, and once a minute at most.
                often_s = min(REPLICA_EVERY_S, (owner.max_age_s or 3 * REPLICA_EVERY_S) / 3)
                yield stream(
                    listed,
                    translate=partial(_row, replica),
                    every_s=max(every_s, often_s),
                    replica=replica.kind,
                )

    def _read(
        self, name: str, read: ReadPublished, raw: bytes, on: datetime, version: int = 1
    ) -> Published:
        reading = Reading(self.project.crosswalks, self.directory(), on.date(), version)
        return read(self.project.configs[name], raw, reading)

    def _translated(
        self, name: str, read: ReadPublished, item: Delivered
    ) -> Inbound | ForDocument | NotUnderstood:
        match self._read(name, read, item.body, item.changed_at):
            case Mapped(requisition):
                # Whoever publishes numbers no versions: what differs from what we have is the next.
                return inbound_requisition(requisition, source_bytes=item.body, numbered=False)
            case NotMapped(refusals):
                return NotUnderstood(refusals)
            case Withdrawn(source_id):
                # Taken back there, cancelled here, if we have it.
                taken_back = Cancel(
                    item.event_id, item.changed_at, f"system:{name}", f"withdrawn in {name}"
                )
                return _event(name, source_id, taken_back)
            case Decision() as found:
                decided = Decided(
                    item.event_id,
                    found.decided_at,
                    f"system:{name}",
                    reference=found.reference,
                    evidence=found.evidence,
                )
                return _event(found.source_system, found.source_id, decided)
            case NotDecided() as found:
                # Nobody will decide this request any more.
                ended = Decided(
                    item.event_id, item.changed_at, f"system:{name}", reference=found.reference
                )
                return _event(found.source_system, found.source_id, ended)


def _event(source_system: str, source_id: str, event: Event) -> ForDocument:
    return ForDocument("requisition", source_system, source_id, event)


def _row(stream: ReplicaStream, item: Delivered) -> ReplicaRow | NotUnderstood | None:
    found = stream.row(item.body)
    return NotUnderstood((found,)) if isinstance(found, Refusal) else found
