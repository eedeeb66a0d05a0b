from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forensics.capture.gather import gather_rows


@given(st.binary(max_size=40), st.lists(st.integers(0, 60), max_size=8), st.integers(1, 24))
def test_rows_are_slices_padded_with_zeros(data, starts, width):
    rows = gather_rows(np.frombuffer(data, np.uint8), np.array(starts, np.int64), width)
    assert [row.tobytes() for row in rows] == [data[s : s + width].ljust(width, b"\0") for s in starts]
