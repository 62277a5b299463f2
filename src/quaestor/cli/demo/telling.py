"""What the demo prints: a few headings, hops with their times, one table that counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from quaestor.audit.telling import told
from quaestor.audit.trace import Step
from quaestor.cli.demo.headline import Hop, money
from quaestor.cli.demo.run import CASES, ERP, Found
from quaestor.cli.output import Output
from quaestor.cli.telling import timeline

__all__ = ["Teller"]

_LABEL = 12
_CASE = 19
_DULL = frozenset(
    {"reserve", "commit", "release", "relieve", "tell", "resolve", "receive", "event", "inquire"}
)


class Teller:
    """Tells the demo's story to people."""

    def __init__(self, output: Output) -> None:
        self._out = output

    def heading(self, number: int, text: str) -> None:
        """A numbered heading."""
        self._out.say()
        self._out.say(Text(f"{number}  {text}", style="bold"))

    def line(self, text: str) -> None:
        """A plain line, indented."""
        self._out.say(Text(f"   {text}"))

    def supervised(self, text: str) -> None:
        """The supervisor did something."""
        self.happened(None, "supervisor", text)

    def hops(self, hops: Iterable[Hop]) -> None:
        """Name, what happened, when: wrapped text stays in its column."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=2)
        grid.add_column(width=_LABEL, style="cyan", no_wrap=True)
        grid.add_column(ratio=1, overflow="fold")
        grid.add_column(justify="right", style="dim", no_wrap=True)
        for label, text, when in hops:
            grid.add_row("", label, Text(text), when)
        self._out.say(grid)

    # --- trouble, as it happens -----------------------------------------------------------------

    def heard(self, seconds: float, case: str, step: Step) -> None:
        """One entry of the trail, where it is one of those that tell the story."""
        if step.effect in _DULL or (step.effect == "step" and not step.outcome.startswith("done:")):
            return
        if step.effect == "record" and step.name != "approval_evidence":
            return
        if step.effect == "send" and (step.outcome == "begun" or step.system != ERP):
            return
        if case in ("two-suppliers", "split-line") and step.effect == "step":
            return
        self.happened(seconds, case, told(step))

    def happened(self, seconds: float | None, case: str, what: str) -> None:
        """One thing that happened to one requisition, so long after the trouble began."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=7, justify="right", style="dim", no_wrap=True)
        grid.add_column(width=_CASE, style="cyan", no_wrap=True)
        grid.add_column(ratio=1, overflow="fold")
        when = "" if seconds is None else f"{seconds:.1f} s"
        grid.add_row(when, CASES.get(case, case), Text(what))
        self._out.say(grid)

    # --- the end --------------------------------------------------------------------------------

    def timeline(self, steps: Sequence[Step], names: Mapping[str, str]) -> None:
        """The trail of one requisition, from its receipt on."""
        timeline(self._out, steps, names)

    def counted(self, found: Sequence[Found]) -> None:
        """The table of what was counted in the ERP."""
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
        table.add_column("", width=1)
        for title in ("requisition", "amount", "outcome", "groups", "in SAP", "twice"):
            numeric = title in ("amount", "groups", "in SAP", "twice")
            table.add_column(title, justify="right" if numeric else "left", no_wrap=True)
        for one in found:
            requisition = one.received.mapped.requisition
            table.add_row(
                "",
                f"{requisition.number} {CASES.get(one.received.case, one.received.case)}",
                money(requisition.total, requisition.currency),
                one.facts.outcome,
                str(one.counted.order_groups),
                str(len(one.counted.documents)),
                str(one.counted.duplicates),
            )
        self._out.say(table)
