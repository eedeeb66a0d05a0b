"""What an entry of the dictionary and a table are."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import polars as pl

TEXTS: Final = pl.List(pl.String)
INTS: Final = pl.List(pl.Int64)
FLOATS: Final = pl.List(pl.Float64)


@dataclass(frozen=True)
class Column:
    """One observation."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    unit: str
    """``frame``, ``ms``, ``bytes``, ``packets``, ``bit/s``… or empty for words and truth values."""
    meaning: str
    source: str = ""
    """RFC section, Wireshark field, or paper key."""
    role: str = ""
    """For a ``frame`` column: the role its frames carry in a report (``client_hello``, ``reset``…)."""


@dataclass(frozen=True)
class Table:
    """One fact table."""

    name: str
    row: str
    """What one row is."""
    columns: tuple[Column, ...]

    def schema(self) -> pl.Schema:
        """Column names and polars types, in order; not to be changed."""
        return self._schema

    def column(self, name: str) -> Column:
        """The entry of one column; KeyError when there is none."""
        return self._by_name[name]

    @functools.cached_property
    def _schema(self) -> pl.Schema:
        # rules ask for it a hundred times while they are loaded
        return pl.Schema({column.name: column.dtype for column in self.columns})

    @functools.cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}


def entry(  # noqa: PLR0913 - a dictionary entry has six fields
    name: str,
    dtype: pl.DataType | type[pl.DataType],
    unit: str,
    meaning: str,
    source: str = "",
    role: str = "",
) -> Column:
    """One entry, in the order in which a dictionary is read."""
    return Column(name, dtype, unit, meaning, source, role)


def identity() -> tuple[Column, ...]:
    """The first columns of a table whose rows belong to flows: which flow, and whose."""
    return (
        entry("flow", pl.Int64, "", "row of the flow table"),
        entry("proto", pl.String, "", "tcp or udp"),
        entry("stream", pl.Int64, "", "conversation number", "Wireshark tcp.stream, udp.stream"),
        entry("client", pl.String, "", "address of the client of the flow"),
        entry("client_port", pl.Int64, "", "its port"),
        entry("server", pl.String, "", "address of the server of the flow"),
        entry("server_port", pl.Int64, "", "its port"),
        entry("first_frame", pl.Int64, "frame", "first frame of what the row tells", role="first"),
    )
