"""Fixed-width byte rows out of a byte array: the one primitive all header reading rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def gather_rows(
    data: npt.NDArray[np.uint8], start: npt.NDArray[np.int64], width: int
) -> npt.NDArray[np.uint8]:
    """The ``width`` bytes at each of ``start`` as a contiguous ``(len(start), width)`` uint8 array.

    ``start`` must not be negative. Bytes beyond the end of ``data`` read as zero, so callers compare
    lengths first and never need to clip.
    """
    count = len(start)
    last = len(data) - width
    if count == 0:
        return np.empty((0, width), dtype=np.uint8)
    if last < 0 or int(start.max()) > last:
        base = max(last, 0)
        inside = start <= last
        rows = np.zeros((count, width), dtype=np.uint8)
        rows[inside] = gather_rows(data, start[inside], width)
        tail = np.concatenate([data[base:], np.zeros(width, dtype=np.uint8)])
        rows[~inside] = gather_rows(tail, np.minimum(start[~inside] - base, len(tail) - width), width)
        return rows
    # Overlapping void items: numpy then copies each row with one memcpy, five times as fast as a
    # two-dimensional index.
    items: npt.NDArray[np.void] = np.ndarray(
        (last + 1,), dtype=f"V{width}", buffer=np.ascontiguousarray(data), strides=(1,)
    )
    return items[start].view(np.uint8).reshape(count, width)
