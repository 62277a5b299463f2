"""What a proof of the trail rests on: checkpoints kept elsewhere, and who signed them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from quaestor.cli.output import Failed

if TYPE_CHECKING:
    from quaestor.audit.checkpoint import Checkpoint
    from quaestor.audit.findings import Finding
    from quaestor.audit.note import VerifyingKey
    from quaestor.cli.place import Opened

__all__ = ["checkpoints_of", "public_keys_of", "say_findings"]


def checkpoints_of(given: Sequence[Path] | None, opened: Opened | None) -> list[Checkpoint]:
    """The checkpoints that were named, else those of the data directory."""
    from quaestor.audit.checkpoint import CheckpointMalformed, parse_checkpoint, read_place

    own = opened.checkpoint_places(None) if opened is not None else []
    taken = []
    for path in given if given is not None else own:
        try:
            if path.is_dir():
                taken.extend(read_place(path))
            elif given is not None:
                taken.append(parse_checkpoint(path.read_text()))
        except (OSError, UnicodeDecodeError, CheckpointMalformed) as error:
            raise Failed(f"{path}: {error}", code="checkpoint_malformed") from error
    return taken


def public_keys_of(given: Path | None, opened: Opened | None) -> list[VerifyingKey]:
    """The keys of the file that was named, else of the data directory."""
    from quaestor.audit.checkpoint import read_public_keys
    from quaestor.audit.note import NoteMalformed

    path = given
    if path is None and opened is not None and opened.place is not None:
        signing = opened.place.signing_key_file
        path = signing.with_name(signing.name + ".pub")
    if path is None:
        raise Failed("Who signed the checkpoints? Name the file with --public-key.")
    try:
        return read_public_keys(path)
    except (OSError, NoteMalformed) as error:
        raise Failed(f"{path}: {error}", code="public_key_malformed") from error


def say_findings(findings: Sequence[Finding]) -> list[str]:
    """Each finding as a line."""
    return [
        f"{each.kind}{'' if each.leaf is None else f' at leaf {each.leaf}'}: {each.message}"
        for each in findings
    ]
