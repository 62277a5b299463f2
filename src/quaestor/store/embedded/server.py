"""A private PostgreSQL for evaluation and development: start it, share it, stop it.

One process *owns* a server: it holds the owner lock of the data directory, it started the server
or took it over, and it alone stops it. Every other process attaches.

A server outlives an owner that was killed, and the next start adopts it. The alternative, a
server that the kernel ends together with its parent, would take the database away from processes
that are attached and at work; it would also end with the *thread* that started it, and exists on
Linux only. `stop_left_behind` stops what nobody owns any more.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn, Self
from urllib.parse import quote

from quaestor.store.embedded.account import Account, server_account
from quaestor.store.embedded.binaries import binaries_for
from quaestor.store.embedded.cluster import (
    DATABASE,
    SUPERUSER,
    ensure_cluster,
    server_environment,
    write_settings,
)
from quaestor.store.embedded.errors import ServerDidNotStart, ServerDidNotStop, ServerOwned
from quaestor.store.embedded.lock import OwnerLock
from quaestor.store.embedded.placement import (
    ROOT_STATE,
    Home,
    check_private,
    discard_socket_directory,
    find_home,
    make_home,
    prepare_data_directory,
    socket_directory,
)
from quaestor.store.embedded.postmaster import (
    PidFile,
    Postmaster,
    disown_stale_pid_file,
    running_postmaster,
)

__all__ = ["EmbeddedServer", "exit_on_termination", "stop_left_behind"]

_POLL_S = 0.005
_STOP_TIMEOUT_S = 30.0
_ORPHANS_TIMEOUT_S = 10.0
_LOG_BYTES_MAX = 8 * 1024 * 1024
_LOG_TAIL_LINES = 12


class EmbeddedServer:
    """A running server, owned or attached. Made by `start` only."""

    def __init__(self, home: Home, sockets: Path, lock: OwnerLock | None) -> None:
        self._home = home
        self._sockets = sockets
        self._lock = lock
        self._process: subprocess.Popen[bytes] | None = None
        self._owner_pid = os.getpid()

    @classmethod
    def start(
        cls,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
        elsewhere: Path = ROOT_STATE,
    ) -> Self:
        """Start the server of `data_dir`, take over one that nobody owns, or attach to it.

        Blocks until the server takes connections. `settings` are PostgreSQL's own and count when
        this call starts the server, not when it finds one running. `elsewhere` is only for root,
        and explained in `placement`. Raises `EmbeddedServerError`.
        """
        data_dir = prepare_data_directory(data_dir)
        lock = OwnerLock(data_dir / "postgres.lock")
        deadline = time.monotonic() + timeout_s
        while True:
            if lock.acquire():
                try:
                    return cls._own(data_dir, lock, settings or {}, deadline, elsewhere)
                except BaseException:
                    lock.release()
                    raise
            attached = cls._attach(data_dir)
            if attached is not None:
                return attached
            if time.monotonic() > deadline:
                raise ServerDidNotStart(f"Process {lock.holder()} is starting it and not done.")
            time.sleep(_POLL_S)

    @property
    def attached(self) -> bool:
        """Whether another process owns the server."""
        return self._lock is None

    @property
    def dsn(self) -> str:
        """Where the database `quaestor` is, for asyncpg and for PostgreSQL's own programs."""
        return self.dsn_of(DATABASE)

    def dsn_of(self, database: str) -> str:
        """Where another database of this server is."""
        host = quote(str(self._sockets), safe="")
        return f"postgresql://{SUPERUSER}@/{quote(database, safe='')}?host={host}"

    @property
    def socket_directory(self) -> Path:
        """The private directory that holds the server's socket."""
        return self._sockets

    @property
    def cluster(self) -> Path:
        """PostgreSQL's data directory; it belongs to the account that the server runs as."""
        return self._home.cluster

    def stop(self) -> None:
        """Stop the server if this process owns it; an attached one only lets go. Idempotent."""
        atexit.unregister(self.stop)
        if self._lock is None or self._owner_pid != os.getpid():
            return
        try:
            _end(self._home, self._process)
        finally:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @classmethod
    def _attach(cls, data_dir: Path) -> Self | None:
        home = find_home(data_dir)
        if home is None or not home.cluster.exists():
            return None
        claim = PidFile.read(home.cluster)
        if claim is None or claim.status != "ready":
            return None
        running = running_postmaster(home.cluster)
        if running is None or running.pid != claim.pid:
            return None
        running.close()
        check_private(claim.socket_directory, server_account(home.cluster))
        return cls(home, claim.socket_directory, None)

    @classmethod
    def _own(
        cls,
        data_dir: Path,
        lock: OwnerLock,
        settings: Mapping[str, str],
        deadline: float,
        elsewhere: Path,
    ) -> Self:
        home = find_home(data_dir)
        account = server_account(home.cluster if home else data_dir / "postgres" / "cluster")
        home = home or make_home(data_dir, account, elsewhere)
        binaries = binaries_for(account, elsewhere)
        ensure_cluster(home, account, binaries)
        sockets = socket_directory(home, account)
        server = cls(home, sockets, lock)
        if not _adopted(home, deadline):
            write_settings(home, account, sockets, settings)
            server._process = _start(home, account, binaries, sockets, deadline)
        atexit.register(server.stop)
        return server


