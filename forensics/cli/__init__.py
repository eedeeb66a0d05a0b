"""The command line: one module a command, each imported only when it is asked for."""

from __future__ import annotations

from forensics.cli.group import main

__all__ = ["main"]
