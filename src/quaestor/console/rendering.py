"""Templates to bytes, and the headers that every answer of the console carries."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from quaestor.console import wording
from quaestor.console.asking import Ask, may
from quaestor.security.authorization import Scope

__all__ = ["ASSETS", "HEADERS", "REFRESH_S", "Asset", "rendered"]

_HERE = Path(__file__).parent


class Asset(msgspec.Struct, frozen=True):
    """A file that never changes under its path: the path holds the hash of its content."""

    path: str
    media_type: str
    content: bytes


def _asset(name: str, media_type: str) -> Asset:
    content = (_HERE / "static" / name).read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:8]
    return Asset(f"/console/static/{digest}/{name}", media_type, content)


_STYLE = _asset("console.css", "text/css")
_ICON = _asset("icon.svg", "image/svg+xml")
ASSETS = (_STYLE, _ICON)

# There is no script on any page, so none may run (docs/decisions/0009).
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Not `no-referrer`: browsers would then say `Origin: null` with a form of ours.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
REFRESH_S = (10, 30, 60)

_NAV = (
    ("home", "/console/", "Find", ()),
    ("work", "/console/work", "Worklist", (Scope.WORKLIST_READ, Scope.WORKLIST_ACT)),
    (
        "systems",
        "/console/systems",
        "Systems",
        (Scope.TRACES_READ, Scope.WORKLIST_READ, Scope.WORKLIST_ACT),
    ),
)


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        name: getattr(wording, name)
        for name in (
            *("age", "amount", "counted", "duration", "local", "number", "pretty", "segment"),
            "words",
        )
    }
    made.globals |= {"style": _STYLE.path, "icon": _ICON.path, "between": wording.between}
    return made


_templates = _environment()


def rendered(
    template: str,
    *,
    deployment: str,
    environment: str,
    ask: Ask | None = None,
    now: datetime | None = None,
    **shows: Any,
) -> bytes:
    """A page. `ask` is there for whoever is signed in; navigation shows what he may open."""
    caller = ask.caller if ask is not None else None
    nav = [
        (name, href, title)
        for name, href, title, scopes in _NAV
        if caller is not None and (not scopes or may(caller, *scopes))
    ]
    shell = {
        "deployment": deployment,
        "environment": environment,
        "caller": caller,
        "nav": nav,
        "may_trace": caller is not None and may(caller, Scope.TRACES_READ),
        "now": ask.now if ask is not None else now,
        "every": None,
        "here": "",
    }
    return _templates.get_template(template).render(**{**shell, **shows}).encode()
