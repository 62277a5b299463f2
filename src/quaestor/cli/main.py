"""The command line: every command by name. What a command does stands in its own file.

Each file imports what it needs when it is called, so that `quaestor --help` and the starting of
many processes stay quick.
"""

from __future__ import annotations

import typer

from quaestor.cli.bench import bench, bench_ledger
from quaestor.cli.demo.command import demo
from quaestor.cli.simulator import simulator
from quaestor.cli.submit import submit
from quaestor.cli.up import down, up
from quaestor.cli.work import work

__all__ = ["app"]

# Tracebacks are Python's own: typer's show local variables, and so what they hold.
app = typer.Typer(
    name="quaestor",
    help="The controlled exchange layer between procurement, approval and ERP systems.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for _run in (demo, up, down, work, submit):
    app.command()(_run)
app.add_typer(simulator, name="simulator")
app.command()(bench)
app.command("bench-ledger", hidden=True)(bench_ledger)
