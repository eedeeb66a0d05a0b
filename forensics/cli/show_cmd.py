"""``forensics show``: the tables of facts that verdicts rest on."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used: help must be instant
from __future__ import annotations

import difflib
import sys
from typing import TYPE_CHECKING, Final

import click

from forensics.cli.run import analyzed, binary_output, check_output, text_output
from forensics.errors import ForensicsError

if TYPE_CHECKING:
    from forensics.observations.table import FactTable

_TABLES: Final = {
    "flows": "flow",
    "resets": "reset",
    "dns": "dns",
    "tls": "tls",
    "certificates": "certificate",
    "quic": "quic",
    "http": "http",
    "calls": "call",
}


@click.command()
@click.argument("table", type=click.Choice(list(_TABLES)))
@click.argument("captures", metavar="CAPTURE...", nargs=-1, required=True)
@click.option("--format", "form", type=click.Choice(["text", "csv", "ndjson", "parquet"]), default="text")
@click.option("--columns", metavar="A,B,...", help="Only these columns, in this order ('all': every one).")
@click.option("-o", "--output", metavar="FILE", help="Write there instead of standard output.")
@click.option("--no-progress", is_flag=True, help="Never draw a progress bar.")
def show(  # noqa: PLR0913 - one parameter an option
    table: str,
    captures: tuple[str, ...],
    form: str,
    columns: str | None,
    output: str | None,
    *,
    no_progress: bool,
) -> None:
    """Print the facts of CAPTURE, one row a line: flows, resets, dns, tls, certificates, quic, http or calls.

    Several files, such as a rotated set, are one capture in the order of time.
    'forensics docs observations' says what each column means. Text shows a selection of columns, the other
    formats show all of them.
    """
    check_output(captures, output)
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise ForensicsError("parquet is binary and standard output is a terminal: use --output FILE")
    from forensics.observations.dictionary import TABLES

    name = _TABLES[table]
    chosen = _chosen(columns, name, [column.name for column in TABLES[name].columns], brief=form == "text")
    analysis = analyzed(*captures, progress=not no_progress, table=name, columns=chosen)
    _write(analysis.tables[name], chosen, form, output)


def _chosen(columns: str | None, name: str, known: list[str], *, brief: bool) -> list[str]:
    from forensics.report.rows import BRIEF

    if columns is None:
        return list(BRIEF[name]) if brief else known
    if columns == "all":
        return known
    chosen = list(dict.fromkeys(word for word in columns.split(",") if word))
    if not chosen:
        raise click.UsageError("--columns names no column")
    for word in chosen:
        if word not in known:
            near = difflib.get_close_matches(word, known, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "see 'forensics docs observations'"
            raise click.UsageError(f"the {name} table has no column {word!r}: {hint}")
    return chosen


def _write(table: FactTable, columns: list[str], form: str, output: str | None) -> None:
    from forensics.report import rows

    if form == "parquet":
        with binary_output(output) as binary:
            rows.write_parquet(table, columns, binary)
        return
    with text_output(output) as stream:
        if form == "text":
            rows.write_text(table, columns, stream)
        elif form == "csv":
            rows.write_csv(table, columns, stream)
        else:
            rows.write_ndjson(table, columns, stream)
