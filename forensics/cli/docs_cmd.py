"""``forensics docs``: reference documentation made from the code itself."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used: help must be instant
from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forensics.observations.dictionary import Column, Table


@click.group()
def docs() -> None:
    """Print reference documentation."""


@docs.command()
@click.option("--format", "form", type=click.Choice(["text", "markdown"]), default="text")
def observations(form: str) -> None:
    """Print the dictionary of observations: every column of every table of facts."""
    from forensics.observations.dictionary import TABLES

    lines = _markdown if form == "markdown" else _text
    for table in TABLES.values():
        for line in lines(table):
            click.echo(line)


@docs.command()
def formats() -> None:
    """Print what can be opened, as Markdown: containers, compressions, link layers and tunnels."""
    for line in _formats():
        click.echo(line)


@docs.command()
def protocols() -> None:
    """Print the protocols that flows are told by, and what tells them, as Markdown."""
    for line in _protocols():
        click.echo(line)


@docs.command()
def differences() -> None:
    """Print the documented differences between us and tshark that crosscheck accepts, as Markdown."""
    from forensics.crosscheck.explained import EXPLANATIONS

    click.echo("| difference | what | why |")
    click.echo("|---|---|---|")
    for explanation in EXPLANATIONS:
        what, why = (text.replace("|", "\\|") for text in (explanation.what, explanation.why))
        click.echo(f"| `{explanation.id}` | {what} | {why} |")


def _protocols() -> Iterator[str]:
    from forensics.protocols.known import PROTOCOLS, SOURCES

    yield "| `protocol` | what it is | over | told by | gives | described in |"
    yield "|---|---|---|---|---|---|"
    for known in PROTOCOLS:
        cells = (known.title, known.transport, known.told_by, known.gives, known.source)
        yield f"| `{known.word}` | {' | '.join(cells)} |"
    yield ""
    yield "| `protocol_source` | what told us |"
    yield "|---|---|"
    for source, meaning in SOURCES.items():
        yield f"| `{source}` | {meaning} |"


def _formats() -> Iterator[str]:
    from forensics.capture.formats import COMPRESSIONS, CONTAINERS
    from forensics.decode.link_types import BETWEEN, LINKTYPE_NAMES, LINKTYPES
    from forensics.decode.tunnels import TUNNELS

    yield "| file format | what it is | told by |"
    yield "|---|---|---|"
    for container in CONTAINERS:
        yield f"| {container.name} | {container.what} | {container.recognised} |"
    yield ""
    yield "| compression | what of it | told by |"
    yield "|---|---|---|"
    for packed in COMPRESSIONS:
        yield f"| {packed.name} | {packed.what} | {packed.recognised} |"
    yield ""
    yield "| link layer | `LINKTYPE_` | number |"
    yield "|---|---|---|"
    for name in dict.fromkeys(LINKTYPES.values()):
        numbers = [number for number, its in LINKTYPES.items() if its == name]
        constants = dict.fromkeys(f"`{LINKTYPE_NAMES[number]}`" for number in numbers)
        yield f"| {name} | {', '.join(constants)} | {', '.join(map(str, numbers))} |"
    yield ""
    yield "| between it and IP | what of it | told by |"
    yield "|---|---|---|"
    for name, what, told_by in BETWEEN:
        yield f"| {name} | {what} | {told_by} |"
    yield ""
    yield "| tunnel | standard | what of it, and where |"
    yield "|---|---|---|"
    for name, line in TUNNELS.items():
        standard, _, what = line.partition(": ")
        yield f"| {name} | {standard} | {what} |"


def _type(column: Column) -> str:
    return str(column.dtype() if isinstance(column.dtype, type) else column.dtype)


def _text(table: Table) -> Iterator[str]:
    yield f"{table.name}: {table.row}"
    yield ""
    name = max(len(column.name) for column in table.columns)
    kind = max(len(_type(column)) for column in table.columns)
    unit = max(len(column.unit) for column in table.columns)
    for column in table.columns:
        source = f" [{column.source}]" if column.source else ""
        fixed = f"  {column.name:{name}}  {_type(column):{kind}}  {column.unit:{unit}}"
        yield f"{fixed}  {column.meaning}{source}"
    yield ""


def _markdown(table: Table) -> Iterator[str]:
    def cell(text: str) -> str:
        return text.replace("|", "\\|")

    yield f"## {table.name}"
    yield ""
    yield f"One row is {cell(table.row)}."
    yield ""
    yield "| column | type | unit | meaning | source |"
    yield "|---|---|---|---|---|"
    for column in table.columns:
        cells = (f"`{column.name}`", _type(column), column.unit, column.meaning, column.source)
        yield "| " + " | ".join(cell(text) for text in cells) + " |"
    yield ""
