"""Small array tools that the flow rooms share: columns that grow, and first/last/running values within sorted runs."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

NEVER = np.iinfo(np.int64).max
"""Stands for "no such frame or time yet" wherever the earliest is kept."""


FRAME_BITS: Final = 36
"""Enough for the frames of any capture; with the side number above it one integer orders packets of all sides."""
_FEW: Final = 1024
"""Keys that are sorted faster by comparing."""


class GrowingColumns:
    """Parallel numpy columns addressed by row number, growing by doubling.

    Read and write through ``table["name"][rows]``; new rows hold each column's fill value.
    """

    def __init__(self, columns: dict[str, tuple[type[np.generic], int]]) -> None:
        self._fill = {name: fill for name, (_, fill) in columns.items()}
        self._data: dict[str, npt.NDArray[Any]] = {
            name: np.full(1024, fill, dtype=dtype) for name, (dtype, fill) in columns.items()
        }
        self._capacity = 1024
        self.rows = 0

    def grow_to(self, rows: int) -> None:
        """Make room so that row numbers below ``rows`` exist."""
        if rows > self._capacity:
            capacity = self._capacity
            while capacity < rows:
                capacity *= 2
            for name, old in self._data.items():
                new = np.full(capacity, self._fill[name], dtype=old.dtype)
                new[: self.rows] = old[: self.rows]
                self._data[name] = new
            self._capacity = capacity
        self.rows = max(self.rows, rows)

    def clear(self, rows: IntArray) -> None:
        """Put the fill values back into rows (those beyond the last hold them already), to use the numbers again."""
        rows = rows[rows < self.rows]
        for name, values in self._data.items():
            values[rows] = self._fill[name]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """The whole column, spare room included: index it with row numbers."""
        return self._data[name]

    def column(self, name: str) -> npt.NDArray[Any]:
        """The column cut to the rows that exist."""
        return self._data[name][: self.rows]


def both_sides(flows: IntArray) -> IntArray:
    """Rows of both senders of each flow in per-side tables."""
    return np.concatenate([2 * flows, 2 * flows + 1])


def stable_order(keys: IntArray) -> IntArray:
    """What ``np.argsort(keys, kind="stable")`` gives, for keys of 0 or more; five times as fast below 2³²."""
    if len(keys) < _FEW or (high := int(keys.max())) >= 1 << 32 or int(keys.min()) < 0:
        return np.argsort(keys, kind="stable")
    # numpy sorts 16-bit numbers by counting, wider ones by comparing
    order = np.argsort(keys.astype(np.uint16), kind="stable")
    if high >= 1 << 16:
        upper = (keys >> 16).astype(np.uint16)
        order = order[np.argsort(upper[order], kind="stable")]
    return order


def run_starts(keys: IntArray) -> IntArray:
    """Index of the first element of every run of equal keys."""
    if len(keys) == 0:
        return np.empty(0, dtype=np.int64)
    change = np.empty(len(keys), dtype=np.bool_)
    change[0] = True
    np.not_equal(keys[1:], keys[:-1], out=change[1:])
    return np.flatnonzero(change)


def run_ends(starts: IntArray, length: int) -> IntArray:
    """Index of the last element of every run, from the starts of the runs."""
    return np.append(starts[1:], length) - 1 if len(starts) else starts


def keep_first(rows_per_key: dict[int, list[int]], keys: IntArray, values: IntArray, limit: int) -> None:
    """Append values to the list of their key, in order, until the list holds ``limit``.

    Meant for the few rows that become evidence; floods are cut to ``limit`` per key before Python sees them.
    """
    if len(keys) == 0:
        return
    order = stable_order(keys)
    keys, values = keys[order], values[order]
    starts = run_starts(keys)
    lengths = np.diff(np.append(starts, len(keys)))
    rank = np.arange(len(keys), dtype=np.int64) - np.repeat(starts, lengths)
    chosen = rank < limit
    for key, value in zip(keys[chosen].tolist(), values[chosen].tolist(), strict=True):
        kept = rows_per_key.setdefault(key, [])
        if len(kept) < limit:
            kept.append(value)
