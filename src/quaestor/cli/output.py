"""What a command says: narration for people, one line of JSON for machines, an exit code for both.

With `--json` stdout carries exactly one line, the last; all narration goes to stderr. Exit codes:
0 good, 1 the thing that was checked is not good or the command failed, 2 used wrongly.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Annotated, Any, NoReturn, ParamSpec

import msgspec
import typer
from rich.console import Console

__all__ = ["Failed", "Json", "Output", "command", "json_line", "speaks_to_machine", "usage_error"]

P = ParamSpec("P")

Json = Annotated[bool, typer.Option("--json", help="One line of JSON on stdout.")]

# Whether the running command was asked for JSON: a machine needs no warning colours.
speaks_to_machine: ContextVar[bool] = ContextVar("speaks_to_machine", default=False)

_PIPE_COLUMNS = 100

_encoder = msgspec.json.Encoder(decimal_format="string", enc_hook=str)


class Failed(Exception):
    """A command could not do what it was asked. `str()` is one clear sentence for its user."""

    def __init__(self, sentence: str, *, code: str = "failed") -> None:
        super().__init__(sentence)
        self.code = code


class NotGood(Exception):
    """What was checked is not good; all has been said already."""


class Output:
    """Where a command speaks. `people` is the console for narration."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        for stream in (sys.stdout, sys.stderr):
            # A terminal that cannot show an arrow gets a question mark, not a traceback.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        self.people = Console(stderr=as_json, highlight=False, emoji=False)
        if not self.people.is_terminal and "COLUMNS" not in os.environ:
            # A pipe has no width. Nobody wants a table folded to the 80 columns of a guess.
            self.people.width = _PIPE_COLUMNS

    def say(self, *parts: Any, **how: Any) -> None:
        """A line, or a table, for people; `how` as rich's own `print` has it. No markup."""
        if self.people.is_terminal:
            self.people.print(*parts, markup=False, **how)
            return
        if all(isinstance(part, str) for part in parts):
            how = {**how, "soft_wrap": True}
        with self.people.capture() as captured:
            self.people.print(*parts, markup=False, **how)
        # Tables fill their columns with blanks, which are nothing but noise in a file.
        lines = (line.rstrip() for line in captured.get().splitlines())
        print(*lines, sep="\n", file=sys.stderr if self.as_json else sys.stdout, flush=True)

    def result(self, value: Any, *, good: bool = True) -> None:
        """The result for machines, and the end: nothing may be printed to stdout afterwards."""
        if self.as_json:
            print(json_line(value), flush=True)
        if not good:
            raise NotGood


def json_line(value: Any) -> str:
    """One line of JSON; decimals as strings, times in RFC 3339."""
    return _encoder.encode(value).decode()


def usage_error(sentence: str) -> NoReturn:
    """The command was used wrongly: the sentence, and exit code 2."""
    raise typer.BadParameter(sentence)


def command(run: Callable[P, None]) -> Callable[P, None]:
    """Give every failure of a command its sentence and its exit code.

    The function is called with keyword arguments only; `as_json` is one of them where the
    command knows `--json`.
    """

    @wraps(run)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        speaks_to_machine.set(bool(kwargs.get("as_json")))
        try:
            run(*args, **kwargs)
        except NotGood:
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except BrokenPipeError:
            # Whoever read along has seen enough. Python would complain once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except Exception as error:
            named = _named(error)
            code, sentence = named or ("unforeseen", f"{type(error).__name__}: {error}")
            print(f"quaestor: {sentence}", file=sys.stderr)
            if kwargs.get("as_json"):
                print(json_line({"ok": False, "error": code, "message": sentence}), flush=True)
            if named is None:
                raise
            raise typer.Exit(1) from None

    return guarded


def _named(error: Exception) -> tuple[str, str] | None:
    """The code and the sentence of a trouble that has a name; `None` for an unforeseen one."""
    # Imported here: most commands end without ever needing them.
    from quaestor.audit.keyfile import KeyFileExposed, KeyFileUnreadable
    from quaestor.project.problems import ProjectError
    from quaestor.security.secrets import SecretUnavailable
    from quaestor.store.errors import StoreError

    match error:
        case Failed():
            return error.code, str(error)
        case ProjectError():
            return "project_invalid", str(error)
        case StoreError():
            return _snake(type(error).__name__), str(error)
        case KeyFileExposed() | KeyFileUnreadable():
            about = (type(error).__doc__ or "").strip().splitlines()[0]
            return error.code, f"{about} {error}"
        case SecretUnavailable():
            return error.code, str(error)
    return None


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
