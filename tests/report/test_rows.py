from __future__ import annotations

import csv
import io
import json

import polars as pl

from forensics.observations.dictionary import TABLES, Column, Table
from forensics.observations.table import FactTable
from forensics.report import rows
from tests.report.made import HOSTILE

FRAME = pl.DataFrame(
    {
        "name": ["=1+1", HOSTILE, None, 'a,"b"\nc'],
        "number": [-1, 2, None, 4],
        "rate": [0.5, float("inf"), float("nan"), None],
        "frames": [[1, 2], [], None, [3]],
    }
)
TABLE = Table("made", "a row", tuple(Column(name, dtype, "", "") for name, dtype in FRAME.schema.items()))


def written(write):
    """What one of the writers makes of the rows; the same, however many of them are looked at together."""
    texts = set()
    for chunk_rows in (1, 3, 100):
        stream = io.StringIO()
        write(FactTable(TABLE, FRAME, chunk_rows), FRAME.columns, stream)
        texts.add(stream.getvalue())
    (text,) = texts
    return text


def test_csv_is_read_back_and_computes_nothing():
    header, *lines = csv.reader(io.StringIO(written(rows.write_csv)))
    assert header == FRAME.columns
    assert [line[0][:2] for line in lines] == ["'=", "\\x", "", "a,"]
    assert [line[1:] for line in lines] == [
        ["-1", "0.5", "1 2"], ["2", "", ""], ["", "", ""], ["4", "", "3"],
    ]  # fmt: skip
    assert "\x1b" not in written(rows.write_csv)


def test_ndjson_holds_the_data_as_it_is():
    text = written(rows.write_ndjson)
    assert text.isascii()
    read = [json.loads(line) for line in text.splitlines()]
    assert [row["name"] for row in read] == FRAME["name"].to_list()
    assert [row["rate"] for row in read] == [0.5, None, None, None]
    assert read[0]["frames"] == [1, 2]


def test_text_is_one_line_a_row_without_escapes():
    lines = written(rows.write_text).split("\n")
    assert len(lines) == FRAME.height + 2
    assert all(line.isprintable() and line == line.rstrip() for line in lines)
    assert lines[3].split() == ["-", "-", "-", "-"]


def test_parquet_is_read_back(tmp_path):
    for chunk_rows in (1, 3, 100):
        with (tmp_path / "t.parquet").open("wb") as stream:
            rows.write_parquet(FactTable(TABLE, FRAME, chunk_rows), FRAME.columns, stream)
        assert pl.read_parquet(tmp_path / "t.parquet").equals(FRAME, null_equal=True)


def test_the_brief_columns_are_columns():
    for name, columns in rows.BRIEF.items():
        assert set(columns) <= set(TABLES[name].schema())
