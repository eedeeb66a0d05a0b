from __future__ import annotations

import numpy as np
import polars as pl

from forensics.flows.arrays import NEVER
from forensics.observations.series import at_rows, int_lists, known_frames, text_lists, where_known

ROWS = np.array([1, 3], dtype=np.int64)
NONE = np.empty(0, dtype=np.int64)


def test_frames_that_never_came_are_null():
    assert known_frames(np.array([5, NEVER, -1, 0])).to_list() == [5, None, None, 0]


def test_values_that_are_not_known_are_null():
    assert where_known(np.array([1.5, 2.5]), np.array([False, True])).to_list() == [None, 2.5]


def test_integer_lists_keep_their_order():
    found = int_lists(4, {3: [9, 2], 1: [7]})
    assert found.to_list() == [None, [7], None, [9, 2]]
    assert found.dtype == pl.List(pl.Int64)
    assert int_lists(2, {}).to_list() == [None, None]
    assert int_lists(0, {}).to_list() == []


def test_an_empty_list_of_texts_is_not_null():
    found = text_lists(4, ROWS, [("h2", "http/1.1"), ()])
    assert found.to_list() == [None, ["h2", "http/1.1"], None, []]
    assert found.dtype == pl.List(pl.String)
    assert text_lists(2, NONE, []).to_list() == [None, None]


def test_values_at_rows():
    assert at_rows(4, ROWS, ["a", None], pl.String).to_list() == [None, "a", None, None]
    assert at_rows(2, NONE, [], pl.Int64).dtype == pl.Int64
    assert at_rows(2, NONE, [], pl.Int64).to_list() == [None, None]
