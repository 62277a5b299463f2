"""Keeping the audit trail: which key signs checkpoints, and where they go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from quaestor.audit.checkpoint import Checkpointer, signing_key
from quaestor.audit.note import NoteMalformed
from quaestor.audit.sequencer import Sequencer
from quaestor.cli.output import Failed
from quaestor.store import Database

__all__ = ["checkpointer", "place_all"]


def checkpointer(deployment: str, key_file: Path, places: Sequence[Path]) -> Checkpointer:
    """Signs in the name of the deployment. Raises `Failed` and what `signing_key` does."""
    origin = f"quaestor/{deployment}"
    try:
        return Checkpointer(origin, [signing_key(key_file, origin)], places)
    except NoteMalformed as error:
        raise Failed(f"{key_file.name}: {error}", code="signing_key_malformed") from error


async def place_all(database: Database) -> None:
    """Give leaves to what waits for them, unless a worker is at it already."""
    sequencer = Sequencer(database)
    async with database.connection() as connection:
        if await sequencer.lead(connection):
            while (await sequencer.place(connection)).more:
                pass
