"""A table that outgrows memory reads back as the one that was put in, in its final order."""

from __future__ import annotations

import errno
import random
import tempfile

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from forensics.errors import ForensicsError
from forensics.observations import store as module
from forensics.observations.store import TableStore

SCHEMA = pl.Schema(
    {
        "flow": pl.Int64,
        "first_frame": pl.Int64,
        "name": pl.String,
        "frames": pl.List(pl.Int64),
        "alpn": pl.List(pl.String),
        "rate": pl.Float64,
        "seen": pl.Boolean,
    }
)


def rows(count, seed):
    """Rows with every kind of nothing: nulls, empty lists, lists of nulls, empty text."""
    rng = random.Random(seed)  # noqa: S311 - reproducible rows
    order = rng.sample(range(10 * count + 1), count)
    return pl.DataFrame(
        {
            "flow": [None] * count,
            "first_frame": order,
            "name": [rng.choice([None, "", "a", "ü\x00" * 9]) for _ in order],
            "frames": [rng.choice([None, [], [1], [1, 2, None]]) for _ in order],
            "alpn": [rng.choice([None, [], ["h2", "x"], [None]]) for _ in order],
            "rate": [rng.choice([None, 0.5, float("inf")]) for _ in order],
            "seen": [rng.choice([None, True, False]) for _ in order],
        },
        schema=SCHEMA,
    )


def filled(frame, cuts, **more):
    store = TableStore(SCHEMA, **more)
    begin = 0
    for end in [*sorted(cuts), frame.height]:
        store.append(frame.slice(begin, end - begin))
        begin = end
    return store


def expected(frame):
    ordered = frame.sort("first_frame", maintain_order=True)
    return ordered.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("flow"))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sets(st.integers(0, 60), max_size=5), st.integers(1, 70))
def test_what_goes_in_comes_out_in_order(seed, cuts, size):
    frame = rows(60, seed)
    block, module.BLOCK_ROWS = module.BLOCK_ROWS, 7  # several blocks a chunk
    try:
        store = filled(frame, cuts, number="flow")
        store.seal("first_frame")
        want = expected(frame)
        chunks = list(store.chunks(size))
        assert all(chunk.height == size for chunk in chunks[:-1])
        assert_frame_equal(pl.concat(chunks), want, check_exact=True)
        for names in (["frames", "name"], ["flow"], ["alpn", "flow", "first_frame"]):
            assert_frame_equal(store.columns(names), want.select(names), check_exact=True)
        assert store.height == 60
        other = pl.Series("name", [f"row {at}" for at in range(60)])
        store.replace(other)
        want = want.with_columns(other)
        assert_frame_equal(pl.concat(list(store.chunks(size))), want, check_exact=True)
        for names in (["frames", "name"], ["flow"], ["name"]):
            assert_frame_equal(store.columns(names), want.select(names), check_exact=True)
        store.close()
    finally:
        module.BLOCK_ROWS = block


def test_one_chunk_is_not_written(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: pytest.fail("written"))
    store = filled(rows(50, 2), [0, 50])
    store.seal("first_frame")
    assert sum(chunk.height for chunk in store.chunks()) == 50


def test_nothing_is_one_empty_frame():
    for cuts in ([], [0, 0]):
        store = filled(SCHEMA.to_frame(), cuts, number="flow")
        store.seal("first_frame")
        assert [chunk.schema for chunk in store.chunks()] == [SCHEMA]
        assert store.columns(["flow", "alpn"]).schema == {"flow": pl.Int64, "alpn": pl.List(pl.String)}
        assert store.height == 0


@pytest.mark.parametrize("several", [False, True])
def test_ties_and_rows_that_follow_another_table(several):
    schema = pl.Schema({"flow": pl.Int64, "frame": pl.Int64})
    flows = TableStore(schema, number="flow")
    resets = TableStore(schema)
    parts = [([9, 5], [1, 2]), ([5, 1], [0, 3])] if several else [([9, 5, 5, 1], [1, 2, 0, 3])]
    for frames, ties in parts:
        flows.append(pl.DataFrame({"flow": [0] * len(frames), "frame": frames}), np.array(ties))
    for of, frames in [([3, 0], [30, 10]), ([1], [20])] if several else [([3, 0, 1], [30, 10, 20])]:
        resets.append(pl.DataFrame({"flow": of, "frame": frames}))
    flows.seal("frame")
    assert flows.columns(["frame"])["frame"].to_list() == [1, 5, 5, 9]
    assert flows.rank.tolist() == [3, 2, 1, 0]
    resets.seal("frame", renumber={"flow": flows.rank})
    assert pl.concat(list(resets.chunks(2))).rows() == [(3, 10), (2, 20), (0, 30)]
    assert resets.columns(["flow"])["flow"].to_list() == [3, 2, 0]


def test_rows_of_other_columns_are_refused():
    with pytest.raises(ValueError, match="rate"):
        TableStore(SCHEMA).append(rows(3, 3).drop("rate"))


def test_a_column_of_another_length_takes_no_place():
    store = filled(rows(3, 5), [])
    store.seal("first_frame")
    for wrong in (pl.Series("name", ["a"]), pl.Series("name", [1, 2, 3])):
        with pytest.raises(ValueError, match="name"):
            store.replace(wrong)


def test_a_full_disk_is_one_clear_line(monkeypatch):
    class Full:
        def seek(self, _):
            pass

        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(ForensicsError) as caught:
        filled(rows(20, 4), [10])
    assert "No space left on device" in str(caught.value)
    assert "TMPDIR" in str(caught.value)
    assert "\n" not in str(caught.value)
