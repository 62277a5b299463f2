"""The place of a deployment on this machine: its data directory and what runs from it.

    DATA/running.json    which processes an `up` or a `demo` started, and where its systems are
    DATA/audit.key       the key that wraps the keys of people in the audit trail
    DATA/audit-signing.key, DATA/checkpoints/
                         the key that signs the trail, and what it signed
    DATA/logs/           what workers and simulators wrote to stderr

`running.json` names processes by id and start time, so that a number which meanwhile belongs to a
stranger is never signalled. It holds credentials of simulators and is readable by its owner alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from quaestor.cli.identity import StartedProcess, is_running
from quaestor.cli.output import Failed, usage_error
from quaestor.connectors.kit.ready import Ready

__all__ = [
    "AuditKey",
    "Checkpoints",
    "Data",
    "Dsn",
    "Opened",
    "Place",
    "ProjectDir",
    "Running",
    "SigningKeyFile",
    "open_place",
    "read_dsn",
]

Data = Annotated[
    Path | None,
    typer.Option("--data", envvar="QUAESTOR_DATA", help="Data directory of `up` or `demo`."),
]


def read_dsn(given: str | None) -> str | None:
    """A DSN, or the one in a file: it holds a password, which no process list should show."""
    if given is None or not given.startswith("file:"):
        return given
    path = Path(given.removeprefix("file:"))
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        usage_error(f"--dsn {given}: the file cannot be read")


Dsn = Annotated[
    str | None,
    typer.Option(
        "--dsn",
        envvar="QUAESTOR_DSN",
        callback=read_dsn,
        help="PostgreSQL 17+ instead of the embedded; file:PATH reads it from there.",
    ),
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

SigningKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--signing-key",
        envvar="QUAESTOR_SIGNING_KEY",
        help="File with the key that signs checkpoints; DATA/audit-signing.key if none.",
    ),
]
Checkpoints = Annotated[
    list[Path] | None,
    typer.Option(
        "--checkpoints",
        envvar="QUAESTOR_CHECKPOINTS",
        help="Folder that checkpoints go to, besides DATA/checkpoints; may be repeated.",
    ),
]

_FILE = "running.json"
_SIGNING_KEY = "audit-signing.key"
_POLL_S = 0.02


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What runs from a data directory.

    `dsn` is where the database is, empty until it can be used: schema and release are there, and
    the simulators listen. `embedded` says that it is our own server's.
    """

    kind: Literal["up", "demo"]
    project: str
    embedded: bool = True
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

    @property
    def signing_key_file(self) -> Path:
        """The key that signs checkpoints, of a deployment that gave none."""
        return self.data / _SIGNING_KEY

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints go; the other place is elsewhere, and the operator's choice."""
        return self.data / "checkpoints"

    def make(self) -> None:
        """Make the directories that are missing, for this user alone."""
        from quaestor.store.embedded.placement import prepare_data_directory

        prepare_data_directory(self.data)
        self.logs.mkdir(mode=0o700, exist_ok=True)

    @property
    def has_server(self) -> bool:
        """Whether an embedded server was ever started here."""
        return any((self.data / name).exists() for name in ("postgres", "postgres.location"))

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

    def signing_key_file(self, given: Path | None, audit_key: Path | None = None) -> Path:
        """The file of the key that signs checkpoints: where nothing is said, beside the other."""
        if given is not None:
            return given
        if self.place is not None:
            return self.place.signing_key_file
        if audit_key is not None:
            return audit_key.with_name(_SIGNING_KEY)
        raise Failed(
            "Where is the key that signs checkpoints? Name its file with --signing-key.",
            code="signing_key_unnamed",
        )

    def checkpoint_places(self, given: Sequence[Path] | None) -> list[Path]:
        """Where checkpoints go: the data directory's own place, and those that were named."""
        own = [self.place.checkpoints] if self.place is not None else []
        return own + list(given or ())


@contextmanager
def open_place(data: Path | None, dsn: str | None, *, wait_s: float = 0.0) -> Iterator[Opened]:
    """The deployment of a data directory or a DSN; a production one is named in red.

    What runs is used as it is. An embedded server that does not run is started, and stopped at
    the end. `wait_s` is for how long a deployment that is still starting is waited for.
    """
    from quaestor.cli.logs import log_warnings
    from quaestor.cli.where import tell_where_at

    log_warnings()
    with _opened(data, dsn, wait_s) as opened:
        tell_where_at(opened.dsn)
        yield opened


@contextmanager
def _opened(data: Path | None, dsn: str | None, wait_s: float) -> Iterator[Opened]:
    if data is None and dsn is None:
        raise Failed("Which deployment? Name it with --data DIR or --dsn DSN.", code="data_unnamed")
    place = Place(data) if data is not None else None
    running = _settled(place, wait_s) if place is not None else None
    if dsn is not None:
        yield Opened(dsn, place, running)
        return
    assert place is not None
    if running is not None and (not running.embedded or _is_supervised(running)):
        yield Opened(running.dsn, place, running)
        return
    if not place.has_server:
        raise Failed(
            f"There is no deployment in {place.data}; `quaestor up --data` makes one.",
            code="data_empty",
        )
    from quaestor.store.embedded import EmbeddedServer, exit_on_termination

    with exit_on_termination(), EmbeddedServer.start(place.data) as server:
        yield Opened(server.dsn, place, running)


def _settled(place: Place, wait_s: float) -> Running | None:
    """What runs, once its database can be used; at once where nobody is starting anything."""
    deadline = time.monotonic() + wait_s
    while True:
        running = place.running()
        if running is not None and running.dsn:
            return running
        if running is not None and not wait_s and _is_supervised(running):
            raise Failed(f"`quaestor {running.kind}` in {place.data} is still starting.")
        if time.monotonic() >= deadline:
            return None
        time.sleep(_POLL_S)


def _is_supervised(running: Running) -> bool:
    return any(each.role == "supervisor" and is_running(each) for each in running.processes)
