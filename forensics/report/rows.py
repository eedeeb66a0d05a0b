"""Fact tables as text, CSV, NDJSON and Parquet, one row a line."""

from __future__ import annotations

import csv
import json
import math
import shutil
import tempfile
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

import polars as pl
from polars.io.plugins import register_io_source

from forensics.errors import ForensicsError
from forensics.report.json_format import plain
from forensics.report.printable import clipped, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from forensics.observations.table import FactTable

BRIEF: Final[dict[str, tuple[str, ...]]] = {
    "flow": (
        "proto", "stream", "client", "client_port", "server", "server_port", "history", "bytes_to_server",
        "bytes_to_client", "rst_to_client", "protocol", "server_name", "app", "feature",
    ),
    "reset": (
        "stream", "frame", "direction", "ack_flag", "ttl", "ttl_baseline", "ipid_delta", "seq_offset",
        "delay_ms",
    ),
    "tls": (
        "proto", "stream", "client", "server", "server_port", "client_hello_frame", "sni", "alpn", "version", "ja4",
        "ech", "alert_to_client", "established",
    ),
    "certificate": (
        "stream", "server", "server_port", "first_frame", "sender", "place", "subject_cn", "issuer_cn", "not_before",
        "not_after", "valid_when_seen", "names",
    ),
    "http": (
        "stream", "client", "server", "request_frame", "method", "host", "uri", "response_frame", "status",
        "location", "title", "responses_differ", "other_status",
    ),
    "call": (
        "proto", "stream", "client", "server", "server_port", "session", "stun_requests", "stun_unanswered",
        "rtp_packets_to_server", "rtp_packets_to_client", "rtp_loss_to_client", "silence_to_client_ms", "ended",
    ),
    "quic": (
        "stream", "client", "server", "server_port", "version", "sni", "alpn", "initials_to_server",
        "server_reply", "established", "close_code",
    ),
    "dns": (
        "transport", "stream", "client", "resolver", "qtype", "qname", "responses", "first_delay_ms", "answers", "app",
        "feature",
    ),
}  # fmt: skip
"""Columns that text shows unless others are asked for; the other formats give all."""

_CELL: Final = 60
_GROUP: Final = 65_536
"""Rows of one Parquet row group: it is written when it is whole."""
_Cells: TypeAlias = list[list[str]]
"""Texts of some rows, column by column."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def write_text(table: FactTable, columns: Sequence[str], stream: IO[str]) -> None:
    """Columns two spaces apart, never wrapped; cells of at most 60 characters, null as ``-``."""
    parts: Iterable[_Cells] = (_cells(chunk, columns) for chunk in table.chunks())
    if table.height <= table.chunk_rows:
        parts = list(parts)
    widths = [len(name) for name in columns]
    for part in parts:
        widths = [max(width, *map(len, cells), 0) for width, cells in zip(widths, part, strict=True)]
    dtypes = next(table.chunks()).schema
    right = [dtypes[name].is_numeric() for name in columns]

    def line(row: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(row, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip() + "\n"

    stream.write(line(columns))
    # how wide a column must be is known when all cells were seen; those of a long table are made a second time
    for part in parts if isinstance(parts, list) else (_cells(chunk, columns) for chunk in table.chunks()):
        for row in zip(*part, strict=True):
            stream.write(line(row))


def write_csv(table: FactTable, columns: Sequence[str], stream: IO[str]) -> None:
    """RFC 4180 with a header; lists joined by spaces, null empty, and no text that a spreadsheet computes."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for chunk in table.chunks():
        # Numbers may start with a minus; text may not.
        texts = [_holds_text(chunk.schema[name]) for name in columns]
        for row in chunk.select(columns).iter_rows():
            writer.writerow(
                [
                    _unarmed(_words(value)) if text else _words(value)
                    for value, text in zip(row, texts, strict=True)
                ]
            )


def write_ndjson(table: FactTable, columns: Sequence[str], stream: IO[str]) -> None:
    """One JSON object a line, pure ASCII; NaN and infinity as null."""
    for chunk in table.chunks():
        for row in chunk.select(columns).iter_rows():
            item = plain(dict(zip(columns, row, strict=True)))
            text = json.dumps(item, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
            stream.write(text.replace("\x7f", "\\u007f") + "\n")


def write_parquet(table: FactTable, columns: Sequence[str], stream: IO[bytes]) -> None:
    """Apache Parquet with the types of the dictionary; texts as they were observed.

    Raises ForensicsError where the temporary file cannot be written.
    """

    def chunks(*_: object) -> Iterator[pl.DataFrame]:
        return (chunk.select(columns) for chunk in table.chunks())

    schema = next(chunks()).schema
    # Polars tells no full disk from a fault of its own: let the stream itself speak.
    with tempfile.TemporaryFile(prefix="forensics-") as whole:
        try:
            register_io_source(chunks, schema=schema).sink_parquet(whole, row_group_size=_GROUP)
        except pl.exceptions.ComputeError as error:
            raise ForensicsError(
                f"{tempfile.gettempdir()!r}: cannot keep the table while it is written ({error}); "
                "free some space there, or name another directory with TMPDIR"
            ) from None
        whole.seek(0)
        shutil.copyfileobj(whole, stream)


def _cells(chunk: pl.DataFrame, columns: Sequence[str]) -> _Cells:
    return [[clipped(_words(value, null="-"), _CELL) for value in chunk[name]] for name in columns]


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
