"""The place of a deployment on this machine: its data directory and what runs from it.

    DATA/running.json    which processes an `up` or a `demo` started, and where its systems are
    DATA/audit.key       the key that wraps the keys of people in the audit trail
    DATA/logs/           what workers and simulators wrote to stderr

`running.json` names processes by id and start time, so that a number which meanwhile belongs to a
stranger is never signalled. It holds credentials of simulators and is readable by its owner alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from quaestor.cli.output import Failed
from quaestor.connectors.kit.simulator import Ready

__all__ = [
    "AuditKey",
    "Data",
    "Dsn",
    "Place",
    "ProjectDir",
    "Running",
    "StartedProcess",
    "open_place",
]

Data = Annotated[
    Path | None,
    typer.Option("--data", envvar="QUAESTOR_DATA", help="Data directory of `up` or `demo`."),
]
Dsn = Annotated[
    str | None,
    typer.Option("--dsn", envvar="QUAESTOR_DSN", help="PostgreSQL 17+ instead of the embedded."),
]
ProjectDir = Annotated[
    Path | None,
    typer.Option("--project", envvar="QUAESTOR_PROJECT", help="Project folder."),
]
AuditKey = Annotated[
    Path | None,
    typer.Option(
        "--audit-key",
        envvar="QUAESTOR_AUDIT_KEY",
        help="File with the key of the audit trail; DATA/audit.key where nothing is said.",
    ),
]

_FILE = "running.json"


class StartedProcess(msgspec.Struct, frozen=True):
    """A process by its id and the moment it started, in the kernel's own words."""

    name: str
    role: Literal["supervisor", "worker", "simulator"]
    pid: int
    started: str


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What runs from a data directory. `dsn` is empty where the server is the embedded one."""

    kind: Literal["up", "demo"]
    project: str
    dsn: str = ""
    processes: tuple[StartedProcess, ...] = ()
    systems: Mapping[str, Ready] = {}


class Place:
    """A data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data.expanduser().resolve()

    @property
    def logs(self) -> Path:
        """Where the output of started processes goes."""
        return self.data / "logs"

    @property
    def audit_key_file(self) -> Path:
        """The key file of a deployment that gave none."""
        return self.data / "audit.key"

    def make(self) -> None:
        """Make the directories that are missing, for this user alone."""
        from quaestor.store.embedded.placement import prepare_data_directory

        prepare_data_directory(self.data)
        self.logs.mkdir(mode=0o700, exist_ok=True)

    def running(self) -> Running | None:
        """What was started from here last; `None` where nothing was, or it has been stopped."""
        try:
            return msgspec.json.decode((self.data / _FILE).read_bytes(), type=Running)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise Failed(f"{self.data / _FILE} cannot be read: {error}.") from error

    def note(self, running: Running) -> None:
        """Write down what runs, in one step, for this user alone."""
        beside = self.data / f".{_FILE}.{os.getpid()}"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(running)))
        os.replace(beside, self.data / _FILE)

    def forget(self) -> None:
        """Nothing runs from here any more."""
        (self.data / _FILE).unlink(missing_ok=True)


class Opened(msgspec.Struct, frozen=True):
    """A deployment that can be asked: its database, its project and systems where they are known.

    `place` is `None` for a database of one's own without a data directory.
    """

    dsn: str
    place: Place | None
    running: Running | None

    def project_path(self, given: Path | None) -> Path:
        """The project: the one given, else the one that `up` was started with."""
        if given is not None:
            return given
        if self.running is not None:
            return Path(self.running.project)
        raise Failed("Which project? Name its folder with --project.", code="project_unnamed")

    def audit_key(self, given: Path | None) -> bytes:
        """The deployment's key of the audit trail. Raises `KeyFileUnreadable` and the like."""
        from quaestor.audit.subjects import deployment_key

        if given is not None:
            return deployment_key(given)
        if self.place is not None:
            return deployment_key(self.place.audit_key_file)
        raise Failed(
            "Where is the key of the audit trail? Name its file with --audit-key.",
            code="audit_key_unnamed",
        )


@contextmanager
def open_place(data: Path | None, dsn: str | None) -> Iterator[Opened]:
    """The deployment of a data directory or a DSN, migrated before by `up` or `migrate`.

    The embedded server is attached to where it runs; else it is started, and stopped at the end.
    """
    if data is None and dsn is None:
        raise Failed("Which deployment? Name it with --data DIR or --dsn DSN.", code="data_unnamed")
    place = Place(data) if data is not None else None
    running = place.running() if place is not None else None
    external = dsn or (running.dsn if running is not None else "")
    if external:
        yield Opened(external, place, running)
        return
    assert place is not None
    if not (place.data / "postgres").exists() and not (place.data / "postgres.location").exists():
        raise Failed(
            f"There is no deployment in {place.data}; `quaestor up --data` makes one.",
            code="data_empty",
        )
    from quaestor.store.embedded import EmbeddedServer, exit_on_termination

    with exit_on_termination(), EmbeddedServer.start(place.data) as server:
        yield Opened(server.dsn, place, running)
