"""One session of the demo: begins with an empty database, tells the story, leaves nothing behind.

With a terminal it leaves database, worker and simulator running until Ctrl-C; without one, or
when told to, it ends by itself.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quaestor.cli.demo.headline import hops
from quaestor.cli.demo.result import result, verdict
from quaestor.cli.demo.run import ERP, PROCUREMENT, Demo, Found
from quaestor.cli.demo.telling import Teller
from quaestor.cli.logs import log_warnings
from quaestor.cli.output import Failed, Output
from quaestor.cli.place import Place
from quaestor.cli.supervise import Supervisor
from quaestor.cli.token import token_for_everything
from quaestor.project.load import load_project
from quaestor.project.project import Project
from quaestor.store.embedded.placement import find_home

__all__ = ["Session"]

_MARK = "made-by-demo"
# Linux keeps these files in memory; a demo needs about 100 MB.
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES_MIN = 1024**3


class Session:
    """See the module. `result` is what `--json` prints, once `run` has returned."""

    def __init__(
        self, project: Path, data: Path | None, output: Output, *, keeps: bool, stays: bool
    ) -> None:
        self.result: dict[str, Any] = {"ok": False}
        self._folder = project
        self._own = data is None and not keeps
        self._place = Place(data if data is not None else _state_directory())
        self._stays = stays
        self._output = output
        self._tell = Teller(output)
        self._began = time.monotonic()

    async def run(self) -> None:
        """The whole demo. Raises `Failed`; what was started is stopped in every case."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)
        telling = asyncio.create_task(self._demonstrate(stop))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((telling, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not telling.done() and not self.result["ok"]:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)
                raise Failed("Interrupted; every process was stopped.", code="interrupted")
            await telling
        finally:
            stopping.cancel()
            self._clear(keep=not (self.result["ok"] or stop.is_set()))

    async def _demonstrate(self, stop: asyncio.Event) -> None:
        log_warnings()
        project = load_project(self._folder)
        again = self._mark()
        title = "Quaestor: an approved requisition becomes exactly one order"
        self._output.say(title, style="bold")
        supervisor = Supervisor(self._place, project, kind="demo", heard=self._tell.supervised)
        async with (
            supervisor,
            Demo(supervisor, self._folder / "requisitions", self._tell) as demo,
        ):
            for label, text, seconds in await demo.start(anew=again):
                self._tell.hops([(label, text, f"{seconds:.1f} s")])
            headline, others, in_erp = await self._story(demo, project)
            wrong = verdict([headline, *others], in_erp)
            self.result = result(headline, others, wrong)
            self._conclude([headline, *others], wrong)
            if self._stays and not wrong:
                self._invite(supervisor, project)
                trouble = await supervisor.watch_until(stop)
                self._tell.line("stopping")
                if trouble:
                    raise Failed(f"{trouble} Everything was stopped.")

    async def _story(self, demo: Demo, project: Project) -> tuple[Found, list[Found], int]:
        headline = await demo.headline()
        requisition = headline.received.mapped.requisition
        self._tell.heading(1, f"Requisition {requisition.number}: {requisition.title}")
        self._tell.hops(hops(headline, project))
        self._tell.heading(2, "The same in trouble, side by side")
        await demo.trouble()
        self._tell.heading(3, f"The trail of {headline.facts.correlation_id}")
        self._tell.timeline(headline.facts.steps, await demo.names(headline.facts))
        shown = await demo.door.steps(requisition.number, by=requisition.requester)
        self._tell.line(
            f"the same at {demo.door.url}/v1/traces/{requisition.number}: {shown} steps"
        )
        self._tell.heading(4, f"Counted in SAP, at {demo.erp.ready.control}/documents")
        others = await demo.others()
        in_erp = len(await demo.erp.documents())
        self._tell.counted([headline, *others])
        return headline, others, in_erp

    def _conclude(self, found: list[Found], wrong: list[str]) -> None:
        self._output.say()
        for sentence in wrong:
            self._tell.line(f"NOT GOOD: {sentence}")
        groups = sum(one.counted.order_groups for one in found)
        documents = sum(len(one.counted.documents) for one in found)
        doubles = sum(one.counted.duplicates for one in found)
        self._tell.line(
            f"{groups} order groups, {documents} orders in SAP, {doubles} twice; "
            f"{time.monotonic() - self._began:.1f} s in all."
        )

    # --- staying --------------------------------------------------------------------------------

    def _invite(self, supervisor: Supervisor, project: Project) -> None:
        url = supervisor.gateway_url
        self._output.say()
        self._output.say(f"Everything goes on running. Pages for people: {url}/console/")
        self._output.say("Sign in there with this token, and look for 20417:")
        self._output.say(token_for_everything(self._place, project), soft_wrap=True)
        self._output.say()
        self._output.say("In another terminal:")
        for what, words in self._to_ask(supervisor):
            self._output.say(f"  # {what}", style="dim")
            self._output.say(f"  {words}", soft_wrap=True)
        self._output.say()
        removed = "removes the data" if self._own else f"leaves the data in {self._place.data}"
        self._output.say(f"Ctrl-C stops every process and {removed}.")

    def _to_ask(self, supervisor: Supervisor) -> Iterator[tuple[str, str]]:
        quaestor, data = _own_command(), f"--data {shlex.quote(str(self._place.data))}"
        control = {name: ready.control for name, ready in supervisor.systems.items()}
        sent_on = """-d '{"status": "approved"}'"""
        yield "the trail of a requisition", f"{quaestor} trace 20417 {data}"
        yield (
            "send one on in Coupa that has to be refused: its supplier is blocked",
            f"curl -X PATCH {control[PROCUREMENT]}/documents/20433 {sent_on}",
        )
        yield "who has to act now", f"{quaestor} worklist {data}"
        yield "cancel one that is ordered", f"{quaestor} cancel 20419 --by ana.berger {data}"
        yield "was anything in the trail changed", f"{quaestor} audit verify {data}"
        yield "what SAP holds", f"curl {control[ERP]}/documents"
        yield "what Coupa shows", f"curl {control[PROCUREMENT]}/documents"

    # --- the data directory ---------------------------------------------------------------------

    def _mark(self) -> bool:
        """Mark the place as the demo's; whether an earlier demo's database has to be renewed."""
        self._place.make()
        mark = self._place.data / _MARK
        home = find_home(self._place.data)
        if home is not None and not mark.exists():
            raise Failed(
                f"{self._place.data} holds a database that no demo made; name another directory.",
                code="data_not_empty",
            )
        mark.touch()
        return home is not None

    def _clear(self, *, keep: bool) -> None:
        """Remove what was made for this session alone, unless somebody will want to look at it."""
        if keep or not self._own:
            self._tell.line(f"data and logs: {self._place.data}")
            return
        home = find_home(self._place.data)
        if home is not None:
            shutil.rmtree(home.root, ignore_errors=True)
        shutil.rmtree(self._place.data, ignore_errors=True)


def _state_directory() -> Path:
    """A fresh, private temporary directory; in memory where there is plenty of it."""
    base = _MEMORY if "TMPDIR" not in os.environ and _is_roomy(_MEMORY) else None
    made = Path(tempfile.mkdtemp(prefix="quaestor-demo-", dir=base))
    if os.geteuid() == 0:
        # Root's server runs under another account, which has to pass through, and reads nothing.
        made.chmod(0o711)
    return made


def _is_roomy(directory: Path) -> bool:
    """Whether a demo, which is thrown away, may spare the disk: it starts and ends quicker."""
    try:
        free = shutil.disk_usage(directory).free
    except OSError:
        return False
    return free >= _MEMORY_BYTES_MIN and os.access(directory, os.W_OK | os.X_OK)


def _own_command() -> str:
    """How this command was called, so that it can be copied."""
    called = Path(sys.argv[0])
    return shlex.quote(_near(called)) if called.name == "quaestor" else "quaestor"


def _near(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
