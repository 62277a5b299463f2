"""Do the parts of a project agree? What one names, another must have."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from quaestor.model.budget import BALANCE_QUESTION
from quaestor.model.employee import Directory
from quaestor.model.entity import Entity
from quaestor.model.money import MINOR_UNITS
from quaestor.project.ownership import EVERY_ENTITY, OURSELVES
from quaestor.project.problems import Problems
from quaestor.project.project import Project
from quaestor.project.systems import answering_kinds

__all__ = ["check_agreement"]

ENTITIES, PEOPLE = "entities.yaml", "directory/people.yaml"


def check_agreement(project: Project, problems: Problems, faulty: frozenset[str]) -> None:
    """Report everything that is named and is not there, or is there and contradicts.

    What one of the `faulty` files would have held is not missed: its fault has been named.
    """
    check = _Check(project, problems, faulty)
    for entity in project.entities.values():
        check.entity(entity)
    check.people(project.directory)
    check.routing()
    check.masterdata()
    check.crosswalks()
    check.budgets()
    check.ownership()


class _Check:
    def __init__(self, project: Project, problems: Problems, faulty: frozenset[str]) -> None:
        self.project = project
        self.problems = problems
        self._faulty = faulty

    def _known(
        self, code: str, file: str, key: str, name: str, known: Iterable[str], what: str
    ) -> bool:
        names = sorted(known)
        if name in names:
            return True
        shown = ", ".join(names[:20]) or "none is declared"
        self.problems.add(code, file, key, f"there is no {what} {name!r}", f"one of {shown}")
        return False

    def _system(self, file: str, key: str, name: str) -> None:
        self._known("system_unknown", file, key, name, self.project.settings.systems, "system")

    def _entity(self, file: str, key: str, name: str) -> None:
        if ENTITIES not in self._faulty:
            self._known("entity_unknown", file, key, name, self.project.entities, "entity")

    def _person(self, file: str, key: str, name: str) -> None:
        if PEOPLE not in self._faulty and name not in self.project.directory.people:
            self.problems.add("person_unknown", file, key, f"there is nobody {name!r} in {PEOPLE}")

    def entity(self, entity: Entity) -> None:
        file, key = ENTITIES, entity.id
        if entity.base_currency not in MINOR_UNITS:
            self.problems.add(
                "unknown_currency",
                file,
                f"{key}.base_currency",
                f"{entity.base_currency!r} is no active currency",
                "an ISO 4217 code such as EUR",
            )
        try:
            ZoneInfo(entity.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.problems.add(
                "time_zone_unknown",
                file,
                f"{key}.time_zone",
                f"there is no time zone {entity.time_zone!r}",
                "an IANA name such as Europe/Berlin",
            )
        self._known(
            "calendar_unknown",
            file,
            f"{key}.calendar",
            entity.calendar,
            self.project.calendars,
            "calendar",
        )
        for system in entity.company_codes:
            self._system(file, f"{key}.company_codes.{system}", system)
        days = [ledger.since for ledger in entity.ledgers]
        if len(set(days)) != len(days):
            self.problems.add(
                "ledger_ambiguous", file, f"{key}.ledgers", "two ledgers begin on one day"
            )
        for ledger in entity.ledgers:
            self._system(file, f"{key}.ledgers", ledger.system)

    def people(self, directory: Directory) -> None:
        file = PEOPLE
        seen: dict[tuple[str, str], str] = {}
        for person in directory.people.values():
            if person.manager is not None:
                self._person(file, f"{person.id}.manager", person.manager)
            for entity in person.entities:
                self._entity(file, f"{person.id}.entities", entity)
            if person.limit_currency is not None and person.limit_currency not in MINOR_UNITS:
                self.problems.add(
                    "unknown_currency",
                    file,
                    f"{person.id}.limit_currency",
                    f"{person.limit_currency!r} is no active currency",
                    "an ISO 4217 code such as EUR",
                )
            for lent in person.delegations:
                key = f"{person.id}.delegations"
                self._person(file, key, lent.to)
                if lent.end <= lent.start or lent.to == person.id:
                    self.problems.add(
                        "value_invalid",
                        file,
                        key,
                        f"nothing is lent to {lent.to}",
                        "another person, and an end after the start",
                    )
            for system, login in person.identities.items():
                self._system(file, f"{person.id}.identities.{system}", system)
                other = seen.setdefault((system, login.casefold()), person.id)
                if other != person.id:
                    self.problems.add(
                        "identity_repeated",
                        file,
                        f"{person.id}.identities.{system}",
                        f"{other} has the same login there",
                        "the login of this one person",
                    )
            self._no_cycle(file, directory, person.id)

    def _no_cycle(self, file: str, directory: Directory, start: str) -> None:
        """A load with a reporting cycle is refused (F40); each is reported once."""
        chain = [start]
        while True:
            person = directory.find(chain[-1])
            manager = None if person is None else person.manager
            if manager is None:
                return
            if manager == start and start == min(chain):
                circle = " → ".join([*chain, start])
                self.problems.add(
                    "hierarchy_cycle", file, f"{start}.manager", f"the managers go round: {circle}"
                )
            if manager in chain:
                return
            chain.append(manager)

    def routing(self) -> None:
        for entity in self.project.settings.routing.purchase_order:
            if entity != EVERY_ENTITY:
                self._entity("quaestor.toml", f"routing.purchase_order.{entity}", entity)

    def masterdata(self) -> None:
        suppliers, chart = self.project.suppliers, self.project.chart
        for supplier in suppliers.suppliers.values() if suppliers else ():
            for entity in supplier.entities:
                self._entity("masterdata/suppliers.yaml", f"{supplier.id}.entities", entity)
        for center in chart.cost_centers.values() if chart else ():
            file = "masterdata/cost_centers.yaml"
            self._entity(file, f"{center.id}.entity", center.entity)
            if center.owner is not None:
                self._person(file, f"{center.id}.owner", center.owner)
            for account in center.accounts:
                known = chart.accounts if chart else {}
                self._known(
                    "account_unknown", file, f"{center.id}.accounts", account, known, "account"
                )
        for used in chart.accounts.values() if chart else ():
            for entity in used.entities:
                self._entity("masterdata/accounts.yaml", f"{used.id}.entities", entity)

    def crosswalks(self) -> None:
        systems = self.project.settings.systems
        for row in self.project.crosswalks.rows:
            if row.system not in systems and not row.origin.startswith("entities.yaml"):
                file, _, line = row.origin.partition(":")
                self.problems.add(
                    "system_unknown",
                    file,
                    "system",
                    f"there is no system {row.system!r}",
                    f"one of {', '.join(sorted(systems))}",
                    int(line),
                )
            if row.valid_from and row.valid_to and row.valid_from > row.valid_to:
                file, _, line = row.origin.partition(":")
                self.problems.add(
                    "dates_reversed",
                    file,
                    "valid_to",
                    f"{row.valid_to} is before valid_from",
                    f"{row.valid_from} or later",
                    int(line),
                )

    def budgets(self) -> None:
        for node in self.project.budget_nodes.values():
            self._entity("policies/budget.yaml", node.key, node.entity)
        source = self.project.budget_policy.source
        if source is not None:
            kinds = answering_kinds(self.project).items()
            answering = [n for n, kind in kinds if BALANCE_QUESTION in kind.manifest.questions]
            what = "system that states budgets"
            self._known(
                "system_unknown", "policies/budget.yaml", "source", source.system, answering, what
            )

    def ownership(self) -> None:
        file = "ownership.yaml"
        for owned in self.project.ownership.objects:
            for name in (owned.owner, *owned.fields.values()):
                if name != OURSELVES:
                    self._system(file, f"objects.{owned.object}", name)
            if owned.steward is not None:
                self._person(file, f"objects.{owned.object}.steward", owned.steward)
        seen = set()
        for decision in self.project.ownership.decisions:
            key = f"decisions.{decision.decision}.{decision.document}.{decision.entity}"
            if key in seen:
                self.problems.add("id_repeated", file, key, "a decision has one decider")
            seen.add(key)
            if decision.entity != EVERY_ENTITY:
                self._entity(file, key, decision.entity)
            self._mode(file, key, decision.decision, decision.decider, decision.mode)

    def _mode(self, file: str, key: str, decision: str, decider: str, mode: str) -> None:
        if decider != OURSELVES:
            self._system(file, f"{key}.decider", decider)
        modes = {"budget": ("decide",), "approval": ("verify", "relay")}[decision]
        if mode not in modes or (decision == "budget") != (decider == OURSELVES):
            who = OURSELVES if decision == "budget" else "the approval system"
            self.problems.add(
                "mode_unsupported",
                file,
                f"{key}.mode",
                f"{decision} is not decided by {decider} in mode {mode} in this build",
                f"decider: {who}, mode: {' or '.join(modes)}",
            )
