"""The command line: every command by name. What a command does stands in its own file.

Each file imports what it needs when it is called, so that `quaestor --help` and the starting of
many processes stay quick.
"""

from __future__ import annotations

from collections.abc import Callable

import typer

from quaestor.cli.about import migrate, schemas, version
from quaestor.cli.acting import cancel, retry
from quaestor.cli.audit import audit
from quaestor.cli.bench import bench, bench_bare, bench_ledger
from quaestor.cli.connector import connector
from quaestor.cli.demo.command import demo
from quaestor.cli.init import init
from quaestor.cli.observe import observe
from quaestor.cli.project import project, release
from quaestor.cli.recover import recover
from quaestor.cli.serve import serve
from quaestor.cli.simulator import simulator
from quaestor.cli.submit import submit
from quaestor.cli.token import token
from quaestor.cli.trace import trace
from quaestor.cli.up import down, up
from quaestor.cli.work import work
from quaestor.cli.worklist import worklist

__all__ = ["app"]

# Tracebacks are Python's own: typer's show local variables, and so what they hold.
app = typer.Typer(
    name="quaestor",
    help="The controlled exchange layer between procurement, approval and ERP systems.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)

# In the order in which somebody meets them.
_COMMANDS: tuple[Callable[..., None], ...] = (
    demo,
    init,
    up,
    down,
    submit,
    trace,
    worklist,
    cancel,
    retry,
    release,
    work,
    serve,
    token,
    migrate,
    recover,
    schemas,
    bench,
    version,
)
_GROUPS = {
    "audit": audit,
    "observe": observe,
    "project": project,
    "connector": connector,
    "simulator": simulator,
}

for _command in _COMMANDS:
    app.command()(_command)
for _name, _group in _GROUPS.items():
    app.add_typer(_group, name=_name)
app.command("bench-ledger", hidden=True)(bench_ledger)
app.command("bench-bare", hidden=True)(bench_bare)