@contextmanager
def exit_on_termination() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `SystemExit`, so that every `with` on the way out is left.

    Around the `with` of an `EmbeddedServer` in a plain program; an event loop has its own way of
    handling signals and calls `stop` itself. Main thread only, as Python demands.
    """

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_left_behind(data_dir: Path) -> bool:
    """Stop a server whose owner is gone. True when there was one.

    Raises `ServerOwned` while its owner is alive, and `ServerDidNotStop`.
    """
    data_dir = data_dir.expanduser().resolve()
    home = find_home(data_dir) if data_dir.is_dir() else None
    if home is None:
        return False
    lock = OwnerLock(data_dir / "postgres.lock")
    if not lock.acquire():
        raise ServerOwned(f"Its process id is {lock.holder()}.")
    try:
        return _end(home, None)
    finally:
        lock.release()


def _adopted(home: Home, deadline: float) -> bool:
    """Wait for a running server to be ready, or to be gone. Whether there is one now."""
    while (running := running_postmaster(home.cluster)) is not None:
        claim = PidFile.read(home.cluster)
        try:
            if claim is not None and claim.pid == running.pid and claim.status == "ready":
                return True
            if time.monotonic() > deadline:
                raise ServerDidNotStart(f"A running one is not ready.\n{_log_tail(home)}")
            running.wait(_POLL_S)
        finally:
            running.close()
    return False


def _start(
    home: Home, account: Account, binaries: Path, sockets: Path, deadline: float
) -> subprocess.Popen[bytes]:
    """Start the server and wait until it takes connections."""
    unclean = disown_stale_pid_file(home.cluster)
    for leftover in sockets.glob(".s.PGSQL.*"):
        leftover.unlink(missing_ok=True)
    if home.log.exists() and home.log.stat().st_size > _LOG_BYTES_MAX:
        os.replace(home.log, home.log.with_suffix(".log.1"))
    orphans_deadline = min(deadline, time.monotonic() + _ORPHANS_TIMEOUT_S)
    while True:
        process = _spawn(home, account, binaries)
        try:
            if _became_ready(process, home, deadline):
                return process
        except BaseException:
            # Also when a signal ends us meanwhile: nobody would know of this server.
            process.send_signal(signal.SIGQUIT)
            process.wait(_STOP_TIMEOUT_S)
            raise
        # After a crash, backends may hold the shared memory until they notice it.
        if not unclean or time.monotonic() > orphans_deadline:
            raise ServerDidNotStart(f"It said:\n{_log_tail(home)}")
        time.sleep(_POLL_S)


def _spawn(home: Home, account: Account, binaries: Path) -> subprocess.Popen[bytes]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    log = os.open(home.log, flags, 0o600)
    try:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [str(binaries / "postgres"), "-D", str(home.cluster)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=server_environment(),
            umask=0o077,
            # Ctrl-C in a terminal reaches its whole process group; the database has to go last.
            start_new_session=True,
            **account.switch,  # type: ignore[call-overload]
        )
        return process
    finally:
        os.close(log)


def _became_ready(process: subprocess.Popen[bytes], home: Home, deadline: float) -> bool:
    """Wait until `process` is ready. False when it ended instead."""
    while process.poll() is None:
        claim = PidFile.read(home.cluster)
        if claim is not None and claim.pid == process.pid and claim.status == "ready":
            return True
        if time.monotonic() > deadline:
            raise ServerDidNotStart(f"It was not ready in time.\n{_log_tail(home)}")
        time.sleep(_POLL_S)
    return False


def _end(home: Home, child: subprocess.Popen[bytes] | None) -> bool:
    """Stop the running server of `home`, if there is one; True if there was."""
    running = running_postmaster(home.cluster)
    if running is not None:
        try:
            _shut_down(running)
        finally:
            running.close()
    if child is not None:
        child.wait(_STOP_TIMEOUT_S)
    discard_socket_directory(home)
    return running is not None


def _shut_down(running: Postmaster) -> None:
    # SIGINT is PostgreSQL's fast shutdown: sessions end, a checkpoint is written. SIGQUIT ends
    # at once; the next start then recovers from the WAL.
    running.send(signal.SIGINT)
    if running.wait(_STOP_TIMEOUT_S):
        return
    running.send(signal.SIGQUIT)
    if not running.wait(_STOP_TIMEOUT_S):
        raise ServerDidNotStop(f"Its process id is {running.pid}.")


def _log_tail(home: Home) -> str:
    try:
        with home.log.open("rb") as file:
            file.seek(max(0, home.log.stat().st_size - 8192))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-_LOG_TAIL_LINES:])
