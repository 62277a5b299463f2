"""`python -m quaestor` is the command line."""

from __future__ import annotations

from quaestor.cli.main import app

__all__ = ["app"]

if __name__ == "__main__":
    app()
