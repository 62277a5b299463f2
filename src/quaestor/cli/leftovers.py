"""What an `up` or a `demo` left behind: found in the place, verified, ended in the right order."""

from __future__ import annotations

from quaestor.cli.identity import Role, end_process, is_running
from quaestor.cli.output import Failed
from quaestor.cli.place import Place

__all__ = ["stop_what_is_left"]

_SUPERVISOR_STOP_S = 60.0
_STOP_S = 15.0
_IN_ORDER: tuple[Role, ...] = ("gateway", "worker", "simulator")


def stop_what_is_left(place: Place, *, supervisor_too: bool = False) -> list[str]:
    """Stop what an earlier `up` or `demo` of this place left behind; the names of what was ended.

    Blocks. Raises `Failed` while its supervisor is at work, unless that shall be ended too; it
    then stops its processes itself.
    """
    running = place.running()
    if running is None:
        return []
    ended = []
    for process in running.processes:
        if process.role != "supervisor" or not is_running(process):
            continue
        if not supervisor_too:
            raise Failed(
                f"`quaestor {running.kind}` runs here already, as process {process.pid}; "
                f"stop it with: quaestor down --data {place.data}",
                code="already_running",
            )
        end_process(process, _SUPERVISOR_STOP_S)
        ended.append(f"{process.name} ({process.pid})")
    for role in _IN_ORDER:
        for process in running.processes:
            if process.role == role and end_process(process, _STOP_S):
                ended.append(f"{process.name} ({process.pid})")
    place.forget()
    return ended
