"""Loading a customer's own steps for a shipped flow, from the project's `flows/` folder."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from quaestor.flows.kit.reads import Seams
from quaestor.project.problems import Problem, ProjectError
from quaestor.project.project import Project

__all__ = ["load_flow_seams"]

_PARAMETERS = {"enrich": 2, "before_post": 2, "after_done": 2}


def load_flow_seams(project: Project, flow: str = "requisition_to_order") -> Seams:
    """The functions `enrich`, `before_post` and `after_done` of `flows/<flow>.py`.

    All of them are optional, and so is the file; its content hash is in `Project.files`. Raises
    `ProjectError` where it cannot be imported, or holds a public function of another name: a
    misspelt seam would never be called.
    """
    name = f"flows/{flow}.py"
    if name not in project.files:
        return Seams()
    module = _imported(project, name, flow)
    functions = {
        attribute: value
        for attribute, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not attribute.startswith("_")
    }
    problems = [problem for each in functions.items() for problem in _faults(name, *each)]
    if problems:
        raise ProjectError(problems)
    given = {name: (functions[name],) for name in _PARAMETERS if name in functions}
    return Seams(**given)


def _imported(project: Project, name: str, flow: str) -> ModuleType:
    """The customer's module under a name of its own: two projects never share one."""
    spec = importlib.util.spec_from_file_location(
        f"quaestor_project_{project.files[name][:16]}_{flow}", project.path / name
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        line = _last_line(error, str(project.path / name))
        reason = f"it cannot be imported: {type(error).__name__}: {error}"
        raise ProjectError([Problem("seam_broken", name, "", reason, line=line)]) from error
    return module


def _last_line(error: BaseException, file: str) -> int | None:
    if isinstance(error, SyntaxError):
        return error.lineno
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _faults(name: str, seam: str, function: Callable[..., Any]) -> list[Problem]:
    line = function.__code__.co_firstlineno
    if seam not in _PARAMETERS:
        wanted = ", ".join(_PARAMETERS)
        told = "there is no such seam; a helper's name begins with _"
        return [Problem("seam_unknown", name, seam, told, f"one of {wanted}", line)]
    if inspect.iscoroutinefunction(function):
        told = "a seam is a plain function: it decides, and waits for nothing"
        return [Problem("seam_broken", name, seam, told, f"def {seam}(…)", line)]
    try:
        inspect.signature(function).bind(*[None] * _PARAMETERS[seam])
    except TypeError:
        told = f"it is called with {_PARAMETERS[seam]} values"
        wanted = {"after_done": "(requisition, numbers)"}.get(seam, "(order, requisition)")
        return [Problem("seam_broken", name, seam, told, f"def {seam}{wanted}", line)]
    return []
