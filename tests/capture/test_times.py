from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forensics.capture.times import Clock, block_times


@given(
    st.integers(0, 2**64 - 1),
    st.integers(0, 255),
    st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5),
)
def test_as_exact_fractions_say(ticks, resolution, offset):
    unit = Fraction(1, 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution)
    exact = floor((ticks * unit + offset) * 10**9)
    (got,) = block_times(np.array([ticks], np.uint64), np.array([0]), [Clock(resolution, offset)]).tolist()
    if abs(exact) < 9 * 10**18 and abs(offset) < 10**10:
        assert got == exact
    else:
        assert -(2**63) <= got < 2**63


def test_each_interface_has_its_own_clock():
    clocks = [Clock(6, 0), Clock(9, -1), Clock(0x80 | 10, 2)]
    ticks = np.array([1_500_000, 1_500_000_000, 1536], np.uint64)
    got = block_times(ticks, np.array([0, 1, 2]), clocks)
    assert got.tolist() == [1_500_000_000, 500_000_000, 3_500_000_000]
