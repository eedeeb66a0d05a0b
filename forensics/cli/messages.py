"""One line a message, on stderr, that no input can turn into anything else."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used: help must be instant
from __future__ import annotations

import click


def complain(kind: str, message: str, *, indent: bool = False) -> None:
    """Write ``forensics: kind: message`` to stderr, as one line without control characters."""
    # Loaded late: the report room pulls in rich, and most runs have nothing to complain about.
    from forensics.report.printable import printable

    text = message if indent else " ".join(message.split())
    click.echo(f"forensics: {kind}: {printable(text)}", err=True)
