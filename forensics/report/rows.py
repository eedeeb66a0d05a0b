"""Fact tables as text, CSV, NDJSON and Parquet, one row a line."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import IO, TYPE_CHECKING, Any, Final

import polars as pl

from forensics.report.json_format import plain
from forensics.report.printable import clipped, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BRIEF: Final[dict[str, tuple[str, ...]]] = {
    "flow": (
        "proto", "stream", "client", "client_port", "server", "server_port", "history", "bytes_to_server",
        "bytes_to_client", "rst_to_client", "server_name", "app", "feature",
    ),
    "reset": (
        "stream", "frame", "direction", "ack_flag", "ttl", "ttl_baseline", "ipid_delta", "seq_offset",
        "delay_ms",
    ),
    "dns": (
        "stream", "client", "resolver", "qtype", "qname", "responses", "first_delay_ms", "answers", "app",
        "feature",
    ),
}  # fmt: skip
"""Columns that text shows unless others are asked for; the other formats give all."""

_SLICE: Final = 10_000
"""Rows turned into Python values at a time, so that a long table costs no memory."""
_CELL: Final = 60
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def write_text(frame: pl.DataFrame, stream: IO[str]) -> None:
    """Columns two spaces apart, never wrapped; cells of at most 60 characters, null as ``-``."""
    cells = [[clipped(_words(value, null="-"), _CELL) for value in frame[name]] for name in frame.columns]
    widths = [max(len(name), *map(len, column), 0) for name, column in zip(frame.columns, cells, strict=True)]
    right = [frame.schema[name].is_numeric() for name in frame.columns]

    def line(row: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(row, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip() + "\n"

    stream.write(line(frame.columns))
    for row in zip(*cells, strict=True):
        stream.write(line(row))


def write_csv(frame: pl.DataFrame, stream: IO[str]) -> None:
    """RFC 4180 with a header; lists joined by spaces, null empty, and no text that a spreadsheet computes."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(frame.columns)
    # Numbers may start with a minus; text may not.
    texts = [_holds_text(frame.schema[name]) for name in frame.columns]
    for row in _rows(frame):
        writer.writerow(
            [
                _unarmed(_words(value)) if text else _words(value)
                for value, text in zip(row, texts, strict=True)
            ]
        )


def write_ndjson(frame: pl.DataFrame, stream: IO[str]) -> None:
    """One JSON object a line, pure ASCII; NaN and infinity as null."""
    for row in _rows(frame):
        item = plain(dict(zip(frame.columns, row, strict=True)))
        text = json.dumps(item, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        stream.write(text.replace("\x7f", "\\u007f") + "\n")


def write_parquet(frame: pl.DataFrame, stream: IO[bytes]) -> None:
    """Apache Parquet with the types of the dictionary; texts as they were observed."""
    # Polars tells no full disk from a fault of its own: let the stream itself speak.
    whole = io.BytesIO()
    frame.write_parquet(whole)
    stream.write(whole.getbuffer())


def _rows(frame: pl.DataFrame) -> Iterator[tuple[Any, ...]]:
    for part in frame.iter_slices(_SLICE):
        yield from part.iter_rows()


def _holds_text(dtype: pl.DataType) -> bool:
    return dtype == pl.String or dtype == pl.List(pl.String)


def _unarmed(text: str) -> str:
    return "'" + printable(text) if text.startswith(_FORMULA) else printable(text)


def _words(value: Any, null: str = "") -> str:  # noqa: ANN401 - a cell of any column
    if value is None:
        return null
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".") if math.isfinite(value) else null
    if isinstance(value, (list, pl.Series)):
        return " ".join(_words(item, null) for item in value)
    return str(value)
