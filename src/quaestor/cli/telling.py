"""All steps of a trace as a timeline in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from quaestor.audit.telling import elapsed, milliseconds, told
from quaestor.audit.trace import Step
from quaestor.cli.output import Output

__all__ = ["timeline"]


def timeline(output: Output, steps: Sequence[Step], names: Mapping[str, str] | None = None) -> None:
    """One line for each step: the time since the first, system, what; `names` by pseudonym."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=11, justify="right", style="dim", no_wrap=True)
    grid.add_column(min_width=8, style="cyan", no_wrap=True)
    grid.add_column(ratio=1, overflow="fold")
    for step in steps:
        since = elapsed(milliseconds(steps[0], step))
        grid.add_row(since, Text(step.system or "quaestor"), Text(told(step, names or {})))
    output.say(grid)
