"""`quaestor version`, `quaestor schemas` and `quaestor migrate`."""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
from pathlib import Path
from typing import Annotated

import typer

from quaestor.cli.output import Json, Output, command
from quaestor.cli.place import read_dsn

__all__ = ["migrate", "schemas", "version"]


@command
def version(as_json: Json = False) -> None:
    """Which release this is, and on what it runs."""
    output = Output(as_json=as_json)
    release = importlib.metadata.version("quaestor")
    output.say(f"quaestor {release} on Python {platform.python_version()}")
    output.result({"version": release, "python": platform.python_version()})


@command
def schemas(
    out: Annotated[Path, typer.Option("--out", help="Folder to write them to.")],
    as_json: Json = False,
) -> None:
    """Write the JSON Schemas of our documents."""
    import msgspec

    from quaestor.cli.output import Failed
    from quaestor.model.schemas import schema_documents

    output = Output(as_json=as_json)
    written = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, schema in sorted(schema_documents().items()):
            path = out / f"{name}.schema.json"
            path.write_bytes(msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n")
            written.append(str(path))
    except OSError as error:
        raise Failed(f"{error.filename}: {error.strerror}", code="not_written") from error
    output.say(f"{len(written)} schemas in {out}")
    output.result({"files": written})


@command
def migrate(
    dsn: Annotated[
        str,
        typer.Option(
            "--dsn",
            envvar="QUAESTOR_DSN",
            callback=read_dsn,
            help="As the owner of the tables; file:PATH reads it from there.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Bring a database to the schema of this release."""
    from quaestor.cli.where import tell_where_at
    from quaestor.store.migrate import migrate as apply

    tell_where_at(dsn)
    output = Output(as_json=as_json)
    applied = [str(each) for each in asyncio.run(apply(dsn))]
    output.say(f"applied: {', '.join(applied)}" if applied else "nothing to apply")
    output.result({"applied": applied})
