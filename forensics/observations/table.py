"""A fact table as the rooms to the right read it: some columns of all rows, or all columns of some rows.

All columns of all rows at once are more than fits into memory when a capture is large.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

import polars as pl

from forensics.observations.dictionary import TABLES
from forensics.observations.store import TableStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from forensics.observations.dictionary import Table

CHUNK_ROWS: Final = 16_384
"""Rows that are looked at together: some 20 MB of the flow table, and several times that while they are judged."""

Given: TypeAlias = "FactTable | TableStore | pl.DataFrame | None"


@dataclass(frozen=True)
class FactTable:
    """The rows of one table of the dictionary in their order, wherever they are kept."""

    table: Table
    kept: TableStore | pl.DataFrame
    """A sealed store, or a frame with all columns of the dictionary."""
    chunk_rows: int = CHUNK_ROWS
    filled: Mapping[str, pl.Series] = field(default_factory=dict)
    """Columns, all rows of them, that take the place of those that are kept; texts may be held as numbers."""

    @property
    def height(self) -> int:
        """How many rows there are."""
        return self.kept.height

    def columns(self, names: Sequence[str]) -> pl.DataFrame:
        """All rows, only these columns, in this order."""
        stored = [name for name in names if name not in self.filled]
        kept = self.kept
        if stored:
            frame = kept.columns(stored) if isinstance(kept, TableStore) else kept.select(stored)
        return pl.DataFrame(
            [_plain(self.filled[name]) if name in self.filled else frame[name] for name in names]
        )

    def chunks(self, rows: int | None = None, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """All columns of the dictionary, or these, ``rows`` rows at a time; without rows it is one empty frame."""
        rows = rows or self.chunk_rows
        names = self.table.schema().names() if columns is None else columns
        # Something must be read to know how many rows there are.
        stored = [name for name in names if name not in self.filled] or self.table.schema().names()[:1]
        begin = 0
        kept = self.kept
        for chunk in (
            kept.chunks(rows, stored) if isinstance(kept, TableStore) else self._slices(rows, stored)
        ):
            filled = {name: self.filled[name] for name in names if name in self.filled}
            yield chunk.with_columns(
                _plain(values.slice(begin, chunk.height)).alias(name) for name, values in filled.items()
            ).select(names)
            begin += chunk.height

    def frame(self) -> pl.DataFrame:
        """All columns of all rows: for tables that are known to be small."""
        return self.columns([column.name for column in self.table.columns])

    def fill(self, columns: pl.DataFrame) -> FactTable:
        """The same rows with these columns (all rows of them, in the order of the table) in place of their own."""
        return self.fill_chunks([columns])

    def fill_chunks(self, parts: Iterable[pl.DataFrame]) -> FactTable:
        """The same as ``fill``, with the columns of some rows at a time."""
        if self.height > self.chunk_rows:
            parts = [part.select(map(_numbered, part.get_columns())) for part in parts]
        filled = pl.concat(parts, rechunk=True).to_dict(as_series=True)
        return replace(self, filled={**self.filled, **filled})

    def _slices(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        assert isinstance(self.kept, pl.DataFrame)  # noqa: S101 - for the type checker: chunks() looked
        frame = self.kept.select(columns)
        for begin in range(0, max(frame.height, 1), rows):
            yield frame.slice(begin, rows)


def _numbered(values: pl.Series) -> pl.Series:
    """Texts as numbers of the different ones: a fifth of the memory, since most come more than once."""
    return values.cast(pl.Categorical) if values.dtype == pl.String else values


def _plain(values: pl.Series) -> pl.Series:
    """Texts as texts again."""
    return values.cast(pl.String) if values.dtype == pl.Categorical else values


def fact_table(name: str, given: Given, *, chunk_rows: int = CHUNK_ROWS) -> FactTable:
    """The table ``name`` of the dictionary, from whatever holds its rows; None gives a table without rows.

    Columns of the dictionary that a frame lacks are there as nulls.
    """
    if isinstance(given, FactTable):
        return given
    table = TABLES[name]
    if isinstance(given, TableStore):
        return FactTable(table, given, chunk_rows)
    schema = table.schema()
    frame = schema.to_frame() if given is None else given
    missing = [
        pl.lit(None, dtype=dtype).alias(name) for name, dtype in schema.items() if name not in frame.columns
    ]
    return FactTable(table, frame.with_columns(missing) if missing else frame, chunk_rows)
