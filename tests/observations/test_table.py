"""Whatever holds the rows, and however many are looked at together, they are the same."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from forensics.observations.dictionary import FLOW
from forensics.observations.store import TableStore
from forensics.observations.table import fact_table
from tests.observations.frames import table


def flows(count: int) -> pl.DataFrame:
    rows = [
        {"stream": n, "first_frame": 10 * n, "sni": f"n{n}.example", "alpn": ["h2"] * (n % 3)}
        for n in range(count)
    ]
    return table("flow", rows)


def stored(frame: pl.DataFrame, parts: int) -> TableStore:
    """The rows in another order, as they came in ``parts`` pieces."""
    store = TableStore(frame.schema, number="flow")
    mixed = frame[list(range(frame.height))[::-1]]
    for part in range(parts):
        store.append(mixed[list(range(part, frame.height, parts))])
    store.seal("first_frame")
    return store


@pytest.mark.parametrize("count", [0, 1, 2, 7, 20])
@pytest.mark.parametrize("rows", [1, 3, 7, 100])
@pytest.mark.parametrize("parts", [0, 1, 4])
def test_the_same_rows_from_memory_and_from_a_file(count, rows, parts):
    frame = flows(count)
    made = fact_table("flow", stored(frame, parts) if parts else frame, chunk_rows=rows)
    assert made.height == count
    assert_frame_equal(made.frame(), frame)
    names = ["sni", "flow", "alpn"]
    assert_frame_equal(made.columns(names), frame.select(names))
    chunks = list(made.chunks())
    assert_frame_equal(pl.concat(chunks), frame)
    assert {chunk.height for chunk in chunks[:-1]} <= {rows}
    assert len(chunks) == max(-(-count // rows), 1)
    assert len(list(made.chunks(100))) == 1


@pytest.mark.parametrize("parts", [0, 1, 4])
def test_filled_columns_take_the_place_of_their_own(parts):
    frame = flows(20)
    plain = fact_table("flow", stored(frame, parts) if parts else frame, chunk_rows=6)
    new = pl.DataFrame({"app": [f"a{n}" for n in range(20)], "sni": [f"s{n}" for n in range(20)]})
    made = plain.fill(new.select("app")).fill(new.select("sni"))
    expected = frame.with_columns(new.get_columns())
    assert_frame_equal(made.frame(), expected)
    assert_frame_equal(pl.concat(made.chunks()), expected)
    assert_frame_equal(made.columns(["sni", "app"]), new.select("sni", "app"))
    assert_frame_equal(made.columns(["sni", "flow"]), expected.select("sni", "flow"))
    # the table it was made from is as it was
    assert_frame_equal(plain.frame(), frame)


def test_what_a_frame_lacks_is_null():
    made = fact_table("flow", pl.DataFrame({"stream": [3, 4]}))
    assert made.frame().schema.keys() == FLOW.schema().keys()
    assert made.columns(["stream", "sni"]).rows() == [(3, None), (4, None)]
    assert made.frame().schema == FLOW.schema()


def test_nothing_is_a_table_without_rows():
    made = fact_table("dns", None)
    assert (made.height, made.table.name, made.frame().height) == (0, "dns", 0)
    assert fact_table("dns", made) is made


def test_columns_filled_some_rows_at_a_time_are_the_same_in_a_table_of_many_chunks():
    rows = table("flow", [{"first_frame": frame} for frame in range(1, 8)])
    words = pl.DataFrame({"app": ["a", None, "b", "a", "c", None, "a"]})
    given = fact_table("flow", rows, chunk_rows=3)
    for made in (given.fill(words), given.fill_chunks(words.slice(at, 3) for at in (0, 3, 6))):
        assert_frame_equal(made.columns(["app"]), words)
        assert_frame_equal(pl.concat(made.chunks(columns=["app"])), words)
        assert pl.concat(made.chunks(columns=["first_frame", "app"])).columns == ["first_frame", "app"]
