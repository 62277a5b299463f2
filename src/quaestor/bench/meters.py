"""What a run costs: processor time and memory of processes, and the machine in words.

Read from Linux's /proc. Elsewhere these figures are left out, never guessed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "busy_s",
    "cpu_s",
    "has_proc",
    "machine",
    "peak_memory_mb",
    "resident_mb",
    "with_children",
]

_PROC = Path("/proc")
_KB_PER_MB = 1024


def has_proc() -> bool:
    """Whether processes can be measured here."""
    return (_PROC / "self/stat").exists()


def cpu_s(pids: Iterable[int]) -> float:
    """Processor seconds of these processes so far, and of children of theirs that have ended."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        if fields is not None:
            # utime, stime, cutime, cstime: fields 14 to 17 of proc_pid_stat(5).
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def busy_s() -> float:
    """Seconds that all processors together have been busy so far, whoever with."""
    fields = (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _waiting, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def with_children(parent: int) -> list[int]:
    """A process and its living children, as PostgreSQL has one for each connection."""
    found = [parent]
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            fields = _stat(int(entry.name))
            if fields is not None and int(fields[1]) == parent:
                found.append(int(entry.name))
    return found


def peak_memory_mb(pid: int) -> float:
    """The most memory that the process ever had resident."""
    return _memory_mb(pid, "VmHWM:")


def resident_mb(pid: int) -> float:
    """The memory that the process has resident now."""
    return _memory_mb(pid, "VmRSS:")


def _memory_mb(pid: int, name: str) -> float:
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / _KB_PER_MB
    return 0.0


def machine(server_version: str) -> str:
    """The machine and what runs on it, in words."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{cores} cores ({_processor()}), {memory_gib:.0f} GiB, "
        f"{platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, PostgreSQL {server_version}"
    )


def _processor() -> str:
    try:
        lines = (_PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unnamed processor"
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "unnamed processor")


def _stat(pid: int) -> list[bytes] | None:
    """The fields after the name, which may hold anything; `None` for a process that is gone."""
    try:
        return (_PROC / str(pid) / "stat").read_bytes().rpartition(b") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
