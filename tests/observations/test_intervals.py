from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.observations.intervals import (
    Spans,
    best_of_other_colour,
    count_overlaps,
    first_of_other_colour,
)

SPAN = st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 30), st.integers(0, 12))


def spans(rows):
    group, colour, low, length = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    # A colour here belongs to one group, as a server of one client does.
    return Spans(group, group * 4 + colour, low, low + length)


def overlap(one, i, other, j):
    same = one.group[i] == other.group[j]
    return same and one.low[i] <= other.high[j] and one.high[i] >= other.low[j]


@settings(max_examples=200, deadline=None)
@given(st.lists(SPAN, max_size=20), st.lists(SPAN, max_size=8))
def test_agrees_with_comparing_all_with_all(held_rows, asked_rows):
    held, asked = spans(held_rows), spans(asked_rows)
    for j in range(len(asked.group)):
        hits = [i for i in range(len(held.group)) if overlap(held, i, asked, j)]
        others = [i for i in hits if held.colour[i] != asked.colour[j]]
        inside = [
            i
            for i in range(len(held.group))
            if held.group[i] == asked.group[j]
            and held.colour[i] != asked.colour[j]
            and asked.low[j] <= held.low[i] <= asked.high[j]
        ]
        first = min(inside, key=lambda i: (held.low[i], i), default=-1)
        assert best_of_other_colour(held, asked)[j] == min(others, default=-1)
        assert count_overlaps(held, asked, by_colour=False)[j] == len(hits)
        assert count_overlaps(held, asked, by_colour=True)[j] == len(hits) - len(others)
        assert first_of_other_colour(held.group, held.colour, held.low, asked)[j] == first
