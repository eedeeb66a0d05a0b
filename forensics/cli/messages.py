"""One line a message, on stderr, that no input can turn into anything else."""

from __future__ import annotations

import click


def complain(kind: str, message: str, *, indent: bool = False) -> None:
    """Write ``forensics: kind: message`` to stderr; line breaks become spaces and control characters escapes."""
    # Loaded late: the report room pulls in rich, and most runs have nothing to complain about.
    from forensics.report.printable import printable

    text = message if indent else " ".join(message.split())
    click.echo(f"forensics: {kind}: {printable(text)}", err=True)
