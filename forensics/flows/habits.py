"""Which TTL each sender's packets usually arrive with: the baseline that forged ones are held against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forensics.flows.arrays import IntArray, run_starts, stable_order

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.flows.arrays import BoolArray

_MERGE_AFTER: Final = 16
"""Batches of counts that are kept apart before they are summed up."""
_SIDE_SHIFT: Final = 9
"""A key is the side, 8 bits of TTL, and one of DF."""


class TtlHabits:
    """Counts the packets of every sender by TTL and don't-fragment bit."""

    def __init__(self) -> None:
        self._counts: list[tuple[IntArray, IntArray]] = []

    def add(self, fs: IntArray, ttl: npt.NDArray[np.uint8], df: BoolArray) -> None:
        """Take in packets; those of one sender ``fs`` (2 × flow + side) should lie together."""
        key = (fs << _SIDE_SHIFT) | (ttl.astype(np.int64) << 1) | df
        # Packets of one sender mostly carry one TTL: few runs, summed up by key at the end.
        starts = run_starts(key)
        self._counts.append((key[starts], np.diff(np.append(starts, len(key)))))
        if len(self._counts) > _MERGE_AFTER:
            self._counts = [self._merged()]

    def clear(self, sides: IntArray) -> None:
        """Forget senders whose numbers are used again."""
        key, packets = self._merged()
        kept = ~_among(key >> _SIDE_SHIFT, sides)
        self._counts = [(key[kept], packets[kept])]

    def of(self, sides: IntArray) -> pl.DataFrame:
        """One row a given sender that is known, by ``fs``.

        fs, ttl (the most frequent), ttl_packets (how many carry it), ttl_kinds (how many different ones), df (of most).
        """
        key, packets = self._merged()
        wanted = _among(key >> _SIDE_SHIFT, sides)
        key, packets = key[wanted], packets[wanted]
        starts = run_starts(key >> 1)  # both values of DF
        fs, ttl = key[starts] >> _SIDE_SHIFT, (key[starts] >> 1) & 0xFF
        count = _sums(packets, starts)
        order = np.lexsort((ttl, -count, fs))
        firsts = run_starts(fs)
        habit = order[firsts]  # sorting moves rows within their side only
        sides_of = run_starts(key >> _SIDE_SHIFT)
        columns: dict[str, npt.NDArray[Any]] = {
            "fs": fs[firsts],
            "ttl": ttl[habit],
            "ttl_packets": count[habit],
            "ttl_kinds": np.diff(np.append(firsts, len(fs))),
            "df": _sums(packets * (key & 1), sides_of) * 2 > _sums(packets, sides_of),
        }
        return pl.DataFrame(columns)

    def _merged(self) -> tuple[IntArray, IntArray]:
        """Every key once, ascending, and its packets."""
        nothing = np.empty(0, dtype=np.int64)
        key = np.concatenate([nothing, *(key for key, _ in self._counts)])
        packets = np.concatenate([nothing, *(packets for _, packets in self._counts)])
        order = stable_order(key)
        key = key[order]
        starts = run_starts(key)
        return key[starts], _sums(packets[order], starts)


def _among(values: IntArray, chosen: IntArray) -> BoolArray:
    """Which values are among the chosen ones; both are small numbers."""
    marks = np.zeros(max(int(values.max(initial=0)), int(chosen.max(initial=0))) + 1, dtype=np.bool_)
    marks[chosen] = True
    return marks[values]


def _sums(values: IntArray, starts: IntArray) -> IntArray:
    """Sum of every run."""
    total: IntArray = np.add.reduceat(values, starts) if len(starts) else values[:0]
    return total
