"""Rows of finished flows, kept outside memory until all of them are there."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forensics.errors import ForensicsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from forensics.flows.arrays import IntArray

BLOCK_ROWS: Final = 8192
"""Rows that are written, and read back, together: about 5 MB of the flow table."""


@dataclass(frozen=True)
class _Block:
    """Where one run of rows lies."""

    first: int
    """Number of its first row, in the order of appending."""
    rows: int
    offset: int
    size: int
    """Bytes from ``offset`` on, an Arrow IPC file."""
    file: BinaryIO


class TableStore:
    """A table that grows chunk by chunk, and is read in one final order when it is whole.

    A single chunk stays in memory as it is. From the second on, rows go to a temporary file that has no name (so
    nothing is left behind, whatever happens), as Arrow IPC. ``number`` names an integer column that holds the number
    of the row: 0, 1, … in the final order. Call ``append`` any number of times, ``seal`` once, then read.

    Raises ForensicsError where the temporary file cannot be written.
    """

    def __init__(self, schema: pl.Schema, *, number: str | None = None) -> None:
        self.schema = schema
        self.height = 0
        self._number = number
        self._held = schema.to_frame()
        self._held_ties: IntArray = np.empty(0, dtype=np.int64)
        self._file: BinaryIO | None = None
        self._end = 0
        self._blocks: list[_Block] = []
        self._ties: list[IntArray] = []
        self._rank: IntArray | None = None
        self._renumber: dict[str, IntArray] = {}
        self._replaced: dict[str, pl.Series] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> TableStore:
        """A table that has the same rows and goes on by itself; what was written so far is read by both."""
        other = TableStore(self.schema, number=self._number)
        other.height, other._rank = self.height, self._rank
        other._held, other._held_ties = self._held, self._held_ties
        other._blocks, other._ties = self._blocks.copy(), self._ties.copy()
        other._renumber, other._replaced = self._renumber.copy(), self._replaced.copy()
        return other

    def append(self, frame: pl.DataFrame, ties: IntArray | None = None) -> None:
        """Add rows; where the order leaves a tie, ``ties`` (int64, one a row) decides, then the order of appending."""
        if frame.schema != self.schema:
            message = (
                f"columns differ from the schema: {set(frame.schema.items()) ^ set(self.schema.items())}"
            )
            raise ValueError(message)
        if self._rank is not None:
            message = "the table is sealed"
            raise ValueError(message)
        if not frame.height:
            return
        self._ties.append(np.zeros(frame.height, dtype=np.int64) if ties is None else ties)
        if not self.height:
            self._held = frame
        else:
            if not self._blocks:
                self._spill(self._held, 0)
                self._held = self.schema.to_frame()
            self._spill(frame, self.height)
        self.height += frame.height

    def seal(self, order_by: str, *, renumber: dict[str, IntArray] | None = None) -> None:
        """No more rows will come; the final order is that of the integer column ``order_by``.

        ``renumber`` names integer columns whose values are places in the array given with them, and stand for what
        is found there: how rows of one table follow when another one is put in order (see ``rank``).
        """
        keys = np.concatenate(
            [np.empty(0, dtype=np.int64), *(part[order_by].to_numpy() for part in self._stored([order_by]))]
        )
        ties = np.concatenate([np.empty(0, dtype=np.int64), *self._ties])
        order = np.lexsort((ties, keys))
        self._rank = np.empty(self.height, dtype=np.int64)
        self._rank[order] = np.arange(self.height)
        self._ties = []
        self._renumber = dict(renumber or {})
        if self._number is not None:
            self._renumber[self._number] = self._rank
        if self.height and not self._blocks:
            self._held = self._final(self._held, 0, self._rank)

    @property
    def rank(self) -> IntArray:
        """Final row number of every row, in the order of appending."""
        if self._rank is None:
            message = "the table is not sealed yet"
            raise ValueError(message)
        return self._rank

    def replace(self, values: pl.Series) -> None:
        """One column of all rows, in the final order, takes the place of the column of the same name."""
        if len(self.rank) != len(values) or self.schema[values.name] != values.dtype:
            message = f"not a column of this table: {values.name}"
            raise ValueError(message)
        self._replaced[values.name] = values

    def columns(self, names: Sequence[str]) -> pl.DataFrame:
        """All rows in the final order, only these columns."""
        rank = self.rank
        replaced = [self._replaced[name] for name in names if name in self._replaced]
        if not self._blocks:
            return self._held.select(names).with_columns(replaced)
        stored = [name for name in names if name != self._number] or [self.schema.names()[0]]
        whole = pl.concat(list(self._stored(stored)), rechunk=True)
        return self._final(whole, 0, rank).with_columns(replaced).select(names)

    def chunks(self, rows: int = 65_536, names: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """All columns, or these, ``rows`` rows at a time in the final order; without rows it is one empty frame."""
        rank = self.rank
        names = self.schema.names() if names is None else names
        if not self._blocks:
            held = self._held.select(names)
            for begin in range(0, max(self.height, 1), rows):
                yield self._put(held.slice(begin, rows), begin)
            return
        stored = [name for name in names if name != self._number] or [self.schema.names()[0]]
        spans = [rank[block.first : block.first + block.rows] for block in self._blocks]
        reach = [(int(span.min()), int(span.max())) for span in spans]
        for begin in range(0, self.height, rows):
            parts, places = [], []
            for block, span, (low, high) in zip(self._blocks, spans, reach, strict=True):
                if low >= begin + rows or high < begin:
                    continue
                mine = np.flatnonzero((span >= begin) & (span < begin + rows))
                if len(mine):
                    parts.append(self._read(block, stored)[mine])
                    places.append(span[mine])
            chunk = self._final(pl.concat(parts, rechunk=True), begin, np.concatenate(places))
            yield self._put(chunk, begin).select(names)

    def _put(self, chunk: pl.DataFrame, begin: int) -> pl.DataFrame:
        return chunk.with_columns(
            values.slice(begin, chunk.height)
            for name, values in self._replaced.items()
            if name in chunk.columns
        )

    def close(self) -> None:
        """Give back memory and disk; the table cannot be read any more."""
        self._held = self.schema.to_frame()
        self._blocks = []
        self.height = 0
        if self._file is not None:
            self._file.close()
            self._file = None

    def _final(self, frame: pl.DataFrame, begin: int, places: IntArray) -> pl.DataFrame:
        """The rows at final numbers ``places`` (from ``begin`` on, without holes), in that order."""
        order = np.empty(len(places), dtype=np.int64)
        order[places - begin] = np.arange(len(places))
        frame = frame[order]
        for name, table in self._renumber.items():
            if name == self._number:
                frame = frame.with_columns(
                    pl.Series(name, np.arange(begin, begin + len(places)), dtype=self.schema[name])
                )
            elif name in frame.columns:
                values = table[frame[name].to_numpy()]
                frame = frame.with_columns(pl.Series(name, values, dtype=self.schema[name]))
        return frame

    def _stored(self, names: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Columns of all rows in the order of appending."""
        if not self._blocks:
            yield self._held.select(names)
        for block in self._blocks:
            yield self._read(block, list(names))

    def _spill(self, frame: pl.DataFrame, first: int) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="forensics-")  # noqa: SIM115 - closed by close()
            for begin in range(0, frame.height, BLOCK_ROWS):
                part = frame.slice(begin, BLOCK_ROWS)
                buffer = BytesIO()
                part.write_ipc(buffer, compression="lz4")
                self._file.seek(self._end)
                self._file.write(buffer.getbuffer())
                self._file.flush()
                self._blocks.append(_Block(first + begin, part.height, self._end, buffer.tell(), self._file))
                self._end += buffer.tell()
        except OSError as error:
            message = (
                f"{tempfile.gettempdir()!r}: cannot keep the facts of finished flows: {error.strerror}; "
                "free some space there, or name another directory with TMPDIR"
            )
            raise ForensicsError(message) from error

    def _read(self, block: _Block, names: list[str] | None) -> pl.DataFrame:
        if block.file.closed:
            message = "the table is closed"
            raise ValueError(message)
        data = os.pread(block.file.fileno(), block.size, block.offset)
        return pl.read_ipc(BytesIO(data), columns=names)
