from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.flows.arrays import (
    GrowingColumns,
    both_sides,
    keep_first,
    run_ends,
    run_starts,
    stable_order,
)

RUNS = st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30).map(
    lambda pairs: sorted(pairs, key=lambda pair: pair[0])
)


def test_columns_grow_and_keep_what_they_hold():
    table = GrowingColumns({"count": (np.int64, 0), "frame": (np.int32, -1)})
    table.grow_to(3)
    table["count"][2] = 7
    table["frame"][0] = 5
    table.grow_to(5000)
    assert table.rows == 5000
    assert table.column("count").tolist() == [0, 0, 7] + [0] * 4997
    assert table.column("frame").tolist() == [5] + [-1] * 4999
    assert table["frame"].dtype == np.int32
    table.grow_to(10)
    assert table.rows == 5000


def test_a_written_row_survives_many_doublings():
    table = GrowingColumns({"value": (np.int64, -1)})
    for row in range(20_000):
        if row % 997 == 0:
            table.grow_to(row + 1)
            table["value"][row] = row
    held = table.column("value")
    assert [row for row in range(table.rows) if held[row] != -1] == list(range(0, table.rows, 997))


@given(RUNS)
def test_runs_agree_with_a_loop(pairs):
    keys = np.array([key for key, _ in pairs], dtype=np.int64)
    firsts = [i for i in range(len(keys)) if i == 0 or keys[i] != keys[i - 1]]
    lasts = [i for i in range(len(keys)) if i == len(keys) - 1 or keys[i] != keys[i + 1]]
    starts = run_starts(keys)
    assert starts.tolist() == firsts
    assert run_ends(starts, len(keys)).tolist() == lasts


@pytest.mark.parametrize("cuts", [[], [1], [2, 4], [1, 2, 3, 4, 5]])
def test_keep_first_keeps_the_earliest_of_every_key(cuts):
    keys = np.array([3, 1, 3, 3, 1, 3], dtype=np.int64)
    values = np.array([10, 11, 12, 13, 14, 15], dtype=np.int64)
    kept: dict[int, list[int]] = {}
    for begin, end in zip([0, *cuts], [*cuts, 6], strict=True):
        keep_first(kept, keys[begin:end], values[begin:end], 3)
    assert kept == {3: [10, 12, 13], 1: [11, 14]}


def test_cleared_rows_hold_what_new_rows_hold():
    table = GrowingColumns({"count": (np.int64, 0), "frame": (np.int64, -1)})
    table.grow_to(5)
    for name in ("count", "frame"):
        table[name][:5] = 7
    table.clear(np.array([1, 3, 4000]))
    assert table.column("count").tolist() == [7, 0, 7, 0, 7]
    assert table.column("frame").tolist() == [7, -1, 7, -1, 7]


def test_both_sides_of_flows():
    assert sorted(both_sides(np.array([0, 3])).tolist()) == [0, 1, 6, 7]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 3000),
    st.sampled_from([1, 3, 60_000, 1 << 17, (1 << 32) - 1, 1 << 40]),
    st.integers(-5, 0),
    st.integers(0, 2**32 - 1),
)
def test_stable_order_is_numpys(size, high, low, seed):
    keys = np.random.default_rng(seed).integers(min(low, 0), high, size)
    assert stable_order(keys).tolist() == np.argsort(keys, kind="stable").tolist()
