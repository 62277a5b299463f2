"""Work carried out under another account of the operating system. Only root can do that."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable
from typing import TypeVar

import pytest

__all__ = ["NOBODY", "as_account", "needs_root", "is_root"]

T = TypeVar("T")

NOBODY = 65534

is_root = os.geteuid() == 0
needs_root = pytest.mark.skipif(not is_root, reason="needs root, to change to other accounts")


def as_account(uid: int, work: Callable[[], T]) -> T:
    """The answer of `work`, done by a child process that belongs to `uid` for good.

    A fork, because the interpreter's own files may be out of reach for that account.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            answer = (True, work())
        except BaseException:  # noqa: BLE001 - whatever it was, the parent has to be told
            answer = (False, traceback.format_exc())
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(answer, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        good, answer = pickle.load(pipe)
    os.waitpid(child, 0)
    assert good, answer
    return answer
